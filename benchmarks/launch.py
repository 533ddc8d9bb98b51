"""CPU microseconds of a launch: `AsyncGameye` beside bare aiohttp, in one process against one stub server.

Blocks of launches alternate between the clients, and only ratios within a round are compared: what the
machine does to all of them alike cancels out. Bare aiohttp runs twice in each round. The second time is the
control; a run in which the two differ is done again.

    python benchmarks/launch.py
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from gameye_async import AsyncGameye, LaunchRequest

CONCURRENCY = 100
WITHIN = (0.97, 1.03)
RUNS = 3
TARGET = 0.7
RESULTS = Path(__file__).with_name("results") / "launch.json"
TOKEN = "benchmark-token"  # noqa: S105  -- it opens nothing

# asyncio receives into 256 KiB that glibc maps and unmaps each time or does not, depending on where the heap
# happens to end: 8 to 20 microseconds a launch by lottery. With this much room at its top it never does.
PAD = ("MALLOC_TOP_PAD_", "4194304")

ANSWER = (
    b'{"host":"203.0.113.7","ports":[{"type":"tcp","container":8080,"host":20000},'
    b'{"type":"udp","container":7777,"host":20001},{"type":"tcp","container":8443,"host":20002}]}'
)
WANTED: dict[str, Any] = {
    "image": "arena-shooter",
    "location": "eu-west",
    "env": {"MAP": "harbour", "MODE": "duel", "TICK_RATE": "60"},
    "args": ["--max-players=8", "--log=info"],
    "labels": {"match": "m-000001", "queue": "ranked"},
    "version": "1.4.0",
}

Launch = Callable[[], Awaitable[object]]


class Stub(asyncio.Protocol):
    """Answers every request with 201, and parses no more than where it ends."""

    response = b"\r\n".join(
        (
            b"HTTP/1.1 201 Created",
            b"Content-Type: application/json; charset=utf-8",
            b"Content-Length: %d" % len(ANSWER),
            b"",
            ANSWER,
        )
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport: Any = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, rest = self.received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self.received = rest[length:]
            self.transport.write(self.response)


async def serve() -> None:
    """Listen on a free port, say which, and answer until killed."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def pin(position: int) -> None:
    """Stay on the first (0) or the last (-1) of the cores."""
    if hasattr(os, "sched_setaffinity"):
        # What a child inherits is the one core of its parent.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[position]})


@contextmanager
def stub() -> Iterator[str]:
    """The stub server in a process of its own; its URL."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  -- ourselves
        try:
            assert process.stdout is not None  # noqa: S101  -- a pipe was asked for
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Launch]:
    """Aiohttp as one writes it."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:

        async def launch() -> object:
            body = {"id": str(uuid.uuid4()), "restart": False, **WANTED}
            async with session.post(f"{url}/session", json=body) as response:
                return await response.json()

        yield launch


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Launch]:
    """`AsyncGameye` as it is."""
    async with AsyncGameye(TOKEN, base_url=url, max_concurrency=CONCURRENCY) as gameye:
        yield lambda: gameye.launch(LaunchRequest(**WANTED))


@asynccontextmanager
async def borrowed(url: str) -> AsyncIterator[Launch]:
    """`AsyncGameye` over somebody else's aiohttp session."""
    async with (
        aiohttp.ClientSession() as session,
        AsyncGameye(TOKEN, base_url=url, max_concurrency=CONCURRENCY, session=session) as gameye,
    ):
        yield lambda: gameye.launch(LaunchRequest(**WANTED))


BARE, CONTROL, OURS = "bare aiohttp", "bare aiohttp again", "AsyncGameye"
CLIENTS = {BARE: bare, CONTROL: bare, OURS: ours, "AsyncGameye, borrowed session": borrowed}


async def block(launch: Launch, launches: int) -> float:
    """CPU microseconds of each of so many launches."""
    numbers = iter(range(launches))

    async def worker() -> None:
        for _ in numbers:
            await launch()

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return (time.process_time() - began) / launches * 1e6


async def measure(url: str, blocks: int, launches: int) -> dict[str, list[float]]:
    """CPU microseconds by client, one number a round; the order within a round is drawn."""
    rng = Random(1)  # noqa: S311  -- the order of blocks is no secret
    async with AsyncExitStack() as stack:
        clients = [(name, await stack.enter_async_context(make(url))) for name, make in CLIENTS.items()]
        for _, launch in clients:
            await block(launch, launches)
        costs: dict[str, list[float]] = {name: [] for name in CLIENTS}
        for _ in range(blocks):
            rng.shuffle(clients)
            for name, launch in clients:
                costs[name].append(await block(launch, launches))
    return costs


def ratio(costs: dict[str, list[float]], name: str) -> float:
    """The median of the ratios to bare aiohttp, round by round."""
    return statistics.median(mine / bare for mine, bare in zip(costs[name], costs[BARE], strict=True))


def report(costs: dict[str, list[float]]) -> None:
    """Print the table."""
    print(f"{'CPU per launch':32}{'median, us':>12}{'quartiles':>18}{'ratio':>8}")
    for name, values in costs.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{name:32}{middle:12.1f}{f'{low:.1f} to {high:.1f}':>18}{ratio(costs, name):8.2f}")


def result(costs: dict[str, list[float]], options: argparse.Namespace) -> dict[str, Any]:
    """What to keep of a run."""
    return {
        "date": options.date,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {
            name: version(name)
            for name in ("aiohttp", "attrs", "cattrs", "yarl", "orjson", "uvloop")
            if find_spec(name)
        },
        "malloc_top_pad": os.environ.get(PAD[0]),
        "blocks": options.blocks,
        "launches_per_block": options.launches,
        "concurrency": CONCURRENCY,
        "cpu_microseconds": {name: round(statistics.median(values), 1) for name, values in costs.items()},
        "ratio_to_bare_aiohttp": {name: round(ratio(costs, name), 3) for name in costs},
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=24, help="rounds (default: 24)")
    parser.add_argument("--launches", type=int, default=1000, help="launches a block (default: 1000)")
    parser.add_argument(
        "--date", default=time.strftime("%Y-%m-%d"), help="date of the result (default: today)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the result is written, as JSON")
    parser.add_argument("--default-malloc", action="store_true", help="leave the allocator as users have it")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure until the control agrees; the exit status says whether the target is met."""
    options = arguments()
    if options.serve:
        pin(-1)
        import_module("uvloop" if find_spec("uvloop") else "asyncio").run(serve())
        return 0
    if not options.default_malloc and PAD[0] not in os.environ:
        os.execve(sys.executable, sys.orig_argv, os.environ | dict([PAD]))  # noqa: S606  -- ourselves again
    pin(0)
    for _ in range(RUNS):
        with stub() as url:
            costs = asyncio.run(measure(url, options.blocks, options.launches))
        report(costs)
        if WITHIN[0] <= ratio(costs, CONTROL) <= WITHIN[1]:
            break
        print(f"the control is outside {WITHIN[0]} to {WITHIN[1]}: this run does not count")
    else:
        return 2
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result(costs, options), indent=2) + "\n")
    print(f"target (at most {TARGET:g}): {'met' if ratio(costs, OURS) <= TARGET else 'MISSED'}")
    return int(ratio(costs, OURS) > TARGET)


if __name__ == "__main__":
    sys.exit(main())
