"""The client's background tasks: launches under way, and the stopping of sessions nobody waits for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async._reaper import keep_stopping, settle
from gameye_async._search import Search
from gameye_async.errors import ClientClosedError
from gameye_async.models import OrphanRecord

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents

T = TypeVar("T")

_log = logging.getLogger("gameye_async")

CLOSED = "the client was closed before it could be stopped"


@define(eq=False, repr=False)
class Supervisor:
    """Owns every task that outlives the call it was made for.

    Attributes:
        caller: Sends the describes and stops.
        on_orphan: Called with each session that could not be settled.
    """

    caller: Caller
    on_orphan: Callable[[OrphanRecord], object] | None
    # A dict for its order: a set of tasks is walked by address, and a simulation could not be replayed.
    _tasks: dict[asyncio.Task[Any], None] = field(factory=dict[asyncio.Task[Any], None], init=False)
    _reaping: set[str] = field(factory=set[str], init=False)
    _ended: bool = field(default=False, init=False)

    def spawn(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
        """Run work in a task of its own that `drain` waits for."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def wait_for(self, task: asyncio.Task[T], what: str) -> T:
        """What a task comes to, which goes on when whoever waits for it is cancelled.

        Raises:
            ClientClosedError: It was ended, because the client was closed.
        """
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            waiting = asyncio.current_task()
            # Not to be taken for a cancellation of whoever waits.
            if task.cancelled() and waiting is not None and not waiting.cancelling():
                raise ClientClosedError(f"the client was closed before {what} was done") from None
            raise

    def reap(self, search: Search) -> None:
        """Stop the session of a launch in the background, if there is one and it is the launch's own."""
        session_id, work = search.request.id, partial(settle, search)
        task = self._attend(session_id, search.last_sent, "looking for it", work, search.events)
        if task is not None:
            self._reaping.add(session_id)
            task.add_done_callback(lambda _: self._reaping.discard(session_id))

    def stop_later(self, session_id: str, options: Options) -> None:
        """Keep trying to stop a session that its user asked to stop, or never got."""
        work = partial(keep_stopping, self.caller, session_id, options)
        self._attend(session_id, self.caller.clock(), "stopping it", work)

    def is_reaping(self, session_id: str) -> bool:
        """Whether the session of this id is about to be stopped."""
        return session_id in self._reaping

    def report(self, session_id: str, sent: float, reason: str, events: "CallEvents | None" = None) -> None:
        """Tell the user about a session that may be running and was not settled."""
        _log.warning("session %s may be running: %s", session_id, reason)
        if self.caller.emitter is not None:
            self.caller.emitter.orphan_reported(session_id, events)
        if self.on_orphan is None:
            return
        last_sent = datetime.now(UTC) - timedelta(seconds=self.caller.clock() - sent)
        try:
            self.on_orphan(OrphanRecord(session_id=session_id, reason=reason, last_sent=last_sent))
        except (Exception, asyncio.CancelledError):  # noqa: BLE001  -- the others are still told
            _log.exception("on_orphan failed for session %s", session_id)

    async def drain(self, grace: float) -> None:
        """Let the tasks finish for `grace` seconds, then end them; reapers report what they leave."""
        until = self.caller.clock() + grace
        try:
            while self._tasks and (left := until - self.caller.clock()) > 0:
                await asyncio.wait(self._tasks, timeout=left)
        finally:
            self._ended = True
            self._cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
            # A caller who went at the last moment may have left one more.
            self._cancel()

    def _cancel(self) -> None:
        loop = asyncio.get_running_loop()
        for task in self._tasks:
            # Not at once: one that is cancelled before its first step could not report what it leaves.
            loop.call_soon(task.cancel)

    def _attend(
        self,
        session_id: str,
        sent: float,
        what: str,
        work: Callable[[], Awaitable[str]],
        events: "CallEvents | None" = None,
    ) -> asyncio.Task[None] | None:
        """See to a session in the background, by work that says why it left it; empty when it did not."""
        if self._ended:
            self.report(session_id, sent, CLOSED, events)
            return None

        async def attended() -> None:
            try:
                reason = await work()
            except asyncio.CancelledError:
                self.report(session_id, sent, CLOSED, events)
                raise
            except Exception as error:  # noqa: BLE001  -- whatever it is, the session may be running
                reason = f"{what} failed ({type(error).__name__})"
            if reason:
                self.report(session_id, sent, reason, events)

        # An empty context, so that no span or deadline of the caller leaks into what outlives it.
        task = self.spawn(attended(), Context())
        if events is not None:
            events.outlive(task)
        return task
