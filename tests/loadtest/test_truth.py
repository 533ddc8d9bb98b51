"""What a load test reports is true, also about a platform that stands still for two seconds."""

import asyncio
from random import Random

import pytest

from gameye_async.cli.tally import percentile
from gameye_async.loadtest import LoadReport, Plan
from gameye_async.loadtest import run as run_load_test
from tests.loadtest.world import platform
from tests.simulation.loop import run

RATE, DURATION = 100, 30.0
# Launches take 20 to 40 ms, and whatever comes in between second 10 and second 12 waits until second 12.
SHORTEST, LONGEST = 0.02, 0.04
STALL, STALLED = 10.0, 2.0
PERCENTS = (50, 90, 99, 99.9)


class Platform:
    """Takes its time."""

    def __init__(self) -> None:
        self.rng = Random(1)
        self.served = 0

    async def take_time(self, now: float) -> None:
        service = self.rng.uniform(SHORTEST, LONGEST)
        waiting = max(STALL + STALLED - now, 0.0) if now >= STALL else 0.0
        await asyncio.sleep(waiting + service)


def true_percentile(percent: float) -> float:
    """Of latencies that are a uniform service time, for a few plus what was left of the stall."""
    stalled = STALLED / DURATION
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        fast = 1 - _uniform(middle, SHORTEST, LONGEST)
        # The waiting and the service time, averaged over a hundred service times.
        services = [SHORTEST + (LONGEST - SHORTEST) * (number + 0.5) / 100 for number in range(100)]
        slow = sum(1 - _uniform(middle - service, 0.0, STALLED) for service in services) / 100
        beyond = (1 - stalled) * fast + stalled * slow
        low, high = (middle, high) if beyond > 1 - percent / 100 else (low, middle)
    return high


def _uniform(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def open_loop(arrivals: str) -> LoadReport:
    async def world() -> LoadReport:
        plan = Plan("arena", "europe", rate=RATE, duration=DURATION, arrivals=arrivals, lifetime=1.0, seed=3)
        async with platform(Platform().take_time, max_concurrency=1_000) as (emulated, gameye):
            report = await run_load_test(plan, gameye)
            assert not emulated.live
        return report

    return run(world, max_steps=10_000_000)


def closed_loop(workers: int) -> list[float]:
    """What one measures who launches again when the last launch has been answered, at the same mean rate."""

    async def world() -> list[float]:
        loop = asyncio.get_running_loop()
        seconds: list[float] = []
        async with platform(Platform().take_time, max_concurrency=1_000) as (_, gameye):

            async def work(number: int) -> None:
                due = number / RATE
                while due < DURATION:
                    await asyncio.sleep(due - loop.time())
                    began = loop.time()
                    session = await gameye.launch(image="arena", location="europe")
                    seconds.append(loop.time() - began)
                    await gameye.stop(session.id)
                    due = max(due + workers / RATE, loop.time())

            async with asyncio.TaskGroup() as group:
                for number in range(workers):
                    group.create_task(work(number))
        return seconds

    return run(world, max_steps=10_000_000)


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_percentiles_are_within_five_per_cent_of_the_truth(arrivals):
    report = open_loop(arrivals)
    assert report.launched == report.due == pytest.approx(RATE * DURATION, rel=0.05)
    assert report.is_clean
    found = report.latency.percentiles(*PERCENTS)
    assert found == pytest.approx([true_percentile(percent) for percent in PERCENTS], rel=0.05)
    assert report.lag.maximum < 0.0015


def test_a_closed_loop_hides_what_players_would_have_waited():
    """The same platform and rate, with ten workers: the stall hits ten launches instead of two hundred."""
    seconds = closed_loop(workers=10)
    truth = true_percentile(99)
    assert truth > 1.5
    assert percentile(seconds, 50) == pytest.approx(true_percentile(50), rel=0.05)
    assert truth > 30 * percentile(seconds, 99)


def test_queueing_for_a_place_counts_as_waiting():
    """With four places for ten launches' worth of time, the requests stay fast and the players wait."""

    async def world() -> LoadReport:
        plan = Plan("arena", "europe", rate=200, duration=5.0, arrivals="constant", lifetime=0.0)
        async with platform(lambda _: asyncio.sleep(0.05), max_concurrency=4) as (_, gameye):
            return await run_load_test(plan, gameye)

    report = run(world, max_steps=10_000_000)
    # 80 a second are served: the last of a thousand comes 7.5 s after it was due.
    assert report.latency.maximum == pytest.approx(1_000 / 80 - 5.0, rel=0.05)
    assert report.service.maximum == pytest.approx(0.05, rel=0.05)
    assert report.intervals[-1].begin == pytest.approx(1_000 / 80, abs=1)
