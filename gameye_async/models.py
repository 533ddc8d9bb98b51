"""What comes of launches and stops, as frozen value types."""

from datetime import datetime
from typing import Literal

from attrs import frozen

from gameye_async.errors import Attempt, GameyeError
from gameye_async.launch_request import LaunchRequest

Protocol = Literal["tcp", "udp"]


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
