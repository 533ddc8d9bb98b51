"""What a launch tells of itself: in its errors, in the statistics, and by when it is tried again."""

import asyncio
from random import Random
from typing import Any

import attrs
import pytest

from gameye_async import (
    CapacityError,
    ClientClosedError,
    DeadlineExceededError,
    LaunchOutcomeUnknownError,
    NotSentError,
    Pacing,
    RetryPolicy,
    Timeouts,
)
from gameye_async.emulator import Fault
from tests.faultserver import FaultServer, answer, hang, reset
from tests.reliability.outages import refusing
from tests.reliability.stage import (
    EAST,
    IMAGE,
    QUICK,
    WEST,
    Script,
    in_virtual_time,
    new_request,
    quick_client,
    refusal,
    stage,
)
from tests.simulation.faults import BLACK_HOLE, REFUSED, ScriptedFaults

UNPACED = Pacing(adaptive=False, gate_after=100)


class Longest(Random):
    """Draws the highest number, so that every wait is its longest."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@pytest.mark.parametrize(
    ("on_abandon", "next_step"),
    [
        ("stop", "The client looks for it and stops it; launch again with a new id."),
        (
            "leave",
            "It is left running; launch again with the same id and idempotent=True to take it over.",
        ),
    ],
)
@in_virtual_time
async def test_an_unknown_outcome_says_what_is_being_done_and_what_to_do(on_abandon, next_step):
    request = new_request()
    async with stage(Fault("latency", operation="session-run", seconds=10.0)) as place:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await place.gameye.launch(request, deadline=5.0, on_abandon=on_abandon)
        await place.wait(60.0)
        assert len(place.world.live) == (on_abandon == "leave")
    assert str(caught.value) == (
        f"whether session {request.id} exists is unknown: the launch was not done within 5 s. {next_step}"
    )


async def test_a_closed_client_says_whether_the_launch_was_sent():
    async with FaultServer(hang()) as server:
        timeouts = Timeouts(close=0.05)
        async with quick_client(server.url, max_concurrency=1, timeouts=timeouts) as gameye:
            sent = asyncio.create_task(gameye.launch(new_request()))
            await server.wait_for_request()
            waiting = asyncio.create_task(gameye.launch(new_request()))
            await asyncio.sleep(0)
        with pytest.raises(
            LaunchOutcomeUnknownError,
            match=r"unknown: the client was closed while the launch was under way\. The",
        ):
            await sent
        with pytest.raises(ClientClosedError, match=r"^the client was closed before the launch was sent$"):
            await waiting


@in_virtual_time
async def test_a_closed_client_does_not_say_of_a_refused_launch_that_it_was_never_sent():
    async with stage(Fault("refuse", operation="session-run", status=420)) as place:
        call = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(0.5)
    with pytest.raises(ClientClosedError, match=r"^the client was closed before the launch was tried again$"):
        await call


@in_virtual_time
async def test_a_client_that_closes_lets_no_launch_try_again():
    """The attempt under way may still deliver; when it is refused, there is not another one."""
    slow = Fault("latency", operation="session-run", seconds=1.0)
    async with stage(slow, Fault("refuse", status=420, count=1)) as place:
        call = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(0.5)
        await place.gameye.aclose()
        with pytest.raises(ClientClosedError, match=r"^the client was closed while the launch was under way"):
            await call
    assert place.served == ["POST"]


@in_virtual_time
async def test_a_launch_that_found_no_place_says_that_it_was_never_sent():
    async with stage(
        Fault("latency", operation="session-run", seconds=10.0), client={"max_concurrency": 1}
    ) as place:
        ahead = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(1.0)
        with pytest.raises(DeadlineExceededError, match="within 2 s; it was never sent"):
            await place.gameye.launch(new_request(), deadline=2.0)
        await ahead


@in_virtual_time
async def test_a_session_tells_what_was_asked_for_and_how_long_it_took():
    async with stage(Fault("latency", operation="session-run", seconds=2.0)) as place:
        session = await place.gameye.launch(new_request(version="v2"))
    assert (session.image, session.version, session.location) == (IMAGE, "v2", WEST)
    assert session.elapsed == pytest.approx(2.0, abs=0.1)


@in_virtual_time
async def test_each_attempt_tells_how_long_it_took():
    faults = [
        Fault("refuse", operation="session-run", status=503, count=1),
        Fault("latency", operation="session-run", seconds=2.0),
    ]
    async with stage(*faults) as place:
        await place.wait(100.0)
        session = await place.gameye.launch(new_request())
    assert [attempt.elapsed for attempt in session.attempts] == pytest.approx([2.0, 2.0], abs=0.1)


@in_virtual_time
async def test_a_launch_that_is_overdue_tells_the_last_reason():
    plan = ScriptedFaults(connects=[REFUSED, BLACK_HOLE])
    async with stage(plan=plan) as place:
        with pytest.raises(DeadlineExceededError, match=r"within 3 s; .*: no connection could be made"):
            await place.gameye.launch(new_request(), deadline=3.0)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (lambda: {"POST": [reset()]}, "the connection broke"),
        (
            lambda: {"POST": [answer(201)], "GET": [refusal(404)]},
            "201: the answer is not JSON; it starts with ''",
        ),
        (lambda: {"POST": [hang()], "GET": [refusal(404)]}, "no answer came in time"),
        (lambda: {"POST": [reset(), refusal(409)], "GET": [refusal(404)]}, "No"),
    ],
    ids=["lost", "spoilt", "late", "conflict"],
)
async def test_an_unknown_outcome_tells_the_last_reason(replies, reason):
    async with FaultServer(Script(**replies())) as server:
        quick = {"retry": attrs.evolve(QUICK, attempts=2), "timeouts": Timeouts(attempt=0.3)}
        async with quick_client(server.url, **quick) as gameye:
            with pytest.raises(LaunchOutcomeUnknownError) as caught:
                await gameye.launch(new_request(), on_abandon="leave")
    assert f"{reason}. It is left running" in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "locations", "retried"),
    [
        ([], (WEST,), 0),
        ([Fault("refuse", operation="session-run", status=420, count=2)], (WEST,), 2),
        ([Fault("refuse", operation="session-run", status=420, location=WEST)], (WEST, EAST), 1),
        ([Fault("refuse", operation="session-run", status=503, count=2)], (WEST,), 2),
    ],
    ids=["at once", "refused twice", "in the second location", "failed twice"],
)
@in_virtual_time
async def test_attempts_beyond_the_first_are_counted(faults, locations, retried):
    """Each of three launches, so that what is counted adds up."""
    async with stage(client={"pacing": UNPACED}) as place:
        for number in range(1, 4):
            place.faults.clear()
            place.faults.add(*faults)
            session = await place.gameye.launch(new_request(*locations))
            assert place.gameye.stats.retried == number * retried
            assert place.served.count("POST") == number * (retried + 1)
            assert len(session.attempts) >= retried + 1


@in_virtual_time
async def test_a_launch_waits_longer_after_each_refusal():
    """2, 4 and 8 seconds with the longest waits."""
    options: dict[str, Any] = {"pacing": UNPACED, "rng": Longest(), "retry": RetryPolicy(throttle_base=2.0)}
    async with stage(Fault("refuse", operation="session-run", status=420, count=3), client=options) as place:
        await place.gameye.launch(new_request())
        assert place.now == pytest.approx(14.0, abs=0.5)


@in_virtual_time
async def test_a_refused_launch_gives_up_when_its_next_try_would_come_too_late():
    options: dict[str, Any] = {"pacing": UNPACED, "rng": Longest(), "retry": RetryPolicy(throttle_base=2.0)}
    async with stage(Fault("refuse", operation="session-run", status=420), client=options) as place:
        with pytest.raises(CapacityError):
            await place.gameye.launch(new_request(), deadline=5.0)
        assert place.now == pytest.approx(2.0, abs=0.5)


@in_virtual_time
async def test_a_refused_launch_pays_for_its_retries_where_no_rate_bounds_them():
    options = {"pacing": UNPACED, "retry": RetryPolicy(budget=6.0, budget_throttle_cost=5.0)}
    async with stage(Fault("refuse", operation="session-run", status=420), client=options) as place:
        with pytest.raises(CapacityError):
            await place.gameye.launch(new_request())
        assert place.served == ["POST", "POST"]


async def test_a_launch_that_was_not_sent_tells_the_last_reason():
    with refusing() as address:
        async with quick_client(f"http://{address}", retry=RetryPolicy(attempts=2, base=1e-3)) as gameye:
            with pytest.raises(NotSentError, match="no connection could be made") as caught:
                await gameye.launch(new_request())
    assert len(caught.value.attempts) == 2


async def test_a_launch_that_cannot_be_tried_again_in_time_tells_why_it_failed():
    """It does not wait for a deadline at which nothing would be sent."""
    slow = RetryPolicy(base=100.0, cap=100.0)
    with refusing() as address:
        async with quick_client(f"http://{address}", retry=slow, rng=Longest()) as gameye:
            with pytest.raises(NotSentError, match="no connection could be made") as caught:
                await gameye.launch(new_request(), deadline=50.0)
    assert len(caught.value.attempts) == 1
