"""One attempt of one request through aiohttp; no other module of the client touches aiohttp.

aiohttp's exceptions end here: their `request_info` holds the token, so they are neither raised on nor
chained, and what an attempt came to is a value.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gameye_async._exchange import Answered, NotSent, Outcome, Progress, Request, Streaming, Unknown
from gameye_async._sweeper import Sweeper
from gameye_async._transport.fast_path import FastPath, is_known
from gameye_async._transport.safe_path import NotHttpError, Path, SafePath, merged, read_body
from gameye_async.errors import ClientClosedError, NoAnswerError
from gameye_async.settings import Credential

# An idle connection that the gateway closes at the moment we reuse it looks like a lost answer,
# so ours are let go earlier than the minute that gateways usually keep them.
_KEEPALIVE = 15.0

# Most specific first, because aiohttp's exceptions inherit from each other.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    (aiohttp.ClientConnectorCertificateError, "the server's certificate was refused"),
    (aiohttp.ClientSSLError, "the TLS handshake failed"),
    (aiohttp.ClientProxyConnectionError, "no connection to the proxy could be made"),
    (aiohttp.ClientHttpProxyError, "the proxy refused to connect"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, "connecting took too long"),
    (aiohttp.ServerFingerprintMismatch, "the server's certificate is another one"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (aiohttp.ClientResponseError, "the answer was not HTTP"),
    (NotHttpError, "the answer was not HTTP"),
    (TimeoutError, "no answer came in time"),
    (OSError, "the connection broke"),
)
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
)


class Transport:
    """A connection pool to one origin.

    Args:
        origin: Scheme, host and port of the API; requests go nowhere else.
        sweeper: Ends attempts that take too long.
        user_agent: `User-Agent` header.
        connect_timeout: Seconds for making one connection.
        session: A session to borrow; it is never closed here.
        connector: A connector to build our own session on; it is closed with it.
        tls: TLS settings; aiohttp's verified default when None.
        proxy: Proxy to use; the environment's are not looked at.
    """

    def __init__(
        self,
        origin: URL,
        sweeper: Sweeper,
        *,
        user_agent: str,
        connect_timeout: float,
        session: aiohttp.ClientSession | None = None,
        connector: aiohttp.BaseConnector | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> None:
        self._sweeper = sweeper
        self._owned = session is None
        self._streaming: dict[aiohttp.ClientResponse, None] = {}
        self._closed = False
        # Waiting for a connection happens in the lanes, which are fair.
        pool = (
            connector or aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE)
            if session is None
            else None
        )
        self._session = session or aiohttp.ClientSession(connector=pool, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Accept": "*/*", "User-Agent": user_agent}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._path: Path
        if pool is not None and proxy is None and is_known(pool):
            self._path = FastPath(pool, origin, headers, timeout=timeout, tls=tls)
        else:
            self._path = SafePath(
                self._session, origin, headers, timeout=timeout, tls=tls, proxy=proxy, is_own=self._owned
            )
        self._origin = str(origin)
        # Bytes are counted and told apart as they are on the wire, and nothing inflates on the way.
        self._stream_headers = CIMultiDict(headers, **{"Accept-Encoding": "identity"})
        self._open = partial(
            self._session.request,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            timeout=timeout,
            ssl=tls or True,
            proxy=proxy,
        )

    @property
    def can_hold(self) -> bool:
        """Whether an attempt can be held open when the wait for it is cancelled."""
        return self._path.can_hold

    async def close(self) -> None:
        """End the streams, and close the pool, unless it is borrowed."""
        self._closed = True
        # A closing pool leaves whoever reads from one of its connections waiting.
        for response in list(self._streaming):
            self._end_stream(response)
        if self._owned:
            await self._session.close()

    async def attempt(
        self,
        request: Request[Any],
        credential: Credential,
        until: float,
        headers: Mapping[str, str],
        progress: Progress | None = None,
    ) -> Outcome:
        """Send a request once, and read its answer up to the request's limit.

        Args:
            request: What to send.
            credential: The Authorization header; only this request gets it, never the session.
            until: Loop time at which to give up.
            headers: More headers.
            progress: Where to note how far it has got. When the wait was cancelled and the exchange held
                open, the same call goes on with it.

        Raises:
            ClientClosedError: The borrowed session was closed.
        """
        progress = progress or Progress()
        # One that went out before is unknown, and not unsent.
        if self._session.closed and not progress.started:
            raise ClientClosedError("the aiohttp session that this client uses is closed")
        failure: type[BaseException] = TimeoutError
        try:
            with self._sweeper.until(until):
                if progress.answered is None:
                    await self._path.exchange(request, credential, headers, progress)
        except asyncio.CancelledError as cancelled:
            # The frames inside aiohttp hold the header and the body.
            cancelled.__context__ = None
            raise cancelled.with_traceback(None) from None
        except (aiohttp.ClientError, OSError) as error:
            failure = type(error)
        except Exception as error:
            # Nothing should; but of a request that went out, all that counts is that it may have worked.
            if not progress.started:
                raise
            failure = type(error)
        progress.give_up()
        if progress.answered is not None:
            progress.answered.scrub = credential.scrub
            return progress.answered
        # Without a body, the path does not tell when it starts.
        is_sent = progress.started if request.body is not None else not issubclass(failure, _BEFORE_SENDING)
        return _failed(failure, is_sent=is_sent)

    async def stream(
        self, request: Request[Any], credential: Credential, until: float, headers: Mapping[str, str]
    ) -> Streaming | Outcome:
        """Send a request without a body once, and give its answer as soon as its head is here.

        Args:
            request: What to send.
            credential: The Authorization header; only this request gets it, never the session.
            until: Loop time at which to give up waiting for the head. The body has no time limit here: a
                followed log may be silent for hours, and TCP itself looks whether the peer still lives.
            headers: More headers.

        Returns:
            The open answer, to be closed; or, when it is no success, what came of the attempt.

        Raises:
            ClientClosedError: The client or the session was closed.
        """
        if self._closed or self._session.closed:
            raise ClientClosedError("the client is closed, or the aiohttp session that it uses")
        answered: Answered | None = None
        failure: type[BaseException] = TimeoutError
        try:
            with self._sweeper.until(until):
                response = await self._open(
                    request.method,
                    URL(self._origin + request.target, encoded=True),
                    headers=merged(self._stream_headers, {**headers, "Authorization": credential}),
                )
                if response.status < 300:  # noqa: PLR2004  -- 2xx
                    _keep_alive(response)
                    chunks = _Chunks(f"{request.method} {request.template}", response.content)
                    self._streaming[response] = None
                    head = Answered(response.status, response.headers, b"")
                    return Streaming(head, chunks, partial(self._end_stream, response))
                answered = Answered(response.status, response.headers, b"", "the answer was cut off")
                try:
                    await read_body(response.content, request.limit, answered)
                finally:
                    response.close()
        except asyncio.CancelledError as cancelled:
            # The frames inside aiohttp hold the header.
            cancelled.__context__ = None
            raise cancelled.with_traceback(None) from None
        except (aiohttp.ClientError, OSError) as error:
            failure = type(error)
        if answered is not None:
            answered.scrub = credential.scrub
            return answered
        return _failed(failure, is_sent=not issubclass(failure, _BEFORE_SENDING))

    def _end_stream(self, response: aiohttp.ClientResponse) -> None:
        self._streaming.pop(response, None)
        response.close()


class _Chunks:
    """The bytes of an answer as they come; what aiohttp raises ends here, too."""

    __slots__ = ("_call", "_content")

    def __init__(self, call: str, content: aiohttp.StreamReader) -> None:
        self._call = call
        self._content = content

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = type(error)
        else:
            if not chunk:
                raise StopAsyncIteration
            return chunk
        raise NoAnswerError(f"{self._call}: {_reason(failure)}.")


def _failed(failure: type[BaseException], *, is_sent: bool) -> Unknown | NotSent:
    """What an attempt without an answer came to."""
    if is_sent:
        return Unknown(_reason(failure), timed_out=issubclass(failure, TimeoutError))
    return NotSent(_reason(failure))


def _reason(failure: type[BaseException]) -> str:
    return next((text for kind, text in _REASONS if issubclass(failure, kind)), failure.__name__)


# A peer that vanished is noticed after two minutes (seconds, seconds, times); Linux alone takes two hours.
_PROBING = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    """Have TCP look whether the peer of an open answer is still there."""
    transport = response.connection.transport if response.connection else None
    connection = transport.get_extra_info("socket") if transport else None
    if connection is None:
        return
    # It may be closed already, and not every platform has every option.
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBING:
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
