"""Addresses that cannot be reached, each in its own way."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aiohttp.abc import AbstractResolver, ResolveResult


class Unresolvable(AbstractResolver):
    """Knows no name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError("no such host")

    async def close(self) -> None:
        pass


@contextmanager
def refusing() -> Iterator[str]:
    """An address that refuses connections; nobody else can listen there meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _address(bound)


@contextmanager
def silent() -> Iterator[str]:
    """An address that does not answer connection attempts, because its queue is full."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield _address(listener)


def _address(bound: socket.socket) -> str:
    return f"127.0.0.1:{bound.getsockname()[1]}"
