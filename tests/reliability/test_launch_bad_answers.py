"""Launches that worked and whose answer cannot be used: the session is found, and never asked for twice."""

from typing import Any

import pytest

from gameye_async import BadAnswerError, LaunchOutcomeUnknownError, OrphanRecord, SessionEndedError
from gameye_async.emulator import Fault, Quirks
from tests.faultserver import (
    FaultServer,
    Reply,
    answer,
    bomb,
    early_hints,
    json_answer,
    oversize,
    partial,
    redirect,
    reset,
)
from tests.reliability.stage import (
    TOKEN,
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


@pytest.mark.parametrize("kind", ["truncate", "not_json", "oversize"])
async def test_a_spoilt_answer_is_looked_up(kind):
    async with emulated(Fault(kind, operation="session-run", count=1)) as (emulator, gameye):
        session = await gameye.launch(new_request())
    assert operations(emulator) == ["session-run", "describe-session"]
    (live,) = emulator.world.live
    assert (session.id, session.created_by, session.host) == (live.id, "adopted", live.host)


BAD: dict[str, Reply | dict[str, Any]] = {
    "no body": answer(201),
    "cut off": partial(201, b'{"host":'),
    "cut off by a reset": partial(201, b'{"host":', ending="reset"),
    "endless": oversize(status=201),
    "too large": oversize(2 << 20, status=201),
    "a bomb": bomb(8, status=201),
    "not gzip": answer(201, b"{}", [("Content-Encoding", "gzip")]),
    "HTML": answer(200, b"<html>"),
    "a list": json_answer(201, []),
    "no host": {"host": None},
    "a host of two lines": {"host": "203.0.113.7\r\nevil"},
    "no ports": {"ports": None},
    "an impossible port": {"ports": [{"type": "udp", "container": 7777, "host": 70_000}]},
}


@pytest.mark.parametrize("bad", BAD)
async def test_an_unusable_answer_is_looked_up(bad):
    request = new_request()
    reply = BAD[bad]
    # The bytes of a reply are the same for every server; its events are not, so they are made anew.
    reply = Reply(reply.play) if isinstance(reply, Reply) else launched(request, **reply)
    script = Script(POST=[reply], GET=[described(request)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        session = await gameye.launch(request)
    assert methods(server) == ["POST", "GET"]
    assert (session.id, session.created_by) == (request.id, "adopted")


async def test_only_when_the_session_does_not_show_up_is_it_sent_again():
    request = new_request()
    script = Script(POST=[answer(201), launched(request)], GET=[refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        session = await gameye.launch(request)
    assert methods(server) == ["POST", "GET", "GET", "POST"]
    assert [body["id"] for body in posted(server)] == [request.id] * 2
    assert session.created_by == "launch"


@in_virtual_time
async def test_a_session_that_reads_show_late_is_waited_for():
    spoilt = Fault("not_json", operation="session-run", count=1)
    async with stage(spoilt, quirks=Quirks(read_lag=3.0)) as place:
        session = await place.gameye.launch(new_request())
        assert session.created_by == "adopted"
        assert 3.0 < place.now < 6.0
    assert place.served.count("POST") == 1


async def test_an_answer_without_an_id_is_good():
    request = new_request()
    reply = json_answer(200, {"host": "203.0.113.7", "ports": []})
    async with FaultServer(Script(POST=[reply])) as server, quick_client(server.url) as gameye:
        session = await gameye.launch(request)
    assert (session.id, session.created_by) == (request.id, "launch")


async def test_an_interim_answer_is_none():
    request = new_request()
    script = Script(POST=[early_hints(launched(request))])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        assert (await gameye.launch(request)).created_by == "launch"


async def test_an_answer_for_another_id_is_unknown_and_both_are_accounted_for():
    """The id that was sent is settled; the other one may be anybody's, so it is reported and not touched."""
    request = new_request()
    orphans: list[OrphanRecord] = []
    script = Script(POST=[launched(request, id=f"another {TOKEN}")], GET=[refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url, on_orphan=orphans.append) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await gameye.launch(request)
    assert "unknown: the API answered with another session id than was sent." in str(caught.value)
    assert caught.value.session_id == request.id
    assert [(orphan.session_id, orphan.reason) for orphan in orphans] == [
        ("another ***", f"the API answered with it instead of {request.id}")
    ]
    assert {seen.target for seen in server.requests if seen.method == "GET"} == {f"/session/{request.id}"}
    assert "DELETE" not in methods(server)


@pytest.mark.parametrize("status", ["exited", "dead"])
async def test_a_session_that_is_over_already_is_not_launched_again(status):
    request = new_request()
    script = Script(POST=[answer(201)], GET=[described(request, status=status)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        with pytest.raises(SessionEndedError) as caught:
            await gameye.launch(request)
    assert caught.value.session_id == request.id
    assert methods(server) == ["POST", "GET"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status):
    async with FaultServer(redirect("/elsewhere", status)) as server, quick_client(server.url) as gameye:
        with pytest.raises(BadAnswerError) as caught:
            await gameye.launch(new_request())
    assert caught.value.status == status
    assert [request.target for request in server.requests] == ["/session"]


async def test_a_redirect_does_not_settle_an_earlier_attempt():
    script = Script(POST=[reset(), redirect("/elsewhere")], GET=[refusal(404)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        with pytest.raises(LaunchOutcomeUnknownError):
            await gameye.launch(new_request())
    assert methods(server).count("POST") == 2
