"""Launches that nobody waits for any more: cancelled, overdue, or outlived by their client."""

import asyncio
import time

import aiohttp
import attrs
import pytest

from gameye_async import (
    AsyncGameye,
    ClientClosedError,
    LaunchOutcomeUnknownError,
    OrphanRecord,
    Timeouts,
    _supervisor,
)
from gameye_async.emulator import Emulator, Fault
from gameye_async.telemetry import AttemptAnswered, Event
from tests.faultserver import FaultServer, Reply, Wire, answer, hang, held
from tests.reliability.stage import (
    QUICK,
    TOKEN,
    Script,
    described,
    in_virtual_time,
    launched,
    methods,
    new_request,
    quick_client,
    refusal,
    stage,
)


@pytest.fixture
def release():
    """Set it to let the API answer."""
    return asyncio.Event()


def script_for(request, release):
    """The API answers the launch when it is released, and its session can be stopped."""
    return Script(POST=[held(release, launched(request))], GET=[described(request)], DELETE=[answer(204)])


async def test_a_launch_that_was_not_sent_is_just_cancelled(release):
    first = new_request()
    async with (
        FaultServer(script_for(first, release)) as server,
        quick_client(server.url, max_concurrency=1) as gameye,
    ):
        ahead = asyncio.create_task(gameye.launch(first))
        await server.wait_for_request()
        queued = asyncio.create_task(gameye.launch(new_request()))
        await asyncio.sleep(0)
        queued.cancel()
        await asyncio.wait([queued])
        release.set()
        await ahead
        assert gameye.stats.queued == 0
    assert queued.cancelled()
    assert methods(server) == ["POST"]


async def test_a_cancelled_launch_is_let_go_at_once_and_its_session_stopped(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert methods(server) == ["POST"]
        release.set()
        await server.wait_for_request(3)
    assert methods(server) == ["POST", "GET", "DELETE"]
    assert gameye.stats.orphans_stopped == 1


async def test_cancelling_does_not_abort_what_is_under_way(release):
    """Otherwise an outcome that can be known would turn into one that cannot."""
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        assert gameye.stats.in_flight == 1
        release.set()


async def test_a_cancelled_launch_leaves_its_session_when_told_to(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request, on_abandon="leave"))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        release.set()
    assert call.cancelled()
    assert methods(server) == ["POST"]


async def test_an_abandoned_launch_is_not_tried_again(release):
    """A refusal settles it, and nobody wants another attempt."""
    request = new_request()
    script = Script(POST=[held(release, refusal(420)), launched(request)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        release.set()
    assert methods(server) == ["POST"]


@in_virtual_time
async def test_a_cancelled_launch_that_is_backing_off_ends_there():
    async with stage(Fault("refuse", status=420, retry_after=20.0)) as place:
        call = asyncio.create_task(place.gameye.launch(new_request()))
        await place.wait(1.0)
        assert place.gameye.stats.backing_off == 1
        call.cancel()
        await asyncio.wait([call])
        await place.wait(0.0)
        assert place.gameye.stats.backing_off == 0
    assert place.served == ["POST"]


async def test_a_timeout_around_the_call_is_a_cancellation(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await gameye.launch(request)
        release.set()
        await server.wait_for_request(3)
    assert methods(server) == ["POST", "GET", "DELETE"]


async def test_a_launch_under_way_at_its_deadline_is_unknown_and_then_stopped(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await gameye.launch(request, deadline=0.05)
        assert caught.value.session_id == request.id
        release.set()
        await server.wait_for_request(3)
    assert methods(server) == ["POST", "GET", "DELETE"]


async def test_an_answer_in_the_moment_of_the_deadline_is_delivered():
    """A busy loop finds both at once, and the session is there."""
    request = new_request()

    async def answer_and_be_busy(wire: Wire) -> None:
        await launched(request).play(wire)
        time.sleep(0.2)  # noqa: ASYNC251  -- the loop is to stand still

    async with FaultServer(Reply(answer_and_be_busy)) as server, quick_client(server.url) as gameye:
        assert (await gameye.launch(request, deadline=0.1)).id == request.id
    assert methods(server) == ["POST"]


async def test_a_caller_whose_launch_was_overdue_or_closed_is_not_left_cancelled(release):
    """The launch runs in his own task, which is cancelled to end it."""
    first, second = new_request(), new_request()
    task = asyncio.current_task()
    script = Script(POST=[held(release, launched(first))], GET=[described(first)], DELETE=[answer(204)])
    async with FaultServer(script) as server, quick_client(server.url, max_concurrency=1) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError):
            await gameye.launch(first, deadline=0.05)
        assert task.cancelling() == 0
        closing = asyncio.create_task(gameye.aclose())
        with pytest.raises(ClientClosedError):
            await gameye.launch(second)
        assert task.cancelling() == 0
        release.set()
        await closing


async def test_closing_waits_for_a_launch_under_way(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server:
        gameye = await quick_client(server.url).__aenter__()
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        closing = asyncio.create_task(gameye.aclose())
        await asyncio.sleep(0)
        release.set()
        await closing
    assert (await call).id == request.id
    assert methods(server) == ["POST"]


async def test_closing_from_two_places_waits_for_the_same_launch(release):
    """A handler of a signal may close a client whose `async with` is just being left."""
    request = new_request()
    async with FaultServer(script_for(request, release)) as server:
        gameye = await quick_client(server.url).__aenter__()
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        closings = [asyncio.create_task(gameye.aclose()) for _ in range(2)]
        await asyncio.sleep(0)
        release.set()
        _, unclosed = await asyncio.wait(closings, timeout=5.0)
        assert not unclosed
    assert (await call).id == request.id


@in_virtual_time
async def test_a_launch_cancelled_as_the_grace_of_its_client_ends_is_reported():
    async with stage(
        Fault("latency", operation="session-run", seconds=5.0), client={"timeouts": Timeouts(close=1.0)}
    ) as place:
        request = new_request()
        call = asyncio.create_task(place.gameye.launch(request))
        await place.wait(1.0)
        closing = asyncio.create_task(place.gameye.aclose())
        await place.wait(0.0)
        asyncio.get_running_loop().call_later(1.0, call.cancel)
        await asyncio.wait([call, closing])
        assert call.cancelled()
        assert [orphan.session_id for orphan in place.orphans] == [request.id]


@in_virtual_time
async def test_a_launch_cancelled_together_with_the_closing_of_its_client_is_reported():
    """As by a task group that holds both: the pool is closed before the launch is taken up again."""
    async with stage(Fault("latency", operation="session-run", seconds=5.0)) as place:
        request = new_request()
        call = asyncio.create_task(place.gameye.launch(request))
        await place.wait(1.0)
        closing = asyncio.create_task(place.gameye.aclose())
        await place.wait(0.0)
        closing.cancel()
        call.cancel()
        await asyncio.wait([call, closing])
        await place.wait(10.0)
        assert [orphan.session_id for orphan in place.orphans] == [request.id]


async def test_closing_ends_what_outlasts_its_grace_and_reports_it():
    request = new_request()
    orphans: list[OrphanRecord] = []
    async with FaultServer(hang()) as server:
        client = quick_client(server.url, timeouts=Timeouts(close=0.05), on_orphan=orphans.append)
        async with client as gameye:
            call = asyncio.create_task(gameye.launch(request))
            await server.wait_for_request()
        with pytest.raises(LaunchOutcomeUnknownError):
            await call
        await server.wait_for_hangup()
    assert [orphan.session_id for orphan in orphans] == [request.id]


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_a_callback_that_fails_does_not_keep_the_other_reports_back(caplog, error):
    told: list[str] = []

    def fail(orphan: OrphanRecord) -> None:
        told.append(orphan.session_id)
        raise error("full disk")

    wanted = [new_request(), new_request()]
    async with FaultServer(hang()) as server:
        async with quick_client(server.url, timeouts=Timeouts(close=0.05), on_orphan=fail) as gameye:
            calls = [asyncio.create_task(gameye.launch(request)) for request in wanted]
            await server.wait_for_request(2)
        await asyncio.gather(*calls, return_exceptions=True)
    assert set(told) == {request.id for request in wanted}
    assert caplog.text.count(f"{error.__name__}: full disk") == 2


@in_virtual_time
async def test_a_session_that_cannot_be_stopped_for_minutes_is_reported():
    async with stage(
        Fault("latency", operation="session-run", seconds=5.0), Fault("refuse", operation="session-stop")
    ) as place:
        request = new_request()
        call = asyncio.create_task(place.gameye.launch(request))
        await place.wait(1.0)
        call.cancel()
        await place.wait(400.0)
        assert [orphan.session_id for orphan in place.orphans] == [request.id]
        assert place.orphans[0].reason.startswith("it could not be stopped: ")


@in_virtual_time
async def test_a_search_that_fails_as_nobody_expects_is_reported(monkeypatch):
    async def fail(*_: object) -> str:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(_supervisor, "settle", fail)
    async with stage(Fault("cut_after_commit", operation="session-run", count=1)) as place:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await place.gameye.launch(new_request(), deadline=0.3)
        await place.wait(1.0)
        assert [(orphan.session_id, orphan.reason) for orphan in place.orphans] == [
            (caught.value.session_id, "looking for it failed (RuntimeError)")
        ]


async def failing_token(fails: list[bool]) -> str:
    """Fails as often as it is told to."""
    if fails and fails.pop(0):
        raise RuntimeError("the vault is sealed")
    return TOKEN


async def test_a_token_that_cannot_be_had_is_the_callers_own_error_while_nothing_was_sent():
    async with (
        Emulator(token=TOKEN) as emulator,
        AsyncGameye(lambda: failing_token([True]), base_url=emulator.url) as gameye,
    ):
        with pytest.raises(RuntimeError, match="sealed"):
            await gameye.launch(image="arena", location="eu-west")
    assert not emulator.requests


async def test_a_launch_that_may_have_happened_is_unknown_when_there_is_no_token_to_ask_with():
    """The session is stopped as soon as there is one again."""
    fails = [False, True]
    async with Emulator(token=TOKEN, faults=[Fault("cut_after_commit", count=1)]) as emulator:
        gameye = AsyncGameye(lambda: failing_token(fails), base_url=emulator.url, retry=QUICK)
        async with gameye:
            with pytest.raises(LaunchOutcomeUnknownError, match=r"another attempt \(RuntimeError\)"):
                await gameye.launch(image="arena", location="eu-west")
            assert len(emulator.world.live) == 1
    assert not emulator.world.live


async def test_closing_ends_a_launch_that_was_not_sent(release):
    first = new_request()
    async with FaultServer(script_for(first, release)) as server:
        async with quick_client(server.url, max_concurrency=1) as gameye:
            ahead = asyncio.create_task(gameye.launch(first))
            await server.wait_for_request()
            queued = asyncio.create_task(gameye.launch(new_request()))
            await asyncio.sleep(0)
            release.set()
        await ahead
        with pytest.raises(ClientClosedError):
            await queued
    assert methods(server) == ["POST"]


async def test_closing_stops_the_session_of_a_launch_cancelled_before(release):
    request = new_request()
    async with FaultServer(script_for(request, release)) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        release.set()
    assert methods(server) == ["POST", "GET", "DELETE"]


@pytest.mark.parametrize(
    "theirs", [{"image": "rally"}, {"location": "sa-east"}], ids=["another image", "another location"]
)
async def test_somebody_elses_session_under_the_id_is_not_stopped(release, theirs):
    request = new_request(id="match-1")
    script = Script(POST=[held(release, refusal(504))], GET=[described(request, **theirs)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        release.set()
    assert methods(server) == ["POST", "GET"]


async def test_a_session_that_shows_up_late_is_stopped_too():
    """A silence counts only after the longest time that the API may spend on a launch."""
    request = new_request()
    release = asyncio.Event()
    script = Script(
        POST=[held(release, refusal(504))],
        GET=[refusal(404), refusal(503), described(request)],
        DELETE=[refusal(500), answer(204)],
    )
    retry = attrs.evolve(QUICK, quiet=0.1)
    async with FaultServer(script) as server, quick_client(server.url, retry=retry) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        release.set()
    assert methods(server)[-1] == "DELETE"
    assert gameye.stats.orphans_stopped == 1


async def test_a_client_that_closes_in_the_moment_of_a_cancellation_reports_the_session():
    """The launch has just ended well, its caller is gone, and there is no time left to stop the session."""
    orphans: list[OrphanRecord] = []

    async def launch() -> None:
        def cancel_when_answered(event: Event) -> None:
            if isinstance(event, AttemptAnswered):
                call.cancel()

        async with (
            # Over a borrowed session, a launch runs in a task of its own in any case.
            aiohttp.ClientSession() as session,
            quick_client(
                server.url,
                session=session,
                timeouts=Timeouts(close=0.0),
                on_event=cancel_when_answered,
                on_orphan=orphans.append,
            ) as gameye,
        ):
            await gameye.launch(request)

    request = new_request()
    async with FaultServer(launched(request)) as server:
        call = asyncio.create_task(launch())
        await asyncio.wait([call])
    assert call.cancelled()
    assert [orphan.session_id for orphan in orphans] == [request.id]
