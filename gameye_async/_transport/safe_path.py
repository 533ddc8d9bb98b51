"""An HTTP exchange over aiohttp's public `ClientSession`, which works with any session and any version."""

import ssl
from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar, Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict
from yarl import URL

from gameye_async._exchange import MIB, Answered, Progress, Request
from gameye_async.settings import Credential


class NotHttpError(aiohttp.ClientError):
    """What the server sent is not HTTP."""


# asyncio receives into a new buffer of 256 KiB each time, which glibc serves by mmap: 8-20 microseconds an
# answer. Below its threshold of 128 KiB the buffer comes from the heap.
RECEIVE = 64 * 1024


def receive_less(transport: object) -> None:
    """Have a connection receive into a small buffer, if its transport is asyncio's own."""
    if getattr(transport, "max_size", 0) > RECEIVE:
        transport.max_size = RECEIVE  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  -- looked for above


class Path(Protocol):
    """A way to exchange one request for its answer.

    Attributes:
        can_hold: Whether an exchange can be held open; see `Progress`.
    """

    can_hold: ClassVar[bool]

    def exchange(
        self, request: Request[Any], credential: Credential, headers: Mapping[str, str], progress: Progress
    ) -> Awaitable[None]:
        """Send a request, and read its answer into `progress`; aiohttp's exceptions come through."""
        ...


async def read_body(content: aiohttp.StreamReader, limit: int, answered: Answered) -> None:
    """Read a body up to `limit` bytes; `answered.fault` says when that was not all of it."""
    chunks: list[bytes] = []
    left = limit
    while not content.at_eof():
        chunk = await content.readany()
        left -= len(chunk)
        if left < 0:
            answered.fault = f"the answer is larger than {limit // MIB} MiB"
            return
        chunks.append(chunk)
    answered.body, answered.fault = b"".join(chunks), ""


class SafePath:
    """Exchanges over a `ClientSession`.

    Args:
        session: The session.
        origin: Scheme, host and port of the API.
        headers: Headers of each request.
        timeout: Bounds the making of a connection.
        tls: TLS settings; aiohttp's verified default when None.
        proxy: Proxy to use; the environment's are not looked at.
        is_own: Whether the connections are the client's own, and not somebody else's to be left as they are.
    """

    can_hold: ClassVar = False

    def __init__(
        self,
        session: aiohttp.ClientSession,
        origin: URL,
        headers: Mapping[str, str],
        *,
        timeout: aiohttp.ClientTimeout,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        is_own: bool,
    ) -> None:
        self._session = session
        self._is_own = is_own
        self._origin = str(origin)
        self._headers = CIMultiDict(headers)
        self._options: dict[str, Any] = {
            # aiohttp would turn a redirected POST into a GET.
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": timeout,
            "ssl": tls or True,
            "proxy": proxy,
        }

    async def exchange(
        self, request: Request[Any], credential: Credential, headers: Mapping[str, str], progress: Progress
    ) -> None:
        """Send a request, and read its answer into `progress`; aiohttp's exceptions come through.

        aiohttp itself sends GET, PUT and DELETE a second time when a kept connection turns out closed.
        """
        body: _Body | None = None
        if request.body is not None:
            body = _Body(request.body, content_type="application/json")
            body.progress, body.is_own = progress, self._is_own
        response = await self._session.request(
            request.method,
            URL(self._origin + request.target, encoded=True),
            data=body,
            headers=merged(self._headers, {**headers, "Authorization": credential}),
            **self._options,
        )
        progress.answered = Answered(response.status, response.headers, b"", "the answer was cut off")
        try:
            await read_body(response.content, request.limit, progress.answered)
        finally:
            # Nothing happens when the whole answer was read and the connection given back.
            response.close()


def merged(ours: Mapping[str, str], theirs: Mapping[str, str]) -> CIMultiDict[str]:
    """Headers of which a later one replaces an earlier one of the same name."""
    headers = CIMultiDict(ours)
    for name, value in theirs.items():
        headers[name] = value
    return headers


class _Body(aiohttp.BytesPayload):
    """A body that tells when it is handed to a connection.

    It needs no hook in the session, so that it works with a borrowed one too; a TraceConfig would not, and
    costs 13 microseconds a request.
    """

    progress: Progress
    is_own: bool

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self.is_own:
            receive_less(getattr(writer, "transport", None))
        self.progress.start()
        await super().write_with_length(writer, content_length)
