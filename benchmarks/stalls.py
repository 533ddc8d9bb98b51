"""How long launches hold up everything else on the event loop: the first wave, and steady launching.

A task that sleeps 2 ms at a time notes how much later than that it is woken.

    python -m benchmarks.stalls
"""

import asyncio
import gc
import time
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from functools import partial

from benchmarks import harness
from benchmarks.harness import Block, Costs, Launch, Measure, quantile, ratio
from benchmarks.stub import Stub, stub
from benchmarks.workload import TOKEN
from gameye_async import AsyncGameye

WAVE = 1000
SLOW = 0.5
CONCURRENCY = 100
STEADY = 0.02
TICK = 0.002

MANY, GATHER, BARE, OURS = "launch_many", "gather of launch", "bare aiohttp", "AsyncGameye"


async def lags(work: Awaitable[object]) -> list[float]:
    """By how many milliseconds the ticks came late while something ran."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            late.append((time.perf_counter() - due) * 1e3)

    gc.collect()
    ticker = asyncio.ensure_future(tick())
    # It stands at the front of the queue when the work begins.
    await asyncio.sleep(0)
    await work
    # What the last turn of the loop has cost is seen by the tick after it.
    await asyncio.sleep(2 * TICK)
    ticker.cancel()
    return late


async def gathered_wave(client: AbstractAsyncContextManager[Launch]) -> float:
    """Longest stall of a first wave of a client, in milliseconds; each wave has connections to make."""
    async with client as launch:

        async def wave() -> None:
            await asyncio.gather(*(launch() for _ in range(WAVE)))

        return max(await lags(wave()))


async def bulk_wave(url: str) -> float:
    """The same of `launch_many`."""
    async with AsyncGameye(TOKEN, base_url=url, max_concurrency=WAVE) as gameye:

        async def wave() -> None:
            async with gameye.launch_many(harness.request() for _ in range(WAVE)) as outcomes:
                async for outcome in outcomes:
                    assert outcome.ok  # noqa: S101  -- else it would be the stall of something else

        return max(await lags(wave()))


async def waves(server: Stub, rounds: int) -> Costs:
    """Longest stalls of first waves, in milliseconds."""
    blocks: dict[str, Block] = {
        MANY: lambda: bulk_wave(server.url),
        GATHER: lambda: gathered_wave(harness.ours(server.url, WAVE)),
        BARE: lambda: gathered_wave(harness.bare(server.url)),
    }
    return await harness.alternate(blocks, rounds)


async def steady(server: Stub, rounds: int, launches: int) -> Costs:
    """p99 of the lag while launches go on and on, in milliseconds."""

    async def block(launch: Launch) -> float:
        return quantile(await lags(harness.drive(launch, launches, CONCURRENCY)), 0.99)

    async with (
        harness.bare(server.url) as bare,
        harness.ours(server.url, CONCURRENCY) as ours,
    ):
        return await harness.alternate({BARE: partial(block, bare), OURS: partial(block, ours)}, rounds)


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    harness.settle_down()
    with stub(SLOW) as server:
        first = asyncio.run(waves(server, 3 if options.quick else 11))
    with stub(STEADY) as server:
        later = asyncio.run(steady(server, 5 if options.quick else 24, 2000 if options.quick else 5000))
    measures = [
        Measure(
            "longest stall, first wave of 1,000 / bare gather",
            ratio(first, MANY, BARE),
            0.25,
            0.10,
            0.05,
        ),
        Measure(
            "loop lag p99, steady launching / bare aiohttp",
            ratio(later, OURS, BARE),
            1.0,
            0.7,
            0.5,
        ),
    ]
    figures = {
        "longest stall of a first wave, ms": harness.medians(first),
        "gather of launch / bare gather": round(ratio(first, GATHER, BARE), 3),
        "lag p99 of steady launching, ms": harness.medians(later),
    }
    harness.keep("stalls", options, measures, figures)


if __name__ == "__main__":
    main()
