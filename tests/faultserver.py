"""An HTTP server on loopback that misbehaves on request, and remembers what it was asked.

It speaks just enough HTTP/1.1 for one client: a head, then a body of `Content-Length` bytes. What it
answers is a script of replies, one per request, whatever connection the request came on.
"""

import asyncio
import contextlib
import json
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain
from typing import Any, Literal, Self

from attrs import define, field, frozen
from multidict import CIMultiDict, CIMultiDictProxy

Headers = Iterable[tuple[str, str]]
Ending = Literal["close", "reset"]

_FILLER = b"x" * 65_536
_LINGER_ZERO = struct.pack("ii", 1, 0)


@frozen
class Request:
    """One request as it came in; `target` is the raw path and query, exactly as on the wire."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def send_reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST instead of FIN; what the peer has not read yet may be lost."""
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        # Closing with a linger time of zero is the portable way to make the kernel send RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()


@frozen(eq=False)
class Wire:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def receive(self) -> Request:
        """Read the next request; `IncompleteReadError` when the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = request_line.split(" ")
        headers = CIMultiDict(
            (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
        )
        body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return Request(method, target, CIMultiDictProxy(headers), body)

    async def send(self, data: bytes) -> None:
        """Send `data`, no faster than the client reads."""
        self.writer.write(data)
        await self.writer.drain()

    def end(self, ending: Ending) -> None:
        """End the connection, with FIN or with RST."""
        if ending == "reset":
            send_reset(self.writer)
        else:
            self.writer.close()

    async def client_gone(self) -> None:
        """Return once the client has closed its side."""
        await self.reader.read()


@frozen(eq=False)
class Reply:
    """What happens on the wire after a request was read.

    `arrived` is set as soon as a request has come in that gets this reply. A connection that the reply
    leaves open is kept alive.
    """

    play: Callable[[Wire], Awaitable[None]]
    arrived: asyncio.Event = field(factory=asyncio.Event)


Script = Reply | Iterable[Reply] | Callable[[Request], Reply]


def _head(status: int, headers: Headers = ()) -> bytes:
    # The reason phrase stays empty: 420 has none, and no client may depend on it.
    lines = [f"HTTP/1.1 {status} ", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def _length(count: int) -> tuple[str, str]:
    return ("Content-Length", str(count))


def answer(status: int = 200, body: bytes = b"", headers: Headers = ()) -> Reply:
    """Answer properly."""
    message = _head(status, [*headers, _length(len(body))]) + body
    return Reply(lambda wire: wire.send(message))


def json_answer(status: int, payload: object, headers: Headers = ()) -> Reply:
    """Answer properly, with JSON."""
    return answer(status, json.dumps(payload).encode(), [*headers, ("Content-Type", "application/json")])


def html_502() -> Reply:
    """Answer like a gateway whose backend is down."""
    return answer(502, b"<html><h1>502 Bad Gateway</h1></html>", [("Content-Type", "text/html")])


def redirect(location: str, status: int = 302) -> Reply:
    """Send the client to `location`."""
    return answer(status, headers=[("Location", location)])


def early_hints(then: Reply) -> Reply:
    """Send an interim 103 before the reply proper."""

    async def play(wire: Wire) -> None:
        await wire.send(_head(103, [("Link", "</style.css>; rel=preload")]))
        await then.play(wire)

    return Reply(play)


def held(until: asyncio.Event, then: Reply) -> Reply:
    """Reply once `until` is set."""

    async def play(wire: Wire) -> None:
        await until.wait()
        await then.play(wire)

    return Reply(play)


def hang() -> Reply:
    """Never answer: the connection stays open until the client or the server closes it."""
    return Reply(Wire.client_gone)


def close() -> Reply:
    """End the connection with FIN, without an answer."""
    return _ended_by("close")


def reset() -> Reply:
    """End the connection with RST, without an answer."""
    return _ended_by("reset")


def garbage() -> Reply:
    """Answer with bytes that are not HTTP, then close."""
    return _ended_by("close", b"\x16\x03\x01 220 mail.example ESMTP\r\n\r\n")


def partial(status: int = 200, body: bytes = b"", announced: int = 1_000, ending: Ending = "close") -> Reply:
    """Announce `announced` bytes, send only `body`, then end the connection."""
    return _ended_by(ending, _head(status, [_length(announced)]) + body)


def _ended_by(ending: Ending, message: bytes = b"") -> Reply:
    async def play(wire: Wire) -> None:
        await wire.send(message)
        wire.end(ending)

    return Reply(play)


def bomb(megabytes: int, status: int = 200) -> Reply:
    """Answer with a small gzip-encoded body that inflates to `megabytes` MiB."""
    gzip = zlib.compressobj(wbits=31)
    block = bytes(1 << 20)
    body = b"".join(gzip.compress(block) for _ in range(megabytes)) + gzip.flush()
    return answer(status, body, [("Content-Encoding", "gzip")])


def oversize(announced: int | None = None, status: int = 200) -> Reply:
    """Send a body of `announced` bytes, or without end, until the client goes."""

    async def play(wire: Wire) -> None:
        await wire.send(_head(status, [("Connection", "close") if announced is None else _length(announced)]))
        left = announced
        while left is None or left > 0:
            piece = _FILLER[:left]
            await wire.send(piece)
            left = None if left is None else left - len(piece)

    return Reply(play)


def slow_drip(
    status: int = 200,
    body: bytes = b"{}",
    pace: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0.002),
) -> Reply:
    """Send the head at once and then the body byte by byte, awaiting `pace()` before each byte."""

    async def play(wire: Wire) -> None:
        await wire.send(_head(status, [_length(len(body))]))
        for byte in body:
            await pace()
            await wire.send(bytes([byte]))

    return Reply(play)


def stale_keepalive(then: Reply, *, on_reuse: bool = False) -> Reply:
    """Reply and promise to keep the connection alive, then end it nevertheless.

    It is closed right after the reply, so that a next request races with the FIN; or, with `on_reuse`,
    reset when the first byte of a next request arrives, so that this request is surely lost.
    """

    async def play(wire: Wire) -> None:
        await then.play(wire)
        if on_reuse and await wire.reader.read(1):
            wire.end("reset")
        else:
            wire.end("close")

    return Reply(play)


def _chooser(script: Script) -> Callable[[Request], Reply]:
    if isinstance(script, Reply):
        return lambda _: script
    if callable(script):
        return script
    replies = iter(script)
    latest = next(replies)
    upcoming = chain([latest], replies)

    def choose(_: Request) -> Reply:
        nonlocal latest
        latest = next(upcoming, latest)
        return latest

    return choose


@define(eq=False)
class FaultServer:
    """Serves `script` on an ephemeral loopback port while its context is open.

    Args:
        script: one reply for every request; or several, of which the last repeats; or a function that
            chooses by request. An error in it is raised when the context ends.
    """

    _choose: Callable[[Request], Reply] = field(converter=_chooser, alias="script")
    requests: list[Request] = field(factory=list, init=False)
    port: int = field(init=False)
    _server: asyncio.Server = field(init=False)
    _served: dict[asyncio.Task[None], Wire] = field(factory=dict, init=False)
    _received: asyncio.Condition = field(factory=asyncio.Condition, init=False)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        # asyncio takes a turn to attach a connection that it accepted, and before Python 3.13 it drops the
        # connection unclosed when the server is closed in that turn.
        for _turn in range(3):
            await asyncio.sleep(0)
        self._server.close()
        for task, wire in self._served.items():
            wire.writer.transport.abort()
            task.cancel()
        for outcome in await asyncio.gather(*self._served, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return len(self._served)

    async def wait_for_request(self, count: int = 1, *, within: float = 5.0) -> Request:
        """Return the `count`-th request once it was received; `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within), self._received:
            await self._received.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def wait_for_hangup(self, *, within: float = 5.0) -> None:
        """Return once every connection has ended; `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within):
            for task in tuple(self._served):
                await asyncio.wait([task])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._server.is_serving():
            # It was on its way when the context ended, and nobody would close it.
            writer.transport.abort()
            return
        wire = Wire(reader, writer)
        self._served[asyncio.create_task(self._serve(wire))] = wire

    async def _serve(self, wire: Wire) -> None:
        # A client that goes away is an ordinary end, whatever was being read or sent.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                while not wire.writer.is_closing():
                    request = await wire.receive()
                    await self._reply(request, wire)
            finally:
                wire.writer.close()
                await wire.writer.wait_closed()

    async def _reply(self, request: Request, wire: Wire) -> None:
        reply = self._choose(request)
        async with self._received:
            self.requests.append(request)
            self._received.notify_all()
        reply.arrived.set()
        await reply.play(wire)
