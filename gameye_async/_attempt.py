"""One attempt of a launch, from the place that it has taken to its result."""

import asyncio
from typing import TYPE_CHECKING

from attrs import define, field

from gameye_async import _api
from gameye_async._admission import Admission
from gameye_async._calls import record
from gameye_async._codec import LaunchAnswer
from gameye_async._exchange import Progress
from gameye_async._options import Options
from gameye_async.errors import Attempt, ConfigurationError, GameyeError
from gameye_async.launch_request import LaunchRequest
from gameye_async.settings import Credential

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents


@define(eq=False, repr=False)
class LaunchAttempt:
    """An attempt that was admitted; it gives its place back as soon as it has ended.

    Attributes:
        admission: Where it has its place.
        wanted: What to launch.
        options: Settings of the launch.
        events: Those of the launch, if anybody listens.
        location: Where it is made.
        credential: Its token.
        began: Loop time at which it got its place.
        progress: How far it has got.
        ended: Whether it has ended.
        record: What became of it; None when it was cut off, or not sent for a reason of its own.
    """

    admission: Admission
    wanted: LaunchRequest
    options: Options
    events: "CallEvents | None"
    location: str
    credential: Credential
    began: float
    progress: Progress
    ended: bool = field(default=False, init=False)
    record: Attempt | None = field(default=None, init=False)

    @property
    def in_flight(self) -> bool:
        """Whether it has gone out and its answer is awaited, or could be."""
        return self.progress.started and not self.ended

    @property
    def is_cut_off(self) -> bool:
        """Whether it has gone out and ended without anybody waiting for its answer."""
        return self.progress.started and self.ended and self.record is None

    async def result(self) -> LaunchAnswer | GameyeError:
        """What comes of it.

        When the wait is cancelled and the exchange held open, it has not ended, and can be waited for again.

        Raises:
            GameyeError: It was not sent.
        """
        caller, progress, wanted = self.admission.caller, self.progress, self.wanted
        is_held = False
        try:
            request = _api.launch(wanted, self.location)
            # One that was held open is entered a second time.
            if not progress.started:
                if self.credential.is_in((*wanted.env.values(), *wanted.args, *wanted.labels.values())):
                    raise ConfigurationError(
                        "env, args or labels hold the API token, which everybody who reads sessions would see"
                    )
                if caller.latch.last is not None:
                    caller.check(self.credential)
                if self.events is not None:
                    self.events.attempt_started(request, self.location)
            outcome = await caller.transport.attempt(
                request,
                self.credential,
                self.began + self.options.timeouts.attempt,
                self.options.headers,
                progress,
            )
        except asyncio.CancelledError:
            is_held = progress.started and progress.hold
            raise
        finally:
            if not is_held:  # pragma: no branch  -- what is held open goes on with its cancellation
                self.ended = True
                self.admission.leave(self.location)
        now = caller.clock()
        result = caller.judge(request, outcome, self.credential, now)
        self.record = record(outcome, result, now - self.began, self.location)
        if self.events is not None:
            self.events.attempt_ended(self.record, result)
        return result
