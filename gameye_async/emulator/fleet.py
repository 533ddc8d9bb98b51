"""The fleet below the API: sessions from reservation to oblivion, driven by timers."""

import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from attrs import define, field, frozen

from gameye_async.emulator.limits import Quota, StartRate
from gameye_async.emulator.placement import DEFAULT_LOCATIONS, Location, Machines, pretended
from gameye_async.emulator.quirks import Profile, Quirks
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.sessions import Image, Session, WarmPool
from gameye_async.emulator.timeline import Event, Listener, Timeline
from gameye_async.emulator.validation import ttl_seconds

DEFAULT_CAPACITY = 5_000
RETENTION_SECONDS = 4 * 3600.0


@frozen(eq=False)
class Reservation:
    """A launch between its admission and the start of its container."""

    session: Session
    from_pool: bool


@define(eq=False, kw_only=True)
class Fleet:
    """Sessions, machines, pools and limits of one account; no I/O, every call first applies what is due.

    Args:
        clock: Monotonic seconds.
        rng: Source of ids and identifiers.
        epoch: Unix seconds at which `clock` read 0.
        profile: Generation of the API.
        quirks: Switches for what is undocumented.
        locations: Region names, or a mapping of names to capacities.
        capacity: Sessions per location where `locations` gives none.
        images: Known applications by name; None means that every image is known.
        pools: Warm pools.
        start_rate: Launches a second of the account, or None for no limit.
        start_burst: Launches that may start at once; as many as `start_rate`, and at least one, when None.
        start_seconds: How long a session is `created` before it is `running`.
        stop_seconds: How long a stopped session is `shuttingdown` before it is `exited`.
        retention_seconds: How long an ended session can still be read.
        quota_seconds: Total running time the account may use, or None for no limit.
        quota_starts: Total launches the account may make, or None for no limit.
        machines: Supply of machines; of a network that reaches nobody, unless sessions are local processes.
    """

    clock: Callable[[], float]
    rng: Random
    epoch: float = 0.0
    profile: Profile = Profile.CURRENT
    quirks: Quirks = field(factory=Quirks)
    locations: Mapping[str, int] | Sequence[str] = field(default=DEFAULT_LOCATIONS, repr=False)
    capacity: int = DEFAULT_CAPACITY
    images: dict[str, Image] | None = None
    pools: Iterable[WarmPool] = ()
    start_rate: float | None = None
    start_burst: float | None = None
    start_seconds: float = 0.0
    stop_seconds: float = 0.0
    retention_seconds: float = RETENTION_SECONDS
    quota_seconds: float | None = None
    quota_starts: int | None = None
    machines: Machines = field(default=pretended, repr=False)
    places: dict[str, Location] = field(init=False, repr=False)
    _timeline: Timeline = field(init=False, repr=False)
    _rate: StartRate = field(init=False, repr=False)
    _quota: Quota = field(init=False, repr=False)
    _pools: dict[tuple[str, str], WarmPool] = field(init=False, repr=False)
    _stock: dict[tuple[str, str], int] = field(init=False, repr=False)
    _any_image: Image = field(factory=Image, init=False, repr=False)
    _by_id: dict[str, Session] = field(factory=dict[str, Session], init=False, repr=False)
    _live: dict[int, Session] = field(factory=dict[int, Session], init=False, repr=False)
    _reserved: dict[int, Reservation] = field(factory=dict[int, Reservation], init=False, repr=False)
    _reserved_ids: set[str] = field(factory=set[str], init=False, repr=False)
    _serials: Iterator[int] = field(factory=lambda: itertools.count(1), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        supply = self.machines(self.profile.ports)
        capacities: Mapping[str, int] = (
            self.locations
            if isinstance(self.locations, Mapping)
            else dict.fromkeys(self.locations, self.capacity)
        )
        self.places = {name: Location(name, capacity, supply) for name, capacity in capacities.items()}
        self._timeline = Timeline(self.clock)
        burst = self.start_rate if self.start_burst is None else self.start_burst
        self._rate = StartRate(self.start_rate, max(1.0, burst or 1.0))
        self._quota = Quota(self.quota_seconds, self.quota_starts)
        self._pools = {(pool.image, pool.location): pool for pool in self.pools}
        self._stock = {key: pool.size for key, pool in self._pools.items()}

    @property
    def history(self) -> deque[Event]:
        """What happened, oldest first; bounded."""
        return self._timeline.history

    @property
    def live(self) -> list[Session]:
        """The sessions that have started and not ended, oldest first."""
        self.settle()
        return list(self._live.values())

    def settle(self) -> float:
        """Apply what is due and answer the clock's time."""
        return self._timeline.advance()

    def unix_time(self) -> float:
        """Wall-clock time of this world in Unix seconds."""
        return self.epoch + self.clock()

    def next_due(self) -> float | None:
        """When something will happen by itself, in the clock's seconds; None when nothing will."""
        return self._timeline.next_due()

    def subscribe(self, listener: Listener, session_id: str | None = None) -> Callable[[], None]:
        """Have `listener` called with each event, or those of one session; the answer unsubscribes."""
        return self._timeline.subscribe(listener, session_id)

    def session(self, session_id: str) -> Session:
        """The record of a session that has started, also of one that is over.

        Raises:
            Refusal: 404.
        """
        self.settle()
        try:
            return self._by_id[session_id]
        except KeyError:
            raise Refusal(404, f"The session {session_id} does not exist.") from None

    def commit(self, reservation: Reservation) -> dict[str, Any]:
        """The container has started: the session exists from now on.

        Raises:
            Refusal: 503, the platform was restarted meanwhile.
        """
        now = self.settle()
        session = reservation.session
        if not self.holds(session):
            raise Refusal(503, "The platform was restarted while the session started.")
        self._drop_reservation(session)
        self._by_id[session.id] = self._live[session.serial] = session
        self._quota.begin(session.created)
        session.visible_at = now + self.quirks.read_lag
        self._record("claimed" if reservation.from_pool else "launched", session, now, session.location)
        if reservation.from_pool or not self.start_seconds:
            session.status = "running"
        else:
            # Listeners wait for it, also when the launch itself took longer.
            runs = max(now, session.created + self.start_seconds)
            self._timeline.schedule(runs, partial(self._run, session))
            self.settle()
        if session.ttl is not None:
            self._timeline.schedule(now + session.ttl, partial(self._shut_down, session, kind="expired"))
        return session.launch_answer(self.quirks)

    def release(self, reservation: Reservation) -> None:
        """The container did not start: give back what was reserved."""
        session = reservation.session
        if self.holds(session):
            self._drop_reservation(session)
            self.places[session.location].vacate(session.machine, session.host_ports)

    def holds(self, session: Session) -> bool:
        """Whether the launch of this session is still on its way, so that its container may start."""
        return session.serial in self._reserved

    def end_session(self, session_id: str, status: str = "exited") -> None:
        """The container ends, for good; `status` is usually `exited` or `dead`.

        Raises:
            Refusal: 404.
        """
        session, now = self.session(session_id), self.settle()
        self._end(session, status, now, "stopped" if session.status == "shuttingdown" else "ended")

    def crash(self, session_id: str, *, down: float | None = None) -> None:
        """The container fails: it is started again when its launch asked for that, and is dead otherwise.

        Args:
            session_id: Its session.
            down: Seconds until it runs again; `start_seconds` when None.

        Raises:
            Refusal: 404.
        """
        session, now = self.session(session_id), self.settle()
        if not session.restart or session.status == "shuttingdown":
            self._end(session, "dead", now, "ended")
        elif not session.is_over:
            session.status = "restarting"
            self._record("restarting", session, now)
            if delay := self.start_seconds if down is None else down:
                self._timeline.schedule(now + delay, partial(self._run, session))
            else:
                self._run(session, now)

    def set_status(self, session_id: str, status: str) -> None:
        """Show a live session as `draining`, `server_unreachable`, or with a status nobody knows.

        Raises:
            Refusal: 404.
        """
        self.session(session_id).status = status

    def set_capacity(self, location: str, capacity: int) -> None:
        """Change how many sessions a location takes; 0 is an outage. Running sessions stay."""
        self.places[location].capacity = capacity

    def restart(self, *, keep_memory: bool) -> None:
        """The platform restarts: launches in flight are lost, and without memory every session is."""
        now = self.settle()
        for reservation in tuple(self._reserved.values()):
            self.release(reservation)
        if not keep_memory:
            for session in tuple(self._live.values()):
                self._end(session, "dead", now, "ended")
            for session in tuple(self._by_id.values()):
                self._forget(session, now)
        self._timeline.record(Event(now, "restarted", ""))

    def write_log(self, session_id: str, output: str | bytes) -> None:
        """The container writes `output` to its stdout or stderr; lines end where it says so.

        Raises:
            Refusal: 404.
        """
        session = self.session(session_id)
        session.log += output.encode() if isinstance(output, str) else output
        self._timeline.tell(Event(self.settle(), "output", session.id))

    def put_file(self, session_id: str, path: str, content: bytes) -> None:
        """The container writes a file; `path` is absolute.

        Raises:
            Refusal: 404.
        """
        self.session(session_id).files[path] = content

    def _reserve(
        self, wanted: Mapping[str, Any], image: Image, pool: WarmPool | None, now: float
    ) -> Reservation:
        place = self.places[wanted["location"]]
        seat = place.place(len(image.ports))
        if seat is None:
            raise Refusal(420, f"No machine in {place.name} has free ports.")
        machine, host_ports = seat
        given: Mapping[str, Any] = wanted
        ttl = wanted.get("ttl")
        if pool is not None:
            given = pool.launch_fields()
            ttl = ttl if self.quirks.pool_honours_ttl else None
            self._stock[pool.image, pool.location] -= 1
            self._timeline.schedule(now + pool.refill_seconds, partial(self._refill, pool))
        session = Session(
            serial=next(self._serials),
            id=wanted.get("id") or str(uuid.UUID(int=self.rng.getrandbits(128), version=4)),
            image=wanted["image"],
            tag=given.get("version") or image.first_tag(place.name) or "",
            location=place.name,
            machine=machine,
            ports=tuple([(*exposed, port) for exposed, port in zip(image.ports, host_ports, strict=True)]),
            created=now,
            env=_texts(given.get("env")),
            args=_arguments(given.get("args")),
            labels=_texts(given.get("labels")),
            restart=given.get("restart", False),
            external_id=wanted.get("external_id", ""),
            enable_metrics=wanted.get("enableMetrics", ""),
            ttl=None if ttl is None else ttl_seconds(ttl),
            image_labels=image.labels,
        )
        reservation = Reservation(session, pool is not None)
        self._reserved[session.serial] = reservation
        if self.quirks.ids_reserved_early:
            self._reserved_ids.add(session.id)
        return reservation

    def _drop_reservation(self, session: Session) -> None:
        del self._reserved[session.serial]
        self._reserved_ids.discard(session.id)

    def _refill(self, pool: WarmPool, at: float) -> None:
        self._stock[pool.image, pool.location] += 1
        self._timeline.record(Event(at, "refilled", "", f"{pool.image} in {pool.location}"))

    def _run(self, session: Session, at: float) -> None:
        if session.status in {"created", "restarting"}:
            session.status = "running"
            self._record("running", session, at)

    def _shut_down(self, session: Session, at: float, kind: str) -> None:
        if not self.stop_seconds:
            self._end(session, "exited", at, kind)
        elif not session.is_over and session.status != "shuttingdown":
            session.status = "shuttingdown"
            self._record("stopping", session, at)
            self._timeline.schedule(at + self.stop_seconds, partial(self._end, session, "exited", kind=kind))

    def _end(self, session: Session, status: str, at: float, kind: str) -> None:
        if session.is_over:
            return
        session.status = status
        session.ended_at = at
        del self._live[session.serial]
        self._quota.finish(session.created, at)
        self.places[session.location].vacate(session.machine, session.host_ports)
        self._timeline.schedule(at + self.retention_seconds, partial(self._forget, session))
        self._record(kind, session, at, status)

    def _forget(self, session: Session, at: float) -> None:
        # The id may belong to a later session by now.
        if self._by_id.get(session.id) is session:
            del self._by_id[session.id]
            self._record("forgotten", session, at)

    def _record(self, kind: str, session: Session, at: float, detail: str = "") -> None:
        self._timeline.record(Event(at, kind, session.id, detail))


def _texts(value: Mapping[str, object] | str | None) -> dict[str, str]:
    return {key: str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


def _arguments(value: Iterable[str] | str | None) -> tuple[str, ...]:
    arguments = (value,) if isinstance(value, str) else value or ()
    return tuple(argument for argument in arguments if argument)
