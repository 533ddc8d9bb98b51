"""The limit: the least that a typed launch costs in Python, without protection against anything."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
from attrs import frozen
from cattrs.preconf.orjson import make_converter

from benchmarks.workload import TOKEN, WANTED


@frozen
class Request:
    """What to launch."""

    id: str
    image: str
    location: str
    env: Mapping[str, str]
    args: list[str]
    labels: Mapping[str, str]
    version: str
    restart: bool = False


@frozen
class Port:
    """A port of the container and where it is reached."""

    type: str
    container: int
    host: int


@frozen
class Session:
    """What was launched."""

    host: str
    ports: list[Port]
    id: str | None = None


_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
_CREATED = b"HTTP/1.1 201"


class Connection(asyncio.Protocol):
    """One exchange at a time on one connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Receive into a buffer that comes from the heap."""
        self.transport: Any = transport
        self.transport.max_size = 64 * 1024
        self.received = b""

    def exchange(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; its answer's body."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        """Take the answer when it is complete."""
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length and len(body) >= int(length[1]):
            self.received = b""
            assert head.startswith(_CREATED)  # noqa: S101  -- the stub answers nothing else
            self.answer.set_result(body)


@asynccontextmanager
async def protocol(url: str) -> AsyncIterator[Callable[[], Awaitable[Session]]]:
    """Typed launches on connections of our own, which are opened as they are needed."""
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    idle: list[Connection] = []
    opened: list[asyncio.Transport] = []
    converter = make_converter(detailed_validation=False)
    body_of, session_of = converter.get_unstructure_hook(Request), converter.get_structure_hook(Session)
    head = (
        f"POST /session HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    ).encode()

    async def launch() -> Session:
        body = orjson.dumps(body_of(Request(id=str(uuid.uuid4()), **WANTED)))
        if idle:
            connection = idle.pop()
        else:
            transport, connection = await loop.create_connection(Connection, where.hostname, where.port)
            opened.append(transport)
        answer = await connection.exchange(head % len(body) + body)
        idle.append(connection)
        return session_of(orjson.loads(answer), Session)

    try:
        yield launch
    finally:
        for transport in opened:
            transport.close()
