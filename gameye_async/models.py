"""What is sent to the Session API and what comes back, as frozen value types."""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Self, cast

from attrs import field, frozen

from gameye_async.errors import Attempt, ConfigurationError, GameyeError

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

    request: "LaunchRequest"
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


def redacted(secrets: Mapping[str, str]) -> str:
    """The repr of a mapping whose values are nobody's business."""
    return "{" + ", ".join(f"{key!r}: '***'" for key in secrets) + "}"


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


_TTL = re.compile(r"(?=.)(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m)?", re.ASCII)


def format_ttl(ttl: timedelta | str) -> str:
    """The API's spelling of a time to live: hours and minutes, such as `2h30m`.

    Raises:
        ConfigurationError: It is not a positive whole number of minutes. The API would round a
            shorter one up to a minute, and other units are refused by some of its versions.
    """
    if isinstance(ttl, str):
        match = _TTL.fullmatch(ttl)
        if match and int(match["h"] or 0) + int(match["m"] or 0) > 0:
            return ttl
    elif isinstance(ttl, timedelta):
        minutes, rest = divmod(ttl, timedelta(minutes=1))
        if minutes > 0 and not rest:
            hours, minutes = divmod(minutes, 60)
            return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    raise ConfigurationError(
        f"ttl {str(ttl)!r} is not expressible in hours and minutes; "
        "use a timedelta of whole minutes, or text such as '2h30m'"
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{name} holds a lone surrogate, which no JSON text can carry") from None
    return value


def _filled(name: str, value: object) -> str:
    if not _text(name, value):
        raise ConfigurationError(f"{name} must not be empty; the API refuses it")
    return str(value)


def _plain(texts: Collection[object]) -> bool:
    """Whether all are certainly fine, so that the naming of each one can wait until one is not."""
    try:
        return all(texts) and "".join(cast("Collection[str]", texts)).isascii()
    except TypeError:
        return False


def _location(value: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        names = (value,)
    elif isinstance(value, Iterable):
        names = tuple(value)
    else:
        raise ConfigurationError(f"location must be text or several texts, not {type(value).__name__}")
    if not names:
        raise ConfigurationError("location must name at least one location")
    return names if _plain(names) else tuple([_filled("location", name) for name in names])


def _image(value: str) -> str:
    return _filled("image", value)


class GeneratedId(str):
    """An id that was made here, at random, so that a session of this id can only be ours."""

    __slots__ = ()


def _id(value: str | uuid.UUID | None) -> str:
    if value is None:
        return GeneratedId(uuid.uuid4())
    if isinstance(value, GeneratedId):
        return value
    return str(value) if isinstance(value, uuid.UUID) else _filled("id", value)


def _env(value: Mapping[str, str]) -> dict[str, str]:
    if not (_plain(value.keys()) and _plain(value.values())):
        for name, text in value.items():
            _filled(f"env[{name!r}]", text)
            _filled("env name", name)
    return dict(value)


def _args(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError("args must be a list of texts, not one text")
    args = tuple(value)
    return args if _plain(args) else tuple([_filled(f"args[{i}]", arg) for i, arg in enumerate(args)])


def _labels(value: Mapping[str, str]) -> dict[str, str]:
    if not (_plain(value.keys()) and _plain(value.values())):
        for name, text in value.items():
            _text(f"labels[{name!r}]", text)
            _filled("label name", name)
    return dict(value)


def _restart(_instance: object, _attribute: object, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"restart must be True or False, not {type(value).__name__}")


def _ttl(value: timedelta | str | None) -> str | None:
    return None if value is None else format_ttl(value)


def _version(value: str | None) -> str | None:
    return None if value is None else _filled("version", value)


def _external_id(value: str | None) -> str | None:
    return None if value is None else _text("external_id", value)


def _enable_metrics(value: bool | str | None) -> str | None:  # noqa: FBT001  -- the API's field, passed by name
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else _text("enable_metrics", value)


@frozen
class LaunchRequest:
    """What to launch: the body of `POST /session`, checked when it is made.

    Args:
        image: Application name registered at Gameye.
        location: A location, or several in order of preference.
        id: The session's id, text or UUID; a UUIDv4 is made when it is left out.
        env: Environment of the container; values must not be empty. Never shown by repr.
        args: Command line arguments, appended to the image's entry point; none may be empty.
        restart: Whether the container is restarted when it fails.
        labels: Your own metadata, to find the session by; ignored when a warm pool serves the launch.
        version: Tag of the image; the one with the highest priority when left out.
        ttl: When the session is ended by force: a timedelta of whole minutes, or text such as `2h30m`.
        external_id: Your own identifier, which no answer repeats.
        enable_metrics: Only known to older platforms; a bool is sent as the documented string.

    Raises:
        ConfigurationError: A field is one that the API would refuse; the text names it.
    """

    image: str = field(converter=_image)
    location: tuple[str, ...] = field(converter=_location)
    id: str = field(default=None, converter=_id, kw_only=True)
    env: Mapping[str, str] = field(
        factory=dict[str, str], converter=_env, repr=redacted, kw_only=True, hash=False
    )
    args: tuple[str, ...] = field(default=(), converter=_args, kw_only=True)
    restart: bool = field(default=False, validator=_restart, kw_only=True)
    labels: Mapping[str, str] = field(factory=dict[str, str], converter=_labels, kw_only=True, hash=False)
    version: str | None = field(default=None, converter=_version, kw_only=True)
    ttl: str | None = field(default=None, converter=_ttl, kw_only=True)
    external_id: str | None = field(default=None, converter=_external_id, kw_only=True)
    enable_metrics: str | None = field(default=None, converter=_enable_metrics, kw_only=True)
