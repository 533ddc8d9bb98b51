"""An in-memory network in virtual time, on which the real aiohttp client and server talk to each other."""

import asyncio
import errno
from collections.abc import Callable
from random import Random
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import ceil_timeout
from attrs import Factory, define

from tests.simulation.connection import Address, Connection
from tests.simulation.faults import FAULTLESS, Fault, FaultPlan, NoFaults

ProtocolFactory = Callable[[], asyncio.Protocol]
Trace = list[tuple[float, int, str]]


@define
class NetworkStats:
    """Counters of a network.

    Attributes:
        attempts: connections asked for.
        opened: connections made.
        open: connections that are open on at least one side now.
        faults: messages that met with a fault.
    """

    attempts: int = 0
    opened: int = 0
    open: int = 0
    faults: int = 0


@define(eq=False)
class Network:
    """Addresses, the connections between them, and what goes wrong on the way.

    Create it inside the simulated world: it belongs to the running loop.

    Attributes:
        seed: decides how long each trip takes.
        faults: decides the fate of each message; may be replaced at any time.
        latency: the shortest and the longest time of one trip, in seconds.
        trace: a list that receives (virtual time, connection number, what happened), when given.
        stats: live counters.
    """

    seed: int = 0
    faults: FaultPlan = Factory(NoFaults)
    latency: tuple[float, float] = (0.001, 0.02)
    trace: Trace | None = None
    stats: NetworkStats = Factory(NetworkStats)
    loop: asyncio.AbstractEventLoop = Factory(asyncio.get_running_loop)
    _listeners: dict[Address, ProtocolFactory] = Factory(dict)
    _connections: dict[Connection, None] = Factory(dict)

    def listen(self, host: str, port: int, factory: ProtocolFactory) -> None:
        """Accept connections to an address; for aiohttp.web the factory is ``runner.server``."""
        self._listeners[host, port] = factory

    def unlisten(self, host: str, port: int) -> None:
        """Refuse connections to an address from now on; open ones stay."""
        del self._listeners[host, port]

    def connector(self, **options: Any) -> "SimConnector":
        """Make a connector for an `aiohttp.ClientSession`; options as for `aiohttp.BaseConnector`."""
        return SimConnector(self, **{"limit": 0, **options})

    def break_all(self) -> None:
        """Reset every open connection, as a server does that restarts."""
        for connection in tuple(self._connections):
            connection.break_off()

    async def connect(self, factory: ProtocolFactory, host: str, port: int) -> asyncio.Protocol:
        """Open a connection and return its client protocol.

        Raises:
            ConnectionRefusedError: when nobody listens at the address, or the fault plan says so.
        """
        self.stats.attempts += 1
        number = self.stats.attempts
        # Each connection has a source of chance of its own: what others do does not change its trips.
        rng = Random(f"{self.seed}/{number}")
        fault = self.faults.on_connect(self.loop.time())
        self._note(number, f"connect {host}:{port}", fault)
        if fault.delivered < 1.0 and fault.ending is None:
            await self.loop.create_future()
        await asyncio.sleep(rng.uniform(*self.latency) + rng.uniform(*self.latency) + fault.delay)
        accept = self._listeners.get((host, port))
        if accept is None or fault.ending is not None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return self._open(number, rng, factory(), accept(), (host, port))

    def _open(
        self, number: int, rng: Random, client: asyncio.Protocol, server: asyncio.Protocol, address: Address
    ) -> asyncio.Protocol:
        def on_request(data: bytes) -> Fault:
            return self._note(number, _first_line(data), self.faults.on_request(self.loop.time(), data))

        def on_response(data: bytes) -> Fault:
            return self._note(number, _first_line(data), self.faults.on_response(self.loop.time(), data))

        def on_closed() -> None:
            del self._connections[connection]
            self.stats.open -= 1
            self._note(number, "closed")

        connection = Connection(
            loop=self.loop,
            travel=lambda: rng.uniform(*self.latency),
            on_request=on_request,
            on_response=on_response,
            on_closed=on_closed,
        )
        self._connections[connection] = None
        self.stats.opened += 1
        self.stats.open += 1
        connection.join(client, ("192.0.2.1", 32_768 + number), server, address)
        return client

    def _note(self, number: int, event: str, fault: Fault = FAULTLESS) -> Fault:
        if fault != FAULTLESS:
            self.stats.faults += 1
            event = f"{event} {fault}"
        if self.trace is not None:
            self.trace.append((self.loop.time(), number, event))
        return fault


class SimConnector(aiohttp.BaseConnector):
    """aiohttp's own connection pool over a simulated network; https is accepted and not encrypted."""

    def __init__(self, network: Network, **options: Any) -> None:
        super().__init__(**options)
        self._network = network

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  -- aiohttp's hook
    ) -> ResponseHandler:
        host, port = req.url.raw_host or "", req.url.port or 80
        try:
            async with ceil_timeout(timeout.sock_connect, ceil_threshold=timeout.ceil_threshold):
                return await self._network.connect(self._factory, host, port)
        except ConnectionRefusedError as exc:
            raise aiohttp.ClientConnectorError(req.connection_key, exc) from exc


def _first_line(data: bytes) -> str:
    return data.partition(b"\r\n")[0].decode("latin-1")
