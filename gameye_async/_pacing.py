"""How fast to launch, and where: pure state machines over the API's refusals, clock and random passed in."""

from collections.abc import Sequence
from enum import Enum
from math import inf
from random import Random

from attrs import define, field

from gameye_async.settings import Pacing


@define
class AdaptiveRate:
    """The launch rate of an account, found by its refusals.

    Unlimited until the first refusal. That lowers the rate to `decrease` times what was accepted of
    late; from there it grows along a cubic curve (flat around the rate that was refused, RFC 9438's shape),
    up to twice what is accepted. Compared with fixed delays it needs a fraction of the calls:
    `benchmarks/throttling.py`.

    Attributes:
        pacing: Settings.
        rate: Launches per second, infinite while unlimited.
    """

    pacing: Pacing
    rate: float = field(default=inf, init=False)
    _next: float = field(default=-inf, init=False)
    _peak: float = field(default=0.0, init=False)
    _lowered: float = field(default=-inf, init=False)
    _accepted: float = field(default=0.0, init=False)
    _bucket: float = field(default=-inf, init=False)
    _in_bucket: int = field(default=0, init=False)

    def wait(self, now: float) -> float:
        """Seconds until the next launch may be sent; 0 when it may be sent now."""
        return max(self._next - now, 0.0)

    def sent(self, now: float) -> None:
        """A launch was sent."""
        self._next = max(self._next, now) + 1.0 / self.rate

    def accepted(self, now: float) -> None:
        """A launch was accepted."""
        self._measure(now)
        if self.rate == inf:
            return
        since = now - self._lowered
        knee = (self._peak * (1.0 - self.pacing.decrease) / self.pacing.growth) ** (1 / 3)
        grown = self.pacing.growth * (since - knee) ** 3 + self._peak
        self.rate = max(self.pacing.floor, min(grown, 2.0 * max(self._accepted, self.pacing.floor)))

    def refused(self, now: float, sent: float) -> None:
        """A launch sent at `sent` was refused.

        Those sent before the last decrease tell nothing new: a burst is one mistake, not fifty.
        """
        if not self.pacing.adaptive or sent < self._lowered:
            return
        self._peak = max(min(self.rate, self._rate_of_late(now)), self.pacing.floor)
        self._lowered = now
        self.rate = max(self._peak * self.pacing.decrease, self.pacing.floor)
        self._next = max(self._next, now + 1.0 / self.rate)

    def _measure(self, now: float) -> None:
        bucket = now // _BUCKET
        if bucket != self._bucket:
            self._accepted = self._rate_of_late(now)
            self._bucket, self._in_bucket = bucket, 0
        self._in_bucket += 1

    def _rate_of_late(self, now: float) -> float:
        """Accepted launches per second, smoothed over buckets of time."""
        if self._bucket == -inf:
            return 0.0
        full = self._in_bucket / max(_BUCKET, now - self._bucket * _BUCKET)
        return full if self._accepted == 0.0 else _SMOOTH * full + (1 - _SMOOTH) * self._accepted


_BUCKET = 0.5
_SMOOTH = 0.8


class Blame(Enum):
    """What a refusal is put down to."""

    ACCOUNT = "too many launches in a short time, for several locations refused at once"
    LOCATION = "the location is full, for it refused several times in a row"
    UNCLEAR = "either"


@define
class _Gate:
    refusals: int = 0
    until: float = -inf
    probing: bool = False


@define
class LocationGates:
    """Which locations are worth asking now.

    Attributes:
        pacing: Settings.
        rng: Draws the jitter.
    """

    pacing: Pacing
    rng: Random
    _gates: dict[str, _Gate] = field(factory=dict[str, _Gate], init=False)
    _refused_at: dict[str, float] = field(factory=dict[str, float], init=False)

    def wait(self, locations: Sequence[str], now: float) -> float:
        """Seconds until one of the locations may be worth asking; 0 when one is now."""
        waits = [self._wait(name, now) for name in locations]
        return min(waits)

    def take(self, locations: Sequence[str], now: float) -> str | None:
        """The first location that is open; None when none is any more.

        A location whose time has come takes one launch as a probe. Until that one is answered, it is
        closed for others.
        """
        for name in locations:
            if self._wait(name, now) == 0.0:
                gate = self._gates.get(name)
                if gate is not None and gate.until != -inf:
                    gate.probing = True
                return name
        return None

    def _wait(self, location: str, now: float) -> float:
        gate = self._gates.get(location)
        if gate is None:
            return 0.0
        return _LOOK_AGAIN if gate.probing else max(gate.until - now, 0.0)

    def accepted(self, location: str) -> None:
        """A launch was accepted there: it is open."""
        self._gates.pop(location, None)

    def unanswered(self, location: str) -> None:
        """A launch there told nothing about capacity; if it was the probe, the next one is."""
        gate = self._gates.get(location)
        if gate is not None:
            gate.probing = False

    def refused(self, location: str, now: float) -> Blame:
        """A launch was refused there."""
        window = self.pacing.account_window
        self._refused_at = {name: at for name, at in self._refused_at.items() if now - at <= window}
        self._refused_at[location] = now
        if len(self._refused_at) > 1:
            return Blame.ACCOUNT
        gate = self._gates.setdefault(location, _Gate())
        gate.refusals += 1
        if gate.refusals < self.pacing.gate_after:
            return Blame.UNCLEAR
        # Launches that were sent before the gate closed do not close it for longer.
        if gate.until <= now:
            bound = self.pacing.gate_base * 2.0 ** min(gate.refusals - self.pacing.gate_after, 32)
            gate.until = now + min(bound * self.rng.uniform(0.5, 1.5), self.pacing.gate_cap)
        return Blame.LOCATION


_LOOK_AGAIN = 0.1
