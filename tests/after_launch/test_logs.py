"""A log is given line by line, each line once, whatever happens to the connections."""

import asyncio
import socket
from random import Random

import aiohttp
import pytest

from gameye_async import (
    AuthenticationError,
    BadAnswerError,
    ClientClosedError,
    GameyeError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    ServerError,
    Timeouts,
)
from gameye_async.emulator import Fault
from tests.after_launch.harness import FIELDS, Stage, client_of, emulated, stage
from tests.clients import TOKEN, failure, shown
from tests.faultproxy import FaultProxy
from tests.faultserver import (
    FaultServer,
    Reply,
    Wire,
    answer,
    close,
    garbage,
    hang,
    html_502,
    json_answer,
    oversize,
    partial,
    redirect,
    reset,
)
from tests.reliability.stage import Script, in_virtual_time

OVER = json_answer(404, {"statusCode": 404, "code": "NOT_FOUND", "message": "Gone."})


def chunked(*pieces: bytes, ending: str = "0\r\n\r\n") -> Reply:
    """An answer of unknown length, as a followed log is."""

    async def play(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            await wire.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await wire.send(ending.encode())
        if not ending:
            wire.end("close")

    return Reply(play)


async def read(gameye, session_id: str = "match-1", **options) -> list[str]:
    async with gameye.logs(session_id, **options) as lines:
        return [line async for line in lines]


async def test_a_log_is_what_was_printed_so_far():
    async with emulated() as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.write_log(session.id, "loading map\r\nready\nno end")
        assert await read(gameye, session.id) == ["loading map", "ready", "no end"]


async def test_an_empty_log_has_no_lines():
    async with emulated() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        assert await read(gameye, session.id) == []


@in_virtual_time
async def test_a_followed_log_ends_with_its_session():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.network.loop.call_later(1.0, place.world.write_log, session.id, "ready\n")
        place.network.loop.call_later(3_000.0, place.world.write_log, session.id, "bye")
        place.network.loop.call_later(3_001.0, place.world.end_session, session.id)
        assert await read(gameye, session.id, follow=True) == ["ready", "bye"]
        assert place.now < 3_005


@in_virtual_time
async def test_a_line_is_given_as_soon_as_it_is_printed():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        async with gameye.logs(session.id, follow=True) as lines:
            for number in range(5):
                place.world.write_log(session.id, f"line {number}\n")
                assert await anext(lines) == f"line {number}"
                assert place.now < 5


@pytest.mark.parametrize("seed", range(5))
@in_virtual_time
async def test_each_line_comes_once_over_a_hundred_random_cuts(seed):
    rng = Random(seed)
    alphabet = "abc \u2603\U0001f3ae\xe9"
    printed = ["".join(rng.choices(alphabet, k=rng.randrange(40))) for _ in range(1_000)]

    async def play(place: Stage, session_id: str) -> None:
        output = "".join(f"{line}\n" for line in printed).encode()
        while output:
            size = rng.randrange(1, 400)
            place.world.write_log(session_id, output[:size])
            output = output[size:]
            await asyncio.sleep(rng.expovariate(2.0))
        place.world.end_session(session_id)

    async def cut(place: Stage) -> int:
        cuts = 0
        while True:
            await asyncio.sleep(rng.expovariate(4.0))
            cuts += place.network.stats.open > 0
            place.network.break_all()
            if cuts >= 100:
                return cuts

    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(play(place, session.id))
            cutting = tasks.create_task(cut(place))
            given = tasks.create_task(read(gameye, session.id, follow=True))
        assert given.result() == printed
        assert cutting.result() == 100


async def test_each_line_comes_once_wherever_a_real_connection_is_cut():
    """Cut at a random byte of the answer, its head included, again and again on the way through one log."""
    rng = Random(11)
    printed = [f"line {number} \u2603" for number in range(200)]
    async with emulated() as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.write_log(session.id, "".join(f"{line}\n" for line in printed))
        emulator.world.end_session(session.id)
        port = int(emulator.url.rpartition(":")[2])
        async with FaultProxy("127.0.0.1", port) as proxy, client_of(proxy) as cut:
            for _ in range(50):
                proxy.cut_after(rng.randrange(4_000), "client")
                assert await read(cut, session.id, follow=rng.random() < 0.5) == printed


@in_virtual_time
async def test_a_silent_log_is_followed_past_a_gateway_that_cuts_idle_connections():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.world.write_log(session.id, "ready\n")
        for minute in range(50):
            place.network.loop.call_later(60.0 * minute, place.network.break_all)
        place.network.loop.call_later(3_100.0, place.world.write_log, session.id, "bye\n")
        place.network.loop.call_later(3_101.0, place.world.end_session, session.id)
        assert await read(gameye, session.id, follow=True) == ["ready", "bye"]


@pytest.mark.parametrize("ending", ["0\r\n\r\n", ""], ids=["good end", "cut"])
async def test_a_stream_that_ends_while_the_session_runs_goes_on(ending):
    """A proxy may make a good end of a cut."""
    running = json_answer(200, _described("running"))
    over = json_answer(200, _described("exited"))
    logs = iter(
        [
            chunked(b"one\ntw", ending=ending),
            chunked(b"one\ntwo\nth", ending=ending),
            chunked(b"one\ntwo\nthree"),
            answer(200, b"one\ntwo\nthree\nfour\n"),
        ]
    )
    looks = iter([running, running, over] if ending else [over])

    def choose(request):
        return next(logs) if request.target.startswith("/logs") else next(looks)

    async with FaultServer(choose) as server, client_of(server) as gameye:
        assert await read(gameye, follow=True) == ["one", "two", "three", "four"]


def _described(status: str) -> dict[str, object]:
    return {
        "id": "match-1",
        "image": "my-game",
        "tag": "1",
        "location": "eu-west",
        "host": "203.0.113.7",
        "created": 1648472895123,
        "port": {},
        "status": status,
        "labels": {},
        "players": {"joined": [], "joinedCount": 0},
    }


async def test_a_log_that_comes_again_too_short_was_cut():
    """Without a length, a closed connection looks like the end."""
    short = Reply(lambda wire: _send_and_close(wire, b"one\n"))
    script = [chunked(b"one\ntwo\n", ending=""), short, answer(200, b"one\ntwo\nthree\n")]
    async with FaultServer(script) as server, client_of(server) as gameye:
        assert await read(gameye) == ["one", "two", "three"]


async def _send_and_close(wire: Wire, body: bytes) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
    wire.end("close")


async def test_a_log_is_not_read_again_when_its_length_says_that_all_of_it_came():
    async def play(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await wire.client_gone()

    script = [chunked(b"one\n"), OVER, Reply(play)]
    async with FaultServer(script) as server, client_of(server) as gameye:
        assert await read(gameye, follow=True) == ["one"]


async def test_a_log_whose_container_is_gone_after_its_end_was_whole():
    script = iter([chunked(b"one\n"), OVER, OVER])
    async with FaultServer(script) as server, client_of(server) as gameye:
        assert await read(gameye, follow=True) == ["one"]


async def test_a_log_that_is_gone_before_its_end_says_so():
    """What was printed after the cut is lost."""
    async with FaultServer([chunked(b"one\n", ending=""), OVER]) as server, client_of(server) as gameye:
        error = await failure(read(gameye, follow=True))
    assert isinstance(error, NotFoundError)


async def test_a_log_that_no_longer_begins_as_before_is_refused():
    script = [chunked(b"one\ntwo\n", ending=""), chunked(b"TWO\nthree\nfour\n")]
    async with FaultServer(script) as server, client_of(server) as gameye:
        with pytest.raises(BadAnswerError, match="no longer begins with the 8 bytes"):
            await read(gameye, follow=True)


@in_virtual_time
async def test_a_log_that_always_breaks_off_says_after_how_many_bytes():
    async def break_off(place: Stage) -> None:
        while True:
            await asyncio.sleep(1.0)
            place.network.break_all()

    slow = Fault("slow_drip", operation="stream-logs", seconds=0.5)
    async with stage(slow) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        place.world.write_log(session.id, "one\ntwo\nthree\n")
        breaking = asyncio.create_task(break_off(place))
        with pytest.raises(NoAnswerError, match=r"read up to byte [1-4]\."):
            await read(gameye, session.id)
        assert 30 < place.now < 45
        breaking.cancel()


async def test_hostile_bytes_come_out_harmless():
    log = b"\x1b]0;owned\x07hello\x1b[2J\r\n\xff\xfe\x00 \xe2\x80\xaetxt\n"
    async with FaultServer(answer(200, log)) as server, client_of(server) as gameye:
        assert await read(gameye) == ["hello", "\ufffd\ufffd txt"]
        assert await read(gameye, sanitize=False) == [
            "\x1b]0;owned\x07hello\x1b[2J",
            "\ufffd\ufffd\x00 \u202etxt",
        ]


async def test_a_log_that_comes_compressed_is_refused():
    packed = answer(200, b"\x1f\x8b...", [("Content-Encoding", "gzip")])
    async with FaultServer(packed) as server, client_of(server) as gameye:
        with pytest.raises(BadAnswerError, match="compressed"):
            await read(gameye)
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


async def test_an_unknown_session_has_no_log():
    async with emulated() as (_, gameye):
        with pytest.raises(NotFoundError):
            await read(gameye, "nobody")


async def test_a_refused_token_is_said_at_once_and_not_shown():
    refused = json_answer(401, {"statusCode": 401, "message": f"no {TOKEN}"})
    async with FaultServer(refused) as server, client_of(server) as gameye:
        error = await failure(read(gameye))
        assert isinstance(error, AuthenticationError)
        assert TOKEN not in shown(error)
        assert len(server.requests) == 1


@in_virtual_time
async def test_many_followed_logs_survive_a_restart_of_the_api():
    """Together they retry far more than the budget of retries would pay for."""
    async with stage() as (place, gameye):
        ids = [(await gameye.launch(**FIELDS)).id for _ in range(60)]
        following = [asyncio.create_task(read(gameye, session_id, follow=True)) for session_id in ids]
        await asyncio.sleep(1.0)
        outage = Fault("refuse", operation="stream-logs")
        place.faults.add(outage)
        place.network.break_all()
        await asyncio.sleep(10.0)
        place.faults.discard(outage)
        for session_id in ids:
            place.world.write_log(session_id, "still here\n")
            place.world.end_session(session_id)
        assert await asyncio.gather(*following) == [["still here"]] * 60


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (reset(), NoAnswerError),
        (close(), NoAnswerError),
        (garbage(), NoAnswerError),
        (html_502(), ServerError),
        (redirect("https://203.0.113.7/logs"), BadAnswerError),
        (partial(503, b"{", announced=100), ServerError),
        (oversize(status=500), ServerError),
    ],
    ids=["reset", "close", "garbage", "502", "redirect", "cut 503", "endless 500"],
)
async def test_an_opening_that_keeps_failing_is_told_as_for_other_calls(reply, error):
    async with FaultServer(reply) as server, client_of(server) as gameye:
        caught = await failure(read(gameye))
        assert type(caught) is error
        assert TOKEN not in shown(caught)
        assert len(server.requests) > (error is not BadAnswerError)


async def test_nobody_there_is_told_as_for_other_calls():
    async with FaultServer(hang()) as server:
        pass
    async with client_of(server) as gameye:
        assert isinstance(await failure(read(gameye)), NotSentError)


async def test_a_log_comes_over_a_borrowed_session_too():
    async with emulated() as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.write_log(session.id, "ready\n")
        async with (
            aiohttp.ClientSession() as borrowed,
            client_of(emulator, session=borrowed) as other,
            other.logs(session.id, follow=True) as lines,
        ):
            assert await anext(lines) == "ready"


@pytest.mark.parametrize("kind", ["refuse", "html_502", "cut_before_commit"])
async def test_an_opening_that_fails_is_tried_again(kind):
    async with emulated(Fault(kind, operation="stream-logs", count=3)) as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.write_log(session.id, "ready\n")
        assert await read(gameye, session.id) == ["ready"]


@in_virtual_time
async def test_an_api_that_stays_away_is_given_up_at_the_deadline():
    async with stage(Fault("refuse", operation="stream-logs")) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        with pytest.raises(GameyeError):
            await read(gameye, session.id)
        assert 10 < place.now < 31


async def test_leaving_early_closes_the_connection():
    async def play(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
        await wire.client_gone()

    async with FaultServer(Reply(play)) as server, client_of(server) as gameye:
        async with gameye.logs("match-1", follow=True) as lines:
            assert await anext(lines) == "one"
        await server.wait_for_hangup()
        with pytest.raises(StopAsyncIteration):
            await anext(lines)


async def test_a_cancelled_follow_closes_the_connection():
    async with FaultServer(chunked(b"one\n", ending=" ")) as server, client_of(server) as gameye:
        following = asyncio.create_task(read(gameye, follow=True))
        await server.wait_for_request()
        following.cancel()
        assert isinstance(await failure(following), asyncio.CancelledError)
        await server.wait_for_hangup()


async def test_a_follow_that_waits_for_its_answer_can_be_cancelled():
    async with FaultServer(hang()) as server, client_of(server) as gameye:
        following = asyncio.create_task(read(gameye, follow=True))
        await server.wait_for_request()
        following.cancel()
        error = await failure(following)
        assert isinstance(error, asyncio.CancelledError)
        assert TOKEN not in shown(error)
        await server.wait_for_hangup()


@in_virtual_time
async def test_a_read_that_times_out_loses_nothing():
    async with stage() as (place, gameye):
        session = await gameye.launch(**FIELDS)
        async with gameye.logs(session.id, follow=True) as lines:
            for number in range(20):
                place.network.loop.call_later(2.5, place.world.write_log, session.id, f"{number}\n")
                if number % 3 == 0:
                    place.network.loop.call_later(0.5, place.network.break_all)
                while True:
                    try:
                        async with asyncio.timeout(1.0):
                            line = await anext(lines)
                    except TimeoutError:
                        continue
                    assert line == str(number)
                    break


@in_virtual_time
async def test_followed_logs_are_in_nobodys_way():
    """A followed log takes none of the eight places of reads and stops."""
    async with stage() as (place, gameye):
        sessions = [await gameye.launch(**FIELDS) for _ in range(20)]
        following = [asyncio.create_task(read(gameye, session.id, follow=True)) for session in sessions]
        await asyncio.sleep(1.0)
        for session in sessions:
            assert await gameye.stop(session.id)
        assert place.now < 10
        await asyncio.gather(*following)


async def test_a_closed_client_ends_its_logs():
    async with FaultServer(hang()) as server:
        gameye = await client_of(server).__aenter__()
        following = asyncio.create_task(read(gameye, follow=True))
        await server.wait_for_request()
        await gameye.aclose()
        assert isinstance(await failure(following), GameyeError)


@pytest.mark.parametrize("is_borrowed", [False, True])
async def test_a_closed_client_ends_the_logs_that_are_silent(is_borrowed):
    """A closing pool of aiohttp leaves whoever reads from it waiting for ever."""
    opened = asyncio.Event()

    async def play(wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none\n")
        await wire.client_gone()

    async def follow() -> None:
        async with gameye.logs("match-1", follow=True) as lines:
            async for _ in lines:
                opened.set()

    async with aiohttp.ClientSession() as session, FaultServer(Reply(play)) as server:
        options = {"session": session} if is_borrowed else {}
        gameye = await client_of(server, **options).__aenter__()
        following = asyncio.create_task(follow())
        await opened.wait()
        await gameye.aclose()
        async with asyncio.timeout(10.0):
            assert isinstance(await failure(following), ClientClosedError)


@in_virtual_time
async def test_a_log_waits_no_longer_for_a_place_than_its_deadline():
    busy = Fault("latency", operation="describe-session", seconds=14.0)
    async with stage(busy, client={"control_concurrency": 1}) as (place, gameye):
        session = await gameye.launch(**FIELDS)
        describing = asyncio.create_task(gameye.describe(session.id))
        await asyncio.sleep(1.0)
        before = place.now
        hasty = gameye.with_options(timeouts=Timeouts(deadline=2.0))
        assert isinstance(await failure(read(hasty, session.id)), NotSentError)
        assert place.now - before == pytest.approx(2.0, abs=0.1)
        await describing


async def test_a_log_is_read_inside_its_block():
    """Or nobody would close its connection."""
    async with FaultServer(hang()) as server, client_of(server) as gameye:
        with pytest.raises(RuntimeError, match="inside `async with`"):
            await anext(gameye.logs("match-1"))
    assert server.requests == []


async def test_a_log_needs_an_open_client():
    async with FaultServer(hang()) as server:
        gameye = client_of(server)
        with pytest.raises(ClientClosedError):
            gameye.logs("match-1")


async def test_the_id_is_one_query_value():
    script = Script(GET=[answer(200, b"")])
    async with FaultServer(script) as server, client_of(server) as gameye:
        await read(gameye, "a&follow=true#?/b")
        assert server.requests[0].target == "/logs?id=a%26follow%3Dtrue%23%3F%2Fb&follow=false"


async def test_a_log_streams_where_tcp_cannot_be_told_to_probe(monkeypatch):
    """Not every platform has every option."""
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    async with emulated() as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.write_log(session.id, "ready\n")
        async with gameye.logs(session.id, follow=True) as lines:
            assert await anext(lines) == "ready"
