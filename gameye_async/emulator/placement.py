"""Where sessions run: locations, their machines and the host ports on them."""

import itertools
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final

from attrs import define, field

DEFAULT_LOCATIONS: Final = (
    "europe",
    "eu-west",
    "eu-east",
    "eu-south",
    "na-east",
    "na-central",
    "na-west",
    "sa-east",
    "asia-east",
    "asia-northeast",
    "asia-south",
    "oce-east",
    "us-east",
    "us-central",
    "southamerica",
    "eu-west-1",
    "eu-central-1",
    "us-east-1",
)
LOOPBACK: Final = "127.0.0.1"


@define(eq=False)
class Machine:
    """One host address and its free ports.

    Ports are handed out in ascending order first and recycled oldest first afterwards, so that a port is
    not reused right after its session ended.
    """

    address: str
    _ports: range = field(repr=False)
    _fresh: int = 0
    _recycled: deque[int] = field(factory=deque[int], repr=False)

    @property
    def free(self) -> int:
        """How many ports are free."""
        return len(self._ports) - self._fresh + len(self._recycled)

    def take(self, count: int) -> tuple[int, ...] | None:
        """Hand out `count` ports, or None when there are not so many after all; see `free` first."""
        fresh = self._ports[self._fresh : self._fresh + count]
        self._fresh += len(fresh)
        return (*fresh, *(self._recycled.popleft() for _ in range(count - len(fresh))))

    def give_back(self, ports: tuple[int, ...]) -> None:
        """Take back the ports of an ended session."""
        self._recycled.extend(ports)


@define(eq=False)
class LoopbackMachine(Machine):
    """This machine: a port is handed out only when no program listens on it."""

    def take(self, count: int) -> tuple[int, ...] | None:
        """Hand out `count` ports that both TCP and UDP can bind."""
        found: list[int] = []
        busy: list[int] = []
        while len(found) < count and self.free:
            for port in super().take(1) or ():
                (found if _is_free(port) else busy).append(port)
        self.give_back(tuple(busy))
        if len(found) == count:
            return tuple(found)
        self.give_back(tuple(found))
        return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address leads to the machine that asks; other names could lead anywhere."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


Machines = Callable[[range], Iterator[Machine]]
"""The supply of machines of a world, given the host ports that each has."""


def pretended(ports: range) -> Iterator[Machine]:
    """Machines of a documentation network, so that nobody is ever reached."""
    return (Machine(f"203.0.113.{number}", ports) for number in range(1, 255))


def loopback(ports: range) -> Iterator[Machine]:
    """This machine, in every location: for sessions that are local processes."""
    # Emulators of several processes begin far apart, or one takes a port that another has just found free.
    begin = os.getpid() * 997 % len(ports)
    return itertools.repeat(LoopbackMachine(LOOPBACK, ports, begin, deque(ports[:begin])))


@define(eq=False)
class Location:
    """A place with room for `capacity` sessions; machines are opened as they are needed.

    Args:
        name: Region name as clients spell it.
        capacity: Sessions that may run here at once. May be lowered below `used`; then nothing starts.
        machines: Supply of machines, shared by all locations of a world.
        is_full: Whether others have taken all the room that is left, and take what becomes free.
    """

    name: str
    capacity: int
    _machines: Iterator[Machine] = field(repr=False)
    used: int = 0
    is_full: bool = False
    _open: dict[Machine, None] = field(factory=dict[Machine, None], init=False, repr=False)
    address: str = field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        machine = self._open_machine()
        self.address = machine.address if machine else ""

    @property
    def has_room(self) -> bool:
        """Whether one more session fits."""
        return not self.is_full and self.used < self.capacity

    def place(self, count: int) -> tuple[Machine, tuple[int, ...]] | None:
        """Take a seat and `count` ports of one machine, or answer None when no machine has them."""
        while self._open and next(reversed(self._open)).free < count:
            self._open.popitem()
        machine = next(reversed(self._open)) if self._open else self._open_machine()
        ports = machine.take(count) if machine and machine.free >= count else None
        if machine is None or ports is None:
            return None
        self.used += 1
        return machine, ports

    def vacate(self, machine: Machine, ports: tuple[int, ...]) -> None:
        """Give back what `place` took."""
        self.used -= 1
        machine.give_back(ports)
        self._open[machine] = None

    def _open_machine(self) -> Machine | None:
        machine = next(self._machines, None)
        if machine is not None:
            self._open[machine] = None
        return machine
