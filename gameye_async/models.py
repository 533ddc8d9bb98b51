"""What comes back from the Session API, as frozen value types."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from attrs import field, frozen

from gameye_async.errors import Attempt, GameyeError
from gameye_async.launch_request import LaunchRequest, redacted

Protocol = Literal["tcp", "udp"]


class SessionStatus(StrEnum):
    """State of a session's container; a value this version does not know survives as itself."""

    CREATED = "created"
    RUNNING = "running"
    RESTARTING = "restarting"
    EXITED = "exited"
    DEAD = "dead"
    DRAINING = "draining"
    SHUTTINGDOWN = "shuttingdown"
    SERVER_UNREACHABLE = "server_unreachable"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = value.upper()
        unknown._value_ = value
        return unknown

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        """Pickle by value, because an unknown status has no member to look up by name."""
        return type(self), (self.value,)

    @property
    def is_over(self) -> bool:
        """Whether the session has ended for good: `exited` (normally) or `dead` (unexpectedly)."""
        return self in (SessionStatus.EXITED, SessionStatus.DEAD)

    @property
    def is_live(self) -> bool:
        """Whether a container is known to exist; neither this nor `is_over` for an unreachable host."""
        return self in _LIVE


_LIVE = frozenset(
    {
        SessionStatus.CREATED,
        SessionStatus.RUNNING,
        SessionStatus.RESTARTING,
        SessionStatus.DRAINING,
        SessionStatus.SHUTTINGDOWN,
    }
)


@frozen(order=True)
class Port:
    """A port of the container and where players reach it.

    Attributes:
        protocol: "tcp" or "udp".
        container: Port inside the container, 1-65535.
        host: Port on the session's host, 1-65535.
    """

    protocol: Protocol
    container: int
    host: int


@frozen
class Location:
    """A location that can host an image now, with the IPv4 addresses to ping for latency."""

    id: str
    ips: tuple[str, ...]


@frozen
class Roster:
    """Who is in a session after a join or leave.

    Attributes:
        session_id: The session.
        players: Player ids as the API answered them.
        count: How many players the session has in total.
    """

    session_id: str
    players: tuple[str, ...]
    count: int


class Reachable:
    """Something with a host and ports that players connect to."""

    __slots__ = ()
    host: str
    ports: tuple[Port, ...]

    def port(self, container: int | None = None, protocol: Protocol | None = None) -> Port:
        """The port mapping for a container port.

        Args:
            container: Port inside the container; any when None.
            protocol: "tcp" or "udp"; any when None.

        Returns:
            The match with the lowest container port, tcp before udp.

        Raises:
            LookupError: The session has no such port.
        """
        matches = [
            port
            for port in self.ports
            if container in (None, port.container) and protocol in (None, port.protocol)
        ]
        if not matches:
            offered = ", ".join(f"{port.container}/{port.protocol}" for port in self.ports) or "none"
            raise LookupError(f"no port {container or 'any'}/{protocol or 'any'}; the session has: {offered}")
        return min(matches, key=lambda port: (port.container, port.protocol))

    def address(self, container: int | None = None, protocol: Protocol | None = None) -> tuple[str, int]:
        """Host and host port for a container port; arguments and errors as for `port`."""
        return self.host, self.port(container, protocol).host


@frozen(kw_only=True)
class Session(Reachable):
    """A session that was launched and is running.

    Attributes:
        id: The id sent with the launch.
        host: IP address of the machine.
        ports: Its ports, duplicates removed.
        location: Where it runs.
        image: The application that was asked for.
        version: The image's tag that was asked for, None for the highest priority.
        created_by: "launch", or "adopted" when an earlier attempt had already created it.
        attempts: What it took, oldest first.
        elapsed: Seconds from the call to the session.
    """

    id: str
    host: str
    ports: tuple[Port, ...]
    location: str
    image: str
    version: str | None = None
    created_by: Literal["launch", "adopted"] = "launch"
    attempts: tuple[Attempt, ...] = ()
    elapsed: float = 0.0


@frozen(kw_only=True)
class LaunchOutcome:
    """What came of one request of `launch_many`: a session, or an error.

    Attributes:
        request: The request; the item of the source itself when it was none.
        session: The session; None when there is an error.
        error: Why there is none, or (`LaunchOutcomeUnknownError`) why nobody can say.
        index: Position in the source, from 0.
        elapsed: Seconds from taking the request out of the source.
    """

    request: LaunchRequest
    session: Session | None = None
    error: GameyeError | None = None
    index: int
    elapsed: float

    @property
    def ok(self) -> bool:
        """Whether there is a session."""
        return self.session is not None


@frozen(kw_only=True)
class StopOutcome:
    """What came of one id of `stop_many`.

    Attributes:
        session_id: The session's id.
        stopped: True when it was stopped now, False when it was over already, None when there is an error.
        error: Why it could not be stopped, or not be confirmed to be.
        index: Position in the source, from 0.
        elapsed: Seconds from taking the id out of the source.
    """

    session_id: str
    stopped: bool | None = None
    error: GameyeError | None = None
    index: int
    elapsed: float

    @property
    def ok(self) -> bool:
        """Whether the session is certainly over."""
        return self.stopped is not None


@frozen(kw_only=True)
class OrphanRecord:
    """A session that may be running and that the client could not settle; `on_orphan` is called with it.

    Attributes:
        session_id: Its id.
        reason: Why it was left.
        last_sent: When the launch was last sent, by this machine's clock.
    """

    session_id: str
    reason: str
    last_sent: datetime


@frozen(kw_only=True)
class SessionSummary(Reachable):
    """A session as `GET /session` lists it.

    Attributes:
        id: The session's id.
        image: Application name.
        location: Where it runs.
        host: IP address of the machine.
        created: When it was created, with time zone.
        ports: Its ports.
        version: Tag of the image; None when the API left it out.
        status: State of the container; None when the API left it out.
        labels: The user's own labels.
        env: The container's environment, redacted in repr.
        player_count: How many players have joined; None when the API left it out.
        raw: The untouched answer, unknown fields included; not in repr, because it holds env.
    """

    id: str
    image: str
    location: str
    host: str
    created: datetime
    ports: tuple[Port, ...]
    version: str | None = None
    status: SessionStatus | None = None
    labels: Mapping[str, str] = field(factory=dict[str, str], hash=False)
    env: Mapping[str, str] = field(factory=dict[str, str], repr=redacted, hash=False)
    player_count: int | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen(kw_only=True)
class SessionDetails(SessionSummary):
    """A session as `GET /session/{id}` describes it.

    Attributes:
        players: Ids of the players that have joined.
    """

    players: tuple[str, ...] = ()
