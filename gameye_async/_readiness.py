"""From a container that has started to a game that can be joined."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from random import Random

from attrs import define, field

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._launcher import Launcher
from gameye_async._logs import log_tail
from gameye_async._options import Options, Probe, Terms
from gameye_async.errors import (
    DeadlineExceededError,
    GameyeError,
    NotFoundError,
    SessionEndedError,
    StopUnconfirmedError,
)
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Session
from gameye_async.records import SessionDetails, SessionStatus


def interval(tries: int, rng: Random) -> float:
    """Seconds between looks that players wait for: soon at first, every second in the end."""
    return min(1.0, 0.1 * 1.5 ** min(tries, 32)) * rng.uniform(0.5, 1.0)


@define(eq=False)
class Readiness:
    """Looks at a session until it runs and its probe, if any, finds it ready.

    Attributes:
        caller: What all calls share.
        options: Settings of the calls.
        session: A session that was launched.
        probe: Tries the game itself, once the container runs.
        on_progress: Called with what each look showed.
    """

    caller: Caller
    options: Options
    session: Session
    probe: Probe | None
    on_progress: Callable[[SessionDetails], object] | None
    _seen: SessionDetails | None = field(default=None, init=False)
    _state: str = field(default="it was not looked at", init=False)
    _probing: asyncio.Task[None] | None = field(default=None, init=False)

    async def wait(self, seconds: float) -> SessionDetails:
        """Wait for at most `seconds`, as `AsyncGameye.wait_until_ready` does."""
        try:
            with self.caller.sweeper.until(self.caller.clock() + seconds):
                return await self._watch(self.caller.clock() + self.options.retry.consistency)
        except SessionEndedError as error:
            error.log_tail = await log_tail(self.caller, self.options, self.session.id)
            raise
        finally:
            if self._probing is not None:
                self._probing.cancel()
                await asyncio.gather(self._probing, return_exceptions=True)
        raise DeadlineExceededError(
            f"session {self.session.id} was not ready within {seconds:g} s: {self._state}"
        )

    async def _watch(self, visible_by: float) -> SessionDetails:
        tries = 0
        while True:
            details = await self._look(visible_by)
            if details is not None and details.status in {SessionStatus.RUNNING, None}:
                if self.probe is None:
                    return details
                if self._probing is None:
                    self._probing = asyncio.create_task(self._pass(self.probe))
            tries += 1
            pause = interval(tries, self.caller.rng)
            if self._probing is None:
                await asyncio.sleep(pause)
                continue
            await asyncio.wait([self._probing], timeout=pause)
            if self._probing.done():
                self._probing.result()
                assert self._seen is not None  # noqa: S101  -- it was seen running before it was probed
                return self._seen

    async def _look(self, visible_by: float) -> SessionDetails | None:
        """What the session looks like, None when that cannot be told right now."""
        seen = await self.caller.once(_api.describe(self.session.id), self.options)
        if isinstance(seen, SessionDetails):
            self._seen = seen
            self._state = f"it is {seen.status}" if self._probing is None else "its probe does not pass"
            if self.on_progress is not None:
                self.on_progress(seen)
            if seen.status and seen.status.is_over:
                raise SessionEndedError(
                    f"session {seen.id} ended before it was ready; it is {seen.status}", session_id=seen.id
                )
            return seen
        self._state = seen.message
        if isinstance(seen, NotFoundError):
            if self._seen is not None:
                raise SessionEndedError(
                    f"session {self.session.id} ended before it was ready; it is gone",
                    session_id=self.session.id,
                )
            if self.caller.clock() < visible_by:
                return None
        if not isinstance(seen, _policy.PASSING):
            raise seen
        return None

    async def _pass(self, probe: Probe) -> None:
        tries = 0
        while not await self._answers(probe):
            tries += 1
            await asyncio.sleep(interval(tries, self.caller.rng))

    async def _answers(self, probe: Probe) -> bool:
        try:
            return await probe(self.session)
        except OSError:
            return False


@asynccontextmanager
async def running(
    launcher: Launcher, request: LaunchRequest, terms: Terms, probe: Probe | None, ready_within: float | None
) -> AsyncGenerator[Session, None]:
    """Launch a session and stop it in the end, whatever happens, as `AsyncGameye.running` does."""
    session = await launcher.launch(request, terms)
    try:
        if ready_within is not None:
            await Readiness(launcher.caller, terms.options, session, probe, None).wait(ready_within)
        yield session
    except Exception:
        # What went wrong inside is what the user has to see.
        try:
            await launcher.stop(session.id, terms.options)
        except StopUnconfirmedError:
            pass
        except GameyeError:
            launcher.supervisor.stop_later(session.id, terms.options)
        raise
    except BaseException:
        # Whoever is cancelled does not wait for an answer.
        launcher.supervisor.stop_later(session.id, terms.options)
        raise
    await launcher.stop(session.id, terms.options)
