"""CPU per launch beside other ways to launch: the limit, the same path with dicts, and other libraries.

The first two run in one process with `AsyncGameye`. Each other library runs in a process and an environment
of its own, which `python -m nox -s bench` makes; where there is none, or it does not run, it is absent.

    python -m benchmarks.peers
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from pathlib import Path

import aiohttp
from yarl import URL

from benchmarks import harness
from benchmarks.harness import Block, Costs, Launch, Measure, ratio
from benchmarks.protocol import protocol
from benchmarks.stub import stub
from benchmarks.workload import TOKEN, WANTED
from gameye_async._codec import dumps, loads
from gameye_async._exchange import Progress, Request
from gameye_async._transport.fast_path import FastPath
from gameye_async.settings import Token

ROOT = Path(__file__).parents[1]
DESCRIPTION = ROOT.parent / "shared/api/gameye-session-openapi.yml"

CONCURRENCY = 100

OURS, AGAIN, BARE = "AsyncGameye", "AsyncGameye again", "bare aiohttp"
LIMIT, DICTS = "hand-written typed protocol", "the same path with dicts"
THREADS, GENERATED, HTTPX = "requests in threads", "openapi-generator", "httpx"
ENVIRONMENTS = {THREADS: "requests", GENERATED: "openapi-generator", HTTPX: "httpx"}

Client = Callable[[str], AbstractAsyncContextManager[Launch]]


@asynccontextmanager
async def with_dicts(url: str) -> AsyncIterator[Launch]:
    """What is below the typed and protected launch: dicts over the same path."""
    credential = await Token(TOKEN).credential()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.TCPConnector(limit=0) as connector:
        path = FastPath(connector, URL(url), {"Accept": "*/*"}, timeout=timeout, tls=None)

        async def launch() -> object:
            body = dumps({"id": str(uuid.uuid4()), "restart": False, **WANTED})
            progress = Progress()
            await path.exchange(
                Request("launch", "POST", "/session", "/session", loads, body), credential, {}, progress
            )
            assert progress.answered is not None  # noqa: S101  -- for the type checkers
            return loads(progress.answered.body)

        yield launch


async def in_process(url: str, rounds: int, launches: int, *, quick: bool) -> Costs:
    """CPU microseconds a launch of what needs no other environment."""
    ours = partial(harness.ours, concurrency=CONCURRENCY)
    clients: dict[str, Client] = {
        OURS: ours,
        AGAIN: ours,
        BARE: harness.bare,
        LIMIT: protocol,
        DICTS: with_dicts,
    }
    async with AsyncExitStack() as stack:
        blocks: dict[str, Block] = {
            name: partial(harness.cpu, await stack.enter_async_context(client(url)), launches, CONCURRENCY)
            for name, client in clients.items()
        }
        return await harness.compare(blocks, rounds, (AGAIN, OURS), quick=quick)


class Absent(Exception):  # noqa: N818  -- it is no error
    """A peer cannot be measured here."""


class Worker:
    """A client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None  # noqa: S101  -- pipes were asked for
        assert process.stdout is not None  # noqa: S101  -- likewise
        self._input, self._output = process.stdin, process.stdout
        if self._output.readline() != "ready\n":
            raise Absent("it does not run in its environment")

    async def block(self, launches: int) -> float:
        """CPU microseconds of each of so many launches; nothing else is done meanwhile."""
        self._input.write(f"{launches}\n")
        self._input.flush()
        return float(self._output.readline())


@contextmanager
def worker(name: str, python: Path, url: str, concurrency: int) -> Iterator[Worker]:
    """A client in a process of its own, in this environment or another.

    Raises:
        Absent: It does not run there.
    """
    with ExitStack() as stack:
        environment = dict(os.environ)
        if name == GENERATED:
            environment["PYTHONPATH"] = str(stack.enter_context(sdk(python)))
        elif not python.exists():
            raise Absent("it has no environment")
        process = stack.enter_context(
            subprocess.Popen(  # noqa: S603  -- ourselves
                [python, "-m", "benchmarks.worker", name, url, str(concurrency)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.kill)
        yield Worker(process)


@contextmanager
def sdk(python: Path) -> Iterator[Path]:
    """The asyncio SDK that openapi-generator makes of the API's description, in a directory for a while.

    Raises:
        Absent: There is no generator, no Java or no description.
    """
    command = python.with_name("openapi-generator-cli")
    missing = [
        what
        for what, there in (
            ("generator", command.exists()),
            ("Java", shutil.which("java")),
            ("description of the API", DESCRIPTION.exists()),
        )
        if not there
    ]
    if missing:
        raise Absent(f"no {' and no '.join(missing)}")
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(  # noqa: S603  -- the command of a package that was installed for this
            [
                *(command, "generate", "-g", "python", "--library", "asyncio", "-i", DESCRIPTION),
                # The generator takes exception to the description itself.
                *("-o", directory, "--package-name", "gameye_sdk", "--skip-validate-spec"),
            ],
            check=True,
            capture_output=True,
        )
        yield Path(directory)


async def side_by_side(
    url: str, environments: Path, concurrency: int, rounds: int, launches: Mapping[str, int], *, quick: bool
) -> tuple[Costs, dict[str, str]]:
    """CPU microseconds a launch, each client in a process of its own; and why which one is absent."""
    with ExitStack() as stack:
        blocks: dict[str, Block] = {}
        absent: dict[str, str] = {}
        for name, count in launches.items():
            python = (
                environments / ENVIRONMENTS[name] / "bin/python"
                if name in ENVIRONMENTS
                else Path(sys.executable)
            )
            try:
                client = stack.enter_context(worker(name, python, url, concurrency))
            except Absent as reason:
                absent[name] = str(reason)
            else:
                blocks[name] = partial(client.block, count)
        return await harness.compare(blocks, rounds, (AGAIN, OURS), quick=quick), absent


def measures(alone: Costs, beside: Costs, absent: Mapping[str, str]) -> list[Measure]:
    """The figures that are judged."""

    def peer(name: str, floor: float, target: float, stretch: float) -> Measure:
        result = ratio(beside, name, OURS) if name in beside else None
        return Measure(
            f"CPU less than {name}, concurrency 10",
            result,
            floor,
            target,
            stretch,
            more=True,
            note=absent.get(name, ""),
        )

    return [
        Measure("CPU per launch / hand-written typed protocol", ratio(alone, OURS, LIMIT), 6.5, 4.5, 2.5),
        Measure("CPU per launch / the same path with dicts", ratio(alone, OURS, DICTS), 1.15, 1.10, 1.06),
        peer(THREADS, 5, 9, 15),
        peer(GENERATED, 3, 4.5, 7),
        peer(HTTPX, 6, 10, 18),
    ]


def main() -> None:
    """Measure, and keep the results."""
    parser = harness.arguments(__doc__)
    parser.add_argument("--environments", type=Path, default=ROOT / ".nox/peers", help="where the peers live")
    options = parser.parse_args()
    harness.settle_down()
    quick = options.quick
    rounds, launches = (6, 500) if quick else (24, 1000)
    names = (OURS, AGAIN, BARE, THREADS, GENERATED, HTTPX)
    few = dict.fromkeys(names, 200 if quick else 500)
    # At this concurrency a launch of httpx takes ten times as long.
    fewer = few | {HTTPX: 100}
    with stub() as server:
        beside = partial(side_by_side, server.url, options.environments, rounds=rounds, quick=quick)
        alone = asyncio.run(in_process(server.url, rounds, launches, quick=quick))
        ten, absent = asyncio.run(beside(concurrency=10, launches=few))
        hundred, _ = asyncio.run(beside(concurrency=100, launches=fewer))
    figures = {
        "cpu_microseconds, concurrency 100, one process": harness.medians(alone),
        "cpu_microseconds, concurrency 10": harness.medians(ten),
        "cpu_microseconds, concurrency 100": harness.medians(hundred),
        "times ours, concurrency 100": {name: round(ratio(hundred, name, OURS), 2) for name in hundred},
        "control": {
            "one process": round(ratio(alone, AGAIN, OURS), 3),
            "concurrency 10": round(ratio(ten, AGAIN, OURS), 3),
            "concurrency 100": round(ratio(hundred, AGAIN, OURS), 3),
        },
        "absent": absent,
    }
    harness.keep("peers", options, measures(alone, ten, absent), figures)


if __name__ == "__main__":
    main()
