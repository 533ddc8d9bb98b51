"""One launch as a state machine that loses, doubles and orphans no session.

Every attempt carries the same id, made before the first byte is sent, so that the API itself refuses a
second session (409). Attempts of one id never overlap. As soon as an attempt may have worked, the launch is
*in doubt*: then only the session itself, found by its id, or a long enough silence settles it.
"""

import asyncio
from typing import TYPE_CHECKING, Literal

from attrs import define, field

from gameye_async._admission import Admission
from gameye_async._attempt import LaunchAttempt
from gameye_async._calls import Caller
from gameye_async._codec import LaunchAnswer
from gameye_async._exchange import clip
from gameye_async._next_attempt import NextAttempt
from gameye_async._options import Terms
from gameye_async._search import Search
from gameye_async._supervisor import Supervisor
from gameye_async.errors import (
    BadAnswerError,
    CapacityError,
    ClientClosedError,
    DeadlineExceededError,
    GameyeError,
    LaunchOutcomeUnknownError,
    NoAnswerError,
    NotSentError,
    RateLimitedError,
    ServerError,
    SessionIdConflictError,
)
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Port, Session

if TYPE_CHECKING:
    from gameye_async.records import SessionDetails
    from gameye_async.telemetry.emitter import CallEvents

_REDIRECTS = 300


@define(eq=False, repr=False)
class Launch:
    """One launch under way.

    Attributes:
        caller: What all calls share.
        admission: Lets its attempts out.
        supervisor: Gets what nobody waits for any more.
        request: What to launch.
        terms: How to launch it.
        deadline: Loop time at which the last caller stops waiting.
        started: Loop time at which the first began.
        abandoned: Whether nobody waits for it any more.
        events: Tells of it, if anybody listens.
    """

    caller: Caller
    admission: Admission
    supervisor: Supervisor
    request: LaunchRequest
    terms: Terms
    deadline: float
    started: float
    abandoned: bool = False
    events: "CallEvents | None" = None
    _hold: bool = field(default=False, init=False)
    _attempt: LaunchAttempt | None = field(default=None, init=False)
    _location: str = field(default="", init=False)
    _next: NextAttempt | None = field(default=None, init=False)
    _search: Search = field(init=False)

    def __attrs_post_init__(self) -> None:
        if self.caller.emitter is not None:
            self.events = self.caller.emitter.launch(self.request, self.started)
        terms = self.terms
        self._search = Search(self.caller, self.request, terms.options, terms.idempotent, self.events)

    async def run(self) -> Session:
        """Launch until there is a session or a definite answer.

        Cancelled while an attempt is in flight that is held open, it can be run again, and goes on there.

        Raises:
            LaunchOutcomeUnknownError: Nobody can say whether there is a session.
            GameyeError: There is none.
        """
        try:
            session = await self._launch()
        except asyncio.CancelledError:
            if self._search.in_doubt and not self.in_flight:
                self.dispose()
            raise
        except GameyeError as error:
            if not self._search.in_doubt:
                raise self._with_attempts(error) from None
            # Whatever ends a launch in doubt without settling it says nothing about its session.
            self.dispose()
            is_found = isinstance(error, LaunchOutcomeUnknownError)
            raise self._unknown(error.message, found=is_found) from None
        except Exception as error:
            # The user's token callable failed, or a shared pace of his own.
            if not self._search.in_doubt:
                raise
            self.dispose()
            raise self._unknown(f"nothing came of another attempt ({type(error).__name__})") from error
        if self.abandoned:
            self.dispose()
        return session

    @property
    def in_flight(self) -> bool:
        """Whether an attempt has gone out and its answer is awaited."""
        return self._attempt is not None and self._attempt.started

    def hold(self, *, on: bool) -> None:
        """Have an attempt in flight stay open, or not, when `run` is cancelled."""
        self._hold = on
        if self._attempt is not None:
            self._attempt.hold = on

    def overdue(self, *, shared: bool) -> GameyeError:
        """The error for a caller whose deadline has passed; `shared` when others still wait."""
        waited = f"the launch was not done within {self._elapsed():.3g} s"
        if self._search.in_doubt or self.in_flight or shared:
            return self._unknown(waited)
        last = self.admission.why_closed(self.request.location) if self._next is None else self._next.last
        if isinstance(last, CapacityError | RateLimitedError):
            return self._with_attempts(last)
        return self._with_attempts(
            DeadlineExceededError(f"{waited}; {last.message if last else 'it was never sent'}")
        )

    def closed(self) -> GameyeError:
        """The error for a caller whose client was closed."""
        if self._search.in_doubt:
            return self._unknown("the client was closed while the launch was under way")
        missed = "tried again" if self._search.attempts else "sent"
        return self._with_attempts(ClientClosedError(f"the client was closed before the launch was {missed}"))

    async def _launch(self) -> Session:
        while True:
            attempt = self._attempt
            if attempt is None:
                attempt = self._attempt = await self._admitted()
            try:
                result = await attempt.result()
            finally:
                if attempt.ended:  # pragma: no branch  -- what is held open goes on with its cancellation
                    self._attempt = None
            if isinstance(result, LaunchAnswer):
                return self._launched(result, attempt)
            session = await self._digest(result, attempt.location)
            if session is not None:
                return session

    async def _admitted(self) -> LaunchAttempt:
        """The next attempt, as soon as it may be made."""
        if self.abandoned:
            raise asyncio.CancelledError
        token, search, again = self.caller.token, self._search, self._next
        credential = token.fixed or await token.credential()
        locations = self.request.location if again is None else again.locations
        if search.in_doubt:
            # While an earlier one may have worked, another location could double the session.
            locations = (self._location,)
        self._location, began = await self.admission.admit(locations, again, self.events)
        return LaunchAttempt(self.admission, search, self._location, credential, began, hold=self._hold)

    def _launched(self, answer: LaunchAnswer, attempt: LaunchAttempt) -> Session:
        """The session of an accepted launch.

        Raises:
            BadAnswerError: It is another one than was asked for.
        """
        if answer.id in (None, self.request.id):
            self.admission.accepted(attempt.location, first=len(self._search.attempts) == 1)
            return self._session(attempt.location, answer.host, answer.ports, "launch")
        self._search.may_have_worked()
        self.supervisor.report(
            # It may echo anything, the token for instance, and is logged.
            clip(answer.id, attempt.credential.scrub),
            self._search.last_sent,
            f"the API answered with it instead of {self.request.id}",
            self.events,
        )
        raise BadAnswerError("the API answered with another session id than was sent")

    async def _digest(self, error: GameyeError, location: str) -> Session | None:
        """The session that a failed attempt led to; None when the next attempt is prepared.

        Raises:
            GameyeError: The launch is over; when it is in doubt, `run` says so instead.
        """
        match error:
            case BadAnswerError(status=status) if status is not None and status < _REDIRECTS:
                # It was launched, and the answer lost.
                self._search.may_have_worked()
                return await self._resolve(error)
            case NoAnswerError(timed_out=True):
                # The API may still be at it, and another attempt must not overlap with that.
                self._search.may_have_worked()
                return await self._resolve(error)
            case SessionIdConflictError() if self._search.in_doubt or self.terms.idempotent:
                return await self._resolve(error)
            case CapacityError() | RateLimitedError():
                return await self._refused(error, location)
            case NoAnswerError() | ServerError():
                self._search.may_have_worked()
                self._again(error)
            case NotSentError():
                self._again(error)
            case _:
                raise error
        return None

    def _again(self, error: GameyeError) -> None:
        """Prepare another attempt after a failure of the network or the API.

        Raises:
            GameyeError: There is no attempt, no budget or no time left.
        """
        settled = self._search.in_doubt_since + self.terms.options.retry.settle
        self._another().after_failure(error, settled=settled, deadline=self.deadline)

    async def _refused(self, error: CapacityError | RateLimitedError, location: str) -> Session | None:
        """Go on after a 420 or 429: elsewhere at once, or later.

        Such an answer says nothing about an earlier attempt, so a launch in doubt looks for its session
        first, and stays where it is.
        """
        another = self._another()
        another.last = error
        elsewhere = not self._search.in_doubt and len(another.locations) > 1
        may_go = self.admission.refused(error, location, self._search.last_sent, elsewhere=elsewhere)
        if self._search.in_doubt or (self.terms.idempotent and another.is_first_refusal):
            details = await self._search.once()
            if details is not None:
                return self._adopted(details)
        if may_go and not self._search.in_doubt:
            another.leave_out(location)
            if another.locations:
                return None
        paced = self.admission.queue.rate.pacing.adaptive
        another.after_refusal(error, paced=paced, deadline=self.deadline)
        return None

    def _another(self) -> NextAttempt:
        if self._next is None:
            self._next = NextAttempt(self.caller, self.terms.options.retry, self.request.location)
        return self._next

    async def _resolve(self, error: GameyeError) -> Session | None:
        """The session if it exists; else another attempt is prepared, which tells for sure."""
        details = await self._search.within(self.terms.options.retry.consistency)
        if details is not None:
            return self._adopted(details)
        self._again(error)
        return None

    def _adopted(self, details: "SessionDetails") -> Session:
        if self.events is not None:
            self.events.adopted(details.location)
        return self._session(details.location, details.host, details.ports, "adopted")

    def _session(
        self, location: str, host: str, ports: tuple[Port, ...], created_by: Literal["launch", "adopted"]
    ) -> Session:
        return Session(
            id=str(self.request.id),
            host=host,
            ports=ports,
            location=location,
            image=self.request.image,
            version=self.request.version,
            created_by=created_by,
            attempts=tuple(self._search.attempts),
            elapsed=self._elapsed(),
        )

    def dispose(self) -> None:
        """Hand the session that nobody waits for to the reaper, unless it is to be left."""
        if self.terms.on_abandon == "stop":
            self.supervisor.reap(self._search)

    def _unknown(self, reason: str, *, found: bool = False) -> LaunchOutcomeUnknownError:
        """Nobody can say whether there is a session or, when one was found, whose it is."""
        if self.terms.on_abandon == "leave":
            further = "It is left running; launch again with the same id and idempotent=True to take it over."
        elif found:
            further = "The client looks again, and stops it if it proves to be its own; launch with a new id."
        else:
            further = "The client looks for it and stops it; launch again with a new id."
        what = "" if found else f"whether session {self.request.id} exists is unknown: "
        return LaunchOutcomeUnknownError(
            f"{what}{reason.rstrip('.')}. {further}",
            session_id=str(self.request.id),
            attempts=tuple(self._search.attempts),
        )

    def _with_attempts(self, error: GameyeError) -> GameyeError:
        error.attempts = tuple(self._search.attempts)
        return error

    def _elapsed(self) -> float:
        return self.caller.clock() - self.started
