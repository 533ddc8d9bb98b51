"""One connection of the simulated network: two asyncio transports joined back to back."""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from typing import Any, Literal

from attrs import Factory, define, field

from tests.simulation.faults import Fault

Address = tuple[str, int]
Ending = Literal["reset", "eof"]


@define(eq=False)
class Connection:
    """The two sides of a connection and what they share.

    Attributes:
        loop: a loop whose timers for the same moment keep their order.
        travel: draws the time of one trip, in seconds.
        on_request: decides the fate of a request by its first bytes.
        on_response: decides the fate of a response by its first bytes.
        on_closed: called once both sides are gone.
    """

    loop: asyncio.AbstractEventLoop
    travel: Callable[[], float]
    on_request: Callable[[bytes], Fault]
    on_response: Callable[[bytes], Fault]
    on_closed: Callable[[], None]
    sides: list["Side"] = Factory(list)

    def join(
        self, client: asyncio.Protocol, client_address: Address, server: asyncio.Protocol, address: Address
    ) -> None:
        """Connect two protocols; the server's callbacks run in an empty context, as in another process."""
        near = Side(self, client, self.on_request, {"sockname": client_address, "peername": address})
        far = Side(
            self, server, self.on_response, {"sockname": address, "peername": client_address}, Context()
        )
        near.peer, far.peer = far, near
        self.sides += near, far
        for side in (far, near):
            side.context.run(side.protocol.connection_made, side)

    def end(self, ending: Ending, delay: float) -> None:
        """End the connection for both sides after a delay in seconds."""
        for side in self.sides:
            self.loop.call_later(delay, side.receive, ending, context=side.context)

    def break_off(self) -> None:
        """Reset both sides now."""
        for side in tuple(self.sides):
            side.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def leave(self, side: "Side") -> None:
        """Forget a side that is gone."""
        self.sides.remove(side)
        if not self.sides:
            self.on_closed()


@define(eq=False)
class Side(asyncio.Transport):
    """The transport of one side: what it writes reaches the peer's protocol in order, one trip later.

    A message is what one side writes between two turns of the other: its first bytes decide its fate and the
    time of its trip.

    Attributes:
        muted: whether the network swallows what this side writes.
        unread: bytes written that have not reached the peer's protocol.
        clear_at: when the bytes under way will have arrived, in virtual seconds; none overtakes another.
    """

    connection: Connection
    protocol: asyncio.Protocol
    decide: Callable[[bytes], Fault]
    info: dict[str, Any]
    context: Context = Factory(copy_context)
    peer: "Side" = field(init=False)
    muted: bool = False
    unread: int = 0
    clear_at: float = 0.0
    trip: float = 0.0
    _starts_message: bool = True
    _closing: bool = False
    _reading: bool = True
    _held: deque[bytes | Ending] = Factory(deque)
    _water: tuple[int, int] = (16_384, 65_536)
    _writing_paused: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, as far as the network lets them through."""
        if self._closing or not data:
            return
        self.unread += len(data)
        if self.unread > self._water[1] and not self._writing_paused:
            self._writing_paused = True
            self.protocol.pause_writing()
        if self.muted:
            return
        if self._starts_message:
            self._starts_message = False
            self._send_first(bytes(data))
        else:
            self._send(bytes(data), self.trip)

    def _send_first(self, data: bytes) -> None:
        fault = self.decide(data)
        self.trip = self.connection.travel() + fault.delay
        if fault.delivered < 1.0:
            self.muted = True
            data = _half(data) if fault.delivered else b""
        if data:
            self._send(data, self.trip)
        if fault.ending is not None:
            self.peer.muted = True
            pause = self.connection.travel() if fault.delivered == 1.0 else 0.0
            self.connection.end(fault.ending, self.trip + pause)

    def _send(self, event: bytes | Ending, trip: float) -> None:
        loop, peer = self.connection.loop, self.peer
        self.clear_at = max(self.clear_at, loop.time() + trip)
        loop.call_at(self.clear_at, peer.receive, event, context=peer.context)

    def receive(self, event: bytes | Ending) -> None:
        """Take what arrives from the network, or hold it while reading is paused."""
        if self._closing:
            return
        if self._held or not self._reading:
            self._held.append(event)
        else:
            self._handle(event)

    def _handle(self, event: bytes | Ending) -> None:
        if isinstance(event, bytes):
            self._starts_message = True
            self.peer.relieve(len(event))
            self.protocol.data_received(event)
        elif event == "reset":
            self.lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
        elif not self.protocol.eof_received():
            self.close()

    def relieve(self, size: int) -> None:
        """Count bytes as read by the peer, and let a paused writer go on."""
        self.unread -= size
        if self._writing_paused and self.unread <= self._water[0] and not self._closing:
            self._writing_paused = False
            self.protocol.resume_writing()

    def lose(self, reason: Exception | None) -> None:
        """End this side and tell its protocol why; None is an end in good order."""
        if not self._closing:
            self._closing = True
            self.connection.loop.call_soon(self._lost, reason, context=self.context)

    def _lost(self, reason: Exception | None) -> None:
        self.connection.leave(self)
        self.protocol.connection_lost(reason)

    def close(self) -> None:
        """End the connection; the peer learns it one trip later."""
        self._finish("eof")

    def abort(self) -> None:
        """Reset the connection; the peer learns it one trip later."""
        self._finish("reset")

    def _finish(self, ending: Ending) -> None:
        if not self._closing:
            self._send(ending, self.connection.travel())
            self.lose(None)

    def pause_reading(self) -> None:
        """Hold what arrives."""
        self._reading = False

    def resume_reading(self) -> None:
        """Hand over what was held, then go on."""
        self._reading = True
        self.connection.loop.call_soon(self._release, context=self.context)

    def _release(self) -> None:
        while self._held and self._reading and not self._closing:
            self._handle(self._held.popleft())

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several buffers as one write."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Tell whether this side has ended or is about to."""
        return self._closing

    def is_reading(self) -> bool:
        """Tell whether arriving bytes are handed over."""
        return self._reading and not self._closing

    def can_write_eof(self) -> bool:
        """Half-closed connections are not modelled."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return ``peername`` or ``sockname``; there is no socket and no TLS."""
        return self.info.get(name, default)

    def get_protocol(self) -> asyncio.Protocol:
        """Return the protocol this side serves."""
        return self.protocol

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Serve another protocol from now on."""
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        """Return how many written bytes have not reached the peer's protocol."""
        return self.unread

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high water mark in bytes."""
        return self._water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks, in bytes, at which the protocol's writing pauses and resumes."""
        top = high if high is not None else 65_536
        self._water = (low if low is not None else top // 4, top)


def _half(data: bytes) -> bytes:
    """Cut a message in the middle of its body, or of its head when no body follows in the same write."""
    body = data.find(b"\r\n\r\n") + 4
    start = body if 4 <= body < len(data) else 0
    return data[: (start + len(data)) // 2]
