"""The launch rate that the API's refusals teach: when it falls, how it grows, what it never does."""

from bisect import bisect_left
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async._pacing import AdaptiveRate
from gameye_async.settings import Pacing

PERIOD = 0.5
FORGET = 60.0


class RateMachine(RuleBasedStateMachine):
    """Launches are sent when they may be, and answered in any order, late or never."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.lowered = -inf
        self.in_flight: list[float] = []
        self.accepted: list[float] = []

    @initialize(decrease=st.floats(0.1, 0.9), growth=st.floats(0.05, 5.0), floor=st.floats(0.05, 5.0))
    def open(self, decrease: float, growth: float, floor: float):
        self.rate = AdaptiveRate(Pacing(decrease=decrease, growth=growth, floor=floor))

    def busiest(self) -> float:
        """The most launches per second that were ever accepted within one period."""
        seen = self.accepted
        within = [n - bisect_left(seen, at - PERIOD) for n, at in enumerate(seen, start=1)]
        return max(within, default=0) / PERIOD

    @rule(seconds=st.one_of(st.floats(0.0, 2.0), st.floats(0.0, 100.0)))
    def pass_time(self, seconds: float):
        self.now += seconds

    @rule(burst=st.integers(1, 20))
    def send(self, burst: int):
        for _ in range(burst):
            self.now += self.rate.wait(self.now)
            assert self.rate.wait(self.now) == 0.0
            self.rate.sent(self.now)
            self.in_flight.append(self.now)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), count=st.integers(1, 20))
    def accept(self, data: st.DataObject, count: int):
        for _ in range(min(count, len(self.in_flight))):
            self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
            before = self.rate.rate
            self.accepted.append(self.now)
            self.rate.accepted(self.now)
            assert self.rate.rate >= before
            assert self.rate.rate == before or self.rate.rate <= 2.0 * self.busiest() + 1e-9

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def refuse(self, data: st.DataObject):
        sent = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        before = self.rate.rate
        self.rate.refused(self.now, sent)
        if sent <= self.lowered:
            assert self.rate.rate == before
        else:
            self.lowered = self.now
            assert self.rate.rate <= max(self.rate.pacing.decrease * before, self.rate.pacing.floor)
            assert self.rate.wait(self.now) > 0.0

    @invariant()
    def within_bounds(self):
        floor = self.rate.pacing.floor
        assert self.rate.rate >= floor
        assert 0.0 <= self.rate.wait(self.now) <= 1.0 / floor + 1e-9

    @invariant()
    def unlimited_before_the_first_refusal(self):
        if self.lowered == -inf:
            assert (self.rate.rate, self.rate.wait(self.now)) == (inf, 0.0)


TestRate = RateMachine.TestCase


def steady(rate: AdaptiveRate, per_second: float, start: float, stop: float) -> None:
    """Launches are accepted at regular intervals."""
    for number in range(int((stop - start) * per_second)):
        rate.accepted(start + number / per_second)


def lowered(per_second: float, **pacing: float) -> AdaptiveRate:
    """A rate that was refused at second 10, after as many launches a second as given."""
    rate = AdaptiveRate(Pacing(**pacing))
    steady(rate, per_second, 0.0, 10.0)
    rate.refused(10.0, sent=9.9)
    return rate


@pytest.mark.parametrize("per_second", [2.0, 10.0, 300.0])
def test_the_first_refusal_lowers_the_rate_to_a_part_of_what_was_accepted(per_second):
    assert lowered(per_second, decrease=0.7).rate == pytest.approx(0.7 * per_second, rel=0.05)


def test_a_refusal_before_anything_was_accepted_lowers_the_rate_to_its_floor():
    rate = AdaptiveRate(Pacing(floor=0.5))
    rate.refused(0.3, sent=0.0)
    assert (rate.rate, rate.wait(0.3)) == (0.5, pytest.approx(2.0))


def test_a_refusal_in_the_first_moment_counts_what_was_accepted_in_it():
    """As launches in half a second, for a moment says too little."""
    rate = AdaptiveRate(Pacing(decrease=0.7))
    for _ in range(20):
        rate.accepted(0.1)
    rate.refused(0.2, sent=0.0)
    assert rate.rate == pytest.approx(0.7 * 20 / PERIOD)


def test_the_first_second_is_not_averaged_with_nothing():
    rate = AdaptiveRate(Pacing(decrease=0.7))
    steady(rate, 10.0, 0.0, 0.6)
    rate.refused(0.6, sent=0.5)
    assert rate.rate == pytest.approx(7.0, rel=0.05)


def test_a_burst_of_refusals_is_one_mistake():
    rate = lowered(10.0)
    after_one = rate.rate
    for number in range(50):
        rate.refused(10.0 + number / 100, sent=9.9)
    assert rate.rate == after_one
    rate.refused(11.0, sent=10.5)
    assert rate.rate < after_one


def test_the_next_launch_is_as_far_from_the_last_as_the_rate_says_now():
    """Also when that has grown since."""
    rate = AdaptiveRate(Pacing(floor=0.5))
    rate.refused(0.0, sent=0.0)
    rate.sent(2.0)
    assert rate.wait(3.0) == 1.0
    for _ in range(10):
        rate.accepted(3.0)
    assert rate.rate > 1.0
    assert rate.wait(3.0) == 0.0
    rate.refused(3.0, sent=2.0)
    assert rate.wait(3.0) == pytest.approx(1.0 / rate.rate)


@given(per_second=st.floats(1.0, 300.0), growth=st.floats(0.1, 1.0))
def test_the_rate_returns_along_a_cubic_curve_that_is_flat_where_it_was_refused(per_second, growth):
    """Halfway in time to the refused rate, seven eighths of the way are done."""
    rate = lowered(per_second, growth=growth)
    low, knee = rate.rate, (0.3 * per_second / growth) ** (1 / 3)
    peak = low / 0.7
    for at, expected in ((knee / 2, peak - (peak - low) / 8), (knee, peak)):
        # Plenty is accepted, so that the curve alone limits the rate.
        for _ in range(1000):
            rate.accepted(10.0 + at)
        assert rate.rate == pytest.approx(expected, rel=0.05)


def test_the_rate_grows_to_no_more_than_twice_what_is_accepted():
    rate = lowered(10.0)
    steady(rate, 10.0, 10.0, 40.0)
    assert rate.rate == pytest.approx(20.0, rel=0.1)


def test_a_quiet_minute_lifts_the_limit():
    rate = lowered(10.0)
    rate.sent(10.0 + FORGET)
    assert rate.rate < inf
    rate.sent(10.1 + FORGET)
    assert (rate.rate, rate.wait(10.1 + FORGET)) == (inf, 0.0)


def test_the_rate_is_never_limited_when_that_is_switched_off():
    rate = AdaptiveRate(Pacing(adaptive=False))
    rate.refused(0.0, sent=0.0)
    rate.accepted(1.0)
    assert (rate.rate, rate.wait(1.0)) == (inf, 0.0)


@pytest.mark.parametrize("limit", [1.0, 10.0, 100.0])
def test_it_settles_around_what_the_account_may_start(limit):
    """Against a token bucket, all of it is used, for a few launches too many."""
    rate = AdaptiveRate(Pacing())
    now, filled, tokens = 0.0, 0.0, 2 * limit
    accepted = refused = 0
    while now < 120.0:
        now += max(rate.wait(now), 0.001)
        rate.sent(now)
        tokens, filled = min(2 * limit, tokens + (now - filled) * limit), now
        if tokens >= 1.0:
            tokens -= 1.0
            accepted += 1
            rate.accepted(now)
        else:
            refused += 1
            rate.refused(now, now)
    assert accepted > 0.95 * 120.0 * limit
    assert refused < max(0.4 * accepted / limit, 0.01 * accepted)
