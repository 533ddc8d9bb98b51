"""How long an attempt and a whole call may take, in virtual time."""

import asyncio
from typing import Any

from aiohttp import web

from gameye_async import AsyncGameye, DeadlineExceededError, NoAnswerError, Timeouts
from tests.clients import FAST, failure, simulated
from tests.simulation.loop import run


async def hang(_: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


def test_an_attempt_that_takes_too_long_is_given_up_and_repeated():
    async def world() -> BaseException:
        async with simulated(hang, retry=FAST, timeouts=Timeouts(attempt=4.0)) as gameye:
            error = await failure(gameye.regions())
            assert 8.0 <= asyncio.get_running_loop().time() < 8.5
            return error

    error = run(world)
    assert isinstance(error, NoAnswerError)
    assert error.timed_out
    assert [round(attempt.elapsed) for attempt in error.attempts] == [4, 4]


def test_the_deadline_of_a_call_ends_its_attempt():
    async def world() -> BaseException:
        async with simulated(hang, timeouts=Timeouts(deadline=3.0)) as gameye:
            error = await failure(gameye.regions())
            assert 3.0 <= asyncio.get_running_loop().time() < 3.1
            return error

    error = run(world)
    assert isinstance(error, DeadlineExceededError)
    assert "GET /region was not done within 3 s" in str(error)


def test_the_deadline_covers_waiting_for_a_place():
    """Eight reads are under way at most; the ninth may not outlive its deadline in the queue."""
    seen: list[str] = []

    async def world() -> BaseException:
        async def handler(request: web.Request) -> web.Response:
            seen.append(request.path)
            return await hang(request)

        async with simulated(handler, timeouts=Timeouts(deadline=20.0, attempt=20.0)) as gameye:
            busy = [asyncio.create_task(failure(gameye.regions())) for _ in range(8)]
            await asyncio.sleep(1.0)
            error = await failure(gameye.with_options(timeouts=Timeouts(deadline=2.0)).describe("match-1"))
            assert 3.0 <= asyncio.get_running_loop().time() < 3.1
            await asyncio.gather(*busy)
            return error

    assert isinstance(run(world), DeadlineExceededError)
    assert seen == ["/region"] * 8


def test_the_deadline_covers_fetching_the_token():
    async def world() -> Any:
        async def never() -> str:
            return await asyncio.Event().wait()

        async with AsyncGameye(never, timeouts=Timeouts(deadline=2.0)) as gameye, asyncio.timeout(60.0):
            return await failure(gameye.regions())

    # No connection is made, so the client may have a connector of its own.
    assert isinstance(run(world), DeadlineExceededError)
