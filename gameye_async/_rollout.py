"""Where an image can run: waiting for a tag to arrive, and ranking locations for a group of players."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from random import Random

from attrs import frozen

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async.errors import ConfigurationError, DeadlineExceededError, GameyeError
from gameye_async.records import Location


@frozen
class Rollout:
    """How far a tag has come.

    Attributes:
        ready: Locations that have it, in the order in which they were named.
        missing: Locations that do not have it yet.
    """

    ready: tuple[str, ...]
    missing: tuple[str, ...]


async def wait_for_tag(
    caller: Caller,
    options: Options,
    locations: Iterable[str],
    image: str,
    version: str,
    *,
    seconds: float,
    on_progress: Callable[[Rollout], object] | None,
) -> None:
    """Ask all locations for a tag until each has it, as `AsyncGameye.wait_for_tag` does."""
    names = tuple(dict.fromkeys([locations] if isinstance(locations, str) else locations))
    if not names:
        raise ConfigurationError("name at least one location")
    requests = {name: _api.tag_exists(name, image, version) for name in names}
    missing = names
    trouble: list[str] = []
    rounds = 0

    async def ask(name: str) -> bool | GameyeError:
        return await caller.once(requests[name], options)

    with caller.sweeper.until(caller.clock() + seconds):
        while True:
            answers = await asyncio.gather(*map(ask, missing))
            errors = [answer for answer in answers if isinstance(answer, GameyeError)]
            for error in errors:
                if not isinstance(error, _policy.PASSING):
                    raise error
            trouble = [error.message for error in errors[-1:]]
            missing = tuple(name for name, answer in zip(missing, answers, strict=True) if answer is not True)
            if on_progress is not None:
                on_progress(Rollout(tuple(name for name in names if name not in missing), missing))
            if not missing:
                return
            rounds += 1
            await asyncio.sleep(_pause(rounds, caller.rng))
    raise DeadlineExceededError(
        f"the tag {version} of {image} was not in {', '.join(missing)} within {seconds:g} s"
        + "".join(f"; last: {message}" for message in trouble)
    )


def _pause(rounds: int, rng: Random) -> float:
    """Seconds between rounds: pulling an image takes minutes."""
    return min(10.0, 2.0 ** min(rounds - 1, 32)) * rng.uniform(0.75, 1.0)


def rank_locations(
    locations: Iterable[Location | str], latencies: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Names of the locations that every player can use, best first, as `launch` takes them.

    The best is that with the lowest worst latency; between equals, with the lowest mean; between equals
    again, the one that was named first.

    Args:
        locations: What `available_locations` answered, or names.
        latencies: Milliseconds by player and location. A location without a latency (or one that is negative
            or not finite) is not usable for that player, and so for the group.
    """
    names = dict.fromkeys(place.id if isinstance(place, Location) else place for place in locations)
    ranked: list[tuple[float, float, str]] = []
    for name in names:
        times = [player.get(name, math.inf) for player in latencies.values()]
        if all(0 <= time < math.inf for time in times):
            ranked.append((max(times, default=0.0), math.fsum(times), name))
    return [name for _, _, name in sorted(ranked, key=lambda entry: entry[:2])]
