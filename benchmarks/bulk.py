"""`launch_many`: what it costs an item, how memory grows, how many connections it opens, how fair it is.

Beside it stands what one writes without it: a task for each item, `gather`, and a semaphore.

    python -m benchmarks.bulk
"""

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import Costs, Measure, quantile, ratio
from benchmarks.stub import Stub, stub
from benchmarks.workload import TOKEN
from gameye_async import AsyncGameye, LaunchRequest
from gameye_async._bulk import Bulk

CONCURRENCY = 100
DELAY = 0.02

BULK, BULK_AGAIN, GATHER = "launch_many", "launch_many again", "gather and semaphore"
CLIENT, CLIENT_GATHER = "launch_many, whole client", "gather and semaphore, whole client"


async def null(_index: int, item: int) -> int:
    """Instead of a launch."""
    await asyncio.sleep(0)
    return item


async def bulk(items: int) -> None:
    """What `launch_many` is without its launches."""
    async with Bulk(range(items), null, lambda _: None, CONCURRENCY, ordered=False, on_progress=None) as done:
        async for _ in done:
            pass


async def gathered(work: Callable[[int], Awaitable[object]], items: int) -> None:
    """A task for each item, and a semaphore."""
    places = asyncio.Semaphore(CONCURRENCY)

    async def one(item: int) -> object:
        async with places:
            return await work(item)

    await asyncio.gather(*(one(item) for item in range(items)))


def requests(count: int) -> Iterator[LaunchRequest]:
    """Requests, made as they are pulled."""
    return (harness.request() for _ in range(count))


async def launched(gameye: AsyncGameye, items: int, concurrency: int | None = None) -> list[float]:
    """Launch so many; how long each took, in seconds."""
    async with gameye.launch_many(requests(items), concurrency=concurrency) as outcomes:
        return [outcome.elapsed async for outcome in outcomes if outcome.ok]


async def own_cost(rounds: int, items: int, *, quick: bool) -> Costs:
    """CPU microseconds an item, without a network."""

    async def cost(run: Callable[[], Awaitable[object]]) -> float:
        gc.collect()
        began = time.process_time()
        await run()
        return (time.process_time() - began) / items * 1e6

    async with harness.unwired(CONCURRENCY) as gameye:
        runs: dict[str, Callable[[], Awaitable[object]]] = {
            BULK: lambda: bulk(items),
            BULK_AGAIN: lambda: bulk(items),
            GATHER: lambda: gathered(lambda item: null(item, item), items),
            CLIENT: lambda: launched(gameye, items),
            CLIENT_GATHER: lambda: gathered(lambda _: gameye.launch(harness.request()), items),
        }
        blocks = {name: partial(cost, run) for name, run in runs.items()}
        return await harness.compare(blocks, rounds, (BULK_AGAIN, BULK), quick=quick)


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def growth(server: Stub, items: int, warm_up: int) -> float:
    """MiB by which memory grew at most over so many launches, after the first ones."""
    highest = base = 0
    async with (
        AsyncGameye(TOKEN, base_url=server.url, max_concurrency=CONCURRENCY) as gameye,
        gameye.launch_many(requests(warm_up + items)) as outcomes,
    ):
        number = 0
        async for outcome in outcomes:
            assert outcome.ok  # noqa: S101  -- else it would be the memory of something else
            number += 1
            if number == warm_up:
                gc.collect()
                highest = base = resident()
            elif number > warm_up and not number % 500:
                highest = max(highest, resident())
    return (highest - base) / 2**20


async def growth_of_gather(server: Stub, items: int) -> float:
    """The same for a task each."""
    async with AsyncGameye(TOKEN, base_url=server.url, max_concurrency=CONCURRENCY) as gameye:
        await launched(gameye, 5000)
        gc.collect()
        base = highest = resident()

        async def launch(item: int) -> None:
            nonlocal highest
            await gameye.launch(harness.request())
            if not item % 500:
                highest = max(highest, resident())

        await gathered(launch, items)
    return (highest - base) / 2**20


async def unfairness(server: Stub, items: int) -> float:
    """p99 of launch time by p50, with ten times more launches than places."""
    async with AsyncGameye(TOKEN, base_url=server.url, max_concurrency=CONCURRENCY) as gameye:
        seconds = await launched(gameye, items, 10 * CONCURRENCY)
    return quantile(seconds, 0.99) / quantile(seconds, 0.5)


async def unfairness_of_aiohttp(server: Stub, items: int) -> float:
    """The same where aiohttp's connector keeps the queue."""
    seconds: list[float] = []
    async with harness.bare(server.url, limit=CONCURRENCY) as bare:

        async def launch() -> None:
            began = time.perf_counter()
            await bare()
            seconds.append(time.perf_counter() - began)

        await harness.drive(launch, items, 10 * CONCURRENCY)
    return quantile(seconds, 0.99) / quantile(seconds, 0.5)


async def connections(server: Stub, items: int) -> float:
    """How many connections were opened for each place."""
    async with AsyncGameye(TOKEN, base_url=server.url, max_concurrency=CONCURRENCY) as gameye:
        await launched(gameye, items)
    return server.connections() / CONCURRENCY


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    harness.settle_down()
    quick = options.quick
    many, some, rounds = (10_000, 5_000, 3) if quick else (100_000, 20_000, 24)
    with stub() as server:
        # First, while nothing else has left room in the heap.
        grown = asyncio.run(growth(server, many, 5000))
        gather = asyncio.run(growth_of_gather(server, many))
    with stub(DELAY) as server:
        opened = asyncio.run(connections(server, some))
    with stub(DELAY) as server:
        unfair = asyncio.run(unfairness(server, some))
        bare = asyncio.run(unfairness_of_aiohttp(server, some))
    costs = asyncio.run(own_cost(rounds, 2000 if quick else 10_000, quick=quick))
    measures = [
        Measure(
            "launch_many, own cost per item / gather + Semaphore", ratio(costs, BULK, GATHER), 0.5, 0.4, 0.25
        ),
        Measure(f"memory growth over {many:,} launches", grown, 5.0, 1.0, 0.3, unit="MiB"),
        Measure("connections opened / concurrency", opened, 1.05, 1.0, 1.0),
        Measure("fairness: p99 / p50, ten times more launches than places", unfair, 3.0, 1.5, 1.2),
    ]
    figures = {
        "cpu_microseconds per item": harness.medians(costs),
        "whole client, launch_many / gather": round(ratio(costs, CLIENT, CLIENT_GATHER), 3),
        "control": round(ratio(costs, BULK_AGAIN, BULK), 3),
        "memory growth of gather and semaphore, MiB": round(gather, 1),
        "p99 / p50 of bare aiohttp": round(bare, 1),
    }
    harness.keep("bulk", options, measures, figures)


if __name__ == "__main__":
    main()
