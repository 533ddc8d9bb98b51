"""One attempt over a real socket: what is sent, what is read, and what becomes of it when it fails."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from functools import partial as partial_of
from math import inf
from typing import Any

import aiohttp
import pytest

from gameye_async import (
    ApiError,
    AsyncGameye,
    BadAnswerError,
    LaunchRequest,
    NoAnswerError,
    NotSentError,
    ServerError,
    _api,
)
from gameye_async._exchange import Progress, Unknown
from gameye_async._transport.fast_path import is_known
from gameye_async.errors import ClientClosedError
from tests.clients import DETAILS, LAUNCHED, TOKEN, client_of
from tests.faultserver import (
    FaultServer,
    Reply,
    answer,
    bomb,
    close,
    early_hints,
    garbage,
    hang,
    held,
    html_502,
    json_answer,
    oversize,
    partial,
    redirect,
    reset,
    slow_drip,
    stale_keepalive,
)

MIB = 1 << 20
REGIONS = json_answer(200, {"regions": ["eu-west"]})


@pytest.fixture(params=["own pool", "borrowed session"])
async def reach(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., AsyncGameye]]:
    """Makes clients that go either way through aiohttp: below its session, or through it."""
    if request.param == "own pool":
        yield client_of
        return
    async with aiohttp.ClientSession() as session:
        yield partial_of(client_of, session=session)


async def attempt_of(gameye: AsyncGameye, progress: Progress) -> Callable[[], Any]:
    """One launch attempt, to be begun and taken up again; the client itself holds them open for a caller."""
    caller = gameye._core().caller  # noqa: SLF001  -- see above
    request = _api.launch(LaunchRequest("my-game", "eu-west"), "eu-west")
    return partial_of(caller.transport.attempt, request, await caller.token.credential(), inf, {}, progress)


async def interrupt(waiting: asyncio.Task[Any]) -> None:
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_an_exchange_that_is_held_open_goes_on_where_it_was():
    release = asyncio.Event()
    async with FaultServer(held(release, json_answer(201, LAUNCHED))) as server, client_of(server) as gameye:
        attempt = await attempt_of(gameye, Progress(hold=True))
        waiting = asyncio.create_task(attempt())
        await server.wait_for_request()
        await interrupt(waiting)
        release.set()
        outcome = await attempt()
    assert (outcome.status, json.loads(outcome.body)) == (201, LAUNCHED)
    assert len(server.requests) == 1


async def test_an_exchange_that_is_not_held_open_ends_with_the_wait_for_it():
    async with FaultServer(hang()) as server, client_of(server) as gameye:
        waiting = asyncio.create_task((await attempt_of(gameye, Progress()))())
        await server.wait_for_request()
        await interrupt(waiting)
        await server.wait_for_hangup()


async def test_an_exchange_interrupted_in_the_middle_of_its_answer_counts_as_cut_off():
    """The status is known by then, and says more than another wait would."""
    progress = Progress(hold=True)
    script = raw(b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n")
    async with FaultServer(script) as server, client_of(server) as gameye:
        attempt = await attempt_of(gameye, progress)
        waiting = asyncio.create_task(attempt())
        while progress.answered is None:  # noqa: ASYNC110  -- nothing else tells of the head alone
            await asyncio.sleep(0)
        await interrupt(waiting)
        outcome = await attempt()
        await server.wait_for_hangup()
    assert (outcome.status, outcome.fault) == (201, "the answer was cut off")
    assert len(server.requests) == 1


def raw(message: bytes) -> Reply:
    return Reply(lambda wire: wire.send(message))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(reach, status):
    """A redirected POST becomes a GET in aiohttp, and the token would go elsewhere."""
    async with (
        FaultServer(answer()) as elsewhere,
        FaultServer(redirect(elsewhere.url, status)) as server,
        reach(server) as gameye,
    ):
        with pytest.raises(BadAnswerError, match=rf"{status}.*redirected POST /application"):
            await gameye.request("POST", "/application", json={})
    assert ([request.method for request in server.requests], elsewhere.requests) == (["POST"], [])


@pytest.mark.parametrize(
    ("call", "limit"),
    [
        (lambda gameye: gameye.describe("match-1"), 1),
        (lambda gameye: gameye.list_sessions(), 8),
    ],
    ids=["describe", "list_sessions"],
)
@pytest.mark.parametrize(
    "script", [oversize(), oversize(1 << 30), bomb(64)], ids=["endless", "1 GiB", "bomb"]
)
async def test_an_answer_is_read_up_to_its_limit_and_no_further(reach, call, limit, script):
    async with FaultServer(script) as server, reach(server) as gameye:
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswerError, match=f"larger than {limit} MiB"):
                await call(gameye)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # What was read, its joined copy were it not refused, and the buffers of both ends.
    assert peak < (2 * limit + 6) * MIB


async def test_a_list_of_seven_mebibytes_is_no_problem(reach):
    sessions = [DETAILS | {"id": f"match-{n}", "padding": "x" * 7_000} for n in range(1_000)]
    async with FaultServer(json_answer(200, {"sessions": sessions})) as server, reach(server) as gameye:
        assert len(await gameye.list_sessions()) == 1_000


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (partial(200, b'{"regions": ['), "cut off"),
        (partial(200, b'{"regions": [', ending="reset"), "cut off"),
        (answer(200, b"<html>Welcome to nginx</html>"), "not JSON; it starts with '<html>Welcome"),
        (answer(200, b"no gzip", [("Content-Encoding", "gzip")]), "cut off"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "cut off|not HTTP"),
        (answer(204), "not JSON"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_asked_for_once_more(reach, script, reason):
    async with FaultServer(script) as server, reach(server) as gameye:
        with pytest.raises((BadAnswerError, NoAnswerError), match=reason) as caught:
            await gameye.regions()
    assert len(server.requests) == len(caught.value.attempts) == 2


@pytest.mark.parametrize(
    "script",
    [
        garbage(),
        raw(b"HTTP/1.1 abc OK\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}"),
        answer(200, b"{}", [("X-Long", "x" * 100_000)]),
        answer(200, b"{}", [("Content-Encoding", "br")]),
        close(),
        reset(),
    ],
)
async def test_what_is_no_http_answer_is_no_answer(reach, script):
    async with FaultServer(script) as server, reach(server) as gameye:
        with pytest.raises(NoAnswerError) as caught:
            await gameye.regions()
    assert [attempt.phase for attempt in caught.value.attempts] == ["sent", "sent"]
    assert not caught.value.timed_out


async def test_the_page_of_a_proxy_is_a_server_error(reach):
    async with FaultServer(html_502()) as server, reach(server) as gameye:
        with pytest.raises(ServerError, match="502: GET /region failed"):
            await gameye.regions()
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", [close(), reset(), html_502(), partial(), garbage()])
async def test_a_read_is_repeated_after_a_failure(reach, fault):
    async with FaultServer([fault, REGIONS]) as server, reach(server) as gameye:
        assert await gameye.regions() == ["eu-west"]


@pytest.mark.parametrize("script", [html_502(), close(), reset(), garbage(), partial()])
async def test_a_post_of_unknown_effect_is_not_repeated(reach, script):
    async with FaultServer(script) as server, reach(server) as gameye:
        with pytest.raises((ServerError, NoAnswerError, BadAnswerError)):
            await gameye.request("POST", "/token", json={"name": "ci"})
    assert len(server.requests) == 1


async def test_a_refused_connection_means_that_nothing_was_sent(reach):
    async with FaultServer(answer()) as server:
        pass
    async with reach(server) as gameye:
        with pytest.raises(NotSentError, match="safe to try again") as caught:
            await gameye.request("POST", "/token", json={})
    assert [attempt.phase for attempt in caught.value.attempts] == ["not sent", "not sent"]


async def test_early_hints_are_not_taken_for_the_answer(reach):
    async with FaultServer(early_hints(REGIONS)) as server, reach(server) as gameye:
        assert await gameye.regions() == ["eu-west"]


async def test_an_answer_may_drip(reach):
    async def no_pause() -> None:
        await asyncio.sleep(0)

    async with FaultServer(slow_drip(200, b'{"regions": []}', no_pause)) as server, reach(server) as gameye:
        assert await gameye.regions() == []


async def test_calls_one_after_another_share_a_connection(reach):
    async with FaultServer(REGIONS) as server, reach(server) as gameye:
        for _ in range(5):
            await gameye.regions()
    assert (server.connections, len(server.requests)) == (1, 5)


async def test_an_error_gives_its_connection_back(reach):
    async with FaultServer([json_answer(404, {}), REGIONS]) as server, reach(server) as gameye:
        with pytest.raises(ApiError):
            await gameye.describe("match-1")
        await gameye.regions()
    assert server.connections == 1


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_one(reach):
    good, evil = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + body
        for body in (b'{"regions":["a"]}', b'{"regions":["b"]}')
    )
    async with FaultServer([raw(good + evil), REGIONS]) as server, reach(server) as gameye:
        assert await gameye.regions() == ["a"]
        assert await gameye.regions() == ["eu-west"]
    assert server.connections == 2


async def test_an_answer_that_ends_with_its_connection_is_whole(reach):
    async def play(wire) -> None:
        await wire.send(b'HTTP/1.1 200 OK\r\n\r\n{"regions": ["eu-west"]}')
        wire.end("close")

    async with FaultServer(Reply(play)) as server, reach(server) as gameye:
        assert [await gameye.regions(), await gameye.regions()] == [["eu-west"]] * 2


@pytest.mark.parametrize("on_reuse", [False, True])
async def test_a_kept_connection_that_was_closed_meanwhile_does_no_harm(reach, on_reuse):
    script = [stale_keepalive(REGIONS, on_reuse=on_reuse), REGIONS]
    async with FaultServer(script) as server, reach(server) as gameye:
        assert [await gameye.regions(), await gameye.regions()] == [["eu-west"]] * 2


async def test_a_connection_that_was_paused_by_a_large_answer_goes_on(reach):
    """The answer is here whole, and aiohttp reads no further on its connection until it is read."""
    large = json_answer(200, {"regions": ["x" * (3 * MIB // 4)]})
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in json.dumps({"regions": ["y" * 5000]}).encode())
    many = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks)
    async with FaultServer([large, many, REGIONS]) as server, reach(server) as gameye:
        lengths = [len((await gameye.regions())[0]) for _ in range(3)]
    assert lengths == [3 * MIB // 4, 5000, len("eu-west")]
    assert server.connections == 1


@pytest.mark.parametrize("is_sent", [False, True])
async def test_what_nobody_expects_is_no_proof_that_a_launch_was_not_sent(is_sent):
    class Faulty(aiohttp.TCPConnector):
        async def connect(self, req, traces, timeout):  # noqa: ASYNC109  -- as aiohttp has it
            connection = await super().connect(req, traces, timeout)

            def fail(*_: object, **__: object) -> None:
                raise RuntimeError("a fault of aiohttp")

            setattr(connection.protocol, "read" if is_sent else "set_response_params", fail)
            return connection

    async with (
        FaultServer(json_answer(201, LAUNCHED)) as server,
        client_of(server, connector=Faulty()) as gameye,
    ):
        attempt = await attempt_of(gameye, Progress())
        if is_sent:
            outcome = await attempt()
            assert isinstance(outcome, Unknown)
            assert outcome.reason == "RuntimeError"
        else:
            with pytest.raises(RuntimeError):
                await attempt()


async def test_a_connection_that_is_closed_as_it_is_taken_is_not_used():
    taken = []

    class Unlucky(aiohttp.TCPConnector):
        async def connect(self, req, traces, timeout):  # noqa: ASYNC109  -- as aiohttp has it
            connection = await super().connect(req, traces, timeout)
            taken.append(connection)
            if len(taken) == 1:
                connection.transport.close()
            return connection

    async with FaultServer(REGIONS) as server, client_of(server, connector=Unlucky()) as gameye:
        assert await gameye.regions() == ["eu-west"]
    assert len(taken) == 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("connect", [None, lambda _: None])
async def test_another_aiohttp_is_not_taken_for_the_known_one(connect):
    """Where its insides differ, the client goes through its sessions."""
    unknown = type("Unknown", (aiohttp.TCPConnector,), {"connect": connect})()
    async with aiohttp.TCPConnector() as known:
        assert is_known(known)
    assert not is_known(unknown)
    await unknown.close()


async def test_a_request_says_who_sends_it_and_carries_the_token(reach):
    async with FaultServer(answer(200, b"{}")) as server, reach(server, user_agent="my-mm/2") as gameye:
        await gameye.with_options(headers={"X-Match": "7"}).request("POST", "/token", json={"name": "\xe4"})
    (request,) = server.requests
    assert request.headers.getall("Authorization") == [f"Bearer {TOKEN}"]
    assert request.headers["User-Agent"].startswith("my-mm/2 gameye-async/")
    assert (request.headers["X-Match"], request.headers["Content-Type"]) == ("7", "application/json")
    assert request.json() == {"name": "\xe4"}


async def test_a_header_that_is_given_replaces_the_clients_own(reach):
    async with FaultServer(REGIONS) as server, reach(server) as gameye:
        other = gameye.with_options(headers={"User-Agent": "mine"})
        await other.regions()
    assert server.requests[0].headers.getall("User-Agent") == ["mine"]


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_cookie_of_the_api_is_not_sent_back(proxied):
    """A host name it must be, because aiohttp keeps no cookies of an address."""
    script = json_answer(200, {"regions": []}, [("Set-Cookie", "track=1; Path=/")])
    async with FaultServer(script) as server:
        gameye = AsyncGameye(
            TOKEN, base_url=f"http://localhost:{server.port}", proxy=server.url if proxied else None
        )
        async with gameye:
            await gameye.regions()
            await gameye.regions()
    assert "Cookie" not in server.requests[1].headers


async def test_the_environments_proxies_and_netrc_are_not_looked_at(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login evil password evil\n")
    async with FaultServer(answer(502)) as proxy, FaultServer(REGIONS) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("NETRC", str(netrc))
        async with client_of(server) as gameye:
            assert await gameye.regions() == ["eu-west"]
    assert proxy.requests == []
    assert server.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_a_proxy_that_is_given_is_used():
    async with (
        FaultServer(REGIONS) as proxy,
        FaultServer(answer(500)) as server,
        client_of(server, proxy=proxy.url) as gameye,
    ):
        assert await gameye.regions() == ["eu-west"]
    assert server.requests == []


@pytest.mark.parametrize(("kind", "is_small"), [("own", True), ("proxied", True), ("borrowed", False)])
async def test_launches_receive_into_small_buffers_on_connections_of_our_own(kind, is_small):
    """What is somebody else's stays as it is."""
    async with FaultServer(json_answer(201, LAUNCHED)) as server, aiohttp.ClientSession() as session:
        options = {"own": {}, "proxied": {"proxy": server.url}, "borrowed": {"session": session}}[kind]
        async with client_of(server, **options) as gameye:
            await gameye.launch(image="my-game", location="eu-west")
            used = gameye._core().caller.transport._session  # noqa: SLF001  -- whose connections they are
            ((kept, _),) = next(iter(used.connector._conns.values()))  # noqa: SLF001  -- likewise
            assert (kept.transport.max_size <= 1 << 16) is is_small


async def test_a_borrowed_session_is_used_and_left_as_it_was():
    jar = aiohttp.CookieJar(unsafe=True)
    jar.update_cookies({"mine": "1"})
    async with (
        FaultServer(REGIONS) as server,
        aiohttp.ClientSession(cookie_jar=jar, headers={"X-Mine": "1"}, raise_for_status=True) as session,
    ):
        async with client_of(server, session=session) as gameye:
            assert await gameye.regions() == ["eu-west"]
        assert not session.closed
        assert dict(session.headers) == {"X-Mine": "1"}
        assert [(cookie.key, cookie.value) for cookie in jar] == [("mine", "1")]
        await (await session.get(server.url)).read()
    assert "Authorization" not in server.requests[1].headers
    assert server.connections == 1


async def test_the_authorization_of_a_borrowed_session_does_not_come_in_the_way():
    headers = {"Authorization": "Basic b3RoZXI="}
    async with (
        FaultServer(REGIONS) as server,
        aiohttp.ClientSession(headers=headers) as session,
        client_of(server, session=session) as gameye,
    ):
        await gameye.regions()
    assert server.requests[0].headers.getall("Authorization") == [f"Bearer {TOKEN}"]


async def test_a_borrowed_session_that_was_closed_is_a_clear_error():
    session = aiohttp.ClientSession()
    await session.close()
    async with FaultServer(REGIONS) as server, client_of(server, session=session) as gameye:
        with pytest.raises(ClientClosedError, match="aiohttp session"):
            await gameye.regions()


async def test_the_own_session_and_a_given_connector_are_closed():
    connector = aiohttp.TCPConnector()
    async with FaultServer(REGIONS) as server:
        async with client_of(server, connector=connector) as gameye:
            await gameye.regions()
            assert not connector.closed
        await server.wait_for_hangup()
    assert connector.closed


async def test_a_cancelled_call_gives_up_its_connection(reach):
    """The answer to it must not be taken for the answer to the next call."""
    proceed = asyncio.Event()
    late = held(proceed, json_answer(200, {"regions": ["late"]}))
    async with FaultServer([late, REGIONS]) as server, reach(server) as gameye:
        call = asyncio.create_task(gameye.regions())
        await server.wait_for_request()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        proceed.set()
        assert await gameye.regions() == ["eu-west"]
