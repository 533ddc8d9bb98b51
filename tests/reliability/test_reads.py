"""Reads, joins and leaves: repeated after every failure that may pass, because twice is as good as once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest

from gameye_async import (
    ApiError,
    AsyncGameye,
    AuthenticationError,
    BadAnswerError,
    DeadlineExceededError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    ServerError,
    Timeouts,
)
from gameye_async.emulator import Fault
from gameye_async.settings import Token
from tests.faultserver import (
    FaultServer,
    answer,
    bomb,
    hang,
    json_answer,
    oversize,
    redirect,
    reset,
)
from tests.reliability.outages import refusing
from tests.reliability.stage import (
    IMAGE,
    QUICK,
    QUICK_TIMEOUTS,
    TOKEN,
    WEST,
    Script,
    emulated,
    in_virtual_time,
    methods,
    new_request,
    operations,
    quick_client,
    refusal,
    stage,
)

MATCH = "match-1"
Call = Callable[[AsyncGameye], Awaitable[Any]]

CALLS: dict[str, tuple[str, Call]] = {
    "describe": ("describe-session", lambda gameye: gameye.describe(MATCH)),
    "list": ("session-list", lambda gameye: gameye.list_sessions(location=WEST)),
    "locations": ("get-available-locations", lambda gameye: gameye.available_locations(IMAGE)),
    "tag": ("tag-exists", lambda gameye: gameye.tag_exists(WEST, IMAGE, "1.4.0")),
    "regions": ("list-regions", lambda gameye: gameye.regions()),
    "join": ("join-session", lambda gameye: gameye.join(MATCH, ["ann"])),
    "leave": ("leave-session", lambda gameye: gameye.leave(MATCH, ["ann"])),
}
# Two of a kind, where aiohttp itself already repeats the first.
PASSING = {
    "reset": Fault("cut_before_commit", count=2),
    "reset after the commit": Fault("cut_after_commit", count=2),
    "500": Fault("refuse", status=500, count=1),
    "503 after the commit": Fault("refuse", status=503, when="after", count=1),
    "502 in HTML": Fault("html_502", count=1),
    "429": Fault("refuse", status=429, count=1),
    "cut off": Fault("truncate", count=1),
    "not JSON": Fault("not_json", count=1),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("call", CALLS)
async def test_a_failure_that_passes_is_not_noticed(call, fault):
    operation, ask = CALLS[call]
    async with emulated() as (emulator, gameye):
        emulator.world.add_foreign_session(MATCH, image=IMAGE, location=WEST)
        expected = await ask(gameye)
        emulator.faults.add(PASSING[fault])
        assert await ask(gameye) == expected
        assert not list(emulator.faults)
        assert gameye.stats.retried == 1
    assert set(operations(emulator)) == {operation}


async def test_a_roster_counts_a_player_once_however_often_the_join_was_sent():
    async with emulated(Fault("cut_after_commit", operation="join-session", count=2)) as (_, gameye):
        session = await gameye.launch(new_request())
        roster = await gameye.join(session.id, ["ann", "ben"])
        assert (roster.count, set(roster.players)) == (2, {"ann", "ben"})
        assert (await gameye.leave(session.id, ["ann"])).players == ("ben",)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(503), ServerError),
        (refusal(429), RateLimitedError),
        (reset(), NoAnswerError),
    ],
    ids=["503", "429", "reset"],
)
async def test_a_failure_that_does_not_pass_is_raised_after_the_last_attempt(call, reply, error):
    async with FaultServer(reply) as server, quick_client(server.url) as gameye:
        with pytest.raises(error) as caught:
            await CALLS[call][1](gameye)
    assert len(caught.value.attempts) == QUICK.attempts


async def test_an_api_that_cannot_be_reached_is_told_from_one_that_does_not_answer():
    with refusing() as address:
        async with quick_client(f"http://{address}") as gameye:
            with pytest.raises(NotSentError) as caught:
                await gameye.regions()
    assert [attempt.phase for attempt in caught.value.attempts] == ["not sent"] * QUICK.attempts


async def test_an_error_without_an_answer_says_which_api_was_asked():
    """Its address may be what is wrong; that of a proxy is not told, for it may hold a password."""
    with refusing() as address:
        async with quick_client(f"http://{address}") as direct:
            with pytest.raises(NotSentError) as caught:
                await direct.regions()
            assert caught.value.message == f"GET http://{address}/region: no connection could be made."
        async with quick_client("http://localhost:1", proxy=f"http://gate:secret@{address}") as behind:
            with pytest.raises(NotSentError) as caught:
                await behind.regions()
            assert caught.value.message == (
                "GET http://localhost:1/region: no connection to the proxy could be made."
            )
    async with FaultServer(reset()) as server, quick_client(server.url) as gameye:
        with pytest.raises(NoAnswerError) as caught:
            await gameye.regions()
        assert caught.value.message.startswith(f"GET {server.url}/region: ")


@pytest.mark.parametrize("call", sorted(CALLS.keys() - {"tag"}))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_definite_refusal_is_raised_at_once(call, status):
    async with FaultServer(refusal(status)) as server, quick_client(server.url) as gameye:
        with pytest.raises(ApiError) as caught:
            await CALLS[call][1](gameye)
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_a_redirect_is_not_followed(call):
    async with FaultServer(redirect("/elsewhere", 307)) as server, quick_client(server.url) as gameye:
        with pytest.raises(BadAnswerError, match="redirected"):
            await CALLS[call][1](gameye)
    assert "/elsewhere" not in {request.target for request in server.requests}


@pytest.mark.parametrize(
    "reply",
    [answer(200, b"<html>"), json_answer(200, {"regions": 7}), oversize(), bomb(8)],
    ids=["HTML", "another shape", "endless", "a bomb"],
)
async def test_an_unusable_answer_is_asked_for_once_more(reply):
    async with FaultServer(reply) as server, quick_client(server.url) as gameye:
        with pytest.raises(BadAnswerError) as caught:
            await gameye.regions()
    assert len(server.requests) == len(caught.value.attempts) == 2


async def test_an_answer_that_does_not_come_is_asked_for_again():
    script = Script(GET=[hang(), json_answer(200, {"regions": [WEST]})])
    timeouts = attrs.evolve(QUICK_TIMEOUTS, attempt=0.05)
    async with FaultServer(script) as server, quick_client(server.url, timeouts=timeouts) as gameye:
        assert await gameye.regions() == [WEST]
    assert len(server.requests) == 2


async def test_the_deadline_ends_it():
    timeouts = attrs.evolve(QUICK_TIMEOUTS, deadline=0.05)
    async with FaultServer(hang()) as server, quick_client(server.url, timeouts=timeouts) as gameye:
        with pytest.raises((DeadlineExceededError, NoAnswerError)):
            await gameye.regions()
        await server.wait_for_hangup()


async def test_a_cancelled_read_is_aborted():
    """Nobody wants its answer, so its connection is closed."""
    async with FaultServer(hang()) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.regions())
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await server.wait_for_hangup()


async def test_a_burst_of_launches_does_not_hold_a_read_back():
    script = Script(POST=[hang()], GET=[json_answer(200, {"regions": [WEST]})])
    timeouts = attrs.evolve(QUICK_TIMEOUTS, close=0.05)
    async with FaultServer(script) as server:
        async with quick_client(server.url, max_concurrency=2, timeouts=timeouts) as gameye:
            burst = [asyncio.create_task(gameye.launch(new_request())) for _ in range(20)]
            await server.wait_for_request(2)
            assert await gameye.regions() == [WEST]
        await asyncio.gather(*burst, return_exceptions=True)


async def test_without_budget_the_first_failure_is_raised():
    retry = attrs.evolve(QUICK, budget=1.0)
    async with FaultServer(refusal(503)) as server, quick_client(server.url, retry=retry) as gameye:
        with pytest.raises(ServerError):
            await gameye.regions()
    assert methods(server) == ["GET"]


async def test_an_unknown_tag_is_false_in_either_spelling():
    async with FaultServer(refusal(404)) as server, quick_client(server.url) as gameye:
        assert await gameye.tag_exists(WEST, IMAGE, "9.9.9") is False
        with pytest.raises(NotFoundError):
            await gameye.describe(MATCH)
    assert methods(server) == ["GET", "GET"]


@in_virtual_time
async def test_too_many_requests_wait_as_long_as_they_are_told():
    async with stage(Fault("refuse", status=429, retry_after=12.0, count=1)) as place:
        await place.gameye.regions()
        assert 12.0 < place.now < 15.0


@in_virtual_time
async def test_a_wait_that_would_outlast_the_deadline_ends_it_early():
    async with stage(Fault("refuse", status=429, retry_after=40.0)) as place:
        with pytest.raises(DeadlineExceededError, match="last: 429 TOO_MANY_REQUESTS: Too many requests"):
            await place.gameye.regions()
        assert place.now < 1.0


async def test_a_burst_does_not_hammer_with_a_token_that_is_refused():
    """Those that wait for a place see what those before them were told; each call that fails is counted."""
    async with FaultServer(refusal(401)) as server, quick_client(server.url) as gameye:
        results = await asyncio.gather(*(gameye.regions() for _ in range(100)), return_exceptions=True)
        assert {type(result) for result in results} == {AuthenticationError}
        assert gameye.stats.failed == {"AuthenticationError": 100}
    assert len(server.requests) == 8


@in_virtual_time
async def test_a_token_callable_that_cannot_be_cancelled_costs_no_place():
    """Its call takes too long, and the next one is served."""

    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return TOKEN

    timeouts = Timeouts(deadline=0.5)
    async with stage(client={"timeouts": timeouts, "control_concurrency": 1}) as place:
        gameye = place.gameye
        gameye._core().caller.token = Token(stubborn)  # noqa: SLF001  -- the stage's client has its own
        with pytest.raises(DeadlineExceededError):
            await gameye.regions()
        gameye._core().caller.token = Token(TOKEN)  # noqa: SLF001  -- likewise
        assert await gameye.regions()
