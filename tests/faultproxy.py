"""A TCP proxy on loopback that breaks the network between a client and a real server, on command.

Directions are named by where the bytes travel: towards the "server" (requests) or the "client" (answers).
"""

import asyncio
from typing import Literal, Self

from attrs import define, field, frozen

from tests.faultserver import send_reset

Towards = Literal["client", "server"]


@frozen
class Cut:
    """Let `after` bytes through on a connection, then reset it: `once`, or each one until healed."""

    after: int
    once: bool


@define(eq=False)
class Link:
    """One client's connection, and the one to the server that carries on for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    passed: dict[Towards, int] = field(factory=lambda: {"client": 0, "server": 0})

    def reset(self) -> None:
        for writer in filter(None, (self.client, self.server)):
            send_reset(writer)

    def close(self) -> None:
        for writer in filter(None, (self.client, self.server)):
            writer.close()


@define(eq=False)
class FaultProxy:
    """Forwards an ephemeral loopback port to a server while its context is open; healthy at first."""

    target_host: str
    target_port: int
    port: int = field(default=0, init=False)
    _listener: asyncio.Server = field(init=False)
    _links: dict[asyncio.Task[None], Link] = field(factory=dict, init=False)
    _cuts: dict[Towards, Cut] = field(factory=dict, init=False)
    _black_holes: set[Towards] = field(factory=set, init=False)
    _received: dict[Towards, int] = field(factory=lambda: {"client": 0, "server": 0}, init=False)
    _arrival: asyncio.Condition = field(factory=asyncio.Condition, init=False)

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        self.reset_all()
        for task in self._links:
            task.cancel()
        for outcome in await asyncio.gather(*self._links, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return len(self._links)

    def refuse(self) -> None:
        """Refuse new connections; open ones go on."""
        self._listener.close()

    def reset_all(self) -> None:
        """Reset every open connection, on both sides."""
        for link in self._links.values():
            link.reset()

    def cut_after(self, count: int, towards: Towards, *, once: bool = True) -> None:
        """Reset a connection instead of letting more than `count` bytes through, counted from now.

        `cut_after(0, "client")` delivers a request and loses its answer.

        Args:
            count: how many bytes still pass, per connection.
            towards: the direction that is counted.
            once: heal after the first connection was cut.
        """
        for link in self._links.values():
            link.passed[towards] = 0
        self._cuts[towards] = Cut(count, once)

    def black_hole(self, towards: Towards) -> None:
        """Swallow what travels in one direction, the FIN too; none of it is delivered later."""
        self._black_holes.add(towards)

    async def heal(self) -> None:
        """Forward everything again, and accept connections on the same port."""
        self._cuts.clear()
        self._black_holes.clear()
        if not self._listener.is_serving():
            await self._listen()

    async def wait_for_bytes(self, count: int, towards: Towards, *, within: float = 5.0) -> None:
        """Return once `count` bytes came in, delivered or not; `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within), self._arrival:
            await self._arrival.wait_for(lambda: self._received[towards] >= count)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(writer)
        self._links[asyncio.create_task(self._forward(link, reader))] = link

    async def _forward(self, link: Link, requests: asyncio.StreamReader) -> None:
        try:
            answers, link.server = await asyncio.open_connection(self.target_host, self.target_port)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, requests, link.server, "server"))
                pumps.create_task(self._pump(link, answers, link.client, "client"))
        except* ConnectionError:
            link.reset()
        finally:
            link.close()

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter, towards: Towards
    ) -> None:
        while data := await source.read(65_536):
            async with self._arrival:
                self._received[towards] += len(data)
                self._arrival.notify_all()
            if towards in self._black_holes:
                continue
            room = self._room(link, towards, len(data))
            link.passed[towards] += room
            sink.write(data[:room])
            await sink.drain()
            if room < len(data):
                raise ConnectionResetError
        if towards not in self._black_holes:
            sink.write_eof()

    def _room(self, link: Link, towards: Towards, wanted: int) -> int:
        """How many of the `wanted` bytes may pass before the connection is cut."""
        cut = self._cuts.get(towards)
        if cut is None or link.passed[towards] + wanted <= cut.after:
            return wanted
        if cut.once:
            del self._cuts[towards]
        return cut.after - link.passed[towards]
