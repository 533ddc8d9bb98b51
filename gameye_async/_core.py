"""What an entered client consists of, and how it is put together and taken apart."""

import asyncio
import logging
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from attrs import define, field

from gameye_async._admission import Admission
from gameye_async._admission_queue import AdmissionQueue, SharedAdmissionQueue
from gameye_async._calls import Caller
from gameye_async._launcher import Launcher
from gameye_async._options import Setup
from gameye_async._pacing import AdaptiveRate, LocationGates
from gameye_async._policy import AuthLatch, RetryBudget
from gameye_async._stats import ClientStats, Counters
from gameye_async._supervisor import Supervisor
from gameye_async._sweeper import Sweeper
from gameye_async._transport import Transport
from gameye_async.errors import ClientClosedError
from gameye_async.settings import LaunchGate

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import Emitter


@define(eq=False, repr=False)
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
        loop = asyncio.get_running_loop()
        sweeper = Sweeper(loop)
        # The user's own first: when it cannot be opened, there are no connections yet to be closed.
        shared = setup.pacing.shared
        gate = None if shared is None else shared.open(setup.token.fingerprint, setup.rng)
        caller = Caller(
            transport=Transport(
                setup.base_url, sweeper, connect_timeout=setup.timeouts.connect, **setup.transport
            ),
            token=setup.token,
            sweeper=sweeper,
            control_concurrency=setup.control_concurrency,
            budget=RetryBudget(setup.retry.budget),
            latch=AuthLatch(),
            counters=Counters(),
            rng=setup.rng,
            clock=loop.time,
            origin=str(setup.base_url),
            emitter=_emitter(setup, loop.time),
        )
        supervisor = Supervisor(caller, setup.on_orphan)
        rate = AdaptiveRate(setup.pacing)
        terms = setup.max_concurrency, LocationGates(setup.pacing, setup.rng), rate, loop.time
        queue = (
            AdmissionQueue(*terms) if gate is None else SharedAdmissionQueue(*terms, gate, supervisor.spawn)
        )
        admission = Admission(caller, queue)
        return cls(caller, supervisor, Launcher(caller, supervisor, admission), loop, gate)

    @property
    def state(self) -> str:
        """For the client's repr."""
        return "closed" if self.launcher.admission.closed else "open"

    @property
    def stats(self) -> ClientStats:
        """What the client has done and is doing."""
        queue = self.launcher.admission.queue
        return self.caller.counters.snapshot(
            queued=queue.queued, in_flight=queue.in_flight, shut_out=queue.shut_out
        )

    def check(self) -> None:
        """Refuse use from where the connections do not belong.

        Raises:
            ClientClosedError: The client was closed, or is used from another loop or after a fork.
        """
        if self.launcher.admission.closed:
            raise ClientClosedError("the client is closed; make a new one")
        # No event loop outlives a fork; the pid itself takes a system call to ask for.
        if asyncio.get_running_loop() is not self._loop:
            if os.getpid() != self._pid:
                raise ClientClosedError("the client was made before a fork; make one for each process")
            raise ClientClosedError("the client belongs to another event loop; make one for each loop")

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
            try:
                await self.caller.transport.close()
            finally:
                if self._gate is not None:
                    await self._gate.aclose()

    def __del__(self) -> None:
        if not self._closed:
            warnings.warn(
                "an AsyncGameye was dropped without being closed", ResourceWarning, source=self, stacklevel=2
            )


def _emitter(setup: Setup, clock: Callable[[], float]) -> "Emitter | None":
    """Tells the user's listener and the log of what happens; None when neither wants to know."""
    is_logged = logging.getLogger("gameye_async").isEnabledFor(logging.INFO)
    if setup.on_event is None and not is_logged:
        return None
    # Nobody pays for events that nobody gets.
    from gameye_async.telemetry.emitter import Emitter, log_event  # noqa: PLC0415  -- see above

    listeners = [setup.on_event] if setup.on_event is not None else []
    return Emitter((*listeners, *([log_event] if is_logged else [])), setup.base_url, clock)
