"""What the emulator's tests stand on: a clock to turn, a plain HTTP client, and a loop in virtual time."""

import asyncio
import json
import random
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import define, frozen
from yarl import URL

from gameye_async.emulator import Emulator, World

EPOCH = 1_700_000_000.0
LAUNCH = {"location": "europe", "image": "my-game"}


@define
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def new_world(clock: Callable[[], float], **options: Any) -> World:
    """A world in the clock's time, with a fixed seed."""
    return World(clock=clock, rng=random.Random(7), epoch=EPOCH, **options)


@frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@define
class Caller:
    """A client that sends exactly what it is told."""

    session: aiohttp.ClientSession
    base: str

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, URL(self.base + path, encoded=True), **options) as response:
            return Reply(response.status, dict(response.headers), await response.read())


@asynccontextmanager
async def serving(world: World | None = None, **options: Any) -> AsyncIterator[tuple[Emulator, Caller]]:
    """An emulator and somebody who calls it with its token."""
    async with (
        Emulator(world, **options) as emulator,
        aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {emulator.token}"},
            connector=aiohttp.TCPConnector(limit=0),
            auto_decompress=False,
        ) as session,
    ):
        yield emulator, Caller(session, emulator.url)


class _Selector(selectors.DefaultSelector):
    """Skips the waiting: when no socket is ready, the time that would have passed has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select()
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop over real sockets whose clock jumps to the next timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_virtually(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario in virtual time, from second 0."""

    async def main() -> None:
        await scenario()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def loop_time() -> float:
    """The clock of the running loop, for worlds."""
    return asyncio.get_running_loop().time()
