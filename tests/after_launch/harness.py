"""Clients with everything between a launch and the post-mortem, over loopback or in virtual time."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web
from attrs import define, field

from gameye_async import AsyncGameye, OrphanRecord
from gameye_async.emulator import Emulator, Fault, Faults, World, build_app
from tests.clients import FAST, TOKEN
from tests.faultserver import FaultServer
from tests.simulation.network import Network

EPOCH = 1_893_456_000.0
WEST = "eu-west"
FIELDS: dict[str, Any] = {"image": "my-game", "location": WEST}


def client_of(server: FaultServer | Emulator, **options: Any) -> AsyncGameye:
    """A client over loopback that hardly waits between attempts; to be entered."""
    return AsyncGameye(TOKEN, base_url=server.url, **{"retry": FAST} | options)


@asynccontextmanager
async def emulated(*faults: Fault, **options: Any) -> AsyncIterator[tuple[Emulator, AsyncGameye]]:
    """An emulator and a client of it, over loopback; options are those of a `World`."""
    async with (
        Emulator(token=TOKEN, seed=7, faults=faults, **{"locations": [WEST]} | options) as emulator,
        client_of(emulator) as gameye,
    ):
        yield emulator, gameye


@define(eq=False)
class Stage:
    """An emulated API on a network in virtual time, and clients of it.

    Attributes:
        world: The emulator's world.
        faults: What goes wrong at the API.
        network: What goes wrong on the way.
        orphans: What `on_orphan` was called with.
    """

    world: World
    faults: Faults
    network: Network
    orphans: list[OrphanRecord] = field(factory=list)

    @property
    def now(self) -> float:
        return self.network.loop.time()

    def client(self, **options: Any) -> AsyncGameye:
        """A client of a process of its own; to be entered."""
        defaults = {"rng": Random(7), "on_orphan": self.orphans.append}
        connector = self.network.connector()
        return AsyncGameye(TOKEN, base_url="http://127.0.0.1", connector=connector, **defaults | options)


@asynccontextmanager
async def stage(
    *faults: Fault, client: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Stage, AsyncGameye]]:
    """Set the stage inside `in_virtual_time`; options are those of a `World`."""
    network = Network()
    world = World(clock=network.loop.time, rng=Random(7), epoch=EPOCH, **{"locations": [WEST]} | options)
    place = Stage(world, Faults(faults), network)
    app = build_app(world, token=TOKEN, faults=place.faults)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3_600.0)
    await runner.setup()
    network.listen("127.0.0.1", 80, runner.server)
    async with place.client(**client or {}) as gameye:
        yield place, gameye
    await runner.cleanup()
