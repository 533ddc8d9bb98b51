"""How many jobs a second one, two and four workers launch, on a server that takes 50 ms for each.

All of it runs on this machine: NATS (which must be installed), the server and the workers. With few jobs at
once a worker mostly waits, and more of them are faster in proportion; with many it fills a core.

    python -m benchmarks.workers
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks import harness
from benchmarks.harness import Measure
from benchmarks.stub import stub
from benchmarks.workload import TOKEN, WANTED
from gameye_async import LaunchRequest
from gameye_async.worker.jetstream import Connection, Consumer, Streams, connect
from gameye_async.worker.messages import job_text

DELAY = 0.05
FEW, MANY = 8, 64
WORKERS = (1, 2, 4)
SECONDS = 6.0
RESULT = harness.RESULTS / "workers.json"
PAGE = Path(__file__).parents[1] / "docs" / "worker-pool.md"
FIGURES = re.compile(r"(?<=<!-- figures: begin -->\n).*?(?=<!-- figures: end -->)", re.DOTALL)
_TICK = os.sysconf("SC_CLK_TCK")


@frozen
class Run:
    """What one run showed.

    Attributes:
        rate: Jobs a second.
        cpu: CPU milliseconds of the workers for each job.
    """

    rate: float
    cpu: float


@asynccontextmanager
async def process(*command: str, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that ends with the block."""
    started = await asyncio.create_subprocess_exec(
        *command, env=os.environ | variables, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.kill()
        _, complaints = await started.communicate()
        if started.returncode != -signal.SIGKILL:
            print(complaints.decode(), file=sys.stderr)


@asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[str]:
    """A NATS of its own."""
    command = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
    if command is None:
        raise SystemExit("nats-server is not installed; on Debian: apt-get install nats-server")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with process(command, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder)) as server:
        await said(server, b"Server is ready")
        yield f"nats://127.0.0.1:{port}"


async def said(speaker: asyncio.subprocess.Process, text: bytes) -> None:
    """Wait until a process says it is ready."""
    assert speaker.stderr is not None  # noqa: S101  -- a pipe was asked for
    async for line in speaker.stderr:
        if text in line:
            return
    raise SystemExit("a process did not start")


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    fields = re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text()).split()
    return (int(fields[11]) + int(fields[12])) / _TICK


async def run(api: str, workers: int, concurrency: int, jobs: int) -> Run:
    """Launch so many jobs with so many workers."""
    streams = Streams("launches")
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(nats(Path(folder)))
            processes = [
                await stack.enter_async_context(
                    process(
                        *(sys.executable, "-m", "gameye_async", "worker", "--nats", url),
                        *("--concurrency", str(concurrency), "--max-ack-pending", "1000"),
                        GAMEYE_API_URL=api,
                        GAMEYE_API_TOKEN=TOKEN,
                    )
                )
                for _ in range(workers)
            ]
            for worker in processes:
                await said(worker, b"taking jobs")
            connection = await stack.enter_async_context(
                connect(url, streams, Consumer.of_reader(streams, "benchmark"))
            )
            # Those that warm up the connections do not count.
            await launched(connection, streams, 0, workers * concurrency)
            used, began = [cpu_seconds(one.pid) for one in processes], time.perf_counter()
            await launched(connection, streams, workers * concurrency, jobs)
            took = time.perf_counter() - began
            cpu = sum(cpu_seconds(one.pid) for one in processes) - sum(used)
    return Run(jobs / took, cpu / jobs * 1e3)


async def launched(connection: Connection, streams: Streams, first: int, jobs: int) -> None:
    """Queue jobs all at once, and wait until there is an outcome of each."""
    for number in range(first, first + jobs):
        await connection.client.publish(streams.jobs, job_text(f"m-{number}", LaunchRequest(**WANTED)))
    while True:
        info = await connection.jetstream.stream_info(streams.outcomes)
        if info.state.messages == first + jobs:
            return
        await asyncio.sleep(0.01)


async def measure(rounds: int, seconds: float) -> dict[int, dict[int, Run]]:
    """The middle run of each number of workers, for few and for many jobs at once."""
    found: dict[int, dict[int, Run]] = {FEW: {}, MANY: {}}
    with stub(DELAY) as server:
        for concurrency, by_workers in found.items():
            for workers in WORKERS:
                # As many as take some seconds, if a core allows for it.
                jobs = int(min(workers * concurrency / DELAY, 800) * seconds)
                runs = [await run(server.url, workers, concurrency, jobs) for _ in range(rounds)]
                by_workers[workers] = Run(
                    round(statistics.median(one.rate for one in runs), 1),
                    round(statistics.median(one.cpu for one in runs), 3),
                )
    return found


def table(result: Mapping[str, Any]) -> str:
    """The figures as the documentation has them."""
    figures = result["figures"]
    lines = [
        f"| workers | {' | '.join(f'jobs/s, {kind} each' for kind in figures)} |",
        f"| --- |{' --- |' * len(figures)}",
    ]
    for workers in map(str, WORKERS):
        rates = (f"{by_workers[workers]['jobs_per_second']:,.0f}" for by_workers in figures.values())
        lines.append(f"| {workers} | {' | '.join(rates)} |")
    return "\n".join(lines)


def write(page: Path, result: Mapping[str, Any]) -> None:
    """Put the figures of a result where the documentation has them."""
    page.write_text(FIGURES.sub(lambda _: f"{table(result)}\n", page.read_text()))


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    found = asyncio.run(measure(1 if options.quick else 3, 1.0 if options.quick else SECONDS))
    few = found[FEW]
    measures = [
        Measure("jobs of 4 workers / of 1, 8 at once", few[4].rate / few[1].rate, 2.5, 3.5, 3.9, more=True),
        Measure("jobs of 2 workers / of 1, 8 at once", few[2].rate / few[1].rate, 1.5, 1.8, 1.95, more=True),
    ]
    for concurrency, by_workers in found.items():
        for workers, one in by_workers.items():
            print(
                f"{workers} workers, {concurrency:2} at once each: {one.rate:7.1f} jobs/s, {one.cpu} ms CPU"
            )
    figures = {
        f"{concurrency} at once": {
            str(workers): {"jobs_per_second": one.rate, "cpu_milliseconds": one.cpu}
            for workers, one in by_workers.items()
        }
        for concurrency, by_workers in found.items()
    }
    harness.keep("workers", options, measures, figures)
    if not options.quick:
        write(PAGE, json.loads((options.output / RESULT.name).read_text()))


if __name__ == "__main__":
    main()
