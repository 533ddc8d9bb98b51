"""One attempt of one request through aiohttp; no other module of the client touches aiohttp.

aiohttp's exceptions end here: their `request_info` holds the token, so they are neither raised on nor
chained, and what an attempt came to is a value.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from gameye_async._exchange import MIB, Answered, NotSent, Outcome, Request, Unknown
from gameye_async._sweeper import Sweeper
from gameye_async.errors import ClientClosedError
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


class _Body(aiohttp.BytesPayload):
    """A body that remembers whether any of it was handed to a connection.

    Without a body no launch can have happened, and this needs no hook in the session, so that it works
    with a borrowed one too (a TraceConfig would not, and costs 13 microseconds a request).
    """

    started = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.started = True
        await super().write_with_length(writer, content_length)


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
        self._origin = str(origin)
        self._sweeper = sweeper
        self._owned = session is None
        self._session = session or aiohttp.ClientSession(
            # Waiting for a connection happens in the lanes, which are fair.
            connector=connector or aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._headers = CIMultiDict({"Accept": "*/*", "User-Agent": user_agent})
        self._options: dict[str, Any] = {
            # aiohttp would turn a redirected POST into a GET.
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
            "ssl": tls or True,
            "proxy": proxy,
        }

    async def close(self) -> None:
        """Close the pool, unless it is borrowed."""
        if self._owned:
            await self._session.close()

    async def attempt(
        self, request: Request[Any], credential: Credential, until: float, headers: Mapping[str, str]
    ) -> Outcome:
        """Send a request once, and read its answer up to the request's limit.

        aiohttp itself sends GET, PUT and DELETE a second time when a kept connection turns out closed.

        Args:
            request: What to send.
            credential: The Authorization header; only this request gets it, never the session.
            until: Loop time at which to give up.
            headers: More headers.

        Raises:
            ClientClosedError: The borrowed session was closed.
        """
        if self._session.closed:
            raise ClientClosedError("the aiohttp session that this client uses is closed")
        body = None if request.body is None else _Body(request.body, content_type="application/json")
        answered: Answered | None = None
        failure: type[BaseException] = TimeoutError
        try:
            with self._sweeper.until(until):
                response = await self._session.request(
                    request.method,
                    URL(self._origin + request.target, encoded=True),
                    data=body,
                    headers=CIMultiDict(self._headers, Authorization=credential, **headers),
                    **self._options,
                )
                answered = Answered(response.status, response.headers, b"", "the answer was cut off")
                try:
                    await _read(response.content, request.limit, answered)
                finally:
                    # Nothing happens when the whole answer was read and the connection given back.
                    response.close()
        except asyncio.CancelledError as cancelled:
            # The frames inside aiohttp hold the header and the body.
            cancelled.__context__ = None
            raise cancelled.with_traceback(None) from None
        except (aiohttp.ClientError, OSError) as error:
            failure = type(error)
        if answered is not None:
            answered.body = credential.scrub(answered.body)
            return answered
        reason = next((text for kind, text in _REASONS if issubclass(failure, kind)), failure.__name__)
        sent = body.started if body is not None else not issubclass(failure, _BEFORE_SENDING)
        return Unknown(reason, timed_out=issubclass(failure, TimeoutError)) if sent else NotSent(reason)


async def _read(content: aiohttp.StreamReader, limit: int, answered: Answered) -> None:
    chunks: list[bytes] = []
    left = limit
    while chunk := await content.readany():
        left -= len(chunk)
        if left < 0:
            answered.fault = f"the answer is larger than {limit // MIB} MiB"
            return
        chunks.append(chunk)
    answered.body, answered.fault = b"".join(chunks), ""
