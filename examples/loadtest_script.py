"""A load test of one's own: find the rate at which players begin to wait, and write a report of the last run.

It tests whatever GAMEYE_API_URL and GAMEYE_API_TOKEN say, and an emulator of its own without them:

    python examples/loadtest_script.py [REPORT.html]
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gameye_async import AsyncGameye
from gameye_async.emulator import Emulator, Fault
from gameye_async.loadtest import LoadReport, Plan, run

# What 99 of 100 players may wait (seconds).
PATIENCE = 0.5
RATES = (10, 20, 40)


@asynccontextmanager
async def client() -> AsyncIterator[AsyncGameye]:
    """A client of the API in the environment, or of an emulator whose launches take 50 ms or so."""
    if "GAMEYE_API_URL" in os.environ:
        async with AsyncGameye() as gameye:
            yield gameye
        return
    slow = Fault("latency", operation="session-run", seconds=0.05, distribution="lognormal", spread=0.5)
    async with (
        Emulator(faults=[slow]) as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url) as gameye,
    ):
        yield gameye


async def main() -> None:
    """Raise the rate until players wait too long."""
    report: LoadReport | None = None
    async with client() as gameye:
        for rate in RATES:
            plan = Plan("my-game", "eu-west", rate=rate, duration=2.0, lifetime=0.5, max_sessions=200)
            report = await run(plan, gameye)
            p50, p99 = report.latency.percentiles(50, 99)
            if p50 is None or p99 is None:
                print(f"{rate}/s: no session; {[failure.kind for failure in report.failures]}")
                break
            print(f"{rate}/s: {report.launched} of {report.due} launched, p50 {p50:.3f} s, p99 {p99:.3f} s")
            print("  nothing left" if report.is_clean else f"  look for loadtest={plan.run}")
            if p99 > PATIENCE:
                break
    if report is not None and len(sys.argv) > 1:
        report.write(sys.argv[1])


if __name__ == "__main__":
    asyncio.run(main())
