"""Load tests: how many launches a second one process begins when they are due, each stopped again.

A schedule slips when launches begin late because the process that makes them is too slow. Slip is the share
of launches that began more than 10 ms after they were due; a process that cannot keep the rate falls behind
more and more, so that soon all of them do. Other programs on the machine can only make it worse, so of
several runs at a rate the best one counts.

    python -m benchmarks.loadtest
"""

import asyncio
import gc
import time
from typing import Any

from attrs import frozen

from benchmarks import harness
from benchmarks.harness import Measure
from benchmarks.stub import stub
from benchmarks.workload import TOKEN
from gameye_async import AsyncGameye
from gameye_async.loadtest import Plan, run

DELAY = 0.02
RATES = (1000, 1500, 2000, 2500, 3000, 3500, 4000)
ASKED = 2000
LATE = 0.01
SLIP = 0.01
LIFETIME = 1.0


@frozen
class Sustained:
    """What one rate came to.

    Attributes:
        rate: Launches asked for, a second.
        launched: Sessions.
        slip: Share of the launches that began more than 10 ms late.
        lag_p99: Seconds that 99 of 100 began late at most.
        behind: How late the slowest hundredth of a per cent began, by the duration.
        cpu: Share of a core that it took.
    """

    rate: int
    launched: int
    slip: float
    lag_p99: float
    behind: float
    cpu: float


async def sustain(url: str, rate: int, duration: float) -> Sustained:
    """Run a load test at a rate."""
    plan = Plan("arena-shooter", "eu-west", rate=rate, duration=duration, lifetime=LIFETIME)
    async with AsyncGameye(TOKEN, base_url=url, max_concurrency=200) as gameye:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        report = await run(plan, gameye)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert report.launched == report.due  # noqa: S101  -- else it would be the rate of something else
    p99, latest = report.lag.percentiles(99, 99.99)
    assert p99 is not None  # noqa: S101  -- there were launches
    assert latest is not None  # noqa: S101  -- likewise
    late = report.lag.share_above(LATE)
    return Sustained(rate, report.launched, late, p99, latest / duration, cpu / wall)


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    harness.settle_down()
    duration = 3.0 if options.quick else 20.0
    found: list[Sustained] = []
    with stub(DELAY) as server:
        asyncio.run(sustain(server.url, 500, 2.0))
        for rate in RATES:
            found.append(asyncio.run(sustain(server.url, rate, duration)))
            print(found[-1])
    asked = next(one for one in found if one.rate == ASKED)
    kept = max((one.rate for one in found if one.slip < SLIP), default=0)
    measures = [
        Measure(
            f"load test, schedule slip at {ASKED:,} launches/s", 100 * asked.slip, 1.0, 1.0, 0.1, unit="%"
        ),
        Measure(
            "load test, launches/s of one core under 1 % slip", kept, 2000, 2000, 4000, unit="/s", more=True
        ),
    ]
    figures: dict[str, Any] = {}
    harness.keep("loadtest", options, measures, figures)


if __name__ == "__main__":
    main()
