"""Stopping: done twice is as good as once, and a stop that was begun is finished."""

import asyncio

import attrs
import pytest

from gameye_async import (
    ApiError,
    AsyncGameye,
    AuthenticationError,
    BadAnswerError,
    NotFoundError,
    NotSentError,
    OrphanRecord,
    StopUnconfirmedError,
    _launcher,
)
from gameye_async.emulator import Fault
from tests.faultserver import FaultServer, answer, close, hang, held, partial, redirect, reset
from tests.reliability.outages import refusing
from tests.reliability.stage import (
    IMAGE,
    QUICK,
    QUICK_TIMEOUTS,
    WEST,
    Script,
    emulated,
    in_virtual_time,
    launched,
    methods,
    new_request,
    quick_client,
    refusal,
    stage,
)
from tests.simulation.faults import BLACK_HOLE, FAULTLESS, ScriptedFaults

ONCE = attrs.evolve(QUICK, attempts=1)


async def test_the_first_stop_says_true_and_the_second_false():
    async with emulated() as (emulator, gameye):
        session = await gameye.launch(new_request())
        assert [await gameye.stop(session.id) for _ in range(2)] == [True, False]
        assert not emulator.world.live


async def test_what_this_client_launched_and_the_api_has_forgotten_is_over():
    async with emulated(retention_seconds=0.0) as (_, gameye):
        session = await gameye.launch(new_request())
        await gameye.stop(session.id)
        assert await gameye.stop(session.id) is False


async def test_what_nobody_knows_is_an_error():
    async with emulated() as (_, gameye):
        with pytest.raises(NotFoundError):
            await gameye.stop("match-1")


@pytest.mark.parametrize("lost", [reset, close], ids=lambda lost: lost.__name__)
async def test_not_found_after_a_lost_answer_means_that_it_was_stopped(lost):
    """Twice, because aiohttp sends a DELETE a second time by itself."""
    script = Script(DELETE=[lost(), lost(), refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        assert await gameye.stop("match-1") is True


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut_before_commit", operation="session-stop", count=2),
        Fault("cut_after_commit", operation="session-stop", count=2),
        Fault("refuse", status=500, operation="session-stop", count=3),
        Fault("refuse", status=504, when="after", operation="session-stop", count=3),
        Fault("refuse", status=429, operation="session-stop", count=1),
        Fault("html_502", operation="session-stop", count=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.when}",
)
async def test_a_stop_is_repeated_until_the_session_is_over(fault):
    async with emulated(fault) as (emulator, gameye):
        session = await gameye.launch(new_request())
        await gameye.stop(session.id)
        assert not emulator.world.live


@pytest.mark.parametrize("reply", [partial(200, b"{"), answer(200, b"<html>")], ids=["cut off", "HTML"])
async def test_the_body_of_the_answer_does_not_matter(reply):
    async with FaultServer(reply) as server, quick_client(server.url) as gameye:
        assert await gameye.stop("match-1") is True
    assert methods(server) == ["DELETE"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(401), AuthenticationError),
        (refusal(403), ApiError),
        (redirect("/elsewhere"), BadAnswerError),
    ],
    ids=["401", "403", "redirect"],
)
async def test_a_definite_refusal_is_raised(reply, error):
    async with FaultServer(reply) as server, quick_client(server.url) as gameye:
        with pytest.raises(error):
            await gameye.stop("match-1")
    assert methods(server) == ["DELETE"]


async def test_an_unconfirmed_stop_goes_on_until_it_is_confirmed():
    script = Script(DELETE=[refusal(503), refusal(503), answer(204)])
    async with FaultServer(script) as server, quick_client(server.url, retry=ONCE) as gameye:
        with pytest.raises(StopUnconfirmedError) as caught:
            await gameye.stop("match-1")
        assert caught.value.session_id == "match-1"
        assert methods(server) == ["DELETE"]
        await server.wait_for_request(3)
    assert methods(server) == ["DELETE"] * 3


async def test_an_unconfirmed_stop_is_reported_when_the_client_closes():
    orphans: list[OrphanRecord] = []
    with refusing() as address:
        timeouts = attrs.evolve(QUICK_TIMEOUTS, close=0.05)
        client = quick_client(f"http://{address}", retry=ONCE, timeouts=timeouts, on_orphan=orphans.append)
        async with client as gameye:
            with pytest.raises(StopUnconfirmedError) as caught:
                await gameye.stop("match-1")
    assert [orphan.session_id for orphan in orphans] == ["match-1"]
    assert [attempt.phase for attempt in caught.value.attempts] == ["not sent"]
    assert not isinstance(caught.value, NotSentError)


@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited", "cancelled"])
async def test_a_stop_that_closing_ends_is_unconfirmed_and_reported(is_awaited):
    """Nobody cancelled its caller, who must not be told so; and somebody hears of it when he has gone."""
    orphans: list[OrphanRecord] = []
    async with FaultServer(Script(DELETE=[hang()])) as server:
        timeouts = attrs.evolve(QUICK_TIMEOUTS, close=0.05)
        async with quick_client(server.url, timeouts=timeouts, on_orphan=orphans.append) as gameye:
            call = asyncio.create_task(gameye.stop("match-1"))
            await server.wait_for_request()
            if not is_awaited:
                call.cancel()
        with pytest.raises(StopUnconfirmedError if is_awaited else asyncio.CancelledError):
            await call
    assert [orphan.session_id for orphan in orphans] == ["match-1"]


async def test_a_stop_that_cannot_go_on_without_a_token_is_reported():
    orphans: list[OrphanRecord] = []
    tokens = ["token-of-the-stop"]

    async def vault() -> str:
        if not tokens:
            raise RuntimeError("the vault is sealed")
        return tokens.pop()

    async with (
        FaultServer(Script(DELETE=[refusal(503)])) as server,
        AsyncGameye(vault, base_url=server.url, retry=ONCE, on_orphan=orphans.append) as gameye,
    ):
        with pytest.raises(StopUnconfirmedError):
            await gameye.stop("match-1")
    assert [(orphan.session_id, orphan.reason) for orphan in orphans] == [
        ("match-1", "stopping it failed (RuntimeError)")
    ]


@in_virtual_time
async def test_a_stop_that_is_refused_for_minutes_is_reported():
    async with stage(Fault("refuse", operation="session-stop")) as place:
        session = await place.gameye.launch(new_request())
        with pytest.raises(StopUnconfirmedError):
            await place.gameye.stop(session.id)
        await place.wait(400.0)
        assert [orphan.session_id for orphan in place.orphans] == [session.id]
        assert place.orphans[0].reason == "its stop was never confirmed"


async def test_only_the_last_sessions_of_a_client_are_remembered(monkeypatch):
    """Of an older one that the API has forgotten, too, nobody can say that it was ever launched."""
    monkeypatch.setattr(_launcher, "_REMEMBERED", 1)
    async with emulated(retention_seconds=0.0) as (emulator, gameye):
        older, newer = [await gameye.launch(new_request()) for _ in range(2)]
        for session in (older, newer):
            emulator.world.end_session(session.id)
        assert await gameye.stop(newer.id) is False
        with pytest.raises(NotFoundError):
            await gameye.stop(older.id)


@in_virtual_time
async def test_a_stop_that_outlasts_its_deadline_is_unconfirmed():
    """It is answered after all, long after the caller has gone."""
    swallowed = ScriptedFaults(requests=[FAULTLESS, BLACK_HOLE, BLACK_HOLE])
    async with stage(plan=swallowed) as place:
        session = await place.gameye.launch(new_request())
        with pytest.raises(StopUnconfirmedError):
            await place.gameye.stop(session.id)
        assert place.now == pytest.approx(30.0, abs=0.2)
        await place.wait(60.0)
        assert not place.world.live


async def test_a_cancelled_stop_is_finished():
    release = asyncio.Event()
    script = Script(DELETE=[held(release, refusal(500)), answer(204)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.stop("match-1"))
        await server.wait_for_request()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        release.set()
        await server.wait_for_request(2)
    assert methods(server) == ["DELETE"] * 2


@in_virtual_time
async def test_a_cancelled_stop_is_finished_even_when_it_goes_unconfirmed():
    faults = (
        Fault("latency", operation="session-stop", seconds=1.0, count=1),
        Fault("refuse", status=500, operation="session-stop", count=2),
    )
    async with stage(*faults, client={"retry": ONCE}) as place:
        session = await place.gameye.launch(new_request())
        call = asyncio.create_task(place.gameye.stop(session.id))
        await place.wait(0.5)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await place.wait(10.0)
        assert not place.world.live


async def test_an_empty_budget_does_not_keep_a_session_alive():
    script = Script(DELETE=[refusal(503), answer(204)])
    retry = attrs.evolve(QUICK, budget=1.0)
    async with FaultServer(script) as server, quick_client(server.url, retry=retry) as gameye:
        with pytest.raises(StopUnconfirmedError):
            await gameye.stop("match-1")
        await server.wait_for_request(2)


async def test_a_burst_of_launches_does_not_hold_a_stop_back():
    script = Script(POST=[hang()], GET=[refusal(404)], DELETE=[answer(204)])
    timeouts = attrs.evolve(QUICK_TIMEOUTS, close=0.05)
    async with FaultServer(script) as server:
        async with quick_client(server.url, max_concurrency=2, timeouts=timeouts) as gameye:
            burst = [asyncio.create_task(gameye.launch(image=IMAGE, location=WEST)) for _ in range(20)]
            await server.wait_for_request(2)
            assert await gameye.stop("match-1") is True
            assert (gameye.stats.in_flight, gameye.stats.queued) == (2, 18)
        await asyncio.gather(*burst, return_exceptions=True)


async def test_a_burst_of_stops_does_not_hold_a_launch_back():
    request = new_request()
    release = asyncio.Event()
    script = Script(POST=[launched(request)], DELETE=[held(release, answer(204))])
    async with FaultServer(script) as server, quick_client(server.url, max_concurrency=1) as gameye:
        stops = [asyncio.create_task(gameye.stop(f"match-{number}")) for number in range(20)]
        await server.wait_for_request(8)
        assert (await gameye.launch(request)).id == request.id
        release.set()
        assert await asyncio.gather(*stops) == [True] * 20
