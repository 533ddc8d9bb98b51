"""Time limits for many calls at once, on one timer.

`asyncio.timeout` costs 8 microseconds a call, because each has a timer of its own; here, the one timer
looks through the calls under way when the earliest of them may be due.
"""

import asyncio
from math import inf, isnan
from types import TracebackType
from typing import Self

from gameye_async.errors import ConfigurationError

# Limits run out at most this much late (seconds), so that a thousand of them do not cost a thousand sweeps.
_GRAIN = 0.01


class Sweeper:
    """Cancels what takes too long; belongs to one event loop.

    Attributes:
        loop: The event loop.
        limits: Those that are watched.
        armed: Loop time at which they are looked through next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.limits: dict[Limit, None] = {}
        self.armed = inf
        self._timer: asyncio.TimerHandle | None = None

    def until(self, when: float) -> "Limit":
        """A context manager that ends its block at `when` (loop time) without raising."""
        return Limit(self, when)

    def close(self) -> None:
        """Forget the timer; limits still open no longer run out."""
        if self._timer is not None:
            self._timer.cancel()

    def arm(self, when: float) -> None:
        """Look through the limits at this time."""
        if self._timer is not None:
            self._timer.cancel()
        self.armed = when
        self._timer = self.loop.call_at(when, self._sweep)

    def _sweep(self) -> None:
        now = self.loop.time()
        self._timer, self.armed = None, inf
        due = [limit for limit in self.limits if limit.when <= now]
        for limit in due:
            del self.limits[limit]
            limit.expire()
        earliest = min((limit.when for limit in self.limits), default=inf)
        if earliest < inf:
            self.arm(max(earliest, now + _GRAIN))


class Limit:
    """One time limit; `expired` says afterwards whether it ended the block."""

    __slots__ = ("_cancelling", "_sweeper", "_task", "expired", "when")

    def __init__(self, sweeper: Sweeper, when: float) -> None:
        self._sweeper = sweeper
        self.when = when
        self.expired = False

    def __enter__(self) -> Self:
        sweeper = self._sweeper
        # Asked without the loop, Python 3.11 makes a system call.
        task = asyncio.current_task(sweeper.loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end")
        self._task = task
        self._cancelling = task.cancelling()
        if self.when < sweeper.armed:
            sweeper.arm(self.when)
        elif isnan(self.when):
            # It would never run out, nor would any other as long as this is the first that is looked at.
            raise ConfigurationError("a time limit must be a number of seconds, and not nan")
        sweeper.limits[self] = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # The timer may fire in vain, and then finds the next one.
        self._sweeper.limits.pop(self, None)
        # A cancel from outside that came as well is counted by the task, and goes on.
        return (
            self.expired
            and self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        )

    def end(self) -> None:
        """End the block before its time."""
        self._sweeper.limits.pop(self, None)
        if not self.expired:
            self.expire()

    def expire(self) -> None:
        """End the block."""
        self.expired = True
        self._task.cancel()
