"""`gameye-async locations`, `regions`, `tag` and `health`: where images run, and how the API is."""

import asyncio
import json
from typing import Annotated, cast

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import AsyncGameye, ConfigurationError, Rollout
from gameye_async.cli.exits import Exit
from gameye_async.cli.lines import write_line
from gameye_async.cli.options import AsJson, Flag, ask
from gameye_async.cli.progress import Steps, count_progress
from gameye_async.cli.tables import fields_table, show, show_rows


def locations(image: str, /, *, as_json: AsJson = False) -> int:
    """List the locations that can host an image now, with the addresses to ping for latency.

    For instance:

        gameye-async locations my-game

    Args:
        image: Application name.
        as_json: Print each location as a line of JSON.
    """
    found = ask(lambda gameye: gameye.available_locations(image))
    if as_json:
        for place in found:
            write_line({"location": place.id, "ips": place.ips})
    elif found:
        show_rows([{"location": place.id, "addresses": ", ".join(place.ips)} for place in found])
    else:
        show("no location has room")
    return Exit.OK


def regions(*, as_json: AsJson = False) -> int:
    """List all regions.

    For instance:

        gameye-async regions

    Args:
        as_json: Print each region as a line of JSON.
    """
    for name in ask(lambda gameye: gameye.regions()):
        if as_json:
            write_line({"region": name})
        else:
            show(name)
    return Exit.OK


def tag(
    image: str,
    version: str,
    /,
    *location: str,
    wait: Flag = False,
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 900.0,
    as_json: AsJson = False,
) -> int:
    """Say whether locations have an image's tag, or wait until all do; 1 when one has not.

    For instance:

        gameye-async tag my-game 1.4.2 eu-west eu-east
        gameye-async tag my-game 1.4.2 eu-west eu-east --wait --timeout 600

    Args:
        image: Application name.
        version: The tag.
        location: Where to look.
        wait: Wait until all have it.
        timeout: Seconds to wait.
        as_json: Print each location as a line of JSON.
    """
    names = tuple(dict.fromkeys(location))
    if not names:
        raise ConfigurationError("name at least one location")

    async def look(gameye: AsyncGameye) -> dict[str, bool]:
        if wait:
            await _wait(gameye, names, image, version, timeout, as_json=as_json)
            return dict.fromkeys(names, True)
        answers = await asyncio.gather(*[gameye.tag_exists(name, image, version) for name in names])
        return dict(zip(names, answers, strict=True))

    found = ask(look)
    if as_json:
        for name, exists in found.items():
            write_line({"location": name, "image": image, "version": version, "exists": exists})
    else:
        tag_of = f"{image}:{version}"
        show_rows([{"location": name, tag_of: "yes" if found[name] else "no"} for name in names])
    return Exit.OK if all(found.values()) else Exit.FAILED


async def _wait(
    gameye: AsyncGameye, names: tuple[str, ...], image: str, version: str, seconds: float, *, as_json: bool
) -> None:
    steps = Steps(len(names))

    def report(rollout: Rollout) -> None:
        steps.done = len(rollout.ready)
        steps.text = f"locations have {version}; waiting for {', '.join(rollout.missing[:3])}"

    async with count_progress(steps, as_json=as_json):
        await gameye.wait_for_tag(names, image, version, timeout=seconds, on_progress=report)


def health(*, as_json: AsJson = False) -> int:
    """Show what the API says about its health.

    For instance:

        gameye-async health

    Args:
        as_json: Print it as a line of JSON.
    """
    answer: object = ask(lambda gameye: gameye.health())
    fields = cast("dict[str, object]", answer) if isinstance(answer, dict) else {"health": answer}
    if as_json:
        write_line(fields)
    else:
        texts = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()
        }
        show(fields_table(texts))
    return Exit.OK
