"""How fast to launch, and where: pure state machines over the API's refusals, clock and random passed in."""

from collections.abc import Mapping, Sequence
from enum import Enum
from math import inf, sqrt
from random import Random

from attrs import define, field

from gameye_async.settings import Pacing

# What happened this long ago (seconds) says little about what the account may start now.
_FORGET = 60.0
_PERIOD = 0.5


@define(eq=False, repr=False)
class _Meter:
    """How many launches per second there were of late.

    Counted over half a second at least, because a moment says nothing, and averaged with what was before.
    """

    _rate: float = field(default=0.0, init=False)
    _since: float = field(default=-inf, init=False)
    _count: int = field(default=0, init=False)

    def count(self, now: float) -> None:
        if now - self._since >= _PERIOD:
            self._rate, self._since, self._count = self.rate(now), now, 0
        self._count += 1

    def rate(self, now: float) -> float:
        seconds = now - self._since
        if seconds < _PERIOD:
            return self._rate or self._count / _PERIOD
        rate = self._count / seconds
        return (rate + self._rate) / 2 if self._rate else rate


@define(eq=False, repr=False)
class AdaptiveRate:
    """The launch rate of an account, found by its refusals.

    Unlimited until the first refusal. That lowers the rate to `decrease` times what was accepted of
    late; from there it grows along a cubic curve (flat around the rate that was refused, RFC 9438's shape),
    up to twice what is accepted. A minute without a refusal lifts the limit. Compared with fixed delays it
    needs a fraction of the calls: `benchmarks/throttling.py`.

    As long as nothing was accepted, the account may take anything between `floor` and what was sent. What
    lies halfway in orders of magnitude counts as accepted then: after a burst of 128 a second, 8 a second.
    From there it is not far back when only a moment was bad, and two more refusals are at the floor.

    Attributes:
        pacing: Settings.
        rate: Launches per second, infinite while unlimited.
        lowered: When it was lowered last, in seconds of the event loop's time.
        next: When the next launch may be sent.
    """

    pacing: Pacing
    rate: float = field(default=inf, init=False)
    lowered: float = field(default=-inf, init=False)
    next: float = field(default=-inf, init=False)
    _peak: float = field(default=0.0, init=False)
    _meter: _Meter = field(factory=_Meter, init=False)
    # Of launches that went out; only until the first is accepted.
    _sent: _Meter | None = field(factory=_Meter, init=False)

    def wait(self, now: float) -> float:
        """Seconds until the next launch may be sent; 0 when it may be sent now."""
        return max(self.next - now, 0.0)

    def sent(self, now: float) -> None:
        """A launch was let through; it may have to wait for a place."""
        if now - self.lowered > _FORGET:
            self.rate = inf
        self.next = now + 1.0 / self.rate

    def placed(self, now: float) -> None:
        """A launch has got its place, and goes out."""
        if self._sent is not None:
            self._sent.count(now)

    def accepted(self, now: float) -> None:
        """A launch was accepted."""
        self._sent = None
        self._meter.count(now)
        if self.rate == inf:
            return
        knee = (self._peak * (1.0 - self.pacing.decrease) / self.pacing.growth) ** (1 / 3)
        grown = self.pacing.growth * (now - self.lowered - knee) ** 3 + self._peak
        self.rate = max(self.rate, min(grown, 2.0 * self._meter.rate(now)))

    def refused(self, now: float, sent: float) -> None:
        """A launch sent at `sent` was refused.

        Those sent before the last decrease tell nothing new: a burst is one mistake, not fifty.
        """
        if not self.pacing.adaptive or sent <= self.lowered:
            return
        self._peak = max(self._likely(now), self.pacing.floor)
        self.lowered = now
        self.rate = max(self._peak * self.pacing.decrease, self.pacing.floor)
        self.next = max(self.next, now + 1.0 / self.rate)

    def _likely(self, now: float) -> float:
        """How many launches per second the account takes, as far as its answers tell."""
        if self._sent is not None:
            return sqrt(self.pacing.floor * min(self.rate, self._sent.rate(now)))
        return min(self.rate, self._meter.rate(now))


class Blame(Enum):
    """What a refusal is put down to."""

    ACCOUNT = "too many launches in a short time, for several locations refused at once"
    LOCATION = "the location is full, for it refused several times in a row"
    UNCLEAR = "either"


@define(eq=False, repr=False)
class _Gate:
    refusals: int = 0
    until: float = -inf
    probing: bool = False


@define(eq=False, repr=False)
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
    _accepted_at: dict[str, float] = field(factory=dict[str, float], init=False)

    def wait(self, locations: Sequence[str], now: float) -> float:
        """Seconds until one of the locations may be worth asking; 0 when one is now."""
        if not self._gates:
            return 0.0
        return min([self._wait(name, now) for name in locations])

    def take(self, locations: Sequence[str], now: float) -> str | None:
        """The first location that is open; None when none is any more.

        A location whose time has come takes one launch as a probe. Until that one is answered, it is
        closed for others.
        """
        if not self._gates:
            return locations[0]
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

    def accepted(self, location: str, now: float) -> None:
        """A launch was accepted there: it is open."""
        self._gates.pop(location, None)
        self._accepted_at[location] = now

    def unanswered(self, location: str) -> None:
        """A launch there told nothing about capacity; if it was the probe, the next one is."""
        gate = self._gates.get(location)
        if gate is not None:
            gate.probing = False

    def refused(self, location: str, now: float) -> Blame:
        """A launch was refused there.

        Where several locations refuse, it is the account that is refused, unless others accept of late and
        this one does not: that one is full.
        """
        self._refused_at = self._of_late(self._refused_at, now) | {location: now}
        self._accepted_at = self._of_late(self._accepted_at, now)
        is_full = bool(self._accepted_at) and location not in self._accepted_at
        if len(self._refused_at) > 1 and not is_full:
            return Blame.ACCOUNT
        gate = self._gates.setdefault(location, _Gate())
        if gate.until > now:
            # It was sent before the gate closed, and does not close it for longer.
            return Blame.LOCATION
        gate.refusals += 1
        if gate.refusals < self.pacing.gate_after:
            return Blame.UNCLEAR
        bound = self.pacing.gate_base * 2.0 ** min(gate.refusals - self.pacing.gate_after, 32)
        gate.until = now + min(bound, self.pacing.gate_cap) * self.rng.uniform(0.5, 1.5)
        return Blame.LOCATION

    def _of_late(self, moments: Mapping[str, float], now: float) -> dict[str, float]:
        return {name: at for name, at in moments.items() if now - at <= self.pacing.account_window}


_LOOK_AGAIN = 0.1
