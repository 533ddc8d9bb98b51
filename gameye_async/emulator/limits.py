"""Limits of an account: how fast sessions start, and how much they may run."""

import math

from attrs import define, field


@define(eq=False)
class StartRate:
    """A token bucket over the launches of an account; None a second is no limit."""

    per_second: float | None = None
    burst: float = 1.0
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst

    def allows(self, now: float) -> bool:
        """Whether one more launch may start."""
        if self.per_second is None:
            return True
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        # A token that is full but for rounding counts: 10 x 0.1 s at 1/s must allow one launch.
        return self._tokens >= 1 - 1e-9

    def spend(self) -> None:
        """Count a launch."""
        self._tokens -= 1


@define(eq=False)
class Quota:
    """What an account has bought: running time of all sessions, and launches; None is no limit."""

    seconds: float | None = None
    starts: int | None = None
    started: int = 0
    _finished_seconds: float = 0.0
    _live: int = 0
    _live_since: float = 0.0

    def begin(self, at: float) -> None:
        """Count a session that starts."""
        self.started += 1
        self._live += 1
        self._live_since += at

    def finish(self, began: float, at: float) -> None:
        """Count a session that ends."""
        self._finished_seconds += at - began
        self._live -= 1
        self._live_since -= began

    def used_seconds(self, now: float) -> float:
        """Running time so far, that of running sessions included."""
        return self._finished_seconds + self._live * now - self._live_since

    def is_exhausted(self, now: float) -> bool:
        """Whether no further session may start."""
        spent = self.seconds is not None and self.used_seconds(now) >= self.seconds
        return spent or (self.starts is not None and self.started >= self.starts)
