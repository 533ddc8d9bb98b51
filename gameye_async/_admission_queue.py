"""Which launch goes next: one queue in front of the network, first come, first served."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context
from itertools import chain
from math import inf

from attrs import define, field

from gameye_async._pacing import AdaptiveRate, Blame, LocationGates, Starts
from gameye_async.settings import LaunchGate


@define(eq=False, repr=False)
class _Waiter:
    locations: tuple[str, ...]
    location: asyncio.Future[str]


@define(eq=False, repr=False)
class AdmissionQueue:
    """Lets launches go.

    A launch needs a place, a turn at the rate, time in this tick of the event loop and an open location. It
    gets all of them in one step, when all are there, so that none is held by a launch that waits for another.

    It stands in front of aiohttp's connector because the connector's own queue is not fair: at ten times
    more launches than connections its p99 was 6.4 s where p50 was 21 ms.

    Attributes:
        limit: Most launches in flight.
        gates: Which locations are open.
        rate: How fast.
        clock: The event loop's time, in seconds.
        in_flight: Launches that have a place.
    """

    limit: int
    gates: LocationGates
    rate: AdaptiveRate
    clock: Callable[[], float]
    in_flight: int = field(default=0, init=False)
    _starts: Starts = field(factory=Starts, init=False)
    _waiting: deque[_Waiter] = field(factory=deque[_Waiter], init=False)
    # Those whose locations are all closed, lest the others are looked for behind them each time.
    _shut_out: dict[tuple[str, ...], deque[_Waiter]] = field(
        factory=dict[tuple[str, ...], deque[_Waiter]], init=False
    )
    _timer: asyncio.Handle | None = field(default=None, init=False)
    _look_at: float = field(default=inf, init=False)

    @property
    def queued(self) -> int:
        """Launches that wait for a place or a turn."""
        return _count(self._waiting)

    @property
    def shut_out(self) -> int:
        """Launches that wait for one of their locations to open."""
        return _count(chain(*self._shut_out.values()))

    def enter_now(self, locations: Sequence[str], now: float) -> str | None:
        """Take what a launch needs, unless that takes waiting; the location, or None."""
        if self._waiting or self._shut_out or not self._is_ready(now):
            return None
        return self._take(locations, now)

    async def enter(self, locations: Sequence[str]) -> str:
        """Wait for what a launch needs, and take it; the location."""
        waiter = _Waiter(tuple(locations), asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self.look()
        try:
            return await waiter.location
        except asyncio.CancelledError:
            if not (waiter.location.cancelled() or waiter.location.exception()):
                # It was let in, and cancelled before it could notice.
                self.leave(waiter.location.result(), self.clock())
            raise

    def leave(self, location: str, since: float) -> None:
        """Give the place back that was taken at loop time `since`."""
        self.in_flight -= 1
        self.gates.ended(location, since)
        self.look()

    def accepted(self, location: str, now: float) -> None:
        """A launch was accepted: more may go, and sooner."""
        self.gates.accepted(location, now)
        self.rate.accepted(now)
        self.look()

    def refused(self, location: str, now: float) -> Blame:
        """A launch was refused: its location may be closed for a while, and it is looked at again then."""
        blame = self.gates.refused(location, now)
        self.look()
        return blame

    def close(self) -> None:
        """Give up what it holds for launches to come: nothing, as long as it shares no rate."""

    def look(self) -> None:
        """Let in who can go now, in the next turn of the loop, when all that just happened is known."""
        if (self._waiting or self._shut_out) and self._look_at > -inf:
            self._look_again(-inf)

    def _look_again(self, when: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._look_at = when
        self._timer = loop.call_soon(self._let_in) if when == -inf else loop.call_at(when, self._let_in)

    def _let_in(self) -> None:
        self._timer, self._look_at = None, inf
        now = self.clock()
        for queue in (*self._shut_out.values(), self._waiting):
            self._serve(queue, now)
        self._shut_out = {locations: queue for locations, queue in self._shut_out.items() if queue}
        waits = [self.gates.wait(locations, now) for locations in self._shut_out]
        if self._waiting or 0.0 in waits:
            waits.append(self._wait(now))
        # Without a place, or while another launch tries a location, there is only news to wait for.
        wait = min((wait for wait in waits if wait > 0.0), default=inf)
        if wait < inf:
            self._look_again(now + wait)

    def _serve(self, queue: deque[_Waiter], now: float) -> None:
        """Let in who can go now, and of those that wait move aside who would only hold up others."""
        while queue:
            waiter = queue[0]
            if not waiter.location.done():
                if not self._is_ready(now):
                    return
                location = self._take(waiter.locations, now)
                if location is not None:
                    waiter.location.set_result(location)
                elif queue is self._waiting:
                    self._shut_out.setdefault(waiter.locations, deque()).append(waiter)
                else:
                    return
            queue.popleft()

    def _is_ready(self, now: float) -> bool:
        """Whether there is all that a launch needs, but for the location."""
        return self._wait(now) <= 0.0

    def _wait(self, now: float) -> float:
        """Seconds until there is; infinite until a place is given back."""
        if self.in_flight >= self.limit:
            return inf
        return max(self.rate.wait(now), self._starts.wait(now, self.in_flight))

    def _take(self, locations: Sequence[str], now: float) -> str | None:
        location = self.gates.take(locations, now)
        if location is not None:
            self._starts.started(now, self.in_flight)
            self.rate.sent(now)
            self.in_flight += 1
        return location


@define(eq=False, repr=False)
class SharedAdmissionQueue(AdmissionQueue):
    """Lets launches go at a rate that other processes keep to as well.

    Attributes:
        gate: Gives turns to all processes. It is asked for one at a time, when nothing else is missing.
    """

    gate: LaunchGate
    _spawn: Callable[[Coroutine[None, None, None], Context], asyncio.Task[None]]
    _has_turn: bool = field(default=False, init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)

    def refused(self, location: str, now: float) -> Blame:
        """A launch was refused: its location may be closed for a while, and it is looked at again then."""
        blame = self.gates.refused(location, now)
        self.look()
        return blame

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _is_ready(self, now: float) -> bool:
        if not super()._is_ready(now):
            return False
        if not self._has_turn and self._asking is None:
            # An empty context, for it may not be asked for the launch that happens to be here.
            self._asking = self._spawn(self._ask(), Context())
        return self._has_turn

    def _take(self, locations: Sequence[str], now: float) -> str | None:
        location = super()._take(locations, now)
        if location is not None:
            self._has_turn = False
        return location

    async def _ask(self) -> None:
        try:
            await self.gate.turn()
            self._has_turn = True
        except Exception as error:  # noqa: BLE001  -- it is for the launch that would have had the turn
            self._fail(error)
        finally:
            self._asking = None
        self.look()

    def _fail(self, error: Exception) -> None:
        for waiter in chain(self._waiting, *self._shut_out.values()):
            if not waiter.location.done():
                waiter.location.set_exception(error)
                break


def _count(waiters: Iterable[_Waiter]) -> int:
    return sum(not waiter.location.done() for waiter in waiters)
