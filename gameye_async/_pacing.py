"""How fast to launch, and where: pure state machines over the API's refusals, clock and random passed in."""

from collections.abc import Mapping, Sequence
from enum import Enum
from math import inf
from random import Random

from attrs import define, field

from gameye_async.settings import Pacing

# What happened this long ago (seconds) says little about what the account may start now.
_FORGET = 60.0
_PERIOD = 0.5

_TICK = 0.002
_EFFORT = 64
_CONNECTING = 8
# How long a pooled connection may stay idle, and so how long the pool stays as large as it was.
_POOLED = 15.0

# How many more launches a location gets that has accepted one after it was closed, and from how many on it
# is open to all.
_MORE = 3
_OPEN = 64


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

    Attributes:
        pacing: Settings.
        rate: Launches per second, infinite while unlimited.
        lowered: When it was lowered last, in seconds of the event loop's time.
    """

    pacing: Pacing
    rate: float = field(default=inf, init=False)
    lowered: float = field(default=-inf, init=False)
    # From when the next launch is 1 / rate seconds away.
    _since: float = field(default=-inf, init=False)
    _peak: float = field(default=0.0, init=False)
    _meter: _Meter = field(factory=_Meter, init=False)

    def wait(self, now: float) -> float:
        """Seconds until the next launch may be sent; 0 when it may be sent now."""
        return max(self._since + 1.0 / self.rate - now, 0.0)

    def sent(self, now: float) -> None:
        """A launch goes out."""
        if now - self.lowered > _FORGET:
            self.rate = inf
        self._since = now

    def accepted(self, now: float) -> None:
        """A launch was accepted."""
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
        self._peak = max(min(self.rate, self._meter.rate(now)), self.pacing.floor)
        self.lowered = self._since = now
        self.rate = max(self._peak * self.pacing.decrease, self.pacing.floor)


@define(eq=False, repr=False)
class Starts:
    """Spreads the starts of launches over time.

    A thousand launches that start at once hold up everything else on the event loop for 0.2 s. So only so
    many start in a tick of 2 ms: 8 that need a new connection, or 64 that find one in the pool.
    """

    _tick_ends: float = field(default=-inf, init=False)
    _left: int = field(default=0, init=False)
    # How many connections the pool should have, and when that was last seen.
    _pool: int = field(default=0, init=False)
    _pool_seen: float = field(default=-inf, init=False)

    def wait(self, now: float, in_flight: int) -> float:
        """Seconds until one more launch may start, beside those in flight."""
        if now >= self._tick_ends or self._left >= self._effort(now, in_flight):
            return 0.0
        return self._tick_ends - now

    def started(self, now: float, in_flight: int) -> None:
        """One more launch starts, beside those in flight."""
        if now >= self._tick_ends:
            self._tick_ends, self._left = now + _TICK, _EFFORT
        effort = self._effort(now, in_flight)
        self._left -= effort
        if effort == _CONNECTING or in_flight + 1 == self._pool:
            self._pool, self._pool_seen = in_flight + 1, now

    def _effort(self, now: float, in_flight: int) -> int:
        return 1 if in_flight < self._pool and now - self._pool_seen < _POOLED else _CONNECTING


class Blame(Enum):
    """What a refusal is put down to."""

    ACCOUNT = "too many launches in a short time, for several locations refused that accept otherwise"
    LOCATION = "the location is full, for it accepted nothing of late or refused several times in a row"
    UNCLEAR = "either"


@define(eq=False, repr=False)
class _Gate:
    refusals: int = 0
    closed: float = -inf
    until: float = -inf
    # How many launches may go there before one of those under way is answered.
    credit: float = inf


@define(eq=False, repr=False)
class LocationGates:
    """Which locations are worth asking now.

    A location that refuses again and again is closed for a while. Then one launch tries it. When it is
    accepted four go, then sixteen, so that a location with a few places left costs a few calls.

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
        """Seconds until one of the locations may be tried; infinite when an answer decides that."""
        if not self._gates:
            return 0.0
        return min([self._wait(name, now) for name in locations])

    def take(self, locations: Sequence[str], now: float) -> str | None:
        """The first location that is open, for one launch; None when none is."""
        if not self._gates:
            return locations[0]
        for name in locations:
            if self._wait(name, now) == 0.0:
                if name in self._gates:
                    self._gates[name].credit -= 1
                return name
        return None

    def _wait(self, location: str, now: float) -> float:
        gate = self._gates.get(location)
        if gate is None:
            return 0.0
        return max(gate.until - now, 0.0) if gate.credit >= 1 else inf

    def ended(self, location: str, since: float) -> None:
        """A launch there, which was let in at `since`, is not under way any more."""
        gate = self._gates.get(location)
        if gate is not None and since > gate.closed:
            gate.credit += 1

    def accepted(self, location: str, now: float) -> None:
        """A launch was accepted there."""
        self._accepted_at[location] = now
        gate = self._gates.get(location)
        if gate is None:
            return
        gate.refusals = 0
        if gate.until <= now:
            gate.credit += _MORE
            if gate.credit >= _OPEN:
                del self._gates[location]

    def refused(self, location: str, now: float) -> Blame:
        """A launch was refused there.

        A location that accepts nothing of late is full. It is the account that is refused where several
        locations refuse that accept otherwise.
        """
        self._refused_at = self._of_late(self._refused_at, now) | {location: now}
        self._accepted_at = self._of_late(self._accepted_at, now)
        accepts = location in self._accepted_at
        if accepts and len(self._refused_at) > 1:
            return Blame.ACCOUNT
        gate = self._gates.setdefault(location, _Gate())
        # One that was sent before the gate closed does not close it for longer.
        if gate.until <= now:
            gate.refusals += 1
            if gate.refusals >= self.pacing.gate_after:
                bound = self.pacing.gate_base * 2.0 ** min(gate.refusals - self.pacing.gate_after, 32)
                gate.closed, gate.credit = now, 1
                gate.until = now + min(bound, self.pacing.gate_cap) * self.rng.uniform(0.5, 1.5)
        return Blame.LOCATION if gate.until > now or not accepts else Blame.UNCLEAR

    def _of_late(self, moments: Mapping[str, float], now: float) -> dict[str, float]:
        return {name: at for name, at in moments.items() if now - at <= self.pacing.account_window}
