"""`gameye-async demo`: a thousand launches against an emulator, counted back."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from attrs import frozen
from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import AsyncGameye, GameyeError, LaunchRequest
from gameye_async.cli.exits import Exit, complain, complain_of_session, run_to_end
from gameye_async.cli.launching import launch_all, stop_all
from gameye_async.cli.progress import launch_progress
from gameye_async.cli.requests import read_requests
from gameye_async.cli.tables import id_list, location_table, show, show_together, summary_table
from gameye_async.cli.tally import Tally

MATCHES = Path(__file__).parents[2] / "examples" / "matches.jsonl"
_LOCATIONS = ("eu-west", "eu-east", "na-east", "na-west", "sa-east", "asia-east", "oce-east")
# Few enough that some launches are refused (420) and the client has to find the pace.
_START_RATE = 250
_EMULATOR = ("--port", "0", "--until-eof", "--launch-seconds", "0.2", "--start-rate", str(_START_RATE))
_DEADLINE = 60.0
_TTL = "10m"
_ENDS_WITHIN = 5.0


def demo(
    file: str | None = None,
    /,
    *,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1))] = 200,
) -> int:
    """Launch a thousand matches against an emulator, and prove that none is lost.

    Starts an emulator that now and then refuses (420), launches everything at once, lists it back by id, and
    stops it all.

    For instance:

        gameye-async demo
        gameye-async demo matches.jsonl --concurrency 500

    Args:
        file: Launch requests, one a line in the API's own JSON; a thousand of its own when left out.
        concurrency: How many launches may be in flight at once.
    """
    return run_to_end(_demo(_matches(file), concurrency))


def _matches(file: str | None) -> list[LaunchRequest]:
    if file is not None:
        return read_requests(file)
    return read_requests(str(MATCHES)) if MATCHES.exists() else generated_requests(1_000)


def generated_requests(count: int) -> list[LaunchRequest]:
    """So many matches of an invented game, spread over the world."""
    return [
        LaunchRequest(
            "lanternfish-arena",
            _LOCATIONS[number % len(_LOCATIONS)],
            args=["--max-players=16"],
            env={"MATCH_ID": f"arena-{number:05}"},
            labels={"match": f"arena-{number:05}"},
        )
        for number in range(count)
    ]


@frozen
class Inventory:
    """What a list shows, compared with what was launched.

    Attributes:
        lost: Ids that were launched and are not listed.
        doubled: Ids that are listed more than once.
        foreign: Ids that are listed and were not launched.
    """

    lost: Collection[str]
    doubled: Collection[str]
    foreign: Collection[str]

    @classmethod
    def take(cls, launched: Iterable[str], listed: Iterable[str]) -> "Inventory":
        """Compare by id."""
        expected, found = set(launched), Counter(listed)
        return cls(
            lost=expected - found.keys(),
            doubled={name for name, count in found.items() if count > 1},
            foreign=found.keys() - expected,
        )

    def complaints(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        kinds = {"lost": self.lost, "doubled": self.doubled, "foreign": self.foreign}
        return [f"{len(ids):,} {kind}: {id_list(ids)}" for kind, ids in kinds.items() if ids]


async def _demo(requests: Sequence[LaunchRequest], concurrency: int) -> int:
    async with (
        _emulator() as (url, token),
        AsyncGameye(
            token,
            base_url=url,
            max_concurrency=concurrency,
            default_ttl=_TTL,
            on_orphan=lambda orphan: complain_of_session(orphan.session_id, orphan.reason),
        ) as gameye,
    ):
        show(f"launching {len(requests):,} matches, {concurrency:,} at once")
        show(f"emulator at {url}: {_START_RATE} starts a second\n")
        return await play(gameye, requests, concurrency=concurrency)


async def play(gameye: AsyncGameye, requests: Sequence[LaunchRequest], *, concurrency: int) -> int:
    """Launch, list back and stop everything; say how it went, and return the exit code."""
    tally = Tally()
    began = time.monotonic()
    async with launch_progress(gameye, len(requests)):
        await launch_all(gameye, requests, tally.add, concurrency=concurrency, deadline=_DEADLINE)
    summary = summary_table(tally, retried=gameye.stats.retried, seconds=time.monotonic() - began)
    show_together(summary, location_table(tally))
    launched = [session.id for session in tally.sessions]
    complaints = [
        *tally.error_lines(),
        *await _count_back(gameye, launched),
        *await _stop_and_count(gameye, launched, concurrency=concurrency),
    ]
    for complaint in complaints:
        complain(complaint)
    return Exit.FAILED if complaints else Exit.OK


async def _count_back(gameye: AsyncGameye, launched: Iterable[str]) -> list[str]:
    """List what is running, and return a complaint for each way in which that is not what was launched."""
    listed = [session.id for session in await gameye.list_sessions()]
    wrong = Inventory.take(launched, listed).complaints()
    if not wrong:
        show(f"listed back {len(listed):,} sessions: none lost, doubled or foreign")
    return wrong


async def _stop_and_count(gameye: AsyncGameye, launched: Collection[str], *, concurrency: int) -> list[str]:
    """Stop what was launched, and return a complaint about what is left."""
    unsettled: dict[str, str] = {}
    await stop_all(gameye, launched, unsettled, concurrency=concurrency)
    left = [session.id for session in await gameye.list_sessions()]
    if left:
        return [*unsettled.values(), f"{len(left):,} left: {id_list(left)}"]
    show(f"stopped {len(launched):,} sessions: none left")
    return []


@asynccontextmanager
async def _emulator() -> AsyncGenerator[tuple[str, str], None]:
    """Run an emulator in a process of its own, so that it shares no event loop with the client.

    It ends with its standard input, and so even when this process is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gameye_async", "emulator", *_EMULATOR),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C goes to every process of the terminal's group; the client still needs the emulator then.
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101  -- it is a pipe
    assert process.stdout is not None  # noqa: S101  -- it is a pipe
    try:
        yield await _value(process.stdout), await _value(process.stdout)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _value(output: asyncio.StreamReader) -> str:
    """The value of a line such as `url    http://127.0.0.1:8080`."""
    words = (await output.readline()).decode().split()
    if not words:
        raise GameyeError("the emulator did not start; see above")
    return words[-1]
