"""What comes of a launch, as frozen value types."""

from datetime import datetime
from typing import Literal

from attrs import frozen

from gameye_async.errors import Attempt

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
