"""Ready-made probes for `wait_until_ready`: whether a game answers on its port.

A probe is any async callable that takes the `Session` and says whether it is ready; an `OSError`, a timeout
among them, means not yet. These make one that tries once, within `timeout` seconds.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Container
from contextlib import asynccontextmanager, suppress

from gameye_async._options import Probe
from gameye_async.errors import ConfigurationError
from gameye_async.models import Session

_PATH = re.compile(r"/[!-~]*")
_STATUS_LINE = re.compile(rb"HTTP/\d\.\d (\d{3})[ \r\n]")


def tcp_probe(port: int | None = None, *, timeout: float = 1.0) -> Probe:
    """Ready when a TCP connection can be made.

    Args:
        port: Port inside the container; the session's lowest TCP port when None.
        timeout: Seconds for one try.
    """

    async def probe(session: Session) -> bool:
        async with asyncio.timeout(timeout), _connected(session, port):
            return True

    return probe


def udp_probe(
    payload: bytes,
    expect: bytes | Callable[[bytes], bool] | None = None,
    *,
    port: int | None = None,
    timeout: float = 1.0,
) -> Probe:
    """Ready when a datagram is answered.

    Args:
        payload: What to send.
        expect: What the answer must be: these bytes, or what a function finds good; any when None.
        port: Port inside the container; the session's lowest UDP port when None.
        timeout: Seconds for one try.
    """

    def is_expected(data: bytes) -> bool:
        return expect(data) if callable(expect) else expect in (None, data)

    async def probe(session: Session) -> bool:
        loop = asyncio.get_running_loop()
        received: asyncio.Queue[bytes | None] = asyncio.Queue()
        address = session.address(port, "udp")
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(received), remote_addr=address)
        try:
            transport.sendto(payload)
            async with asyncio.timeout(timeout):
                # Others may come before the one that is good.
                while (data := await received.get()) is not None:
                    if is_expected(data):
                        return True
                return False
        finally:
            transport.close()

    return probe


def http_probe(
    path: str = "/",
    *,
    port: int | None = None,
    status: Container[int] = range(200, 400),
    timeout: float = 1.0,
) -> Probe:
    """Ready when a GET over plain HTTP is answered with one of these statuses.

    Args:
        path: Path and query, percent-encoded.
        port: Port inside the container; the session's lowest TCP port when None.
        status: The good ones.
        timeout: Seconds for one try.

    Raises:
        ConfigurationError: The path is none.
    """
    if not _PATH.fullmatch(path):
        raise ConfigurationError("the path must start with a slash and be percent-encoded")

    async def probe(session: Session) -> bool:
        async with asyncio.timeout(timeout), _connected(session, port) as (reader, writer):
            host = ":".join(map(str, session.address(port, "tcp")))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            match = _STATUS_LINE.match(await reader.read(64))
            return match is not None and int(match[1]) in status

    return probe


@asynccontextmanager
async def _connected(
    session: Session, port: int | None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    reader, writer = await asyncio.open_connection(*session.address(port, "tcp"))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    """Passes on what comes in; None when nobody listens there."""

    def __init__(self, received: asyncio.Queue[bytes | None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self._received.put_nowait(None)
