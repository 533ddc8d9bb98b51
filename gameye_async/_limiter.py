"""What stands in front of the connection pool: bounded lanes, and the pace of launches."""

import asyncio
from collections import deque
from collections.abc import Callable

from gameye_async._pacing import AdaptiveRate
from gameye_async.settings import LaunchGate

# A thousand launches that start at once hold up everything else on the event loop for 0.2 s. So only so many
# start in a tick: 8 that need a new connection, or 64 that find one in the pool.
_TICK = 0.002
_EFFORT = 64
_CONNECTING = 8
# How long a pooled connection may stay idle, and so how long the pool stays as large as it was.
_POOLED = 15.0


class Lane:
    """How many requests may be in flight at once; first come, first served.

    It stands in front of aiohttp's connector because the connector's own queue is not fair: at ten times
    more launches than connections its p99 was 6.4 s where p50 was 21 ms.

    Args:
        limit: Most requests in flight.
        clock: The event loop's time, in seconds; with it, starts are spread so that they leave the loop
            time for other tasks.

    Attributes:
        limit: See above.
        in_flight: Requests that have a place.
    """

    __slots__ = (
        "_called",
        "_clock",
        "_left",
        "_pool",
        "_pool_seen",
        "_tick_ends",
        "_timer",
        "_waiting",
        "in_flight",
        "limit",
    )

    def __init__(self, limit: int, clock: Callable[[], float] | None = None) -> None:
        self.limit = limit
        self.in_flight = 0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._called = 0
        self._tick_ends = 0.0
        self._left = 0
        self._pool = 0
        self._pool_seen = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        """Requests waiting for a place."""
        return sum(not waiter.done() for waiter in self._waiting)

    def enter_now(self) -> bool:
        """Take a place, unless that takes waiting, or somebody who waited is just about to go in."""
        return not self._waiting and not self._called and self._take()

    async def enter(self) -> None:
        """Wait for a place and take it."""
        if self.enter_now():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._called -= 1
                self.in_flight -= 1
            self._admit()
            raise
        self._called -= 1
        # Whoever came in between waits behind this one, though there may be a place.
        self._admit()

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._waiting:
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif self._take():
                self._called += 1
                self._waiting.popleft().set_result(None)
            else:
                return

    def _take(self) -> bool:
        if self.in_flight >= self.limit or not self._may_start():
            return False
        self.in_flight += 1
        return True

    def _may_start(self) -> bool:
        """Whether this tick has time for one more start; if not, the next one lets the waiting in."""
        if self._clock is None:
            return True
        now = self._clock()
        if now >= self._tick_ends:
            self._tick_ends, self._left = now + _TICK, _EFFORT
        pooled = self.in_flight < self._pool and now - self._pool_seen < _POOLED
        effort = 1 if pooled else _CONNECTING
        if effort > self._left:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_at(self._tick_ends, self._next_tick)
            return False
        self._left -= effort
        if not pooled or self.in_flight + 1 == self._pool:
            self._pool, self._pool_seen = self.in_flight + 1, now
        return True

    def _next_tick(self) -> None:
        self._timer = None
        self._admit()


class Pace:
    """Lets launches through at the adaptive rate, first come, first served.

    Args:
        rate: Says when the next one may go.
        clock: The event loop's time, in seconds.
    """

    __slots__ = ("_clock", "_queue", "_waiting", "rate")

    def __init__(self, rate: AdaptiveRate, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self._queue = asyncio.Lock()
        # The lock is free for a moment between two of those that wait, but their turns are not.
        self._waiting = 0

    def turn_now(self, now: float) -> bool:
        """Take a turn, unless that takes waiting."""
        if self._waiting or now < self.rate.next:
            return False
        self.rate.sent(now)
        return True

    async def turn(self) -> None:
        """Wait until it is this launch's turn."""
        self._waiting += 1
        try:
            # Only the head of the queue sleeps, so that a change of the rate counts for all behind it.
            async with self._queue:
                while wait := self.rate.wait(self._clock()):  # noqa: ASYNC110  -- time is what it waits for
                    await asyncio.sleep(wait)
                self.rate.sent(self._clock())
        finally:
            self._waiting -= 1


class SharedPace(Pace):
    """A pace that other processes keep to as well.

    Args:
        rate: Says when the next one may go.
        clock: The event loop's time, in seconds.
        gate: Says so for all processes.
    """

    __slots__ = ("_gate", "_head")

    def __init__(self, rate: AdaptiveRate, clock: Callable[[], float], gate: LaunchGate) -> None:
        super().__init__(rate, clock)
        self._gate = gate
        self._head = asyncio.Lock()

    def turn_now(self, now: float) -> bool:
        """It always takes waiting: for an answer."""
        return False

    async def turn(self) -> None:
        """Wait until it is this launch's turn."""
        # Only the head of the queue asks, first come, first served.
        async with self._head:
            await super().turn()
            await self._gate.turn()
