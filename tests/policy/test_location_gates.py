"""Which locations are asked: full ones are left alone for a while; a throttled account is not their fault."""

from math import inf
from random import Random

import pytest
from attrs import define
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async._pacing import Blame, LocationGates
from gameye_async.settings import Pacing

EAST, WEST, SOUTH = "eu-east", "eu-west", "eu-south"
PACING = Pacing(gate_after=3, gate_base=2.0, gate_cap=60.0, account_window=2.0)


@define
class Closing:
    """What happened at a location since it closed last.

    Attributes:
        at: When it closed.
        under_way: Launches that were let in since, and are not answered.
        accepted: How many were.
    """

    at: float
    under_way: int = 0
    accepted: int = 0


class GateMachine(RuleBasedStateMachine):
    """Launches are let in, and accepted, refused, or answered by neither, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.in_flight: list[tuple[str, float]] = []
        self.in_a_row = dict.fromkeys((EAST, WEST, SOUTH), 0)
        self.refused_at: dict[str, float] = {}
        self.accepted_at: dict[str, float] = {}
        self.closings: dict[str, Closing] = {}

    @initialize(seed=st.integers(0, 9), after=st.integers(1, 4), cap=st.floats(2.0, 30.0))
    def open(self, seed: int, after: int, cap: float):
        self.pacing = Pacing(gate_after=after, gate_base=2.0, gate_cap=cap)
        self.gates = LocationGates(self.pacing, Random(seed))

    @rule(seconds=st.one_of(st.floats(0.001, 3.0), st.floats(0.001, 60.0)))
    def pass_time(self, seconds: float):
        self.now += seconds

    @rule(locations=st.lists(st.sampled_from([EAST, WEST, SOUTH]), min_size=1, max_size=3, unique=True))
    def launch(self, locations: list[str]):
        wait = self.gates.wait(locations, self.now)
        location = self.gates.take(locations, self.now)
        assert (location is not None) == (wait == 0.0)
        for passed_over in locations[: locations.index(location) if location else None]:
            assert passed_over in self.closings
        if location is not None:
            self.in_flight.append((location, self.now))
            closing = self.closings.get(location)
            if closing is not None:
                assert closing.at < self.now
                closing.under_way += 1

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), answer=st.sampled_from(["accepted", "refused", "neither"]))
    def answer(self, data: st.DataObject, answer: str):
        location, since = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        closing = self.closings.get(location)
        self.gates.ended(location, since)
        if closing is not None and since > closing.at:
            closing.under_way -= 1
        if answer == "accepted":
            self.accept(location, closing)
        elif answer == "refused":
            self.refuse(location)

    def accept(self, location: str, closing: Closing | None) -> None:
        is_closed = self.gates.wait([location], self.now) not in {0.0, inf}
        self.gates.accepted(location, self.now)
        self.in_a_row[location] = 0
        self.accepted_at[location] = self.now
        if closing is not None and not is_closed:
            closing.accepted += 1
            if 1 + 3 * closing.accepted - closing.under_way >= 64:
                del self.closings[location]

    def refuse(self, location: str) -> None:
        window = self.pacing.account_window
        elsewhere = any(self.now - at <= window for name, at in self.refused_at.items() if name != location)
        self.refused_at[location] = self.now
        accepts = location in self.accepted_at and self.now - self.accepted_at[location] <= window
        is_closed = self.gates.wait([location], self.now) not in {0.0, inf}
        blame = self.gates.refused(location, self.now)
        assert (blame is Blame.ACCOUNT) == (accepts and elsewhere)
        if blame is Blame.ACCOUNT:
            return
        if not is_closed:
            self.in_a_row[location] += 1
            if self.in_a_row[location] >= self.pacing.gate_after:
                self.closings[location] = Closing(self.now)
                is_closed = True
        assert (blame is Blame.LOCATION) == (is_closed or not accepts)

    @invariant()
    def open_until_refused_often_enough(self):
        for location in self.in_a_row:
            if location not in self.closings:
                assert self.gates.wait([location], self.now) == 0.0

    @invariant()
    def as_many_as_the_accepted_ones_earned(self):
        for closing in self.closings.values():
            assert closing.under_way <= 1 + 3 * closing.accepted

    @invariant()
    def back_in_rotation_in_time(self):
        for location in self.in_a_row:
            wait = self.gates.wait([location], self.now)
            assert 0.0 <= wait <= 1.5 * self.pacing.gate_cap or self.closings[location].under_way

    def teardown(self):
        """When all is answered and the longest time has passed, every location is tried again."""
        for location, since in self.in_flight:
            self.gates.ended(location, since)
        self.now += 1.5 * self.pacing.gate_cap
        for location in self.in_a_row:
            assert self.gates.take([location], self.now) == location


TestGates = GateMachine.TestCase


def closed(location: str = EAST, *, times: int = 1, seed: int = 0) -> tuple[LocationGates, float]:
    """Gates of which one has closed so often in a row, and the time of the last refusal."""
    gates, now = LocationGates(PACING, Random(seed)), 0.0
    for _ in range(PACING.gate_after - 1):
        assert gates.refused(location, now) is Blame.LOCATION
        assert gates.wait([location], now) == 0.0
    for _ in range(times):
        now += gates.wait([location], now)
        assert gates.refused(location, now) is Blame.LOCATION
    return gates, now


def test_a_full_location_is_passed_over():
    gates, now = closed(EAST)
    assert gates.take([EAST, WEST], now) == WEST


def test_nothing_is_taken_where_all_is_closed():
    gates, now = closed(EAST)
    assert gates.take([EAST], now) is None


def test_one_launch_at_a_time_tries_a_location_again():
    gates, now = closed()
    now += gates.wait([EAST], now)
    assert gates.take([EAST], now) == EAST
    assert (gates.take([EAST], now), gates.wait([EAST], now)) == (None, inf)
    gates.ended(EAST, now)
    assert gates.take([EAST], now) == EAST


def test_a_launch_from_before_a_location_closed_does_not_let_another_one_try_it():
    gates, now = closed()
    later = now + gates.wait([EAST], now)
    gates.ended(EAST, now)
    assert [gates.take([EAST], later), gates.take([EAST], later)] == [EAST, None]


def wave(gates: LocationGates, now: float) -> int:
    """How many launches a location lets in at once; all are accepted."""
    let_in = 0
    while let_in < 1000 and gates.take([EAST], now):
        let_in += 1
    for _ in range(let_in):
        gates.ended(EAST, now)
        gates.accepted(EAST, now)
    return let_in


def test_each_launch_that_is_accepted_opens_a_location_for_four_until_it_is_open_to_all():
    gates, now = closed()
    now += gates.wait([EAST], now)
    assert [wave(gates, now) for _ in range(4)] == [1, 4, 16, 1000]


def test_a_location_with_a_few_places_left_closes_for_a_short_time_again():
    """However often it was closed before: it gives places."""
    gates, now = closed(times=6)
    now += gates.wait([EAST], now)
    wave(gates, now)
    for _ in range(PACING.gate_after):
        assert gates.take([EAST], now) == EAST
        gates.ended(EAST, now)
        gates.refused(EAST, now)
    assert gates.wait([EAST], now) <= 1.5 * 2.0


def test_an_acceptance_from_before_a_location_closed_does_not_open_it():
    """Its place was perhaps the last."""
    gates, now = closed()
    wait = gates.wait([EAST], now)
    gates.accepted(EAST, now)
    assert gates.wait([EAST], now) == wait


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0), (6, 60.0), (40, 60.0)]
)
def test_the_time_a_location_is_left_alone_doubles_up_to_a_bound(seed, times, seconds):
    """Give or take half."""
    gates, now = closed(times=times, seed=seed)
    assert 0.5 * seconds <= gates.wait([EAST], now) <= 1.5 * seconds


def test_refusals_of_launches_under_way_do_not_close_a_location_for_longer():
    """A burst of fifty is one closing, now and next time."""
    gates, now = closed()
    wait = gates.wait([EAST], now)
    for _ in range(50):
        assert gates.refused(EAST, now) is Blame.LOCATION
    assert gates.wait([EAST], now) == wait
    now += wait
    gates.refused(EAST, now)
    assert gates.wait([EAST], now) <= 1.5 * 4.0


def accepting(*locations: str) -> LocationGates:
    """Gates of locations that accepted a launch in the first moment."""
    gates = LocationGates(PACING, Random(0))
    for location in locations:
        gates.accepted(location, 0.0)
    return gates


def test_locations_that_accept_and_refuse_in_turn_mean_the_account():
    gates = accepting(EAST, WEST)
    for number in range(10):
        gates.refused(EAST, 0.2 * number)
        gates.accepted(WEST, 0.2 * number)
        assert gates.refused(WEST, 0.2 * number) is Blame.ACCOUNT
    assert gates.take([WEST], 2.0) == WEST


@pytest.mark.parametrize("others", [(), (SOUTH,)])
def test_locations_that_accept_nothing_of_late_are_full(others):
    """Also all of them: a rate that is too high would let some through. Nobody is to wait for full ones."""
    gates = accepting(*others)
    for _ in range(PACING.gate_after):
        assert [gates.refused(location, 1.0) for location in (EAST, WEST)] == [Blame.LOCATION] * 2
    assert gates.take([EAST, WEST, SOUTH], 1.0) == SOUTH
    assert gates.take([EAST, WEST], 1.0) is None


def test_a_single_location_that_accepted_of_late_may_be_full_or_not():
    gates = accepting(EAST)
    blames = [gates.refused(EAST, 1.0) for _ in range(PACING.gate_after)]
    assert blames == [Blame.UNCLEAR, Blame.UNCLEAR, Blame.LOCATION]


def test_what_was_accepted_long_ago_says_nothing():
    gates = accepting(EAST, WEST)
    gates.refused(WEST, 2.1)
    assert gates.refused(EAST, 2.1) is Blame.LOCATION


def test_refusals_of_two_locations_far_apart_do_not_mean_the_account():
    gates = accepting(WEST)
    gates.refused(EAST, 0.0)
    gates.accepted(WEST, 2.1)
    assert gates.refused(WEST, 2.1) is Blame.UNCLEAR
