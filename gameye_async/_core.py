"""What an entered client consists of, and how it is put together and taken apart."""

import asyncio
import os
import warnings
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Self

from attrs import define, field, frozen
from yarl import URL

from gameye_async._calls import Caller
from gameye_async._launcher import Launcher
from gameye_async._limiter import Lane, Pace, SharedPace
from gameye_async._pacing import AdaptiveRate, LocationGates
from gameye_async._policy import AuthLatch, RetryBudget
from gameye_async._stats import Counters
from gameye_async._supervisor import Supervisor
from gameye_async._sweeper import Sweeper
from gameye_async.errors import ClientClosedError
from gameye_async.models import OrphanRecord
from gameye_async.settings import LaunchGate, Pacing, RetryPolicy, Timeouts, Token

# Reads and stops have places of their own, so that a stop never waits behind a burst of launches.
_CONTROL_LANE = 8


@frozen
class Setup:
    """The arguments of a client that hold for as long as it is entered."""

    token: Token
    base_url: URL
    max_concurrency: int
    timeouts: Timeouts
    retry: RetryPolicy
    pacing: Pacing
    on_orphan: Callable[[OrphanRecord], object] | None
    rng: Random
    transport: Mapping[str, Any]


@define(eq=False)
class Core:
    """The parts of an entered client, bound to one event loop of one process.

    Attributes:
        caller: Sends calls.
        supervisor: Owns background tasks.
        launcher: Runs launches.
    """

    caller: Caller
    supervisor: Supervisor
    launcher: Launcher
    _loop: asyncio.AbstractEventLoop
    _gate: LaunchGate | None
    _pid: int = field(factory=os.getpid, init=False)
    _closed: bool = field(default=False, init=False)

    @classmethod
    def open(cls, setup: Setup) -> Self:
        """Put a client together on the running event loop."""
        # aiohttp takes 190 ms to import, so a program that only builds requests does not pay for it.
        from gameye_async._transport import Transport  # noqa: PLC0415  -- see above

        loop = asyncio.get_running_loop()
        sweeper = Sweeper(loop)
        caller = Caller(
            transport=Transport(
                setup.base_url, sweeper, connect_timeout=setup.timeouts.connect, **setup.transport
            ),
            token=setup.token,
            sweeper=sweeper,
            launches=Lane(setup.max_concurrency, loop.time),
            control=Lane(_CONTROL_LANE),
            budget=RetryBudget(setup.retry.budget),
            latch=AuthLatch(),
            counters=Counters(),
            rng=setup.rng,
            clock=loop.time,
        )
        supervisor = Supervisor(caller, setup.on_orphan)
        gates = LocationGates(setup.pacing, setup.rng)
        rate, shared = AdaptiveRate(setup.pacing), setup.pacing.shared
        gate = None if shared is None else shared.open(setup.token.fingerprint, setup.rng)
        pace = Pace(rate, loop.time) if gate is None else SharedPace(rate, loop.time, gate)
        return cls(caller, supervisor, Launcher(caller, supervisor, gates, pace), loop, gate)

    @property
    def state(self) -> str:
        """For the client's repr."""
        return "closed" if self._closed or self.launcher.closing else "open"

    def check(self) -> None:
        """Refuse use from where the connections do not belong.

        Raises:
            ClientClosedError: The client was closed, or is used from another loop or after a fork.
        """
        if self._closed or self.launcher.closing:
            raise ClientClosedError("the client is closed; make a new one")
        if asyncio.get_running_loop() is not self._loop:
            raise ClientClosedError("the client belongs to another event loop; make one for each loop")
        if os.getpid() != self._pid:
            raise ClientClosedError("the client was made before a fork; make one for each process")

    async def close(self, grace: float) -> None:
        """Let what is under way finish for `grace` seconds, end the rest, and close the pool."""
        if self._closed:
            return
        self.launcher.close()
        try:
            await self.supervisor.drain(grace)
        finally:
            self._closed = True
            self.caller.sweeper.close()
            await self.caller.transport.close()
            if self._gate is not None:
                await self._gate.aclose()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(
                "an AsyncGameye was dropped without being closed", ResourceWarning, source=self, stacklevel=2
            )
