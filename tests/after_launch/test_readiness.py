"""A session is ready when it runs and its game answers, and a session that ended is said at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from gameye_async import (
    AsyncGameye,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    LaunchRequest,
    NotFoundError,
    Port,
    Session,
    SessionEndedError,
    SessionStatus,
    StopUnconfirmedError,
)
from gameye_async.emulator import Fault, Quirks
from gameye_async.probes import Probe, http_probe, tcp_probe, udp_probe
from tests.after_launch.harness import FIELDS, Stage, client_of, emulated, stage
from tests.clients import failure
from tests.faultserver import FaultServer, answer, garbage, hang, json_answer, reset
from tests.reliability.stage import in_virtual_time


@in_virtual_time
async def test_a_session_is_ready_when_it_runs():
    seen = []
    async with stage(start_seconds=6.0) as (place, gameye):
        session = await gameye.launch(**FIELDS, labels={"match": "1"})
        details = await gameye.wait_until_ready(session, on_progress=seen.append)
        assert details.status is SessionStatus.RUNNING
        assert details.labels == {"match": "1"}
        assert 6 <= place.now < 8
    assert [one.status for one in seen[:-1]] == [SessionStatus.CREATED] * (len(seen) - 1)
    assert seen[-1] is details


@in_virtual_time
async def test_the_looks_become_rarer():
    async with stage(start_seconds=20.0) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        at = []
        await gameye.wait_until_ready(session, on_progress=lambda _: at.append(place.now))
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert max(pauses[:2]) < 0.3
    assert max(pauses) < 1.2
    assert len(at) < 45


@in_virtual_time
async def test_the_probe_has_to_pass_too():
    tries = []

    async def probe(session: Session) -> bool:
        tries.append(session)
        if len(tries) < 3:
            raise ConnectionRefusedError
        return len(tries) == 6

    async with stage() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        details = await gameye.wait_until_ready(session, probe=probe)
        assert details.status is SessionStatus.RUNNING
    assert tries == [session] * 6


@in_virtual_time
async def test_the_probe_waits_until_the_session_runs():
    async def probe(_: Session) -> bool:
        assert place.now >= 6.0
        return True

    async with stage(start_seconds=6.0) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        await gameye.wait_until_ready(session, probe=probe)


@pytest.mark.parametrize("status", ["exited", "dead"])
@in_virtual_time
async def test_a_session_that_ends_first_is_said_at_once_with_the_end_of_its_log(status):
    async def hangs(_: Session) -> bool:
        await asyncio.Event().wait()
        return True

    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.world.write_log(session.id, "".join(f"line {number}\n" for number in range(50)))
        place.world.write_log(session.id, "\x1b[31mpanic: no map\x1b[0m\n")
        place.network.loop.call_later(3.0, place.world.end_session, session.id, status)
        error = await failure(gameye.wait_until_ready(session, probe=hangs))
        assert isinstance(error, SessionEndedError)
        assert error.session_id == session.id
        assert status in str(error)
        assert error.log_tail == (*(f"line {number}" for number in range(31, 50)), "panic: no map")
        assert place.now < 5.0


@in_virtual_time
async def test_a_session_that_was_seen_and_is_gone_has_ended():
    async with stage(start_seconds=60.0) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.network.loop.call_later(2.0, lambda: place.world.restart(keep_memory=False))
        error = await failure(gameye.wait_until_ready(session))
        assert isinstance(error, SessionEndedError)
        assert error.log_tail == ()


@in_virtual_time
async def test_a_session_that_reads_do_not_show_yet_is_waited_for():
    async with stage(quirks=Quirks(read_lag=2.0)) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        await gameye.wait_until_ready(session)
        assert place.now >= 2.0


@in_virtual_time
async def test_a_session_that_never_was_is_not_found():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.world.restart(keep_memory=False)
        error = await failure(gameye.wait_until_ready(session))
        assert isinstance(error, NotFoundError)
        assert 5 <= place.now < 8


@in_virtual_time
async def test_an_outage_of_the_api_is_waited_out():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        outage = Fault("refuse", operation="describe-session")
        place.faults.add(outage)
        place.network.loop.call_later(20.0, place.faults.discard, outage)
        await gameye.wait_until_ready(session)
        assert 20 <= place.now < 22


@in_virtual_time
async def test_what_cannot_get_better_is_said_at_once():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.faults.add(Fault("refuse", operation="describe-session", status=401))
        with pytest.raises(AuthenticationError):
            await gameye.wait_until_ready(session)
        assert place.now < 1


@in_virtual_time
async def test_the_time_is_up():
    async with stage(start_seconds=60.0) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        before = place.now
        with pytest.raises(DeadlineExceededError, match="within 10 s: it is created"):
            await gameye.wait_until_ready(session, timeout=10.0)
        assert place.now - before == pytest.approx(10.0, abs=0.05)


@in_virtual_time
async def test_the_time_is_up_while_the_probe_fails():
    async def refuses(_: Session) -> bool:
        return False

    async with stage() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        with pytest.raises(DeadlineExceededError, match="its probe does not pass"):
            await gameye.wait_until_ready(session, timeout=10.0, probe=refuses)


@in_virtual_time
async def test_an_error_in_a_probe_is_not_hidden():
    async def broken(_: Session) -> bool:
        raise ZeroDivisionError

    async with stage() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        with pytest.raises(ZeroDivisionError):
            await gameye.wait_until_ready(session, probe=broken)


@in_virtual_time
async def test_a_cancelled_wait_ends_its_probe():
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def hangs(_: Session) -> bool:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return True

    async with stage() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        waiting = asyncio.create_task(gameye.wait_until_ready(session, probe=hangs))
        await begun.wait()
        waiting.cancel()
        assert isinstance(await failure(waiting), asyncio.CancelledError)
        assert ended.is_set()


def reachable(port: int, protocol: Any = "tcp") -> Session:
    return Session(
        id="match-1",
        host="127.0.0.1",
        ports=(Port(protocol, 7777, port), Port("tcp" if protocol == "udp" else "udp", 80, 9)),
        location="eu-west",
        image="my-game",
    )


async def passes(probe: Probe, session: Session) -> bool:
    try:
        return await probe(session)
    except OSError:
        return False


async def test_tcp_is_ready_when_it_accepts():
    async with FaultServer(hang()) as server:
        assert await passes(tcp_probe(), reachable(server.port))
        assert await passes(tcp_probe(7777), reachable(server.port))
    assert not await passes(tcp_probe(), reachable(server.port))


async def test_a_port_that_the_session_does_not_have_is_a_mistake():
    for probe in (tcp_probe(1), udp_probe(b"?", port=1), http_probe(port=1)):
        with pytest.raises(LookupError):
            await passes(probe, reachable(9))


@pytest.mark.parametrize(
    ("reply", "ready"),
    [
        (answer(200, b"ok"), True),
        (answer(302), True),
        (answer(503), False),
        (garbage(), False),
        (reset(), False),
        (hang(), False),
    ],
    ids=["200", "302", "503", "garbage", "reset", "hang"],
)
async def test_http_is_ready_when_it_answers_well(reply, ready):
    async with FaultServer(reply) as server:
        probe = http_probe("/ready?x=1", timeout=0.2)
        assert await passes(probe, reachable(server.port)) is ready
        assert server.requests[0].target == "/ready?x=1"
        assert server.requests[0].headers["Host"] == f"127.0.0.1:{server.port}"


async def test_the_good_statuses_can_be_chosen():
    async with FaultServer(answer(503)) as server:
        assert await passes(http_probe(status={503}), reachable(server.port))


@pytest.mark.parametrize("path", ["", "ready", "/a b", "/a\r\nX: 1"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigurationError):
        http_probe(path)


@asynccontextmanager
async def udp_server(*replies: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    received: list[bytes] = []

    class Server(asyncio.DatagramProtocol):
        transport: Any

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            received.append(data)
            for reply in replies:
                self.transport.sendto(reply, addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1], received
    transport.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("expect", "ready"),
    [(None, True), (b"pong", True), (b"other", False), (lambda data: data.startswith(b"po"), True)],
)
async def test_udp_is_ready_when_it_gives_the_expected_answer(expect, ready):
    async with udp_server(b"noise" if expect else b"any", b"pong") as (port, received):
        assert await passes(udp_probe(b"ping", expect, timeout=0.2), reachable(port, "udp")) is ready
        assert received == [b"ping"]


async def test_an_error_in_what_looks_at_a_datagram_is_not_hidden():
    async with udp_server(b"pong") as (port, _):
        probe = udp_probe(b"ping", lambda data: data.index(b"ready") >= 0, timeout=5.0)
        with pytest.raises(ValueError, match="subsection not found"):
            await passes(probe, reachable(port, "udp"))


async def test_udp_is_not_ready_when_nobody_listens():
    async with udp_server() as (port, _):
        pass
    assert not await passes(udp_probe(b"ping", timeout=0.2), reachable(port, "udp"))


@in_virtual_time
async def test_a_running_session_is_stopped_at_the_end_of_its_block():
    async with stage(start_seconds=3.0) as (place, gameye):
        async with gameye.running(**FIELDS, ready_within=10.0) as session:
            assert place.world.session(session.id).status == "running"
        assert place.world.live == []


@in_virtual_time
async def test_a_running_session_is_stopped_when_its_block_fails():
    async with stage() as (place, gameye):
        with pytest.raises(ZeroDivisionError):
            async with gameye.running(LaunchRequest(**FIELDS)):
                raise ZeroDivisionError
        assert place.world.live == []


@in_virtual_time
async def test_a_running_session_is_stopped_when_its_block_is_cancelled():
    async with stage() as (place, gameye):
        begun = asyncio.Event()

        async def play() -> None:
            async with gameye.running(**FIELDS):
                begun.set()
                await asyncio.Event().wait()

        playing = asyncio.create_task(play())
        await begun.wait()
        before = place.now
        playing.cancel()
        assert isinstance(await failure(playing), asyncio.CancelledError)
        assert place.now == before
        await asyncio.sleep(1.0)
        assert place.world.live == []


@in_virtual_time
async def test_a_session_that_does_not_get_ready_is_stopped():
    async def never(_: Session) -> bool:
        return False

    async with stage() as (place, gameye):
        with pytest.raises(DeadlineExceededError):
            async with gameye.running(**FIELDS, probe=never):
                pytest.fail("the block began")
        assert place.world.live == []
        assert 30 <= place.now < 32


async def fail_inside(place: Stage, gameye: AsyncGameye, **fault: Any) -> None:
    """Run a session whose block fails, and whose stop then fails too."""
    async with gameye.running(**FIELDS):
        place.faults.add(Fault("refuse", operation="session-stop", **fault))
        raise ZeroDivisionError


@in_virtual_time
async def test_an_error_of_the_block_is_not_hidden_by_that_of_the_stop():
    async with stage() as (place, gameye):
        assert isinstance(await failure(fail_inside(place, gameye, count=30)), ZeroDivisionError)
        await asyncio.sleep(200.0)
        assert place.world.live == []


@pytest.mark.parametrize("status", [401, 403])
@in_virtual_time
async def test_a_stop_that_is_refused_is_tried_again_in_the_background(status):
    async with stage() as (place, gameye):
        assert isinstance(
            await failure(fail_inside(place, gameye, status=status, count=1)), ZeroDivisionError
        )
        await asyncio.sleep(60.0)
        assert place.world.live == []


@in_virtual_time
async def test_a_stop_that_is_not_confirmed_is_said():
    async with stage() as (place, gameye):
        with pytest.raises(StopUnconfirmedError):
            async with gameye.running(**FIELDS):
                place.faults.add(Fault("refuse", operation="session-stop", count=30))
        await asyncio.sleep(200.0)
        assert place.world.live == []


async def test_a_request_and_its_fields_do_not_go_together():
    async with emulated() as (_, gameye):
        with pytest.raises(ConfigurationError):
            gameye.running(LaunchRequest(**FIELDS), **FIELDS)


async def test_an_answer_that_is_none_is_no_reason_to_give_up():
    details = {
        "id": "match-1",
        "image": "i",
        "location": "l",
        "host": "203.0.113.7",
        "created": 1,
        "port": {},
    }
    good = json_answer(200, details | {"status": "running", "labels": {}, "tag": "1"})
    async with FaultServer([answer(200, b"<html>"), good]) as server, client_of(server) as gameye:
        assert (await gameye.wait_until_ready(reachable(9))).status == "running"
