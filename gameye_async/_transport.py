"""One attempt of one request through aiohttp; no other module of the client touches aiohttp.

aiohttp's exceptions end here: their `request_info` holds the token, so they are neither raised on nor
chained, and what an attempt came to is a value.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from gameye_async._exchange import NotSent, Outcome, Request, Unknown
from gameye_async._fast_path import FastPath, is_known
from gameye_async._safe_path import Path, Progress, SafePath
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
            self._path = SafePath(self._session, origin, headers, timeout=timeout, tls=tls, proxy=proxy)

    async def close(self) -> None:
        """Close the pool, unless it is borrowed."""
        if self._owned:
            await self._session.close()

    async def attempt(
        self, request: Request[Any], credential: Credential, until: float, headers: Mapping[str, str]
    ) -> Outcome:
        """Send a request once, and read its answer up to the request's limit.

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
        progress = Progress()
        failure: type[BaseException] = TimeoutError
        try:
            with self._sweeper.until(until):
                await self._path.exchange(request, credential, headers, progress)
        except asyncio.CancelledError as cancelled:
            # The frames inside aiohttp hold the header and the body.
            cancelled.__context__ = None
            raise cancelled.with_traceback(None) from None
        except (aiohttp.ClientError, OSError) as error:
            failure = type(error)
        if progress.answered is not None:
            progress.answered.body = credential.scrub(progress.answered.body)
            return progress.answered
        reason = next((text for kind, text in _REASONS if issubclass(failure, kind)), failure.__name__)
        started = progress.started
        if request.body is None:
            started = not issubclass(failure, _BEFORE_SENDING)
        return Unknown(reason, timed_out=issubclass(failure, TimeoutError)) if started else NotSent(reason)
