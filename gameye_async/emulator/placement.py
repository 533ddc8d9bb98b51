"""Where sessions run: locations, their machines and the host ports on them."""

from collections import deque
from collections.abc import Iterator
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


def addresses() -> Iterator[str]:
    """The machine addresses of an emulator: a documentation network, so that nobody is ever reached."""
    return (f"203.0.113.{number}" for number in range(1, 255))


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
    is_open: bool = True

    @property
    def free(self) -> int:
        """How many ports are free."""
        return len(self._ports) - self._fresh + len(self._recycled)

    def take(self, count: int) -> tuple[int, ...]:
        """Hand out `count` free ports; the caller has looked at `free`."""
        fresh = self._ports[self._fresh : self._fresh + count]
        self._fresh += len(fresh)
        return (*fresh, *(self._recycled.popleft() for _ in range(count - len(fresh))))

    def give_back(self, ports: tuple[int, ...]) -> None:
        """Take back the ports of an ended session."""
        self._recycled.extend(ports)


@define(eq=False)
class Location:
    """A place with room for `capacity` sessions; machines are opened as they are needed.

    Args:
        name: Region name as clients spell it.
        capacity: Sessions that may run here at once. May be lowered below `used`; then nothing starts.
        ports: Host ports of each machine.
        addresses: Supply of machine addresses, shared by all locations of a world.
    """

    name: str
    capacity: int
    _ports: range = field(repr=False)
    _addresses: Iterator[str] = field(repr=False)
    used: int = 0
    _open: list[Machine] = field(factory=list[Machine], init=False, repr=False)
    address: str = field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        machine = self._open_machine()
        self.address = machine.address if machine else ""

    @property
    def has_room(self) -> bool:
        """Whether one more session fits."""
        return self.used < self.capacity

    def place(self, count: int) -> tuple[Machine, tuple[int, ...]] | None:
        """Take a seat and `count` ports of one machine, or answer None when no machine has them."""
        machine = self._machine_with(count)
        if machine is None:
            return None
        self.used += 1
        return machine, machine.take(count)

    def vacate(self, machine: Machine, ports: tuple[int, ...]) -> None:
        """Give back what `place` took."""
        self.used -= 1
        machine.give_back(ports)
        if not machine.is_open:
            machine.is_open = True
            self._open.append(machine)

    def _machine_with(self, count: int) -> Machine | None:
        if count > len(self._ports):
            return None
        while self._open:
            machine = self._open[-1]
            if machine.free >= count:
                return machine
            self._open.pop()
            machine.is_open = False
        return self._open_machine()

    def _open_machine(self) -> Machine | None:
        address = next(self._addresses, None)
        if address is None:
            return None
        machine = Machine(address, self._ports)
        self._open.append(machine)
        return machine
