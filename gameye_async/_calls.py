"""Calls to the API: attempts through a bounded lane, repeated where that is safe, within a deadline."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from gameye_async import _policy
from gameye_async._exchange import Answered, NotSent, Outcome, Request, Unknown, interpret
from gameye_async._options import Options
from gameye_async._stats import Counters
from gameye_async._sweeper import Sweeper
from gameye_async.errors import (
    ApiError,
    Attempt,
    BadAnswerError,
    DeadlineExceededError,
    GameyeError,
    NoAnswerError,
    NotSentError,
)
from gameye_async.settings import Credential, Token

if TYPE_CHECKING:
    from gameye_async._transport import Transport
    from gameye_async.telemetry.emitter import CallEvents, Emitter

T = TypeVar("T")


@define(eq=False, repr=False)
class Caller:
    """What all calls of one client share.

    Attributes:
        transport: Sends one attempt.
        token: The secret each attempt carries.
        sweeper: Ends what takes too long.
        control_concurrency: How many calls but launches may be in flight.
        budget: Pays for retries.
        latch: Holds back calls with a token that the API refuses.
        counters: Counts what happens.
        rng: Draws the jitter.
        clock: The event loop's time, in seconds.
        origin: Where the API is, for error texts.
        emitter: Tells of what happens; None when nobody listens.
    """

    transport: "Transport"
    token: Token
    sweeper: Sweeper
    control_concurrency: int
    budget: _policy.RetryBudget
    latch: _policy.AuthLatch
    counters: Counters
    rng: Random
    clock: Callable[[], float]
    origin: str
    emitter: "Emitter | None" = None
    # Launches have places of their own, so that a stop never waits behind a burst of them.
    control: asyncio.Semaphore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.control = asyncio.Semaphore(self.control_concurrency)

    async def call(
        self,
        request: Request[T],
        options: Options,
        deadline: float | None = None,
        tried: list[Attempt] | None = None,
    ) -> T:
        """Send a request until it is answered for good.

        Args:
            request: What to send.
            options: Settings of the call.
            deadline: Seconds for the whole call; `options.timeouts.deadline` when None.
            tried: Where to note the attempts, for a caller who wants to know of them after success, too.

        Raises:
            GameyeError: What the last attempt came to, or that the deadline passed.
        """
        seconds = options.timeouts.deadline if deadline is None else deadline
        tried = [] if tried is None else tried
        until = self.clock() + seconds
        with self.telling(request, tried) as events:
            while True:
                result = await self._attempt(request, options, until, tried, events)
                if not isinstance(result, GameyeError):
                    if len(tried) == 1:
                        self.budget.earn()
                    return result
                cost = _policy.retry_cost(options.retry, request, result, len(tried))
                delay = _policy.retry_delay(options.retry, result, len(tried), self.rng)
                if cost is not None and self.clock() + delay >= until:
                    raise DeadlineExceededError(
                        f"{request.method} {request.template} was not done within {seconds:g} s; "
                        f"last: {result}"
                    )
                if cost is None or not self.budget.spend(cost):
                    raise result
                await self.retry(delay, result, events)

    @contextmanager
    def telling(self, request: Request[Any], tried: list[Attempt]) -> Generator["CallEvents | None"]:
        """Tell that a call begins and how it ends, if anybody listens; count it when it fails."""
        try:
            if self.emitter is None:
                yield None
            else:
                with self.emitter.call(request) as events:
                    yield events
        except GameyeError as error:
            error.attempts = tuple(tried)
            self.counters.failed[type(error).__name__] += 1
            raise

    async def retry(self, delay: float, error: GameyeError, events: "CallEvents | None") -> None:
        """Wait before the next attempt of a call."""
        self.counters.retried += 1
        if events is not None:
            events.backing_off(delay, error)
        await asyncio.sleep(delay)

    async def back_off(self, seconds: float) -> None:
        """Wait before the next step of a launch, and be counted as waiting."""
        self.counters.backing_off += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.counters.backing_off -= 1

    async def once(
        self,
        request: Request[T],
        options: Options,
        events: "CallEvents | None" = None,
        tried: list[Attempt] | None = None,
    ) -> T | GameyeError:
        """Send a request once, outside any deadline or budget, for the client's own housekeeping.

        Args:
            request: What to send.
            options: Settings of the call.
            events: Those of the call that it serves; it is a call of its own when None.
            tried: Where to note the attempt, if it came to one.
        """
        if self.emitter is not None and events is None:
            with self.emitter.call(request) as own:
                result = await self.once(request, options, own, tried)
                own.came_to(result)
                return result
        until = self.clock() + options.timeouts.attempt
        try:
            return await self._attempt(request, options, until, [] if tried is None else tried, events)
        except GameyeError as error:
            return error

    def check(self, credential: Credential) -> None:
        """Look once more before a request goes out, which may have waited for long.

        Raises:
            AuthenticationError: The API refused this token a moment ago.
        """
        refusal = self.latch.refusal(credential, self.clock())
        if refusal is not None:
            raise refusal

    def judge(
        self, request: Request[T], outcome: Outcome, credential: Credential, now: float
    ) -> T | GameyeError:
        """What an attempt came to: the model of its answer, or the error it means."""
        match outcome:
            case Answered():
                result = _interpreted(request, outcome)
                self.latch.answered(credential, result, now)
                return result
            case NotSent() | Unknown():  # pragma: no branch  -- there is no fourth outcome
                # With where it went: the address itself may be wrong.
                told = f"{request.method} {self.origin}{request.template}: {outcome.reason}."
                if isinstance(outcome, NotSent):
                    return NotSentError(told)
                return NoAnswerError(told, timed_out=outcome.timed_out)

    async def admit(self, request: Request[Any], until: float) -> Credential | NotSentError:
        """Take a place for an attempt, and the header to send with it; until a loop time.

        Raises:
            ConfigurationError: The token callable gave something that cannot be a token.
        """
        with self.sweeper.until(until):
            credential = await self.token.credential()
            await self.control.acquire()
            # Not before: a token callable may swallow the cancellation that ends the time.
            return credential
        return NotSentError(f"{request.method} {request.template}: no place was free in time.")

    async def _attempt(
        self,
        request: Request[T],
        options: Options,
        until: float,
        tried: list[Attempt],
        events: "CallEvents | None",
    ) -> T | GameyeError:
        credential = await self.admit(request, until)
        if isinstance(credential, NotSentError):
            return credential  # pragma: no cover  -- it runs; coverage loses sight of who is cancelled within
        started = self.clock()
        try:
            self.check(credential)
            if events is not None:
                events.attempt_started(request)
            outcome = await self.transport.attempt(
                request, credential, min(until, started + options.timeouts.attempt), options.headers
            )
        finally:
            self.control.release()
        now = self.clock()
        result = self.judge(request, outcome, credential, now)
        tried.append(record(outcome, result, now - started))
        if events is not None:
            events.attempt_ended(tried[-1], result)
        return result


def _interpreted(request: Request[T], answered: Answered) -> T | GameyeError:
    try:
        return interpret(request, answered)
    except GameyeError as error:
        # The frames that read the answer hold it, and with it the env of sessions.
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001  -- what was answered has happened, whatever reading it came to
        # What reads it is imported when it is needed, which may fail where no more files can be opened.
        kind = type(error).__name__
        return BadAnswerError(
            f"{answered.status}: the answer could not be read ({kind})", status=answered.status
        )


def record(outcome: Outcome, result: object, elapsed: float, location: str | None = None) -> Attempt:
    """One attempt, for the errors and the session that tell of it."""
    match outcome:
        case Answered():
            identifier = result.identifier if isinstance(result, ApiError) else None
            return Attempt(location, "answered", outcome.status, identifier or None, elapsed)
        case NotSent():
            return Attempt(location, "not sent", None, None, elapsed, outcome.reason)
        case Unknown():  # pragma: no branch  -- there is no fourth outcome
            return Attempt(location, "sent", None, None, elapsed, outcome.reason)
