"""No token and no environment value is seen in an error, a traceback, a log, an event, a span or a pickle."""

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial as partial_of
from typing import Any

import aiohttp
import attrs
import pytest

from gameye_async import AsyncGameye, ConfigurationError, GameyeError, LaunchRequest, OrphanRecord, Timeouts
from gameye_async.telemetry import Event
from tests.clients import DETAILS, TOKEN, client_of, failure, shown
from tests.faultserver import (
    FaultServer,
    Reply,
    Request,
    answer,
    bomb,
    close,
    garbage,
    hang,
    json_answer,
    partial,
    redirect,
    reset,
)
from tests.telemetry.exporters import Exporters

SECRET = "canary-env-51c07e"
EXPOSED = DETAILS | {"host": 7, "labels": {"env": f'{{"PASSWORD": "{SECRET}"}}'}}
# A launch whose answer cannot be used looks for its session until then.
BRIEF = Timeouts(deadline=0.05, close=0.0)
FULL = LaunchRequest("my-game", "eu-west", id="match-1", env={"PASSWORD": SECRET})

OPERATIONS: dict[str, Callable[[AsyncGameye], Any]] = {
    "launch": lambda gameye: gameye.launch(FULL),
    "describe": lambda gameye: gameye.describe("match-1"),
    "list_sessions": lambda gameye: gameye.list_sessions(labels={"match": "1"}),
    "stop": lambda gameye: gameye.stop("match-1"),
    "join": lambda gameye: gameye.join("match-1", ["ann"]),
    "leave": lambda gameye: gameye.leave("match-1", ["ann"]),
    "available_locations": lambda gameye: gameye.available_locations("my-game"),
    "tag_exists": lambda gameye: gameye.tag_exists("eu-west", "my-game", "1.0"),
    "regions": lambda gameye: gameye.regions(),
    "request": lambda gameye: gameye.request("POST", "/token", json={"name": "ci"}),
}


def echo(status: int, template: str, headers: bool = False) -> Callable[[Request], Reply]:  # noqa: FBT001, FBT002  -- a table below
    """Answers with what the request held: its Authorization header, and its body."""

    def reply(request: Request) -> Reply:
        credential, sent = request.headers["Authorization"], request.body.decode()
        body = template.replace("TOKEN", credential).replace("BODY", sent.replace('"', "'"))
        return answer(status, body.encode(), [("X-Echo", credential)] if headers else [])

    return reply


REPLIES: dict[str, Any] = {
    "error that echoes the token": echo(
        500, '{"message": "bad TOKEN", "details": "TOKEN", "identifier": "TOKEN"}'
    ),
    "violation that echoes it": echo(422, '{"violations": [{"field": "TOKEN", "description": "TOKEN"}]}'),
    "401 that echoes it": echo(401, '{"message": "TOKEN is not known"}', headers=True),
    "404 that echoes it": echo(404, '{"code": "TOKEN"}'),
    "HTML that echoes it": echo(502, "<html><pre>Authorization: TOKEN</pre></html>", headers=True),
    "success that is no JSON and echoes it": echo(200, "TOKEN"),
    "wrong shape that echoes it": echo(200, '{"TOKEN": "TOKEN", "host": "TOKEN", "sessions": ["TOKEN"]}'),
    "wrong shape with the env of a session": json_answer(
        200, {"sessions": [EXPOSED], "locations": EXPOSED, "regions": EXPOSED} | EXPOSED
    ),
    "launch of another id that echoes it": echo(201, '{"id": "TOKEN", "host": "203.0.113.7", "ports": []}'),
    "redirect to it": lambda request: redirect(f"/?{request.headers['Authorization'].split()[1]}"),
    "plain 502": answer(502),
    "420": json_answer(420, {}),
    "409": json_answer(409, {}),
    "close": close(),
    "reset": reset(),
    "garbage": garbage(),
    "cut off": partial(200, b'{"host": '),
    "bomb": bomb(9),
}
# What an operation may make a success of.
HARMLESS = (bool, str, dict, list)


@pytest.fixture
def listener() -> Iterator[Callable[[Event], None]]:
    """Gets events that hold no secret, and makes spans and metrics of them that hold none."""
    events: list[Event] = []
    otel = Exporters()

    def listen(event: Event) -> None:
        events.append(event)
        otel.listener(event)

    yield listen
    assert events
    assert_no_secret(repr(events) + otel.exported())


@pytest.fixture(params=["own pool", "borrowed session"])
async def reach(
    request: pytest.FixtureRequest, listener: Callable[[Event], None]
) -> AsyncIterator[Callable[..., AsyncGameye]]:
    """Makes clients that go either way through aiohttp: below its session, or through it."""
    if request.param == "own pool":
        yield partial_of(client_of, on_event=listener)
        return
    async with aiohttp.ClientSession() as session:
        yield partial_of(client_of, session=session, on_event=listener)


@pytest.fixture(autouse=True)
def clean_log(caplog: pytest.LogCaptureFixture):
    """Whatever a test does, no logger of anybody gets to see a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_no_secret(caplog.text)
    assert_no_secret("".join(repr(vars(record)) for record in caplog.records))


def assert_no_secret(text: str) -> None:
    # Not `assert TOKEN not in text`, whose failure would print a text of megabytes.
    for secret in (TOKEN, SECRET):
        lines = [line.strip()[:200] for line in text.splitlines() if secret in line]
        assert lines == []


async def outcome_of(call: Any) -> Any:
    """What a call comes to, with a traceback that has no frame of a test, which knows the secrets."""
    try:
        return await call
    except GameyeError as error:
        return error


@pytest.mark.parametrize("call", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_an_error_shows_no_secret(reach, reply, call):
    asyncio.get_running_loop().set_debug(True)
    records: list[OrphanRecord] = []
    async with (
        FaultServer(reply) as server,
        reach(server, on_orphan=records.append, timeouts=BRIEF) as gameye,
    ):
        outcome = await outcome_of(call(gameye))
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, GameyeError)
            assert_no_secret(shown(outcome))
        else:
            assert isinstance(outcome, HARMLESS)
        assert_no_secret(repr(gameye) + repr(gameye.stats) + str(gameye.stats))
    assert_no_secret(repr(records) + repr(pickle.dumps(records)))


async def cancelled(arrival: Awaitable[object], call: Awaitable[object]) -> BaseException:
    task = asyncio.ensure_future(call)
    await arrival
    task.cancel()
    return await failure(task)


async def timed_out(arrival: Awaitable[object], call: Awaitable[object]) -> BaseException:
    async def limited() -> None:
        async with asyncio.timeout(None) as limit:

            async def expire() -> None:
                await arrival
                limit.reschedule(asyncio.get_running_loop().time())

            timer = asyncio.create_task(expire())
            try:
                await call
            finally:
                await timer

    return await failure(limited())


def stalled(request: Request) -> Reply:
    """An answer whose head echoes the token and whose body never comes."""
    head = f"HTTP/1.1 200 OK\r\nX-Echo: {request.headers['Authorization']}\r\nContent-Length: 9\r\n\r\n"
    return Reply(lambda wire: wire.send(head.encode()))


@pytest.mark.parametrize("script", [hang(), stalled], ids=["no answer", "no body"])
@pytest.mark.parametrize("given_up", [cancelled, timed_out])
@pytest.mark.parametrize("call", OPERATIONS.values(), ids=OPERATIONS)
async def test_a_call_that_is_given_up_shows_no_secret(reach, given_up, script, call):
    async with FaultServer(script) as server, reach(server) as gameye:
        error = await given_up(server.wait_for_request(), call(gameye))
    assert isinstance(error, asyncio.CancelledError | TimeoutError)
    assert_no_secret(shown(error))


@pytest.mark.parametrize("reply", [json_answer(402, {}), json_answer(409, {}), close(), answer(200)])
async def test_a_launch_by_fields_shows_none_of_their_secrets(reply):
    async with FaultServer(reply) as server, client_of(server, timeouts=BRIEF) as gameye:
        call = gameye.launch(image="my-game", location="eu-west", env={"PASSWORD": SECRET})
        assert_no_secret(shown(await failure(call)))


async def test_a_call_that_is_cancelled_while_its_answer_comes_in_shows_no_secret(reach):
    """Then the client holds the answer's headers, and a server that echoes the token put it there."""
    came = asyncio.Event()

    async def play(wire) -> None:
        await wire.send(f"HTTP/1.1 200 OK\r\nX-Echo: {TOKEN}\r\nContent-Length: 9\r\n\r\n".encode())
        came.set()

    async with FaultServer(Reply(play)) as server, reach(server) as gameye:
        task = asyncio.create_task(gameye.regions())
        await came.wait()
        # The bytes lie in the socket: the loop reads them, then the parser, then the client.
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        assert_no_secret(shown(await failure(task)))


@pytest.mark.parametrize(
    "token",
    ['can"ary-4f1d', "can\\ary-4f1d", "can/ary-4f1d", "canary+4f1d==", "canary&4f1d", "<canary-4f1d>"],
)
@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
        lambda text: text.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/"),
        lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
        lambda text: "".join(f"\\u{ord(letter):04X}" if letter in '+&<>"\\' else letter for letter in text),
    ],
    ids=["minimal", "PHP", "all", "HTML-safe"],
)
async def test_a_token_that_is_echoed_in_escapes_is_recognised(token, escape):
    """JSON has many ways to write a character, and the error holds the decoded one."""
    body = f'{{"message": "bad {escape(token)}"}}'.encode()
    async with FaultServer(answer(500, body)) as server, client_of(server, token) as gameye:
        error = await failure(gameye.regions())
    assert token not in error.message


async def test_a_short_token_does_not_change_what_the_api_answers():
    """People call their test token `game`; an image named my-game must stay my-game."""
    async with FaultServer(json_answer(200, DETAILS)) as server, client_of(server, "game") as gameye:
        assert (await gameye.describe("match-1")).image == "my-game"


async def test_a_short_token_is_not_found_where_it_is_not():
    """Only env, args and labels are looked through, not the whole body."""
    script = json_answer(201, {"host": "203.0.113.7", "ports": []})
    async with FaultServer(script) as server, client_of(server, "image") as gameye:
        assert (await gameye.launch(image="my-game", location="eu-west")).created_by == "launch"


@pytest.mark.parametrize("field", ["env", "args", "labels"])
async def test_a_launch_that_would_publish_the_token_is_refused(field):
    """Anyone with `session:read` sees a session's env, and players may see its arguments."""
    hidden = f"Bearer {TOKEN}"
    value = [hidden] if field == "args" else {"KEY": hidden}
    request = LaunchRequest("my-game", "eu-west", **{"env": {"PASSWORD": SECRET}} | {field: value})
    async with FaultServer(answer(500)) as server, client_of(server) as gameye:
        error = await failure(gameye.launch(request))
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith("env, args or labels hold the API token, which everybody")
    assert server.requests == []
    # A request shows its args and labels by design; whoever logs it has been told by then.
    assert_no_secret(shown(error) if field == "env" else f"{error!r} {error}")


@pytest.mark.parametrize(
    "bad", [{"env": {"PASSWORD": SECRET, "MAP": ""}}, {"env": {"A": SECRET}, "ttl": "1s"}]
)
@pytest.mark.parametrize("method", ["launch", "running"])
async def test_a_field_that_is_refused_does_not_show_its_neighbours(method, bad):
    async def call() -> None:
        async with FaultServer(answer(500)) as server, client_of(server) as gameye:
            made = getattr(gameye, method)(image="my-game", location="eu-west", **hidden.pop())
            await made

    hidden = [bad]
    error = await failure(call())
    assert isinstance(error, ConfigurationError)
    assert_no_secret(shown(error))


@pytest.mark.parametrize(
    "arguments", [{"base_url": "http://api.example.net"}, {"max_concurrency": 0}, {"default_ttl": "1s"}]
)
async def test_a_client_that_cannot_be_made_does_not_show_its_token(arguments):
    async def make() -> None:
        AsyncGameye(TOKEN, **arguments)

    assert_no_secret(shown(await failure(make())))


async def test_a_token_with_a_line_break_is_not_shown(monkeypatch):
    """The commonest mistake of all, and crash reporters send the local variables along."""

    async def make() -> None:
        AsyncGameye()

    monkeypatch.setenv("GAMEYE_API_TOKEN", f"{TOKEN}\n")
    assert_no_secret(shown(await failure(make())))


async def test_a_rotated_token_with_a_line_break_is_not_shown():
    async def rotate() -> str:
        return f"{TOKEN}\n"

    async with FaultServer(answer(500)) as server, client_of(server, rotate) as gameye:
        error = await failure(gameye.regions())
    assert isinstance(error, ConfigurationError)
    assert_no_secret(shown(error))


async def test_nothing_of_what_a_caller_sends_is_told(reach, caplog):
    """No env, args, labels, bodies, filters, paths, queries or headers: not to a listener, not to the log."""
    request = attrs.evolve(FULL, args=[SECRET], labels={SECRET: SECRET}, version=SECRET, external_id=SECRET)
    async with (
        FaultServer(json_answer(200, DETAILS | {"host": "203.0.113.7"})) as server,
        reach(server) as gameye,
    ):
        await outcome_of(gameye.launch(request))
        await outcome_of(gameye.list_sessions(labels={SECRET: SECRET}))
        await outcome_of(gameye.join("match-1", [SECRET]))
        await outcome_of(gameye.tag_exists("eu-west", "my-game", SECRET))
        await outcome_of(gameye.request("PUT", f"/{SECRET}", json=SECRET, query={SECRET: SECRET}))
        await outcome_of(gameye.with_options(headers={"X-Key": SECRET}).regions())
    assert "operation='request'" in caplog.text
