"""Launches whose answer is lost: sent again under the same id, so that the API says what became of them."""

from typing import Any

import attrs
import pytest

from gameye_async import LaunchOutcomeUnknownError, _structure
from gameye_async.emulator import Fault
from tests.faultproxy import FaultProxy
from tests.faultserver import FaultServer, answer, close, garbage, hang, html_502, reset, stale_keepalive
from tests.reliability.stage import (
    IMAGE,
    QUICK,
    QUICK_TIMEOUTS,
    WEST,
    Script,
    described,
    emulated,
    in_virtual_time,
    launched,
    methods,
    new_request,
    operations,
    posted,
    quick_client,
    refusal,
    stage,
)
from tests.simulation import faults
from tests.simulation.faults import ScriptedFaults

LOST = [
    pytest.param(reset, "sent", id="reset"),
    pytest.param(close, "sent", id="closed"),
    pytest.param(garbage, "sent", id="not HTTP"),
    pytest.param(html_502, "answered", id="502 in HTML"),
    *(pytest.param(lambda code=code: refusal(code), "answered", id=str(code)) for code in (500, 503, 504)),
]


@pytest.mark.parametrize(("lost", "phase"), LOST)
async def test_it_is_sent_again_as_it_was(lost, phase):
    request = new_request(WEST, env={"MAP": "harbour"}, labels={"match": "m-1"}, ttl="1h")
    script = Script(POST=[lost(), launched(request)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        session = await gameye.launch(request)
    first, second = posted(server)
    assert first == second
    assert first["id"] == session.id == request.id
    assert session.created_by == "launch"
    assert [attempt.phase for attempt in session.attempts] == [phase, "answered"]
    assert not script.overlapped


@pytest.mark.parametrize("deadline", [30.0, 0.3])
@in_virtual_time
async def test_a_look_that_cannot_be_read_is_repeated(monkeypatch, deadline):
    """No file could be opened to import what reads it, say; neither launch nor reaper ends with that."""
    details, failures = _structure.details, [OSError("too many open files")]

    def read(payload: Any) -> Any:
        if failures:
            raise failures.pop()
        return details(payload)

    monkeypatch.setattr(_structure, "details", read)
    async with stage(Fault("cut_after_commit", operation="session-run", count=1)) as place:
        if deadline > 1.0:
            assert (await place.gameye.launch(new_request())).created_by == "adopted"
            return
        with pytest.raises(LaunchOutcomeUnknownError):
            await place.gameye.launch(new_request(), deadline=deadline)
        await place.wait(30.0)
        assert not place.world.live
        assert not place.orphans


@pytest.mark.parametrize(("lost", "phase"), LOST)
async def test_a_conflict_then_means_that_it_had_worked(lost, phase):
    request = new_request()
    script = Script(POST=[lost(), refusal(409)], GET=[described(request)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        session = await gameye.launch(request)
    assert methods(server) == ["POST", "POST", "GET"]
    assert (session.id, session.created_by) == (request.id, "adopted")
    assert [attempt.phase for attempt in session.attempts] == [phase, "answered"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut_before_commit", count=1),
        Fault("refuse", status=500, count=1),
        Fault("html_502", count=1),
    ],
    ids=lambda fault: fault.kind,
)
async def test_what_had_not_worked_is_launched_by_the_second_attempt(fault):
    async with emulated(fault) as (emulator, gameye):
        session = await gameye.launch(new_request())
    assert operations(emulator) == ["session-run"] * 2
    assert [live.id for live in emulator.world.live] == [session.id]
    assert session.created_by == "launch"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut_after_commit", operation="session-run", count=1),
        Fault("refuse", when="after", status=504, operation="session-run", count=1),
        Fault("html_502", when="after", operation="session-run", count=1),
    ],
    ids=lambda fault: fault.kind,
)
async def test_what_had_worked_is_adopted_with_its_address(fault):
    async with emulated(fault) as (emulator, gameye):
        session = await gameye.launch(new_request())
        assert (gameye.stats.launched, gameye.stats.adopted) == (0, 1)
    assert operations(emulator) == ["session-run", "session-run", "describe-session"]
    (live,) = emulator.world.live
    assert (session.id, session.created_by, session.host) == (live.id, "adopted", live.host)
    assert {(port.protocol, port.container, port.host) for port in session.ports} == set(live.ports)


@pytest.mark.parametrize(
    ("towards", "created_by"), [("server", "launch"), ("client", "adopted")], ids=["request", "answer"]
)
async def test_a_connection_cut_on_the_way(towards, created_by):
    async with (
        emulated() as (emulator, _),
        FaultProxy("127.0.0.1", int(emulator.url.rpartition(":")[2])) as proxy,
        quick_client(proxy.url) as gameye,
    ):
        proxy.cut_after(20, towards)
        session = await gameye.launch(new_request())
        assert session.created_by == created_by
        assert [live.id for live in emulator.world.live] == [session.id]


async def test_a_kept_connection_that_the_gateway_closed_costs_no_launch():
    first, second = new_request(), new_request()
    script = Script(POST=[stale_keepalive(launched(first), on_reuse=True), launched(second)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        await gameye.launch(first)
        session = await gameye.launch(second)
    assert session.id == second.id
    assert [attempt.phase for attempt in session.attempts] == ["sent", "answered"]
    assert [body["id"] for body in posted(server)] == [first.id, second.id]


async def test_after_a_timeout_it_is_looked_for_before_it_is_sent_again():
    """The API may still be at it, and two launches of one id at once could both start."""
    request = new_request()
    script = Script(POST=[hang(), launched(request)], GET=[refusal(404)])
    timeouts = attrs.evolve(QUICK_TIMEOUTS, attempt=0.05)
    async with FaultServer(script) as server, quick_client(server.url, timeouts=timeouts) as gameye:
        session = await gameye.launch(request)
    assert methods(server) == ["POST", "GET", "GET", "POST"]
    assert not script.overlapped
    assert session.created_by == "launch"


async def test_after_a_timeout_what_is_found_is_adopted():
    request = new_request()
    script = Script(POST=[hang()], GET=[refusal(404), refusal(503), described(request)])
    timeouts = attrs.evolve(QUICK_TIMEOUTS, attempt=0.05)
    async with FaultServer(script) as server, quick_client(server.url, timeouts=timeouts) as gameye:
        session = await gameye.launch(request)
    assert methods(server) == ["POST", "GET", "GET", "GET"]
    assert session.created_by == "adopted"


@in_virtual_time
async def test_a_slow_start_is_waited_for_and_not_overlapped():
    """The session starts after 18 s; the attempt is given up after 15 s, and no second one is in progress."""
    async with stage(Fault("latency", operation="session-run", seconds=18.0)) as place:
        session = await place.gameye.launch(new_request())
        assert session.created_by == "adopted"
        assert place.now < 21.0
    assert len(place.launches()) == 1
    assert place.served.count("POST") == 1


@in_virtual_time
async def test_a_swallowed_request_is_sent_again_after_the_consistency_window():
    async with stage(plan=ScriptedFaults(requests=[faults.BLACK_HOLE])) as place:
        session = await place.gameye.launch(new_request())
        assert session.created_by == "launch"
        # 15 s for the answer that did not come, then 5 s in which the session did not show up.
        assert 20.0 < place.now < 26.0


@in_virtual_time
@pytest.mark.parametrize(
    ("fault", "least", "most"), [(faults.RESET_BEFORE, 0.5, 0.7), (faults.EOF_BEFORE, 0.5, 0.7)]
)
async def test_a_lost_launch_is_given_the_time_to_start(fault, least, most):
    """Half a second after it was sent, a session that had worked has usually started."""
    async with stage(plan=ScriptedFaults(requests=[fault])) as place:
        await place.gameye.launch(new_request())
        assert least < place.now < most


@in_virtual_time
async def test_a_5xx_waits_too_because_a_gateway_gives_up_before_the_api_does():
    async with stage(Fault("refuse", status=504, count=1)) as place:
        await place.gameye.launch(new_request())
        assert 0.5 < place.now < 0.7


async def test_a_launch_that_is_never_answered_is_unknown_after_its_last_attempt():
    script = Script(POST=[reset()], GET=[refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await gameye.launch(image=IMAGE, location=WEST)
    assert [attempt.phase for attempt in caught.value.attempts] == ["sent"] * 6
    assert methods(server).count("POST") == 6
    assert {body["id"] for body in posted(server)} == {caught.value.session_id}


async def test_without_budget_it_is_not_sent_again_but_still_settled():
    """Finding out what became of a launch, and stopping it, cost nothing."""
    request = new_request()
    script = Script(POST=[reset()], GET=[described(request)], DELETE=[answer(204)])
    retry = attrs.evolve(QUICK, budget=1.0)
    async with FaultServer(script) as server, quick_client(server.url, retry=retry) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError):
            await gameye.launch(request)
    assert methods(server) == ["POST", "GET", "DELETE"]
