"""A platform in virtual time whose launches take as long as a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from aiohttp import web

from gameye_async import AsyncGameye
from gameye_async.emulator import Faults, World, build_app
from tests.simulation.network import Network

TakeTime = Callable[[float], Awaitable[object]]

TOKEN = "simulated-token"
EPOCH = 1_893_456_000.0


@asynccontextmanager
async def platform(
    take_time: TakeTime | None = None,
    *,
    faults: Faults | None = None,
    world: dict[str, Any] | None = None,
    **client: Any,
) -> AsyncIterator[tuple[World, AsyncGameye]]:
    """A world and a client of it, on a network without latency; for `simulation.loop.run`.

    Args:
        take_time: Awaited for each launch, with the moment at which it came in.
        faults: What goes wrong.
        world: Options of the world.
        client: Options of the client.
    """
    loop = asyncio.get_running_loop()
    emulated = World(
        clock=loop.time, rng=Random(1), epoch=EPOCH, **{"locations": {"europe": 10**6}, **(world or {})}
    )

    async def start(_session: object) -> None:
        if take_time is not None:
            await take_time(loop.time())

    app = build_app(emulated, token=TOKEN, faults=faults or Faults(), start_container=start)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    network = Network(latency=(0.0, 0.0))
    network.listen("127.0.0.1", 80, runner.server)
    async with AsyncGameye(
        TOKEN, base_url="http://127.0.0.1", connector=network.connector(), rng=Random(1), **client
    ) as gameye:
        yield emulated, gameye
    await runner.cleanup()
