"""What each failure of the network looks like, made by causing it: `python -m tests.reliability.table`.

The table is written to `docs/aiohttp-failures.md`; a test compares it with what happens today.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import field, frozen
from yarl import URL

from gameye_async import LaunchRequest, _api
from gameye_async._exchange import Answered, NotSent, Outcome, Request, Unknown
from gameye_async._sweeper import Sweeper
from gameye_async._transport import Transport
from gameye_async.settings import Credential
from tests import faultserver
from tests.faultserver import FaultServer, Reply
from tests.reliability.outages import Unresolvable, refusing, silent

DOCUMENT = Path(__file__).parents[2] / "docs" / "aiohttp-failures.md"
# Long for what ends by itself, so that a busy machine changes nothing; short for what never ends.
PATIENT, IMPATIENT = 10.0, 0.5

REQUESTS: Mapping[str, Callable[[], Request[Any]]] = {
    "A launch (`POST /session`)": lambda: _api.launch(LaunchRequest("arena", "eu-west"), "eu-west"),
    "A read (`GET /region`)": _api.regions,
}

INTRODUCTION = """\
# What failures look like

How each failure reaches the client, and what it makes of it. Each row was made by causing the failure on real
sockets, once with aiohttp alone to see what it raises, and once through the client's own transport
(`gameye_async/_transport/`), which turns it into one of three outcomes:

- **not sent**: nothing reached the API, so nothing can have happened;
- **unknown**: the request went out, or may have, and no answer came back;
- **answered**: a status came back; where the body cannot be used, the reason says so.

"Seen" is how often the server saw the request. A launch is seen at most once for each attempt. aiohttp sends
reads (and PUT and DELETE) a second time by itself when the connection breaks before the answer, and cannot be
told not to; the client therefore repeats only what is as good twice as once.

This file is generated: run `python -m tests.reliability.table` after a change, or after an update of
aiohttp, and read the difference.
"""
HEAD = "| failure | aiohttp raises | outcome | reason | seen |\n| --- | --- | --- | --- | --- |\n"


@frozen
class Scene:
    """A server, or none, and how to get there.

    Attributes:
        url: Where the request goes.
        requests: What came in.
        options: Of the transport: how the connection is made.
        connecting: Seconds until the client gives up making the connection.
    """

    url: str
    requests: list[Any] = field(factory=list)
    options: dict[str, Any] = field(factory=dict)
    connecting: float = PATIENT


Setting = Callable[[], AbstractAsyncContextManager[Scene]]


@frozen
class Failure:
    """One way to fail.

    Attributes:
        name: What happens, for the reader.
        set_up: Makes it happen.
        patience: Seconds until the client gives up waiting.
        warmed_up: Whether a request that works goes before, on the same connection.
    """

    name: str
    set_up: Setting
    patience: float = PATIENT
    warmed_up: bool = False


def serving(script: Callable[[], Any]) -> Setting:
    @asynccontextmanager
    async def set_up() -> AsyncIterator[Scene]:
        async with FaultServer(script()) as server:
            yield Scene(server.url, server.requests)

    return set_up


@asynccontextmanager
async def unknown_host() -> AsyncIterator[Scene]:
    yield Scene("http://localhost:1", options={"connector": aiohttp.TCPConnector(resolver=Unresolvable())})


@asynccontextmanager
async def refused() -> AsyncIterator[Scene]:
    with refusing() as address:
        yield Scene(f"http://{address}")


@asynccontextmanager
async def unanswered_connection() -> AsyncIterator[Scene]:
    with silent() as address:
        yield Scene(f"http://{address}", connecting=IMPATIENT)


@asynccontextmanager
async def no_tls() -> AsyncIterator[Scene]:
    async def answer_in_clear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_in_clear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Scene(f"https://127.0.0.1:{port}", options={"tls": ssl.create_default_context()})


@asynccontextmanager
async def refused_by_proxy_host() -> AsyncIterator[Scene]:
    with refusing() as address:
        yield Scene("http://127.0.0.1:1", options={"proxy": f"http://{address}"})


@asynccontextmanager
async def refused_by_proxy() -> AsyncIterator[Scene]:
    async with FaultServer(faultserver.answer(403)) as proxy:
        yield Scene("https://127.0.0.1:1", options={"proxy": proxy.url})


def half_a_head() -> Reply:
    async def play(wire: faultserver.Wire) -> None:
        await wire.send(b"HTTP/1.1 201 \r\nContent-Ty")
        wire.end("close")

    return Reply(play)


def half_a_body_then_nothing() -> Reply:
    async def play(wire: faultserver.Wire) -> None:
        await wire.send(b'HTTP/1.1 201 \r\nContent-Length: 1000\r\n\r\n{"host"')
        await wire.client_gone()

    return Reply(play)


def stale() -> list[Reply]:
    return [
        faultserver.stale_keepalive(faultserver.json_answer(200, {"regions": []}), on_reuse=True),
        faultserver.json_answer(200, {"regions": []}),
    ]


FAILURES = (
    Failure("the host name is unknown", unknown_host),
    Failure("the connection is refused", refused),
    Failure("the connection is not answered", unanswered_connection),
    Failure("the server speaks no TLS", no_tls),
    Failure("the proxy refuses the connection", refused_by_proxy_host),
    Failure("the proxy refuses to go on (403)", refused_by_proxy),
    Failure("closed before the answer", serving(faultserver.close)),
    Failure("reset before the answer", serving(faultserver.reset)),
    Failure("a kept connection turns out closed", serving(stale), warmed_up=True),
    Failure("no answer", serving(faultserver.hang), IMPATIENT),
    Failure("an answer that is not HTTP", serving(faultserver.garbage)),
    Failure("closed within the head", serving(half_a_head)),
    Failure("closed within the body", serving(lambda: faultserver.partial(201, b'{"host"'))),
    Failure("silence within the body", serving(half_a_body_then_nothing), IMPATIENT),
    Failure(
        "a body that drips too slowly",
        serving(lambda: faultserver.slow_drip(201, bytes(1_000), lambda: asyncio.sleep(0.01))),
        IMPATIENT,
    ),
    Failure(
        "a body that is not the gzip it says",
        serving(lambda: faultserver.answer(201, b"{}", [("Content-Encoding", "gzip")])),
    ),
    Failure("a body without end", serving(lambda: faultserver.oversize(status=201))),
    Failure("8 MiB of zeros in 8 KiB of gzip", serving(lambda: faultserver.bomb(8, status=201))),
    Failure("a redirect", serving(lambda: faultserver.redirect("/elsewhere", 307))),
    Failure("a gateway's error page", serving(faultserver.html_502)),
    Failure("an interim answer first", serving(lambda: faultserver.early_hints(faultserver.answer(201)))),
)


async def render(*, borrowed: bool = False) -> str:
    """The whole document; with `borrowed`, as it is when the client uses somebody else's session."""
    parts = [INTRODUCTION]
    for title, request in REQUESTS.items():
        rows = await asyncio.gather(*(row(failure, request, borrowed=borrowed) for failure in FAILURES))
        parts.append(f"## {title}\n\n{HEAD}{''.join(rows)}")
    return "\n".join(parts)


async def row(failure: Failure, request: Callable[[], Request[Any]], *, borrowed: bool) -> str:
    async with failure.set_up() as scene:
        raised = await alone(failure, scene, request)
    async with failure.set_up() as scene:
        outcome = await through_transport(failure, scene, request, borrowed=borrowed)
        seen = len(scene.requests) - failure.warmed_up
    return f"| {failure.name} | {raised} | {' | '.join(described(outcome))} | {seen} |\n"


async def alone(failure: Failure, scene: Scene, request: Callable[[], Request[Any]]) -> str:
    """The exception that aiohttp raises for the request, or a dash."""
    async with aiohttp.ClientSession(
        connector=scene.options.get("connector"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=scene.connecting),
    ) as session:
        try:
            async with asyncio.timeout(failure.patience):
                for _ in range(1 + failure.warmed_up):
                    await exchange(session, scene, request())
        except (aiohttp.ClientError, OSError) as error:
            return f"`{type(error).__name__}`"
    return "-"


async def exchange(session: aiohttp.ClientSession, scene: Scene, request: Request[Any]) -> None:
    url = URL(scene.url + request.target)
    proxy = scene.options.get("proxy")
    async with session.request(
        request.method, url, data=request.body, proxy=proxy, allow_redirects=False
    ) as response:
        read = 0
        async for chunk in response.content.iter_any():
            read += len(chunk)
            if read > request.limit:
                return


async def through_transport(
    failure: Failure, scene: Scene, request: Callable[[], Request[Any]], *, borrowed: bool
) -> Outcome:
    loop = asyncio.get_running_loop()
    credential = Credential("Bearer x")
    async with transport_to(scene, borrowed=borrowed) as transport:
        for _ in range(failure.warmed_up):
            await transport.attempt(request(), credential, loop.time() + PATIENT, {})
        return await transport.attempt(request(), credential, loop.time() + failure.patience, {})


@asynccontextmanager
async def transport_to(scene: Scene, *, borrowed: bool) -> AsyncIterator[Transport]:
    sweeper = Sweeper(asyncio.get_running_loop())
    options = dict(scene.options)
    async with AsyncExitStack() as stack:
        stack.callback(sweeper.close)
        if borrowed:
            session = aiohttp.ClientSession(connector=options.pop("connector", None))
            options["session"] = await stack.enter_async_context(session)
        transport = Transport(
            URL(scene.url), sweeper, user_agent="table", connect_timeout=scene.connecting, **options
        )
        stack.push_async_callback(transport.close)
        yield transport


def described(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case NotSent():
            return "not sent", outcome.reason
        case Unknown():
            return "unknown, timed out" if outcome.timed_out else "unknown", outcome.reason
        case Answered():
            return f"answered {outcome.status}", outcome.fault or "-"


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(asyncio.run(render()))
