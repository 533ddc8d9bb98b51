"""One launch as a state machine that loses, doubles and orphans no session.

Every attempt carries the same id, made before the first byte is sent, so that the API itself refuses a
second session (409). Attempts of one id never overlap. As soon as an attempt may have worked, the launch is
*ambiguous*: then only the session itself, found by its id, or a long enough silence settles it.
"""

import asyncio
from math import inf
from typing import TYPE_CHECKING, Literal

from attrs import define, field

from gameye_async import _api, _policy
from gameye_async._api import Sighting
from gameye_async._calls import Options, record
from gameye_async._codec import LaunchAnswer
from gameye_async._exchange import CONFLICT
from gameye_async._ownership import Ownership, ownership
from gameye_async._pacing import Blame
from gameye_async._supervisor import Abandoned
from gameye_async.errors import (
    ApiError,
    Attempt,
    BadAnswerError,
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    GameyeError,
    LaunchOutcomeUnknownError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    ServerError,
    SessionEndedError,
    SessionIdConflictError,
)
from gameye_async.models import LaunchRequest, Port, Session
from gameye_async.settings import Credential

if TYPE_CHECKING:
    from gameye_async._launcher import Launcher

OnAbandon = Literal["stop", "leave"]

_REDIRECTS = 300


@define(eq=False)
class Launch:
    """One launch under way.

    Attributes:
        launcher: What all launches of a client share.
        request: What to launch.
        options: Settings of the call.
        deadline: Loop time at which the last caller stops waiting.
        idempotent: Whether a session of the same id and parameters is taken over.
        on_abandon: What becomes of the session when nobody waits for it any more.
        ambiguous: Whether an attempt may have created the session.
        abandoned: Whether nobody waits for it any more.
    """

    launcher: "Launcher"
    request: LaunchRequest
    options: Options
    deadline: float
    idempotent: bool
    on_abandon: OnAbandon
    ambiguous: bool = field(default=False, init=False)
    abandoned: bool = field(default=False, init=False)
    _started: float = field(init=False)
    _sending: bool = field(default=False, init=False)
    _first_sent: float = field(default=inf, init=False)
    _last_sent: float = field(default=-inf, init=False)
    _last_maybe: float = field(default=-inf, init=False)
    _location: str = field(default="", init=False)
    _untried: list[str] = field(init=False)
    _failures: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)
    _not_before: float = field(default=-inf, init=False)
    _last: GameyeError | None = field(default=None, init=False)
    _attempts: list[Attempt] = field(factory=list[Attempt], init=False)

    def __attrs_post_init__(self) -> None:
        self._started = self.launcher.caller.clock()
        self._untried = list(self.request.location)

    async def run(self) -> Session:
        """Launch until there is a session or a definite answer; a task of the supervisor.

        Raises:
            LaunchOutcomeUnknownError: Nobody can say whether there is a session.
            GameyeError: There is none.
        """
        try:
            session = await self._launch()
        except asyncio.CancelledError:
            if self.ambiguous:
                self._dispose()
            raise
        except GameyeError as error:
            if not self.ambiguous:
                raise self._with_attempts(error) from None
            # Whatever ends an ambiguous launch without settling it says nothing about its session.
            self._dispose()
            if isinstance(error, LaunchOutcomeUnknownError):
                raise
            raise self._unknown(str(error)) from None
        if self.abandoned:
            self._dispose()
        return session

    def abandon(self, task: asyncio.Task[Session]) -> None:
        """The last caller has gone: an attempt in flight is finished, anything else ends now."""
        self.abandoned = True
        if not task.done():
            if not self._sending:
                task.cancel()
        elif not task.cancelled() and task.exception() is None:
            self._dispose()

    def close(self, task: asyncio.Task[Session]) -> None:
        """The client closes: an attempt in flight may still deliver, anything else ends now."""
        if not self._sending:
            task.cancel()

    def overdue(self) -> GameyeError:
        """The error for a caller whose deadline has passed."""
        waited = f"the launch was not done within {self._elapsed():.3g} s"
        if self.ambiguous or self._sending:
            return self._unknown(waited)
        if isinstance(self._last, CapacityError | RateLimitedError):
            return self._with_attempts(self._last)
        return self._with_attempts(
            DeadlineExceededError(f"{waited}; {self._last.message if self._last else 'it was never sent'}")
        )

    def closed(self) -> GameyeError:
        """The error for a caller whose client was closed."""
        if self.ambiguous:
            return self._unknown("the client was closed while the launch was under way")
        return self._with_attempts(ClientClosedError("the client was closed before the launch was sent"))

    async def _launch(self) -> Session:
        while True:
            credential = await self.launcher.caller.credential()
            _refuse_leak(self.request, credential)
            location = await self._admit()
            result = await self._post(location, credential)
            session = await self._digest(result, location)
            if session is not None:
                return session

    async def _admit(self) -> str:
        """Wait for the time, the pace, a place and an open location, in this order; take the place."""
        launcher = self.launcher
        while True:
            if self.abandoned or launcher.closing:
                raise asyncio.CancelledError
            # While an earlier attempt may have worked, another location could double the session.
            locations = [self._location] if self.ambiguous else self._untried
            now = launcher.caller.clock()
            wait = max(self._not_before - now, launcher.gates.wait(locations, now))
            if wait > 0:
                await self._pause(wait)
                continue
            await launcher.pace.turn()
            await launcher.caller.launches.enter()
            location = launcher.gates.take(locations, launcher.caller.clock())
            if location is not None:
                return location
            launcher.caller.launches.leave()

    async def _post(self, location: str, credential: Credential) -> LaunchAnswer | GameyeError:
        caller = self.launcher.caller
        now = caller.clock()
        self._location, self._last_sent, self._first_sent = location, now, min(self._first_sent, now)
        self._sending = True
        try:
            request = _api.launch(self.request, location)
            outcome = await caller.transport.attempt(
                request, credential, now + self.options.timeouts.attempt, self.options.headers
            )
        except asyncio.CancelledError:
            self._may_have_worked()
            raise
        finally:
            self._sending = False
            caller.launches.leave()
            self.launcher.gates.unanswered(location)
        result = caller.judge(request, outcome, credential)
        self._attempts.append(record(outcome, result, caller.clock() - now, location))
        return result

    async def _digest(self, result: LaunchAnswer | GameyeError, location: str) -> Session | None:
        """The session an attempt led to; None when the next attempt is prepared.

        Raises:
            GameyeError: The launch is over; when it is ambiguous, `run` says so instead.
        """
        match result:
            case LaunchAnswer() if result.id in (None, self.request.id):
                self.launcher.accepted(location, first=len(self._attempts) == 1)
                return self._session(location, result.host, result.ports, "launch")
            case LaunchAnswer():
                self._may_have_worked()
                self.launcher.supervisor.report(
                    result.id or "", self._last_sent, f"the API answered with it instead of {self.request.id}"
                )
                raise BadAnswerError("the API answered with another session id than was sent", path="$.id")
            case BadAnswerError(status=status) if status is not None and status < _REDIRECTS:
                # It was launched, and the answer lost.
                self._may_have_worked()
                return await self._resolve(result)
            case NoAnswerError(timed_out=True):
                # The API may still be at it, and another attempt must not overlap with that.
                self._may_have_worked()
                return await self._resolve(result)
            case SessionIdConflictError() if self.ambiguous or self.idempotent:
                return await self._resolve(result)
            case CapacityError() | RateLimitedError():
                return await self._refused(result, location)
            case NoAnswerError() | ServerError():
                self._may_have_worked()
                self._again(result)
            case NotSentError():
                self._again(result)
            case _:
                raise result
        return None

    async def _resolve(self, error: GameyeError) -> Session | None:
        """The session if it exists; else another attempt is prepared, which tells for sure."""
        session = await self._reconcile()
        if session is None:
            self._again(error)
        return session

    def _may_have_worked(self) -> None:
        self.ambiguous = True
        self._last_maybe = self._last_sent

    def _again(self, error: GameyeError) -> None:
        """Prepare another attempt after a failure of the network or the API.

        Raises:
            GameyeError: There is no attempt, no budget or no time left.
        """
        caller, policy = self.launcher.caller, self.options.retry
        self._last = error
        self._failures += 1
        cost = 1.0 if isinstance(error, NotSentError) else policy.budget_cost
        if self._failures >= policy.attempts or not caller.budget.spend(cost):
            raise error
        when = caller.clock() + _policy.transient_delay(policy, self._failures, caller.rng)
        self._wait_until(max(when, self._last_sent + policy.settle) if self.ambiguous else when, error)

    async def _refused(self, error: CapacityError | RateLimitedError, location: str) -> Session | None:
        """Go on after a 420 or 429: elsewhere at once, or later.

        Such an answer says nothing about an earlier attempt, so an ambiguous launch looks for its session
        first, and stays where it is.
        """
        caller, policy = self.launcher.caller, self.options.retry
        self._last = error
        blame = self.launcher.refused(location, self._last_sent)
        if self.ambiguous or (self.idempotent and not self._refusals):
            session = await self._probe()
            if session is not None:
                return session
        if not self.ambiguous and blame is not Blame.ACCOUNT and isinstance(error, CapacityError):
            self._untried.remove(location)
            if self._untried:
                caller.counters.retried += 1
                return None
        self._untried = list(self.request.location)
        self._refusals += 1
        if not self.launcher.pace.rate.pacing.adaptive and not caller.budget.spend(
            policy.budget_throttle_cost
        ):
            raise error
        delay = _policy.throttle_delay(policy, self._refusals, error.retry_after, caller.rng)
        self._wait_until(caller.clock() + delay, error)
        return None

    def _wait_until(self, when: float, error: GameyeError) -> None:
        if when >= self.deadline:
            raise error
        self._not_before = when
        self.launcher.caller.counters.retried += 1

    async def _pause(self, seconds: float) -> None:
        counters = self.launcher.caller.counters
        counters.backing_off += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            counters.backing_off -= 1

    async def _reconcile(self) -> Session | None:
        """Look for the session until it shows up; None when it has not within the consistency window."""
        caller = self.launcher.caller
        until = caller.clock() + self.options.retry.consistency
        tries = 0
        while True:
            asked = caller.clock()
            seen = await caller.once(_api.look(self.request.id), self.options)
            if isinstance(seen, Sighting):
                return self._adopt(seen)
            if isinstance(seen, ApiError) and not isinstance(
                seen, NotFoundError | ServerError | RateLimitedError
            ):
                raise seen
            if isinstance(seen, NotFoundError) and asked >= until:
                return None
            tries += 1
            await self._pause(_policy.poll_delay(tries, caller.rng))

    async def _probe(self) -> Session | None:
        """Look for the session once; a long enough silence proves that it was never created."""
        caller = self.launcher.caller
        asked = caller.clock()
        seen = await caller.once(_api.look(self.request.id), self.options)
        if isinstance(seen, Sighting):
            return self._adopt(seen)
        if isinstance(seen, NotFoundError) and asked >= self._last_maybe + self.options.retry.quiet:
            self.ambiguous = False
        return None

    def _owner(self, sighting: Sighting) -> Ownership:
        return ownership(
            self.request,
            sighting,
            locations=self.request.location,
            since_first_sent=self.launcher.caller.clock() - self._first_sent,
            idempotent=self.idempotent,
        )

    def _adopt(self, sighting: Sighting) -> Session:
        """Take over the session that was found under this launch's id.

        Raises:
            SessionIdConflictError: It is somebody else's.
            SessionEndedError: It is already over.
            LaunchOutcomeUnknownError: Nobody can say whose it is.
        """
        details = sighting.details
        whose = self._owner(sighting)
        if whose is Ownership.UNPROVEN:
            raise self._unknown("a session of this id exists, and cannot be told from somebody else's")
        self.ambiguous = False
        if whose is Ownership.FOREIGN:
            raise SessionIdConflictError(
                f"session {self.request.id} exists with other parameters "
                f"(image {details.image}, location {details.location}).",
                status=CONFLICT,
                path="/session",
            )
        if details.status is not None and details.status.is_over:
            raise SessionEndedError(
                f"session {self.request.id} was launched and is already {details.status}.",
                session_id=self.request.id,
            )
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
            attempts=tuple(self._attempts),
            elapsed=self._elapsed(),
        )

    def _dispose(self) -> None:
        """Hand the session that nobody waits for to the reaper, unless it is to be left."""
        if self.on_abandon == "stop":
            self.launcher.supervisor.reap(
                Abandoned(self.request.id, self._last_sent, self._owner, self.options)
            )

    def _unknown(self, reason: str) -> LaunchOutcomeUnknownError:
        return LaunchOutcomeUnknownError(
            f"whether session {self.request.id} exists is unknown: {reason.rstrip('.')}.",
            session_id=self.request.id,
            attempts=tuple(self._attempts),
        )

    def _with_attempts(self, error: GameyeError) -> GameyeError:
        error.attempts = tuple(self._attempts)
        return error

    def _elapsed(self) -> float:
        return self.launcher.caller.clock() - self._started


def _refuse_leak(request: LaunchRequest, credential: Credential) -> None:
    """Anyone with `session:read` sees a session's env, and players may see its arguments."""
    for name, values in (
        ("env", request.env.values()),
        ("args", request.args),
        ("labels", request.labels.values()),
    ):
        if any(credential.token in value for value in values):
            raise ConfigurationError(
                f"{name} holds the API token, which everybody who reads sessions would see"
            )
