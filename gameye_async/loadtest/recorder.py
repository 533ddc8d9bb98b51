"""Counting what happens while a load test runs."""

from collections import Counter, defaultdict

from attrs import define, field, frozen

from gameye_async.errors import Attempt, GameyeError, LaunchOutcomeUnknownError
from gameye_async.loadtest.arrivals import Arrival
from gameye_async.loadtest.histogram import Histogram
from gameye_async.loadtest.plan import Plan
from gameye_async.loadtest.report import Failure, Interval, Place
from gameye_async.models import Session

_THROTTLED = frozenset({420, 429})
_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
_MOST_INTERVALS = 60


def interval_seconds(duration: float) -> float:
    """How long the intervals of a test are, so that there are enough to see and few enough to draw."""
    fitting = (step for step in _STEPS if duration <= step * _MOST_INTERVALS)
    return next(fitting, 3600.0)


@define
class _Spell:
    """What happened in one interval, or in one location."""

    due: int = 0
    launched: int = 0
    failed: int = 0
    throttled: int = 0
    latency: Histogram = field(factory=Histogram.rough)


@frozen(kw_only=True)
class PlaceProgress:
    """A location of a test that is under way; as `Place`, with 50 and 99 per cent of its latency."""

    launched: int
    failed: int
    throttled: int
    p50: float | None
    p99: float | None


@frozen(kw_only=True)
class Progress:
    """A load test that is under way.

    Attributes:
        seconds: How long it has been running.
        asked: Launches per second that were due in the last full interval.
        got: Sessions per second that came in it.
        due: Launches that were due.
        in_flight: Those without a session or an error yet.
        launched: Sessions.
        failed: Launches that got none.
        throttled: Answers 420 and 429.
        living: Sessions that are not stopped yet.
        p50: Seconds that half of the launches took at most, from when they were due.
        p90: The same for 90 per cent.
        p99: The same for 99 per cent.
        errors: How often launches failed, by the error's class name.
        places: What happened where, by location.
    """

    seconds: float
    asked: float
    got: float
    due: int
    in_flight: int
    launched: int
    failed: int
    throttled: int
    living: int
    p50: float | None
    p90: float | None
    p99: float | None
    errors: dict[str, int]
    places: dict[str, PlaceProgress]


@define(eq=False)
class Recorder:
    """The counts of one run; times are seconds from its beginning.

    Attributes:
        plan: What is run.
        interval: Seconds of each interval.
    """

    plan: Plan
    interval: float = field(init=False)
    due: int = field(default=0, init=False)
    launched: int = field(default=0, init=False)
    adopted: int = field(default=0, init=False)
    throttled: int = field(default=0, init=False)
    unknown: int = field(default=0, init=False)
    stopped: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    latency: Histogram = field(factory=Histogram, init=False)
    service: Histogram = field(factory=Histogram, init=False)
    lag: Histogram = field(factory=Histogram, init=False)
    errors: Counter[tuple[str, str]] = field(factory=Counter[tuple[str, str]], init=False)
    living: dict[str, float] = field(factory=dict[str, float], init=False)
    _spells: defaultdict[int, _Spell] = field(factory=lambda: defaultdict(_Spell), init=False)
    _places: defaultdict[str, _Spell] = field(factory=lambda: defaultdict(_Spell), init=False)
    _living_since: float = field(default=0.0, init=False)
    _lived: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.interval = interval_seconds(self.plan.duration)
        for locations in self.plan.location:
            self._places[locations[0]] = _Spell()

    @property
    def failed(self) -> int:
        """Launches that got no session."""
        return self.errors.total()

    @property
    def in_flight(self) -> int:
        """Launches without a session or an error yet; at the end, those that were taken back."""
        return self.due - self.launched - self.failed

    def arrive(self, arrival: Arrival) -> None:
        """A launch is due, and begins as soon as the event loop comes to it."""
        self.due += 1
        self._spell(arrival.at).due += 1

    def launch(self, arrival: Arrival, session: Session, now: float) -> None:
        """A launch has got its session."""
        self._count_throttled(session.attempts, now)
        self.launched += 1
        self.adopted += session.created_by == "adopted"
        latency = now - arrival.at
        self.latency.add(latency)
        self.service.add(session.attempts[-1].elapsed if session.attempts else session.elapsed)
        self._spell(arrival.at).latency.add(latency)
        self._spell(now).launched += 1
        place = self._places[session.location]
        place.launched += 1
        place.latency.add(latency)
        self.living[session.id] = now
        self._living_since += now
        self.peak = max(self.peak, len(self.living))

    def fail(self, arrival: Arrival, error: Exception, now: float) -> None:
        """A launch has failed."""
        self._count_throttled(error.attempts if isinstance(error, GameyeError) else (), now)
        self.unknown += isinstance(error, LaunchOutcomeUnknownError)
        location = self.plan.location[arrival.place][0]
        self.errors[type(error).__name__, location] += 1
        self._spell(now).failed += 1
        self._places[location].failed += 1

    def stop(self, session_id: str, now: float, *, confirmed: bool) -> None:
        """A session was stopped, or nobody knows."""
        if confirmed:
            self.stopped += 1
        else:
            self.unknown += 1
        since = self.living.pop(session_id)
        self._living_since -= since
        self._lived += now - since

    def session_seconds(self, now: float) -> float:
        """How long all sessions together have lived."""
        return self._lived + len(self.living) * now - self._living_since

    def committed_seconds(self, now: float) -> float:
        """How long they will have lived if nothing more is launched."""
        expected = (len(self.living) + self.in_flight) * self.plan.lifetime
        return max(self.session_seconds(now), self._lived + expected)

    def intervals(self) -> tuple[Interval, ...]:
        """What happened when, without gaps."""
        nothing = _Spell()
        spells = [self._spells.get(number, nothing) for number in range(max(self._spells, default=-1) + 1)]
        return tuple(
            Interval(
                begin=round(number * self.interval, 6),
                due=spell.due,
                launched=spell.launched,
                failed=spell.failed,
                throttled=spell.throttled,
                latency=spell.latency,
            )
            for number, spell in enumerate(spells)
        )

    def places(self) -> tuple[Place, ...]:
        """What happened where."""
        return tuple(
            Place(
                location=location,
                launched=spell.launched,
                failed=spell.failed,
                throttled=spell.throttled,
                latency=spell.latency,
            )
            for location, spell in sorted(self._places.items())
        )

    def failures(self) -> tuple[Failure, ...]:
        """What failed."""
        return tuple(
            Failure(kind, location, count) for (kind, location), count in sorted(self.errors.items())
        )

    def progress(self, now: float) -> Progress:
        """The counts now."""
        p50, p90, p99 = self.latency.percentiles(50, 90, 99)
        last = self._spells.get(int(now / self.interval) - 1, _Spell())
        by_kind: Counter[str] = Counter()
        for (kind, _), count in self.errors.items():
            by_kind[kind] += count
        return Progress(
            seconds=now,
            asked=last.due / self.interval,
            got=last.launched / self.interval,
            due=self.due,
            in_flight=self.in_flight,
            launched=self.launched,
            failed=self.failed,
            throttled=self.throttled,
            living=len(self.living),
            p50=p50,
            p90=p90,
            p99=p99,
            errors=dict(by_kind),
            places={location: _place_progress(spell) for location, spell in sorted(self._places.items())},
        )

    def _count_throttled(self, attempts: tuple[Attempt, ...], now: float) -> None:
        for attempt in attempts:
            if attempt.status in _THROTTLED and attempt.location is not None:
                self.throttled += 1
                self._places[attempt.location].throttled += 1
                self._spell(now).throttled += 1

    def _spell(self, at: float) -> _Spell:
        return self._spells[int(at / self.interval)]


def _place_progress(spell: _Spell) -> PlaceProgress:
    p50, p99 = spell.latency.percentiles(50, 99)
    return PlaceProgress(
        launched=spell.launched, failed=spell.failed, throttled=spell.throttled, p50=p50, p99=p99
    )
