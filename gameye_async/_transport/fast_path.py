"""An HTTP exchange on aiohttp's connection pool and response parser, below `ClientSession`.

`ClientSession._request` and the objects it makes for each request cost more than the exchange itself:
`benchmarks/launch.py` shows both paths beside bare aiohttp. What is used here of aiohttp is not public, so
`is_known` looks before the client relies on it; with another aiohttp, the safe path serves.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping
from inspect import signature
from typing import Any, ClassVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.helpers import TimerNoop
from aiohttp.http import HttpProcessingError
from yarl import URL

from gameye_async._exchange import Answered, Progress, Request
from gameye_async._transport.safe_path import RECEIVE, NotHttpError, merged, read_body, receive_less
from gameye_async.settings import Credential

_RESENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_PARSING = {"timer", "skip_payload", "read_until_eof", "auto_decompress", "read_timeout", "read_bufsize"}


def is_known(connector: aiohttp.BaseConnector) -> bool:
    """Whether this aiohttp has the insides that are used here."""
    try:
        connect = [*signature(type(connector).connect).parameters]
        parsing = signature(ResponseHandler.set_response_params).parameters
        route = signature(aiohttp.ClientRequest).parameters
    except (AttributeError, TypeError, ValueError):
        return False
    return (
        connect == ["self", "req", "traces", "timeout"]
        and parsing.keys() >= _PARSING
        and isinstance(getattr(aiohttp.ClientRequest, "connection_key", None), property)
        and route.keys() >= {"method", "url", "headers", "loop", "ssl"}
        and all(hasattr(Connection, name) for name in ("protocol", "transport", "release", "close"))
        and all(hasattr(aiohttp.StreamReader, name) for name in ("_buffer", "is_eof", "total_bytes"))
    )


class _Route(aiohttp.ClientRequest):
    """Where all exchanges of a path go; aiohttp itself makes the key of the pool anew for each."""

    _key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        if self._key is None:
            self._key = super().connection_key
        return self._key


class FastPath:
    """Exchanges on a connector.

    Args:
        connector: The pool.
        origin: Scheme, host and port of the API.
        headers: Headers of each request.
        timeout: Bounds the making of a connection.
        tls: TLS settings; aiohttp's verified default when None.
    """

    can_hold: ClassVar = True

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        origin: URL,
        headers: Mapping[str, str],
        *,
        timeout: aiohttp.ClientTimeout,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        # The connector asks a request where to connect to; all of ours go to the same place.
        self._route = _Route("GET", origin, headers=headers, ssl=tls or True, loop=asyncio.get_running_loop())
        self._head = _lines(self._route.headers)
        self._parsing: dict[str, Any] = {
            "timer": TimerNoop(),
            "read_until_eof": True,
            "auto_decompress": True,
            "read_timeout": None,
            "read_bufsize": RECEIVE,
        }

    def exchange(
        self, request: Request[Any], credential: Credential, headers: Mapping[str, str], progress: Progress
    ) -> Awaitable[None]:
        """Send a request, and read its answer into `progress`; aiohttp's exceptions come through.

        Like aiohttp, it sends GET, HEAD, PUT and DELETE a second time when the connection turns out closed.
        """
        again = request.method in _RESENT
        return (self._twice if again else self._once)(request, credential, headers, progress)

    async def _twice(
        self, request: Request[Any], credential: Credential, headers: Mapping[str, str], progress: Progress
    ) -> None:
        try:
            await self._once(request, credential, headers, progress)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if progress.answered is not None or isinstance(error, aiohttp.ClientConnectorError):
                raise
            await self._once(request, credential, headers, progress)

    async def _once(
        self, request: Request[Any], credential: Credential, headers: Mapping[str, str], progress: Progress
    ) -> None:
        connection: Connection | None = progress.connection
        if connection is None:
            try:
                connection = await self._connector.connect(self._route, [], self._timeout)
            except TimeoutError:
                raise aiohttp.ConnectionTimeoutError from None
        try:
            if not progress.connection:
                self._send(connection, request, credential, headers, progress)
            protocol = connection.protocol
            assert protocol is not None  # noqa: S101  -- for the type checkers
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:  # noqa: PLR2004  -- HTTP's classes
                # Early hints, say, come before the answer that counts.
                message, content = await protocol.read()
            answered = Answered(message.code, message.headers, b"", "the answer was cut off")
            progress.answered = answered
            if content.is_eof() and 0 < content.total_bytes <= RECEIVE:
                # Reading has aiohttp parse on, which takes 3 microseconds to find nothing. Only a connection
                # that has paused needs that, and for so few bytes none does.
                answered.body = b"".join(content._buffer)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  -- see `is_known`
                answered.fault = ""
            else:
                await read_body(content, request.limit, answered)
        except BaseException as error:
            if progress.hold and isinstance(error, asyncio.CancelledError):
                progress.connection = connection
            else:
                connection.close()
            if isinstance(error, HttpProcessingError):
                raise NotHttpError from None
            if isinstance(error, aiohttp.EofStream):
                # It was lost before it was held open, and a pool that closes forgets why.
                raise aiohttp.ServerDisconnectedError from None
            raise
        # The pool closes one whose answer was not read to its end.
        connection.release()

    def _send(
        self,
        connection: Connection,
        request: Request[Any],
        credential: Credential,
        headers: Mapping[str, str],
        progress: Progress,
    ) -> None:
        protocol = connection.protocol
        transport = None if protocol is None else protocol.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError
        receive_less(transport)
        protocol.set_response_params(skip_payload=request.method == "HEAD", **self._parsing)
        progress.start()
        transport.write(self._render(request, credential, headers))

    def _render(self, request: Request[Any], credential: Credential, headers: Mapping[str, str]) -> bytes:
        head = _lines(merged(self._route.headers, headers)) if headers else self._head
        start = f"{request.method} {request.target} HTTP/1.1\r\n{head}Authorization: {credential}\r\n"
        if request.body is not None:
            start += f"Content-Type: application/json\r\nContent-Length: {len(request.body)}\r\n\r\n"
            return start.encode() + request.body
        if request.method in {"GET", "HEAD"}:
            return f"{start}\r\n".encode()
        return f"{start}Content-Length: 0\r\n\r\n".encode()


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
