"""When and where a launch is tried again, given how its attempts have ended."""

from math import inf

from attrs import define, field

from gameye_async import _policy
from gameye_async._calls import Caller
from gameye_async.errors import CapacityError, GameyeError, NotSentError, RateLimitedError
from gameye_async.settings import RetryPolicy


@define(eq=False, repr=False)
class NextAttempt:
    """The next attempt of a launch of which one has failed.

    Attributes:
        caller: Pays for it and counts it.
        policy: How often and how soon.
        wanted: The launch's locations, in order of preference.
        locations: Those of them that have not refused it since it last waited.
        not_before: Loop time before which it must not be made.
        last: What the last attempt came to.
    """

    caller: Caller
    policy: RetryPolicy
    wanted: tuple[str, ...]
    locations: list[str] = field(init=False)
    not_before: float = field(default=-inf, init=False)
    last: GameyeError | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _refusals: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.locations = list(self.wanted)

    @property
    def is_first_refusal(self) -> bool:
        """Whether no attempt has been refused so far."""
        return not self._refusals

    def after_failure(self, error: GameyeError, *, settled: float, deadline: float) -> None:
        """Be soon, after a failure of the network or the API.

        Args:
            error: The failure.
            settled: Loop time from which it does not overlap an attempt that may have worked.
            deadline: Loop time at which the launch must be done.

        Raises:
            GameyeError: The failure, because there is no attempt, no budget or no time left.
        """
        self.last = error
        self._failures += 1
        cost = 1.0 if isinstance(error, NotSentError) else self.policy.budget_cost
        if self._failures >= self.policy.attempts or not self.caller.budget.spend(cost):
            raise error
        delay = _policy.transient_delay(self.policy, self._failures, self.caller.rng)
        self._wait_until(max(self.caller.clock() + delay, settled), error, deadline)

    def leave_out(self, location: str) -> None:
        """Be at once, in another location than one that refused, if one is left."""
        self.locations.remove(location)
        self.caller.counters.retried += bool(self.locations)

    def after_refusal(self, error: CapacityError | RateLimitedError, *, paced: bool, deadline: float) -> None:
        """Be later and in any location, after a 420 or 429.

        Args:
            error: The refusal.
            paced: Whether the launch rate bounds already how often refused launches are tried again.
            deadline: Loop time at which the launch must be done.

        Raises:
            GameyeError: The refusal, because there is no budget or no time left.
        """
        self.locations = list(self.wanted)
        self._refusals += 1
        if not paced and not self.caller.budget.spend(self.policy.budget_throttle_cost):
            raise error
        # The rate and the gates say already when there is room; delays that grow as well would only make
        # those wait longest that were refused most, until they fail though there is room again.
        in_a_row = 1 if paced else self._refusals
        delay = _policy.throttle_delay(self.policy, in_a_row, error.retry_after, self.caller.rng)
        self._wait_until(self.caller.clock() + delay, error, deadline)

    def _wait_until(self, when: float, error: GameyeError, deadline: float) -> None:
        if when >= deadline:
            raise error
        self.not_before = when
        self.caller.counters.retried += 1
