"""The emulator as a server on loopback."""

import asyncio
import gc
import random
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Self, TypedDict, Unpack

from aiohttp import web

from gameye_async.emulator.app import StartContainer, build_app
from gameye_async.emulator.faults import Fault, Faults
from gameye_async.emulator.history import History, RequestRecord
from gameye_async.emulator.placement import is_loopback, loopback, pretended
from gameye_async.emulator.processes import GRACE_SECONDS, Processes
from gameye_async.emulator.quirks import Profile, Quirks
from gameye_async.emulator.sessions import Image, WarmPool
from gameye_async.emulator.timeline import Event
from gameye_async.emulator.world import World

DEFAULT_TOKEN: Final = "emulator-token"  # noqa: S105  -- it opens nothing but the emulator
BACKLOG: Final = 4096
_KILL_SECONDS: Final = 5.0


def collect_garbage_less() -> None:
    """Let the collector run less often, in a process that does nothing but serve an emulator.

    Each run walks every live session: with the interpreter's own threshold, launches beside 50,000 of them
    are a third slower (`benchmarks/emulator.py`).
    """
    gc.set_threshold(20_000, 20, 100)


class WorldOptions(TypedDict, total=False):
    """What `Emulator` passes on to the `World` that it makes; see there."""

    locations: Mapping[str, int] | Sequence[str]
    capacity: int
    images: dict[str, Image] | None
    pools: Iterable[WarmPool]
    quirks: Quirks
    start_rate: float | None
    start_burst: float | None
    start_seconds: float
    stop_seconds: float
    retention_seconds: float
    quota_seconds: float | None
    quota_starts: int | None


class Emulator:
    """The Gameye API on loopback, as an async context manager.

    Args:
        world: World to serve; a new one by default.
        profile: Generation of the API of a new world: `"current"` or `"legacy"`.
        token: Bearer token with every scope.
        scoped_tokens: Further tokens, each with the scopes that it has.
        host: Address to listen on.
        allow_remote: Whether it may be one that other machines can reach.
        port: Port to listen on; 0 takes a free one.
        faults: What goes wrong from the start; `emulator.faults` can be changed at any time.
        seed: Seed of a new world's random source; None takes a fresh one.
        start_container: Awaited for every launch before its session exists; see `build_app`.
        run: Command to run as a local process for every session of a new world; see `Processes`.
        grace: Seconds between SIGTERM and SIGKILL for these processes.
        keep_alive: Seconds after which an idle connection is closed.
        **options: Further arguments of the new world.

    Raises:
        ValueError: The profile is unknown, the command cannot run, or other machines could reach the host.
        TypeError: A world was given and options for a new one too.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        profile: str = "current",
        token: str = DEFAULT_TOKEN,
        scoped_tokens: Mapping[str, frozenset[str]] | None = None,
        host: str = "127.0.0.1",
        allow_remote: bool = False,
        port: int = 0,
        faults: Iterable[Fault] = (),
        seed: int | None = None,
        start_container: StartContainer | None = None,
        run: str | Sequence[str] | None = None,
        grace: float = GRACE_SECONDS,
        keep_alive: float = 75.0,
        **options: Unpack[WorldOptions],
    ) -> None:
        if world is not None and options:
            raise TypeError(f"the world that was given has its own {', '.join(options)}")
        if not (allow_remote or is_loopback(host)):
            raise ValueError(f"other machines could reach {host!r}: pass allow_remote if they may")
        if run is not None and (world or start_container):
            raise TypeError("run makes a world of its own and starts its containers")
        if run is not None:
            # The end of the process ends the session; the timer is for one that cannot be killed.
            options.setdefault("stop_seconds", grace + _KILL_SECONDS)
        self.world = world or World(
            clock=time.monotonic,
            rng=random.Random(seed),  # noqa: S311  -- seeded on purpose, nothing here is secret
            epoch=time.time() - time.monotonic(),
            profile=Profile.named(profile),
            machines=pretended if run is None else loopback,
            **options,
        )
        self._processes = None if run is None else Processes(self.world, run, grace=grace)
        self.token = token
        self.faults = Faults(faults)
        self.history = History(self.world)
        self._scoped_tokens = scoped_tokens
        self._start_container = self._processes.start if self._processes else start_container
        self._address = host, port
        self._keep_alive = keep_alive
        self._runner: web.AppRunner | None = None
        self._stack = AsyncExitStack()

    @property
    def requests(self) -> deque[RequestRecord]:
        """The last requests that were served, oldest first."""
        return self.history.requests

    @property
    def url(self) -> str:
        """Base URL, once it listens.

        Raises:
            RuntimeError: It does not listen.
        """
        host, port = self._listening().addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        app = build_app(
            self.world,
            token=self.token,
            scoped_tokens=self._scoped_tokens,
            faults=self.faults,
            history=self.history,
            start_container=self._start_container,
        )
        async with AsyncExitStack() as stack:
            if self._processes is not None:
                await stack.enter_async_context(self._processes)
            runner = web.AppRunner(
                app, access_log=None, keepalive_timeout=self._keep_alive, shutdown_timeout=0.1
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, *self._address, backlog=BACKLOG).start()
            stack.callback(self.world.subscribe(self._hear))
            self._runner, self._stack = runner, stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._runner = None
        await self._stack.aclose()
        # The connections' tasks are cancelled by now and take one more turn of the loop to end.
        await asyncio.sleep(0)

    def drop_connections(self) -> None:
        """Reset every open connection, as a crashing gateway does; requests in flight go on unheard."""
        server = self._listening().server
        for connection in server.connections if server else ():
            if connection.transport is not None:
                connection.transport.abort()

    def restart(self, *, keep_memory: bool = True) -> None:
        """Restart the platform: connections drop and launches in flight are lost.

        Args:
            keep_memory: Whether sessions survive.
        """
        self.world.restart(keep_memory=keep_memory)

    def _hear(self, event: Event) -> None:
        # Whoever restarts the world, a fault of a request included.
        if event.kind == "restarted":
            self.drop_connections()

    def _listening(self) -> web.AppRunner:
        if self._runner is None:
            raise RuntimeError("the emulator listens only inside `async with`")
        return self._runner
