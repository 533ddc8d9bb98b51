"""How the cost of a launch grows with concurrency, and with the number of launches.

Concurrency is varied against the stub server. A million launches go nowhere: they are answered at once, in
the process, so that only the client's own cost is left.

    python -m benchmarks.scaling
"""

import asyncio
import time
from functools import partial

from benchmarks import harness
from benchmarks.bulk import launched, resident
from benchmarks.harness import Block, Costs
from benchmarks.stub import Stub, stub

CONCURRENCIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
NUMBERS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)
OURS, BARE = "AsyncGameye", "bare aiohttp"


async def by_concurrency(server: Stub, concurrency: int, rounds: int, launches: int) -> Costs:
    """CPU microseconds a launch at this concurrency."""
    count = max(launches, 2 * concurrency)
    async with harness.ours(server.url, concurrency) as ours, harness.bare(server.url) as bare:
        blocks: dict[str, Block] = {
            OURS: partial(harness.cpu, ours, count, concurrency),
            BARE: partial(harness.cpu, bare, count, concurrency),
        }
        return await harness.alternate(blocks, rounds)


async def by_number(launches: int, at_least: int) -> tuple[float, float]:
    """CPU microseconds a launch and MiB of growth, of `launch_many` with so many requests.

    Few are repeated until there are enough of them to measure.
    """
    async with harness.unwired(100) as gameye:
        await launched(gameye, 5000)
        base, began = resident(), time.process_time()
        times = max(1, at_least // launches)
        for _ in range(times):
            async with gameye.launch_many(harness.request() for _ in range(launches)) as outcomes:
                async for outcome in outcomes:
                    assert outcome.ok  # noqa: S101  -- else it would be the cost of something else
        cost = (time.process_time() - began) / (times * launches) * 1e6
    return cost, max(0.0, resident() - base) / 2**20


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    harness.settle_down()
    quick = options.quick
    rounds, launches, most, enough = (3, 300, 10_000, 1000) if quick else (9, 1000, 1_000_000, 10_000)
    with stub() as server:
        crowds = {
            concurrency: harness.medians(asyncio.run(by_concurrency(server, concurrency, rounds, launches)))
            for concurrency in CONCURRENCIES
        }
    numbers = {number: asyncio.run(by_number(number, enough)) for number in NUMBERS if number <= most}
    print(f"{'concurrency':>12}{OURS:>16}{BARE:>16}   CPU microseconds a launch")
    for concurrency, costs in crowds.items():
        print(f"{concurrency:12,}{costs[OURS]:16.1f}{costs[BARE]:16.1f}")
    print(f"{'launches':>12}{'CPU, us':>16}{'growth, MiB':>16}   launch_many, without a network")
    for number, (cost, grown) in numbers.items():
        print(f"{number:12,}{cost:16.1f}{grown:16.2f}")
    figures = {
        "cpu_microseconds by concurrency": crowds,
        "cpu_microseconds by launches": {number: round(cost, 1) for number, (cost, _) in numbers.items()},
        "growth_mib by launches": {number: round(grown, 2) for number, (_, grown) in numbers.items()},
    }
    harness.keep("scaling", options, (), figures)


if __name__ == "__main__":
    main()
