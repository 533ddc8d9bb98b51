"""What is left when something is killed in the middle of two thousand jobs; the platform's history judges."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field

from gameye_async import LaunchRequest
from gameye_async.worker import LaunchQueue, MatchOutcome, session_id
from tests.worker import pool
from tests.worker.engines import Engine, running
from tests.worker.platform import LOCATION, Record

pytestmark = pytest.mark.engine

MATCHES = [f"m-{number}" for number in range(2_000)]
# Jobs that nobody can launch, and that must not be lost either.
HOPELESS = frozenset(MATCHES[::50])
STRIKE_AFTER = 500
TIME_LIMIT = 60.0


def job(match: str) -> tuple[str, LaunchRequest]:
    return match, LaunchRequest("my-game", "nowhere" if match in HOPELESS else LOCATION)


@define(eq=False)
class Pool:
    """What runs, and what came of it so far."""

    nats: Engine
    platform: Engine
    workers: list[Engine]
    queue: LaunchQueue
    history: Path
    outcomes: dict[str, MatchOutcome] = field(factory=dict)

    async def read_until(self, count: int) -> None:
        """Read outcomes until there is one of so many matches."""
        if len(self.outcomes) < count:
            async for outcome in self.queue.outcomes():
                earlier = self.outcomes.setdefault(outcome.match, outcome)
                assert earlier.ok == outcome.ok, (earlier, outcome)
                if len(self.outcomes) == count:
                    break


@asynccontextmanager
async def busy_pool(nats: Engine, folder: Path, *options: str) -> AsyncIterator[Pool]:
    """Three workers that have done a quarter of the jobs; at the end, all must have been done once."""
    history = folder / "history.jsonl"
    async with asyncio.timeout(TIME_LIMIT), AsyncExitStack() as stack:
        platform = await stack.enter_async_context(running(pool.platform(history)))
        workers = [pool.worker(nats.url, platform.url, "--concurrency=32", *options) for _ in range(3)]
        for worker in workers:
            await stack.enter_async_context(running(worker))
        queue = await stack.enter_async_context(LaunchQueue(nats.url))
        all_of_them = Pool(nats, platform, workers, queue, history)
        async with asyncio.TaskGroup() as group:
            group.create_task(pool.submit_all(queue, map(job, MATCHES)))
            await all_of_them.read_until(STRIKE_AFTER)
            yield all_of_them
            await all_of_them.read_until(len(MATCHES))
        await pool.at_rest(queue)
        check(all_of_them)
        for worker in workers:
            if not worker.killed:
                assert await worker.end(signal.SIGTERM) == 0, worker.said


def check(pool: Pool) -> None:
    """Every match has exactly one running session, or a dead letter with a reason."""
    record = Record.read(pool.history)
    expected = {session_id(match) for match in MATCHES if match not in HOPELESS}
    assert pool.outcomes.keys() == set(MATCHES)
    assert record.launched == dict.fromkeys(expected, 1)
    assert record.live.keys() == expected
    for match, outcome in pool.outcomes.items():
        if match in HOPELESS:
            assert (outcome.session, outcome.error) == (None, "NotFoundError")
        else:
            assert outcome.session is not None, outcome
            assert outcome.session.id == session_id(match)


async def test_one_of_three_workers_is_killed(nats: Engine, tmp_path: Path):
    """Its jobs are delivered again to the others, which adopt the sessions that it had launched."""
    async with busy_pool(nats, tmp_path) as busy:
        await busy.workers[0].kill()


async def test_nats_is_killed(nats: Engine, tmp_path: Path):
    """Workers and matchmaker come back to it, and it still has the jobs."""
    async with busy_pool(nats, tmp_path) as busy:
        await nats.kill()
        await nats.start()
    assert any("is back" in line for line in busy.workers[0].said)


async def test_redis_is_killed(nats: Engine, redis: Engine, tmp_path: Path):
    """Workers launch at their own share of the rate while it is away, and together again afterwards."""
    # Slow enough that there are jobs left when it is back.
    options = ("--rate=300", "--processes=3", f"--redis={redis.url}")
    async with busy_pool(nats, tmp_path, *options) as busy:
        await redis.kill()
        for worker in busy.workers:
            await worker.says("Redis does not answer")
        await redis.start()
        for worker in busy.workers:
            await worker.says("Redis is back")


async def test_the_platform_is_killed(nats: Engine, tmp_path: Path):
    """Launches whose answers were lost are found again, and the others are made when it is back."""
    async with busy_pool(nats, tmp_path) as busy:
        await busy.platform.kill()
        await busy.platform.start()
    assert Record.read(busy.history).lives == 2
