"""What a client tells its listener."""

import asyncio
import inspect
import logging
import subprocess
import sys
from contextlib import suppress
from typing import Any, get_args

import attrs
import pytest
from yarl import URL

from gameye_async import (
    AsyncGameye,
    AuthenticationError,
    CapacityError,
    GameyeError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    Pacing,
    Session,
    StopUnconfirmedError,
    Timeouts,
)
from gameye_async.emulator import Fault
from gameye_async.telemetry import (
    Adopted,
    AttemptAnswered,
    AttemptFailed,
    AttemptStarted,
    BackingOff,
    CallEnded,
    CallStarted,
    Event,
    OrphanReported,
    OrphanStopped,
)
from gameye_async.telemetry.emitter import Emitter
from tests.faultserver import FaultServer, answer, hang, held
from tests.reliability.outages import refusing
from tests.reliability.stage import (
    EAST,
    IMAGE,
    WEST,
    Script,
    described,
    emulated,
    in_virtual_time,
    launched,
    new_request,
    quick_client,
    refusal,
    stage,
)
from tests.simulation.faults import BLACK_HOLE, FAULTLESS, ScriptedFaults


@pytest.fixture
def told() -> list[Event]:
    """What the listener was given."""
    return []


@pytest.fixture
def release():
    """Set it to let the API answer."""
    return asyncio.Event()


def kinds(events: list[Event]) -> list[type]:
    return [type(event) for event in events]


def ends(events: list[Event], operation: str = "launch") -> list[CallEnded]:
    return [event for event in events if isinstance(event, CallEnded) and event.call.operation == operation]


async def test_a_launch_is_told_from_its_start_to_its_end(told):
    async with emulated(client={"on_event": told.append}) as (emulator, gameye):
        port = URL(emulator.url).port
        session = await gameye.launch(new_request(WEST, EAST))

    started, trying, answered, ended = told
    call = started.call
    assert attrs.asdict(call) == {
        "id": call.id,
        "operation": "launch",
        "method": "POST",
        "template": "/session",
        "address": "127.0.0.1",
        "port": port,
        "session_id": session.id,
        "image": IMAGE,
        "locations": (WEST, EAST),
    }
    about = {"call": call, "number": 1, "method": "POST", "template": "/session", "location": WEST}
    (attempt,) = session.attempts
    assert trying == AttemptStarted(**about)
    assert answered == AttemptAnswered(
        **about, status=201, identifier=None, error=None, elapsed=attempt.elapsed
    )
    assert ended == CallEnded(
        call=call,
        outcome="succeeded",
        error=None,
        location=WEST,
        status=201,
        attempts=1,
        elapsed=ended.elapsed,
    )
    assert ended.elapsed >= session.elapsed


OPERATIONS: dict[str, Any] = {
    "describe": ("GET", "/session/{id}", lambda gameye, session_id: gameye.describe(session_id)),
    "list_sessions": ("GET", "/session", lambda gameye, _: gameye.list_sessions(labels={"match": "1"})),
    "join": ("PUT", "/session/player/join", lambda gameye, session_id: gameye.join(session_id, ["ann"])),
    "leave": (
        "DELETE",
        "/session/player/leave",
        lambda gameye, session_id: gameye.leave(session_id, ["ann"]),
    ),
    "available_locations": (
        "GET",
        "/available-location/{image}",
        lambda gameye, _: gameye.available_locations(IMAGE),
    ),
    "tag_exists": (
        "GET",
        "/tag/{region}/{image}/{version}",
        lambda gameye, _: gameye.tag_exists(WEST, IMAGE, "1"),
    ),
    "regions": ("GET", "/region", lambda gameye, _: gameye.regions()),
    "health": ("GET", "/health", lambda gameye, _: gameye.health()),
    "stop": ("DELETE", "/session/{id}", lambda gameye, session_id: gameye.stop(session_id)),
}
WITH_SESSION = {"describe", "join", "leave", "stop"}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_is_told(told, operation):
    """By the name of the client's method and the path's template, and with the session it is about."""
    method, template, call_of = OPERATIONS[operation]
    async with emulated(client={"on_event": told.append}) as (_, gameye):
        session = await gameye.launch(new_request())
        told.clear()
        await call_of(gameye, session.id)

    call = told[0].call
    assert kinds(told) == [CallStarted, AttemptStarted, AttemptAnswered, CallEnded]
    assert (call.operation, call.method, call.template) == (operation, method, template)
    assert call.session_id == (session.id if operation in WITH_SESSION else None)
    assert (told[-1].outcome, told[-1].status) == ("succeeded", told[2].status)


async def test_an_opened_log_is_told(told):
    """The call is the opening; how long the log is followed says nothing about the API."""
    script = Script(GET=[refusal(503), answer(200, b"line\n")])
    async with (
        FaultServer(script) as server,
        quick_client(server.url, on_event=told.append) as gameye,
        gameye.logs("match-1"),
    ):
        assert kinds(told) == [
            CallStarted,
            *(AttemptStarted, AttemptAnswered),
            BackingOff,
            *(AttemptStarted, AttemptAnswered),
            CallEnded,
        ]
    assert (told[0].call.operation, told[0].call.session_id) == ("logs", "match-1")
    assert [event.error for event in told if isinstance(event, AttemptAnswered)] == ["ServerError", None]


async def test_a_download_is_told(told, tmp_path):
    """Without the path, which is the user's own."""
    async with FaultServer(answer(404)) as server, quick_client(server.url, on_event=told.append) as gameye:
        with pytest.raises(NotFoundError):
            await gameye.download_artifact("match-1", "/secret", tmp_path / "match-1.tar")
    call = told[0].call
    assert (call.operation, call.template, call.session_id) == ("download_artifact", "/artifacts", "match-1")
    assert (told[-1].outcome, told[-1].error) == ("failed", "NotFoundError")
    assert "secret" not in repr(told)


async def test_the_looks_of_a_longer_operation_are_calls(told):
    """Each with what it came to, though the operation takes a failure for a reason to look again."""
    request = new_request()
    script = Script(POST=[launched(request)], GET=[refusal(503), described(request)])
    async with FaultServer(script) as server, quick_client(server.url, on_event=told.append) as gameye:
        await gameye.wait_until_ready(await gameye.launch(request))
    assert [(end.outcome, end.error) for end in ends(told, "describe")] == [
        ("failed", "ServerError"),
        ("succeeded", None),
    ]


async def test_the_path_of_an_operation_of_ones_own_is_not_told(told):
    """It may hold anything, a token for instance."""
    async with emulated(client={"on_event": told.append}) as (_, gameye):
        with pytest.raises(NotFoundError):
            await gameye.request("GET", "/secret/path", query={"key": "secret"})
    assert (told[0].call.operation, told[0].call.template, told[1].template) == ("request", None, None)
    assert "secret" not in repr(told)


async def test_a_refusal_and_the_next_location_are_told(told):
    async with emulated(client={"on_event": told.append}, locations={WEST: 0, EAST: 10}) as (_, gameye):
        await gameye.launch(new_request(WEST, EAST))

    answers = [event for event in told if isinstance(event, AttemptAnswered)]
    assert [(event.number, event.location, event.status, event.error) for event in answers] == [
        (1, WEST, 420, "CapacityError"),
        (2, EAST, 201, None),
    ]
    assert answers[0].identifier
    assert (told[-1].outcome, told[-1].location, told[-1].attempts) == ("succeeded", EAST, 2)


async def test_an_adoption_is_told(told):
    """The answer was lost, and the next attempt met the session itself."""
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with emulated(fault, client={"on_event": told.append}) as (_, gameye):
        await gameye.launch(new_request())

    # With its shortest wait, there may be none.
    assert [kind for kind in kinds(told) if kind is not BackingOff] == [
        CallStarted,
        *(AttemptStarted, AttemptFailed),
        *(AttemptStarted, AttemptAnswered),
        *(AttemptStarted, AttemptAnswered),
        Adopted,
        CallEnded,
    ]
    assert told[-2] == Adopted(call=told[0].call, location=WEST)
    lost, ended = told[2], told[-1]
    assert (lost.phase, lost.error, lost.location) == ("sent", "NoAnswerError", WEST)
    assert lost.reason.startswith("the server closed the connection")
    assert [(event.method, event.status) for event in told if isinstance(event, AttemptAnswered)] == [
        ("POST", 409),
        ("GET", 200),
    ]
    assert (ended.outcome, ended.location, ended.status, ended.attempts) == ("adopted", WEST, 409, 3)


async def test_what_never_went_out_is_told_as_not_sent(told):
    with refusing() as address:
        async with quick_client(f"http://{address}", on_event=told.append) as gameye:
            with pytest.raises(GameyeError):
                await gameye.launch(new_request())
    failed = [event for event in told if isinstance(event, AttemptFailed)]
    assert {(event.phase, event.reason, event.error) for event in failed} == {
        ("not sent", "no connection could be made", "NotSentError")
    }
    assert (told[-1].outcome, told[-1].error, told[-1].status) == ("failed", "NotSentError", None)


async def test_a_call_that_is_repeated_says_how_long_it_waits(told):
    script = Script(GET=[refusal(503), answer(200, b'{"regions": []}')])
    async with FaultServer(script) as server, quick_client(server.url, on_event=told.append) as gameye:
        await gameye.regions()
    assert kinds(told) == [
        CallStarted,
        *(AttemptStarted, AttemptAnswered),
        BackingOff,
        *(AttemptStarted, AttemptAnswered),
        CallEnded,
    ]
    assert (told[3].error, told[3].delay >= 0) == ("ServerError", True)
    assert (told[-1].outcome, told[-1].status, told[-1].attempts) == ("succeeded", 200, 2)


async def test_a_call_that_fails_says_with_what(told):
    async with (
        FaultServer(refusal(401)) as server,
        quick_client(server.url, on_event=told.append) as gameye,
    ):
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                await gameye.regions()
    assert [(end.outcome, end.error, end.status) for end in ends(told, "regions")] == [
        ("failed", "AuthenticationError", 401),
        # The token is known to be refused, so that nothing is sent.
        ("failed", "AuthenticationError", None),
    ]


async def test_a_token_that_cannot_be_had_is_told(told):
    """What the user's own callable raises is told by its class, and not by its text."""

    async def rotate() -> str:
        raise LookupError("canary")

    async with (
        FaultServer(answer(500)) as server,
        AsyncGameye(rotate, base_url=server.url, on_event=told.append) as gameye,
    ):
        with pytest.raises(LookupError):
            await gameye.launch(new_request())
    assert kinds(told) == [CallStarted, CallEnded]
    assert (told[-1].outcome, told[-1].error) == ("failed", "LookupError")
    assert "canary" not in repr(told)


async def test_a_call_that_is_given_up_ends_its_attempt(told):
    async with FaultServer(hang()) as server, quick_client(server.url, on_event=told.append) as gameye:
        call = asyncio.create_task(gameye.regions())
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        assert kinds(told) == [CallStarted, AttemptStarted, AttemptFailed, CallEnded]
    assert (told[2].phase, told[2].reason, told[2].error) == ("sent", "it was given up", "CancelledError")
    assert (told[3].outcome, told[3].error) == ("cancelled", "CancelledError")


def script_for(request, release):
    """The API answers the launch when it is released, and its session can be stopped."""
    return Script(POST=[held(release, launched(request))], GET=[described(request)], DELETE=[answer(204)])


async def test_a_cancelled_launch_ends_when_its_session_is_stopped(told, release):
    request = new_request()
    async with (
        FaultServer(script_for(request, release)) as server,
        quick_client(server.url, on_event=told.append) as gameye,
    ):
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        assert kinds(told) == [CallStarted, AttemptStarted]
        release.set()

    assert {event.call for event in told} == {told[0].call}
    assert [event.method for event in told if isinstance(event, AttemptAnswered)] == ["POST", "GET", "DELETE"]
    stopped, ended = told[-2:]
    assert stopped == OrphanStopped(call=told[0].call, session_id=request.id, location=WEST)
    assert (ended.outcome, ended.error, ended.location) == ("cancelled", "CancelledError", WEST)


async def test_a_session_that_was_over_already_is_no_orphan(told, release):
    request = new_request()
    script = Script(POST=[held(release, launched(request))], GET=[described(request)], DELETE=[refusal(409)])
    async with FaultServer(script) as server, quick_client(server.url, on_event=told.append) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        release.set()
    assert [event.method for event in told if isinstance(event, AttemptAnswered)] == ["POST", "GET", "DELETE"]
    assert OrphanStopped not in kinds(told)
    assert gameye.stats.orphans_stopped == 0


async def test_a_launch_that_is_cancelled_before_it_was_sent_ends_at_once(told, release):
    first = new_request()
    async with (
        FaultServer(script_for(first, release)) as server,
        quick_client(server.url, max_concurrency=1, on_event=told.append) as gameye,
    ):
        ahead = asyncio.create_task(gameye.launch(first))
        await server.wait_for_request()
        told.clear()
        queued = asyncio.create_task(gameye.launch(new_request()))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.wait([queued])
        assert kinds(told) == [CallStarted, CallEnded]
        assert (told[-1].outcome, told[-1].attempts, told[-1].location) == ("cancelled", 0, None)
        release.set()
        await ahead


async def test_a_session_that_is_left_is_no_orphan(told, release):
    request = new_request()
    async with (
        FaultServer(script_for(request, release)) as server,
        quick_client(server.url, on_event=told.append) as gameye,
    ):
        call = asyncio.create_task(gameye.launch(request, on_abandon="leave"))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        release.set()
    assert kinds(told) == [CallStarted, AttemptStarted, AttemptAnswered, CallEnded]
    assert told[-1].outcome == "cancelled"


@in_virtual_time
async def test_an_unknown_outcome_is_told_with_the_time_that_its_caller_waited():
    """The launch itself ends when the client has found and stopped the session."""
    told: list[tuple[float, Event]] = []
    loop = asyncio.get_running_loop()
    client = {"on_event": lambda event: told.append((loop.time(), event))}
    slow = Fault("latency", operation="session-run", when="after", seconds=8.0)
    async with stage(slow, client=client) as place:
        began = place.now
        with pytest.raises(LaunchOutcomeUnknownError):
            await place.gameye.launch(new_request(), deadline=5.0)
        await place.wait(60.0)
        assert not place.world.live
    (at, ended), (_, orphan) = told[-1], told[-2]
    assert isinstance(orphan, OrphanStopped)
    assert (ended.outcome, ended.error) == ("unknown", "LaunchOutcomeUnknownError")
    assert ended.elapsed == pytest.approx(5.0, abs=0.05)
    assert at - began > 8.0


async def test_what_outlasts_the_client_is_reported_and_ends(told):
    request = new_request()
    async with FaultServer(hang()) as server:
        client = quick_client(server.url, timeouts=Timeouts(close=0.05), on_event=told.append)
        async with client as gameye:
            call = asyncio.create_task(gameye.launch(request))
            await server.wait_for_request()
        with pytest.raises(LaunchOutcomeUnknownError):
            await call
        await server.wait_for_hangup()
    assert kinds(told) == [CallStarted, AttemptStarted, OrphanReported, AttemptFailed, CallEnded]
    assert told[2] == OrphanReported(call=told[0].call, session_id=request.id, location=WEST)
    assert (told[3].reason, told[4].outcome) == ("it was given up", "unknown")


async def test_a_session_that_the_api_answered_with_instead_is_reported_as_of_the_launch(told):
    request = new_request()
    script = Script(POST=[launched(request, id="another")], GET=[refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url, on_event=told.append) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError):
            await gameye.launch(request)
    orphans = [event for event in told if isinstance(event, OrphanReported)]
    assert orphans == [OrphanReported(call=told[0].call, session_id="another", location=WEST)]


@in_virtual_time
async def test_a_stop_that_is_never_confirmed_is_reported():
    """Its session was delivered, so that there is no launch to refer to."""
    told: list[Event] = []
    plan = ScriptedFaults(requests=[FAULTLESS] + [BLACK_HOLE] * 100)
    async with stage(plan=plan, client={"on_event": told.append}) as place:
        session = await place.gameye.launch(new_request())
        with pytest.raises(StopUnconfirmedError):
            await place.gameye.stop(session.id)
        await place.wait(400.0)
    orphans = [event for event in told if isinstance(event, OrphanReported)]
    assert orphans == [OrphanReported(call=None, session_id=session.id, location=None)]


async def test_callers_that_share_a_launch_share_its_events(told, release):
    """Of two, the one who gets the session says what came of it, whoever goes first or last."""
    request = new_request(id="match-1")
    async with (
        FaultServer(script_for(request, release)) as server,
        quick_client(server.url, on_event=told.append) as gameye,
    ):
        calls = [asyncio.create_task(gameye.launch(request, idempotent=True)) for _ in range(2)]
        await server.wait_for_request()
        calls[0].cancel()
        await asyncio.wait(calls[:1])
        release.set()
        await calls[1]
    assert kinds(told) == [CallStarted, AttemptStarted, AttemptAnswered, CallEnded]
    assert told[-1].outcome == "succeeded"


def test_a_delivered_session_stays_delivered_when_another_caller_goes(told):
    """Two callers of one launch: one has the session already, and the other is cancelled."""
    events = Emitter((told.append,), URL("https://api.example.net"), lambda: 0.0).launch(new_request(), 0.0)
    session = Session(id="match-1", host="203.0.113.7", ports=(), location=EAST, image=IMAGE)
    with suppress(asyncio.CancelledError), events, events:
        events.came_to(session)
        raise asyncio.CancelledError
    assert [(end.outcome, end.error, end.location) for end in ends(told)] == [("succeeded", None, EAST)]


async def test_launches_at_once_are_told_apart(told):
    """Two hundred calls, and each event is of the right one."""
    requests = [new_request(WEST, EAST) for _ in range(200)]
    places = {WEST: 100, EAST: 100}
    async with (
        emulated(client={"on_event": told.append}, locations=places) as (_, gameye),
        gameye.launch_many(requests, concurrency=200) as outcomes,
    ):
        sessions = {outcome.session.id: outcome.session async for outcome in outcomes}
    by_call: dict[str, list[Event]] = {}
    for event in told:
        by_call.setdefault(event.call.session_id, []).append(event)
    assert by_call.keys() == sessions.keys()
    for session_id, events in by_call.items():
        tried = [event.location for event in events if isinstance(event, AttemptAnswered)]
        assert tried == [attempt.location for attempt in sessions[session_id].attempts]
        assert events[-1].location == sessions[session_id].location
    assert len({event.call.id for event in told}) == 200


async def test_a_listener_that_raises_harms_no_launch(caplog):
    """It is said once for each class, and without its text, which may hold anything."""
    errors = iter([ValueError("canary"), KeyError("canary"), asyncio.CancelledError("canary")] * 10)

    def listen(_: Event) -> None:
        raise next(errors)

    async with emulated(client={"on_event": listen}) as (emulator, gameye):
        for _ in range(2):
            await gameye.launch(new_request())
        assert len(emulator.world.live) == 2
    complaints = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [text.split()[2].strip(",") for text in complaints] == [
        "ValueError",
        "KeyError",
        "CancelledError",
    ]
    assert "canary" not in caplog.text


async def test_the_listener_is_called_where_the_call_is_made():
    """So that a tracer finds the caller's span, and the call's events come in their order."""
    tasks: list[asyncio.Task[Any] | None] = []

    def listen(event: Event) -> None:
        if isinstance(event, CallStarted):
            tasks.append(asyncio.current_task())

    async with emulated(client={"on_event": listen}) as (_, gameye):
        session = await gameye.launch(new_request())
        await gameye.describe(session.id)
    assert tasks == [asyncio.current_task()] * 2


def test_an_event_is_frozen():
    assert all(attrs.has(kind) for kind in get_args(Event))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CallStarted(call=None).call = None  # type: ignore[arg-type, misc]


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_field_is_documented(kind):
    documentation = "".join(inspect.getdoc(base) or "" for base in kind.__mro__[:-1])
    assert [field.name for field in attrs.fields(kind) if f"    {field.name}: " not in documentation] == []


def test_nobody_pays_for_events_that_nobody_gets():
    """Without a listener, and with the log off, not even the classes are made."""
    code = """
import asyncio, sys
from gameye_async import AsyncGameye
async def main():
    async with AsyncGameye("t", base_url="http://127.0.0.1:9") as gameye:
        assert gameye._cores[0].caller.emitter is None
asyncio.run(main())
print(sorted(name for name in sys.modules if "telemetry" in name))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@in_virtual_time
async def test_a_launch_that_backs_off_says_so():
    """After a 420 of the only location, by the class of the error."""
    told: list[Event] = []
    fault = Fault("refuse", status=420, retry_after=3.0, count=1)
    async with stage(fault, client={"on_event": told.append}) as place:
        await place.gameye.launch(new_request())
    (waits,) = [event for event in told if isinstance(event, BackingOff)]
    assert (waits.call, waits.error) == (told[0].call, "CapacityError")
    assert waits.delay >= 3.0


@in_virtual_time
async def test_how_long_another_launch_tries_a_full_location_is_not_guessed():
    told: list[Event] = []
    slow = Fault("latency", operation="session-run", seconds=2.0)
    client = {"on_event": told.append, "pacing": Pacing(gate_base=0.1, gate_cap=0.1)}
    async with stage(locations={WEST: 0}, client=client) as place:
        for _ in range(3):
            with suppress(CapacityError):
                await place.gameye.launch(new_request(WEST), deadline=0.5)
        await place.wait(1.0)
        place.world.set_capacity(WEST, 2)
        place.faults.add(slow)
        trying = asyncio.create_task(place.gameye.launch(new_request(WEST)))
        await place.wait(1.0)
        told.clear()
        await place.gameye.launch(new_request(WEST))
        await trying
    assert not [event for event in told if isinstance(event, BackingOff)]


@in_virtual_time
async def test_a_launch_that_waits_for_a_full_location_says_so():
    """Others were refused there; it has no error of its own."""
    told: list[Event] = []
    async with stage(locations={WEST: 0}, client={"on_event": told.append}) as place:
        for _ in range(3):
            with suppress(CapacityError):
                await place.gameye.launch(new_request(WEST), deadline=0.5)
        place.world.set_capacity(WEST, 1)
        told.clear()
        began = place.now
        await place.gameye.launch(new_request(WEST))
        elapsed = place.now - began
    (waits,) = [event for event in told if isinstance(event, BackingOff)]
    assert (waits.call, waits.error) == (told[0].call, None)
    assert waits.delay == pytest.approx(elapsed, abs=0.1)
