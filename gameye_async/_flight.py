"""Who runs a launch and who waits for it, and what becomes of it when they have gone."""

import asyncio

from attrs import define, field

from gameye_async._launch import Launch
from gameye_async._sweeper import Limit
from gameye_async.models import Session


@define(eq=False, repr=False)
class Flight:
    """A launch under way, and its callers.

    Its caller runs it himself, because a task of its own costs a tenth of a launch. Only where others can
    join, or the transport cannot hold an attempt open, the supervisor runs it from the start. In any case a
    caller who goes is let go at once, and the attempt in flight is finished: cancelling a POST would turn an
    outcome that can be known into one that cannot.

    Attributes:
        launch: The launch.
        callers: How many wait for it.
        task: The supervisor's, when that runs it.
    """

    launch: Launch
    callers: int = field(default=0, init=False)
    task: asyncio.Task[Session] | None = field(default=None, init=False)
    _limit: Limit | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)
    _landed: asyncio.Event | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        alone = self.launch.terms.on_abandon == "stop" and self.launch.caller.transport.can_hold
        self.launch.hold(on=alone)
        if not alone:
            self._run_on()

    async def wait(self, until: float) -> Session:
        """The session, as soon as there is one.

        Args:
            until: Loop time until which this caller waits.

        Raises:
            GameyeError: There is no session, or (`LaunchOutcomeUnknownError`) nobody can say.
        """
        launch = self.launch
        self.callers += 1
        delivered = False
        try:
            # An answer that came in the moment in which the time was over is there the second time.
            for _ in range(2):
                with launch.caller.sweeper.until(until) as limit:
                    if self.task is None:
                        self._limit = limit
                        session = await launch.run()
                        delivered = True
                        return session
                    await _ended(self.task)
                if not launch.in_flight:
                    break
            # Perhaps it ended in the very moment in which the time was over.
            if self.task is not None and self.task.done() and not self.task.cancelled():
                session = self.task.result()
                delivered = True
                return session
            if self._closed or (self.task is not None and self.task.cancelled()):
                raise launch.closed()
            raise launch.overdue(shared=self.callers > 1)
        finally:
            self.callers -= 1
            if self._landed is not None:
                self._landed.set()
            if not self.callers and not delivered:
                self._abandon()

    @property
    def is_cancelled(self) -> bool:
        """Whether it is about to end because nobody waited for it."""
        return self.task is not None and self.task.cancelling() > 0

    def close(self) -> None:
        """The client closes: an attempt in flight may still deliver, anything else ends now."""
        if not self.launch.in_flight:
            self._end()
        if self.task is None and self._landed is None:
            self._landed = asyncio.Event()
            self.launch.supervisor.spawn(self._outlast(self._landed))

    def _run_on(self) -> None:
        """Run, or go on, in a task of the supervisor."""
        self.launch.hold(on=False)
        self.task = self.launch.supervisor.spawn(self.launch.run())
        if self.launch.events is not None:
            self.launch.events.outlive(self.task)
        # When the callers have gone, nobody else looks at what it raised.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _abandon(self) -> None:
        """The last caller has gone: an attempt in flight is finished, anything else ends now."""
        self.launch.abandoned = True
        if self.task is None:
            if self.launch.in_flight:
                self._run_on()
        elif not self.task.done():
            if not self.launch.in_flight:
                self.task.cancel()
        elif not self.task.cancelled() and self.task.exception() is None:
            self.launch.dispose()

    def _end(self) -> None:
        self._closed = True
        if self.task is not None:
            self.task.cancel()
        elif self._limit is not None:  # pragma: no branch  -- without a task, its caller waits within a limit
            self._limit.end()

    async def _outlast(self, landed: asyncio.Event) -> None:
        """Have the closing client wait for the caller that runs the launch, as it does for its own tasks."""
        try:
            await landed.wait()
        except asyncio.CancelledError:
            # What goes on without its caller is ended as all tasks are, after its first step.
            if not landed.is_set():
                self.launch.hold(on=False)
                self._end()
                await landed.wait()
            raise


async def _ended(task: asyncio.Task[Session]) -> None:
    """Wait for the end of a task without being its owner; its result and exception are for others to take."""
    waiter = asyncio.get_running_loop().create_future()

    def wake(_: asyncio.Task[Session]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    await waiter
