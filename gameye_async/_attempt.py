"""One attempt of a launch, from the place that it has taken to its result."""

import asyncio

from attrs import define

from gameye_async import _api
from gameye_async._admission import Admission
from gameye_async._calls import record
from gameye_async._codec import LaunchAnswer
from gameye_async._exchange import Progress
from gameye_async._search import Search
from gameye_async.errors import ConfigurationError, GameyeError
from gameye_async.settings import Credential


@define(eq=False, repr=False)
class LaunchAttempt(Progress):
    """An attempt that was admitted; it gives its place back as soon as it has ended.

    Attributes:
        admission: Where it has its place.
        search: Knows what is launched, and keeps what became of each attempt.
        location: Where it is made.
        credential: Its token.
        began: Loop time at which it got its place.
        ended: Whether it has ended.
    """

    admission: Admission
    search: Search
    location: str
    credential: Credential
    began: float
    ended: bool = False

    def start(self) -> None:
        """It has a connection and goes out: from now on it may work."""
        self.started = True
        self.search.sent()

    async def result(self) -> LaunchAnswer | GameyeError:
        """What comes of it.

        When the wait is cancelled and the exchange held open, it has not ended, and can be waited for again.

        Raises:
            GameyeError: It was not sent.
        """
        search, is_held = self.search, False
        caller, wanted, events = search.caller, search.request, search.events
        try:
            request = _api.launch(wanted, self.location)
            # One that was held open is entered a second time.
            if not self.started:
                if self.credential.is_in((*wanted.env.values(), *wanted.args, *wanted.labels.values())):
                    raise ConfigurationError(
                        "env, args or labels hold the API token, which everybody who reads sessions would see"
                    )
                if caller.latch.last is not None:
                    caller.check(self.credential)
                if events is not None:
                    events.attempt_started(request, self.location)
            outcome = await caller.transport.attempt(
                request,
                self.credential,
                self.began + search.options.timeouts.attempt,
                search.options.headers,
                self,
            )
        except asyncio.CancelledError:
            is_held = self.started and self.hold
            if self.started and not is_held:
                search.may_have_worked()
            raise
        finally:
            if not is_held:  # pragma: no branch  -- what is held open goes on with its cancellation
                self.ended = True
                self.admission.leave(self.location, self.began)
        now = caller.clock()
        result = caller.judge(request, outcome, self.credential, now)
        search.attempts.append(record(outcome, result, now - self.began, self.location))
        if events is not None:
            events.attempt_ended(search.attempts[-1], result)
        return result
