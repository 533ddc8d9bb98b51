"""Decisions without effects: how long to back off, and whether a retry can be afforded.

Clock and random come in from outside, so that the same seed decides the same.
"""

from random import Random
from typing import Any

from attrs import define, field

from gameye_async._exchange import Repeat, Request
from gameye_async.errors import (
    AuthenticationError,
    BadAnswerError,
    CapacityError,
    GameyeError,
    NoAnswerError,
    NotSentError,
    RateLimitedError,
    ServerError,
)
from gameye_async.settings import Credential, RetryPolicy

# How long the client keeps at stopping one session before it reports it (seconds).
GIVE_UP = 300.0
# What looks at something again and again does not give up for: it may pass.
PASSING = (NotSentError, NoAnswerError, BadAnswerError, RateLimitedError, ServerError)
_UNSENT_COST = 1.0
_REDIRECTS = 300


def retry_cost(policy: RetryPolicy, request: Request[Any], error: GameyeError, attempts: int) -> float | None:
    """What another try of a call costs from the budget; None when it must not or would not help.

    Args:
        policy: The client's settings.
        request: What was sent.
        error: What came of it.
        attempts: How often it has been sent.
    """
    if attempts >= policy.attempts:
        return None
    match error:
        case NotSentError():
            return _UNSENT_COST
        case CapacityError() | RateLimitedError():
            return policy.budget_throttle_cost
        case NoAnswerError() | ServerError() if request.repeat is Repeat.ALWAYS:
            return policy.budget_cost
        case BadAnswerError(status=status) if request.repeat is Repeat.ALWAYS and attempts == 1:
            # A redirect would only be one again.
            return policy.budget_cost if (status or 0) < _REDIRECTS else None
        case _:
            return None


def retry_delay(policy: RetryPolicy, error: GameyeError, failures: int, rng: Random) -> float:
    """Seconds to wait before the next try, after the n-th failure in a row (from 1)."""
    if isinstance(error, CapacityError | RateLimitedError):
        return throttle_delay(policy, failures, error.retry_after, rng)
    return transient_delay(policy, failures, rng)


def transient_delay(policy: RetryPolicy, failures: int, rng: Random) -> float:
    """Seconds to wait after the n-th failure in a row (from 1) of the network or the API."""
    return rng.uniform(0.0, min(policy.cap, policy.base * 2.0 ** min(failures, 32)))


def throttle_delay(policy: RetryPolicy, refusals: int, retry_after: float | None, rng: Random) -> float:
    """Seconds to wait after the n-th 420 or 429 in a row (from 1).

    What the API asks for is a floor: jitter only comes on top, or all clients would return at once.
    """
    if retry_after is not None:
        asked = min(retry_after, policy.throttle_cap)
        return asked + rng.uniform(0.0, min(policy.throttle_base, policy.throttle_cap))
    bound = min(policy.throttle_cap, policy.throttle_base * 2.0 ** min(refusals - 1, 32))
    return max(policy.throttle_floor, rng.uniform(0.0, bound))


@define(eq=False, repr=False)
class RetryBudget:
    """The tokens that all calls of a client pay their retries from, so that an outage is not made worse.

    Attributes:
        capacity: Most tokens.
        tokens: Tokens left; starts full.
    """

    capacity: float
    tokens: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.capacity

    def spend(self, cost: float) -> bool:
        """Pay for a retry; False when it cannot be afforded, and then nothing is taken."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def earn(self) -> None:
        """A call was answered at its first attempt."""
        self.tokens = min(self.capacity, self.tokens + 1.0)


def poll_delay(tries: int, rng: Random) -> float:
    """Seconds between looks for a session that should show up, or go away, soon."""
    return min(5.0, 0.1 * 2.0 ** min(tries - 1, 32)) * rng.uniform(0.5, 1.0)


@define(eq=False, repr=False)
class AuthLatch:
    """Keeps calls from hammering the API with a token that it has refused.

    After a 401, calls with the same token fail at once; every few seconds one may try whether the API has
    changed its mind.

    Attributes:
        last: The last 401, until a call with the same token is answered in another way.
    """

    last: AuthenticationError | None = field(default=None, init=False)
    _credential: Credential | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def refusal(self, credential: Credential, now: float) -> AuthenticationError | None:
        """The error to raise instead of sending; None when the call may be sent."""
        if self.last is None or credential != self._credential:
            return None
        if now >= self._until:
            self._until = now + _LATCH
            return None
        return AuthenticationError(
            f"not sent, for this token was refused a moment ago: {self.last.message}",
            status=self.last.status,
            code=self.last.code,
            path=self.last.path,
            identifier=self.last.identifier,
        )

    def answered(self, credential: Credential, result: object, now: float) -> None:
        """Learn from an answer."""
        if isinstance(result, AuthenticationError):
            self.last, self._credential, self._until = result, credential, now + _LATCH
        elif credential == self._credential and not isinstance(result, GameyeError):
            self.last = self._credential = None


_LATCH = 5.0
