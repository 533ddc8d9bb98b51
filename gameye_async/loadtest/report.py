"""What a load test found: plain data, which the reports of all shards add up to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from attrs import field, frozen

from gameye_async.errors import ConfigurationError
from gameye_async.loadtest.histogram import Histogram
from gameye_async.loadtest.plan import Plan, Shard

Ending = Literal["completed", "max_sessions", "max_cost", "interrupted"]


@frozen(kw_only=True)
class Part:
    """One process of a load test.

    Attributes:
        shard: Which part it played.
        run: Value of the label `loadtest` of its sessions.
        began: When it began, with time zone.
        seconds: How long it took, stops and the last look included.
        ending: Why arrivals ended: the schedule was "completed", a cap was reached, or it was interrupted.
        swept: Sessions of its labels that the last reconcile found and stopped.
        left: Sessions of its labels that were running after that; None when the API would not say.
        unknown: Launches and stops of which nobody could say whether they had worked.
    """

    shard: Shard
    run: str
    began: datetime
    seconds: float
    ending: Ending
    swept: int
    left: int | None
    unknown: int

    @property
    def is_clean(self) -> bool:
        """Whether the last look proved that none of its sessions was left running."""
        return self.left == 0


@frozen(kw_only=True)
class Interval:
    """What happened in a short time.

    Attributes:
        begin: Seconds from the beginning of the test.
        due: Launches that were due in it.
        launched: Sessions that came in it.
        failed: Launches that failed in it.
        throttled: Answers 420 and 429 to attempts of launches that ended in it.
        latency: Seconds from when a launch was due to its session, of those that were due in it.
    """

    begin: float
    due: int
    launched: int
    failed: int
    throttled: int
    latency: Histogram


@frozen(kw_only=True)
class Place:
    """What happened in a location.

    Attributes:
        location: Its name.
        launched: Sessions there.
        failed: Launches that failed, by the location that they asked first.
        throttled: Answers 420 and 429.
        latency: Seconds from when a launch was due to its session.
    """

    location: str
    launched: int
    failed: int
    throttled: int
    latency: Histogram


@frozen(order=True)
class Failure:
    """How often a launch failed in one way.

    Attributes:
        kind: Class name of the error.
        location: The location that was asked first.
        count: How often.
    """

    kind: str
    location: str
    count: int


@frozen(kw_only=True)
class ClientSettings:
    """The client that launched.

    Attributes:
        api: Where the API was.
        max_concurrency: Most launches in flight; further ones wait, and that counts as latency.
        adaptive_pacing: Whether it slowed down after refusals; that waiting counts as well.
        deadline: Seconds that a launch could take.
        attempts: Tries of a launch, where a try is safe.
    """

    api: str
    max_concurrency: int
    adaptive_pacing: bool
    deadline: float
    attempts: int


@frozen(kw_only=True)
class LoadReport:
    """The result of a load test.

    Failed launches are in no histogram; they are counted in `failures`.

    Attributes:
        plan: What was asked for.
        parts: The processes that took part, one for each shard.
        client: The client that launched.
        versions: Versions of Python and of the packages that took part.
        due: Launches that the schedule asked for until arrivals ended.
        launched: Sessions.
        adopted: Those of them that a lost answer had created.
        abandoned: Launches that an interruption took back.
        throttled: Answers 420 and 429; the client tried again after most of them.
        latency: Seconds from the moment a launch was due to its session: what a player waits.
        service: Seconds of the request that succeeded, from sending: what a closed loop would have told.
        lag: Seconds from the moment a launch was due to its beginning: how late this program was itself.
        interval: Seconds of each interval.
        intervals: What happened when.
        places: What happened where.
        failures: What failed, how and where.
        stopped: Sessions whose stop was confirmed.
        peak: Most sessions at once; of several parts, the sum of their peaks.
        session_seconds: Time that sessions lived, from launch to confirmed stop.
    """

    plan: Plan
    parts: tuple[Part, ...]
    client: ClientSettings
    versions: Mapping[str, str] = field(hash=False)
    due: int
    launched: int
    adopted: int
    abandoned: int
    throttled: int
    latency: Histogram
    service: Histogram
    lag: Histogram
    interval: float
    intervals: tuple[Interval, ...]
    places: tuple[Place, ...]
    failures: tuple[Failure, ...]
    stopped: int
    peak: int
    session_seconds: float

    @property
    def failed(self) -> int:
        """Launches that got no session."""
        return sum(failure.count for failure in self.failures)

    @property
    def cost(self) -> float | None:
        """What the sessions cost by the plan's price; None without one."""
        return self.plan.cost(self.session_seconds)

    @property
    def is_clean(self) -> bool:
        """Whether it was proved that no session was left running."""
        return all(part.is_clean for part in self.parts)

    @property
    def is_whole(self) -> bool:
        """Whether it holds every shard of the plan."""
        return {part.shard.index for part in self.parts} == set(range(1, self.plan.shard.count + 1))

    @classmethod
    def merge(cls, reports: Sequence[Self]) -> Self:
        """The report of several shards, in which nothing is lost: counts add up, and so do histograms.

        Raises:
            ConfigurationError: There is none, they are not of one plan, or a shard is there twice.
        """
        if not reports:
            raise ConfigurationError("there is no report to merge")
        first = reports[0]
        for report in reports:
            if not report.plan.is_part_of(first.plan) or report.plan.shard.count != first.plan.shard.count:
                raise ConfigurationError("reports of different plans cannot be merged")
        parts = sorted((part for report in reports for part in report.parts), key=_index)
        for shard, times in Counter(part.shard for part in parts).items():
            if times > 1:
                raise ConfigurationError(f"shard {shard} is there {times} times")
        return cls(
            plan=first.plan,
            parts=tuple(parts),
            client=first.client,
            versions=first.versions,
            due=sum(report.due for report in reports),
            launched=sum(report.launched for report in reports),
            adopted=sum(report.adopted for report in reports),
            abandoned=sum(report.abandoned for report in reports),
            throttled=sum(report.throttled for report in reports),
            latency=Histogram.merged(report.latency for report in reports),
            service=Histogram.merged(report.service for report in reports),
            lag=Histogram.merged(report.lag for report in reports),
            interval=first.interval,
            intervals=_merged_intervals(interval for report in reports for interval in report.intervals),
            places=_merged_places(place for report in reports for place in report.places),
            failures=_merged_failures(failure for report in reports for failure in report.failures),
            stopped=sum(report.stopped for report in reports),
            peak=sum(report.peak for report in reports),
            session_seconds=sum(report.session_seconds for report in reports),
        )

    def write(self, path: str | Path) -> None:
        """Write the report, in the form that the name ends with: .json, .hdr, .html or .png.

        Raises:
            ConfigurationError: It ends with something else, or the extra `loadtest` is missing.
            OSError: It cannot be written.
        """
        from gameye_async.loadtest.writers import write  # noqa: PLC0415  -- they stand on this module

        write(self, Path(path))


def _index(part: Part) -> int:
    return part.shard.index


def _merged_intervals(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    together: defaultdict[float, list[Interval]] = defaultdict(list)
    for interval in intervals:
        together[interval.begin].append(interval)
    return tuple(
        Interval(
            begin=begin,
            due=sum(each.due for each in same),
            launched=sum(each.launched for each in same),
            failed=sum(each.failed for each in same),
            throttled=sum(each.throttled for each in same),
            latency=Histogram.merged(each.latency for each in same),
        )
        for begin, same in sorted(together.items())
    )


def _merged_places(places: Iterable[Place]) -> tuple[Place, ...]:
    together: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        together[place.location].append(place)
    return tuple(
        Place(
            location=location,
            launched=sum(each.launched for each in same),
            failed=sum(each.failed for each in same),
            throttled=sum(each.throttled for each in same),
            latency=Histogram.merged(each.latency for each in same),
        )
        for location, same in sorted(together.items())
    )


def _merged_failures(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    together: Counter[tuple[str, str]] = Counter()
    for failure in failures:
        together[failure.kind, failure.location] += failure.count
    return tuple(Failure(kind, location, count) for (kind, location), count in sorted(together.items()))
