"""How long to back off, what a retry costs, and who can afford one."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gameye_async._exchange import Repeat, Request
from gameye_async._policy import (
    RetryBudget,
    poll_delay,
    retry_cost,
    retry_delay,
    throttle_delay,
    transient_delay,
)
from gameye_async.errors import (
    ApiError,
    AuthenticationError,
    BadAnswerError,
    BadRequestError,
    CapacityError,
    ConfigurationError,
    GameyeError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    SessionIdConflictError,
)
from gameye_async.settings import RetryPolicy

POLICY = RetryPolicy(budget_cost=14.0, budget_throttle_cost=5.0)

POLICIES = st.builds(
    RetryPolicy,
    base=st.floats(0.001, 10.0),
    cap=st.floats(0.001, 100.0),
    throttle_base=st.floats(0.001, 10.0),
    throttle_floor=st.floats(0.0, 1.0),
    throttle_cap=st.floats(1.0, 100.0),
)
FAILURES = st.integers(1, 10_000)


class Extreme(Random):
    """Always draws the end of the range that was asked for."""

    def __init__(self, end: float) -> None:
        super().__init__(0)
        self.end = end

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.end


LONGEST, SHORTEST = Extreme(1.0), Extreme(0.0)
RANDOMS = st.builds(Extreme, st.floats(0.0, 1.0))


@given(policy=POLICIES, failures=FAILURES, rng=RANDOMS)
def test_a_transient_delay_lies_between_nothing_and_the_cap(policy, failures, rng):
    assert 0.0 <= transient_delay(policy, failures, rng) <= policy.cap


@given(policy=POLICIES, failures=FAILURES)
def test_the_bound_of_a_transient_delay_never_shrinks(policy, failures):
    assert transient_delay(policy, failures, LONGEST) <= transient_delay(policy, failures + 1, LONGEST)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.1), (2, 0.2), (5, 1.6), (7, 5.0), (5000, 5.0)])
def test_the_bound_of_a_transient_delay_doubles_up_to_the_cap(failures, seconds):
    assert transient_delay(RetryPolicy(base=0.05, cap=5.0), failures, LONGEST) == seconds


@given(policy=POLICIES, refusals=FAILURES, rng=RANDOMS)
def test_a_throttled_delay_lies_between_floor_and_cap(policy, refusals, rng):
    delay = throttle_delay(policy, refusals, None, rng)
    assert policy.throttle_floor <= delay <= policy.throttle_cap


@given(policy=POLICIES, refusals=FAILURES)
def test_the_bound_of_a_throttled_delay_never_shrinks(policy, refusals):
    longer = throttle_delay(policy, refusals + 1, None, LONGEST)
    assert throttle_delay(policy, refusals, None, LONGEST) <= longer


@pytest.mark.parametrize(("refusals", "seconds"), [(1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (5000, 60.0)])
def test_the_bound_of_a_throttled_delay_doubles_up_to_the_cap(refusals, seconds):
    policy = RetryPolicy(throttle_base=2.0, throttle_cap=60.0)
    assert throttle_delay(policy, refusals, None, LONGEST) == seconds


def test_without_a_floor_a_throttled_delay_may_be_nothing():
    """Full jitter draws from nothing on, so that clients spread over the whole range."""
    assert throttle_delay(RetryPolicy(throttle_floor=0.0), 1, None, SHORTEST) == 0.0


@given(policy=POLICIES, refusals=FAILURES, asked=st.floats(0.0, 1e6), rng=RANDOMS)
def test_what_the_api_asks_for_is_a_floor_that_the_cap_bounds(policy, refusals, asked, rng):
    floor = min(asked, policy.throttle_cap)
    assert floor <= throttle_delay(policy, refusals, asked, rng) <= floor + policy.throttle_cap


def test_clients_that_are_told_the_same_moment_do_not_return_at_once():
    delays = {throttle_delay(POLICY, 1, 7.0, Random(seed)) for seed in range(20)}
    assert len(delays) == 20
    assert min(delays) > 7.0


@pytest.mark.parametrize("error", [CapacityError(retry_after=9.0), RateLimitedError(retry_after=9.0)])
def test_refusals_wait_as_long_as_the_api_asks(error):
    assert retry_delay(POLICY, error, 1, SHORTEST) == 9.0


@pytest.mark.parametrize("error", [NoAnswerError(), NotSentError(), ServerError(retry_after=9.0)])
def test_other_failures_wait_as_the_transient_curve_says(error):
    assert retry_delay(POLICY, error, 1, LONGEST) == 2 * POLICY.base


@given(tries=FAILURES, rng=RANDOMS)
def test_looks_for_a_session_are_never_more_than_five_seconds_apart(tries, rng):
    assert 0.05 <= poll_delay(tries, rng) <= 5.0


@pytest.mark.parametrize(("tries", "seconds"), [(1, 0.1), (2, 0.2), (6, 3.2), (7, 5.0), (5000, 5.0)])
def test_looks_for_a_session_become_half_as_frequent_each_time(tries, seconds):
    assert poll_delay(tries, LONGEST) == pytest.approx(seconds)
    assert poll_delay(tries, SHORTEST) == pytest.approx(seconds / 2)


def call(repeat: Repeat) -> Request[object]:
    return Request("describe", "GET", "/session/a", "/session/{id}", lambda _: None, repeat=repeat)


@pytest.mark.parametrize(
    ("error", "repeatable", "unrepeatable"),
    [
        (NotSentError(), 1.0, 1.0),
        (CapacityError(), 5.0, 5.0),
        (RateLimitedError(), 5.0, 5.0),
        (NoAnswerError(), 14.0, None),
        (NoAnswerError(timed_out=True), 14.0, None),
        (ServerError(status=503), 14.0, None),
        (BadAnswerError(status=200), 14.0, None),
        (BadAnswerError(status=299), 14.0, None),
        (BadAnswerError(status=300), None, None),
        (ApiError(status=418), None, None),
        (AuthenticationError(), None, None),
        (BadRequestError(), None, None),
        (ConfigurationError(), None, None),
        (InvalidRequestError(), None, None),
        (NotFoundError(), None, None),
        (PermissionDeniedError(), None, None),
        (QuotaExceededError(), None, None),
        (SessionIdConflictError(), None, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, GameyeError) else str(value),
)
def test_what_a_second_try_costs(error, repeatable, unrepeatable):
    assert retry_cost(POLICY, call(Repeat.ALWAYS), error, 1) == repeatable
    assert retry_cost(POLICY, call(Repeat.UNSENT), error, 1) == unrepeatable


def test_a_bad_answer_is_asked_for_twice_at_most():
    assert retry_cost(POLICY, call(Repeat.ALWAYS), BadAnswerError(), 2) is None


@pytest.mark.parametrize("repeat", Repeat)
@pytest.mark.parametrize("error", [NotSentError(), CapacityError(), NoAnswerError(), ServerError()])
def test_the_last_attempt_is_not_repeated(error, repeat):
    assert retry_cost(POLICY, call(repeat), error, POLICY.attempts) is None


def test_the_last_tokens_can_be_spent():
    budget = RetryBudget(14.0)
    assert budget.spend(14.0)
    assert not budget.spend(1.0)


class BudgetMachine(RuleBasedStateMachine):
    @initialize(capacity=st.floats(0.5, 500.0))
    def open(self, capacity: float):
        self.budget = RetryBudget(capacity)

    @rule(cost=st.floats(0.0, 600.0))
    def spend(self, cost: float):
        before = self.budget.tokens
        paid = self.budget.spend(cost)
        assert paid == (cost <= before)
        assert self.budget.tokens == (before - cost if paid else before)

    @rule()
    def earn(self):
        before = self.budget.tokens
        self.budget.earn()
        assert self.budget.tokens == min(before + 1.0, self.budget.capacity)

    @invariant()
    def within_bounds(self):
        assert 0.0 <= self.budget.tokens <= self.budget.capacity


TestBudget = BudgetMachine.TestCase


def test_a_budget_starts_full():
    assert RetryBudget(500.0).tokens == 500.0
