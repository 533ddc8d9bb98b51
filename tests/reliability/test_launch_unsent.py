"""Launches that never reach the API: proved unsent, they are never reported as unknown."""

import asyncio

import aiohttp
import attrs
import pytest

from gameye_async import (
    AuthenticationError,
    ClientClosedError,
    DeadlineExceededError,
    NotSentError,
    Timeouts,
)
from tests.faultserver import FaultServer, held
from tests.reliability.outages import Unresolvable, refusing, silent
from tests.reliability.stage import (
    QUICK,
    QUICK_TIMEOUTS,
    Script,
    in_virtual_time,
    launched,
    new_request,
    posted,
    quick_client,
    refusal,
    stage,
)
from tests.simulation.faults import BLACK_HOLE, REFUSED, Fault, NoFaults, ScriptedFaults

TWICE = attrs.evolve(QUICK, attempts=2)


async def assert_not_sent(url: str, **options: object) -> None:
    async with quick_client(url, retry=TWICE, **options) as gameye:
        with pytest.raises(NotSentError) as caught:
            await gameye.launch(new_request())
    assert [attempt.phase for attempt in caught.value.attempts] == ["not sent"] * 2


async def test_a_name_that_does_not_resolve():
    connector = aiohttp.TCPConnector(resolver=Unresolvable())
    await assert_not_sent("http://localhost:1", connector=connector)


async def test_a_refused_connection():
    with refusing() as address:
        await assert_not_sent(f"http://{address}")


async def test_a_connection_that_takes_too_long():
    with silent() as address:
        await assert_not_sent(f"http://{address}", timeouts=attrs.evolve(QUICK_TIMEOUTS, connect=0.05))


@in_virtual_time
async def test_it_is_tried_again_once_there_is_a_connection():
    async with stage(plan=ScriptedFaults(connects=[REFUSED, BLACK_HOLE])) as place:
        session = await place.gameye.launch(new_request())
        assert [attempt.phase for attempt in session.attempts] == ["not sent", "not sent", "answered"]
        assert place.served == ["POST"]
        # One connection took 5 s to fail, and nothing else was waited for.
        assert 5.0 < place.now < 6.0


class Unreachable(NoFaults):
    def on_connect(self, now: float) -> Fault:
        return BLACK_HOLE


@in_virtual_time
async def test_the_deadline_passes_while_connecting():
    async with stage(plan=Unreachable(), client={"timeouts": Timeouts(connect=8.0)}) as place:
        with pytest.raises(DeadlineExceededError) as caught:
            await place.gameye.launch(new_request(), deadline=12.0)
        assert place.now == pytest.approx(12.0, abs=0.05)
        assert [attempt.phase for attempt in caught.value.attempts] == ["not sent"]
    assert not place.served


@in_virtual_time
async def test_a_launch_cancelled_while_connecting_is_not_sent_any_more():
    """Its session would only be launched to be stopped."""
    async with stage(plan=ScriptedFaults(connects=[Fault(delay=2.0)])) as place:
        call = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(1.0)
        call.cancel()
        await asyncio.wait([call])
        await place.wait(60.0)
    assert call.cancelled()
    assert not place.served


@in_virtual_time
async def test_a_client_closed_while_connecting_sends_nothing_any_more():
    async with stage(plan=ScriptedFaults(connects=[Fault(delay=2.0)])) as place:
        call = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(1.0)
    with pytest.raises(ClientClosedError):
        await call
    assert not place.served


async def test_the_deadline_passes_while_queueing():
    """The place in the lane is taken by another launch, so that this one is never sent."""
    release = asyncio.Event()
    first = new_request()
    async with (
        FaultServer(Script(POST=[held(release, launched(first))])) as server,
        quick_client(server.url, max_concurrency=1) as gameye,
    ):
        ahead = asyncio.create_task(gameye.launch(first))
        await server.wait_for_request()
        with pytest.raises(DeadlineExceededError, match="it was never sent") as caught:
            await gameye.launch(new_request(), deadline=0.05)
        release.set()
        await ahead
    assert caught.value.attempts == ()
    assert [body["id"] for body in posted(server)] == [first.id]


async def test_an_unsent_launch_is_tried_again_only_while_the_budget_lasts():
    with refusing() as address:
        async with quick_client(f"http://{address}", retry=attrs.evolve(QUICK, budget=2.0)) as gameye:
            with pytest.raises(NotSentError) as caught:
                await gameye.launch(new_request())
    assert len(caught.value.attempts) == 3


async def test_launches_that_waited_for_a_place_are_not_sent_with_a_token_that_was_refused_meanwhile():
    async with (
        FaultServer(Script(POST=[refusal(401)])) as server,
        quick_client(server.url, max_concurrency=4) as gameye,
    ):
        burst = await asyncio.gather(
            *(gameye.launch(new_request()) for _ in range(50)), return_exceptions=True
        )
    assert {type(result) for result in burst} == {AuthenticationError}
    assert len(server.requests) == 4
