"""What a client has done and is doing, counted."""

from bisect import bisect_left
from collections import Counter

from attrs import define, field, frozen

from gameye_async.models import Session


@frozen(kw_only=True)
class ClientStats:
    """A snapshot of a client's counters; `str()` of it is one progress line.

    Attributes:
        queued: Launches waiting for a place or for their turn.
        in_flight: Launches whose request is under way.
        backing_off: Launches waiting to be tried again, or for a full location to open.
        launched: Sessions created by a launch.
        adopted: Sessions that turned out to exist already and were taken over.
        retried: Attempts beyond the first, of all calls.
        failed: Calls that raised, by the error's class name.
        orphans_stopped: Sessions of abandoned launches that were stopped.
        p50: Seconds that half of the launches took at most, within 5 %; None before the first one.
        p99: Seconds that 99 of 100 launches took at most, likewise.
    """

    queued: int
    in_flight: int
    backing_off: int
    launched: int
    adopted: int
    retried: int
    failed: dict[str, int]
    orphans_stopped: int
    p50: float | None
    p99: float | None

    def __str__(self) -> str:
        parts = [f"{self.launched + self.adopted} launched"]
        if self.adopted:
            parts[0] += f" ({self.adopted} adopted)"
        waiting = (("in flight", self.in_flight), ("queued", self.queued), ("backing off", self.backing_off))
        parts += [f"{count} {name}" for name, count in (*waiting, ("retried", self.retried)) if count]
        parts += [f"{count} {kind}" for kind, count in sorted(self.failed.items())]
        if self.p50 is not None and self.p99 is not None:
            parts.append(f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms")
        return ", ".join(parts)


# 1 ms to 20 minutes in steps of 10 %: 5 % off at most, whatever the number of launches.
_SHORTEST = 0.001
_STEP = 1.1
_BOUNDS = tuple([_SHORTEST * _STEP**step for step in range(149)])


@define(eq=False, repr=False)
class Histogram:
    """How long things took, in a fixed number of buckets."""

    _counts: list[int] = field(factory=lambda: [0] * (len(_BOUNDS) + 1), init=False)
    _total: int = field(default=0, init=False)

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._total += 1

    def quantile(self, share: float) -> float | None:
        """Seconds that this share of all took at most; the middle of its bucket, None when empty."""
        left = share * self._total
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return float(_SHORTEST * _STEP ** (bucket - 0.5))
        return None


@define(eq=False, repr=False)
class Counters:
    """The numbers behind `ClientStats`."""

    backing_off: int = 0
    launched: int = 0
    adopted: int = 0
    retried: int = 0
    orphans_stopped: int = 0
    failed: Counter[str] = field(factory=Counter[str])
    elapsed: Histogram = field(factory=Histogram)

    def count(self, session: Session) -> None:
        """A launch has delivered its session."""
        if session.created_by == "launch":
            self.launched += 1
        else:
            self.adopted += 1
        self.elapsed.add(session.elapsed)

    def snapshot(self, *, queued: int = 0, in_flight: int = 0, shut_out: int = 0) -> ClientStats:
        """The numbers now; what waits to be let in, or was, is counted where it waits."""
        return ClientStats(
            queued=queued,
            in_flight=in_flight,
            backing_off=self.backing_off + shut_out,
            launched=self.launched,
            adopted=self.adopted,
            retried=self.retried,
            failed=dict(self.failed),
            orphans_stopped=self.orphans_stopped,
            p50=self.elapsed.quantile(0.5),
            p99=self.elapsed.quantile(0.99),
        )
