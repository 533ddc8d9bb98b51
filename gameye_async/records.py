"""What the Session API tells of sessions, players and locations, as frozen value types.

A program that only launches and stops does not import them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from attrs import field, frozen

from gameye_async.launch_request import redacted
from gameye_async.models import Port, Reachable


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
