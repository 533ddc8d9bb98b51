"""Which locations are asked: full ones are left alone for a while; a throttled account is not their fault."""

from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async._pacing import Blame, LocationGates
from gameye_async.settings import Pacing

EAST, WEST, SOUTH = "eu-east", "eu-west", "eu-south"
PACING = Pacing(gate_after=3, gate_base=2.0, gate_cap=60.0, account_window=2.0)


class GateMachine(RuleBasedStateMachine):
    """Launches are let in, and accepted, refused, or answered by neither, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.in_flight: list[str] = []
        self.in_a_row = dict.fromkeys((EAST, WEST, SOUTH), 0)
        self.refused_at: dict[str, float] = {}
        self.accepted_at: dict[str, float] = {}
        self.probed: set[str] = set()

    @initialize(seed=st.integers(0, 9), after=st.integers(1, 4), cap=st.floats(2.0, 30.0))
    def open(self, seed: int, after: int, cap: float):
        self.pacing = Pacing(gate_after=after, gate_base=2.0, gate_cap=cap)
        self.gates = LocationGates(self.pacing, Random(seed))

    def may_be_closed(self, location: str) -> bool:
        return self.in_a_row[location] >= self.pacing.gate_after

    @rule(seconds=st.one_of(st.floats(0.0, 3.0), st.floats(0.0, 60.0)))
    def pass_time(self, seconds: float):
        self.now += seconds

    @rule(locations=st.lists(st.sampled_from([EAST, WEST, SOUTH]), min_size=1, max_size=3, unique=True))
    def launch(self, locations: list[str]):
        wait = self.gates.wait(locations, self.now)
        location = self.gates.take(locations, self.now)
        assert (location is not None) == (wait == 0.0)
        for passed_over in locations[: locations.index(location) if location else None]:
            assert self.may_be_closed(passed_over)
        if location is not None:
            self.in_flight.append(location)
            assert location not in self.probed
            if self.may_be_closed(location):
                self.probed.add(location)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), answer=st.sampled_from(["accepted", "refused", "neither"]))
    def answer(self, data: st.DataObject, answer: str):
        location = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
        self.gates.unanswered(location)
        self.probed.discard(location)
        if answer == "accepted":
            self.gates.accepted(location, self.now)
            self.in_a_row[location] = 0
            self.accepted_at[location] = self.now
            assert self.gates.wait([location], self.now) == 0.0
        elif answer == "refused":
            self.refuse(location)

    def refuse(self, location: str) -> None:
        window = self.pacing.account_window
        elsewhere = any(self.now - at <= window for name, at in self.refused_at.items() if name != location)
        self.refused_at[location] = self.now
        accepting = {name for name, at in self.accepted_at.items() if self.now - at <= window}
        is_account = elsewhere and (not accepting or location in accepting)
        blame = self.gates.refused(location, self.now)
        assert (blame is Blame.ACCOUNT) == is_account
        if not is_account:
            self.in_a_row[location] += 1
            assert (blame is Blame.LOCATION) == self.may_be_closed(location)
        if blame is Blame.LOCATION:
            assert self.gates.wait([location], self.now) > 0.0

    @invariant()
    def open_until_refused_often_enough(self):
        for location in self.in_a_row:
            if not self.may_be_closed(location):
                assert self.gates.wait([location], self.now) == 0.0

    @invariant()
    def back_in_rotation_in_time(self):
        for location in self.in_a_row:
            assert 0.0 <= self.gates.wait([location], self.now) <= 1.5 * self.pacing.gate_cap

    def teardown(self):
        """When all is answered and the longest time has passed, every location is tried again."""
        for location in self.in_flight:
            self.gates.unanswered(location)
        self.now += 1.5 * self.pacing.gate_cap
        for location in self.in_a_row:
            assert self.gates.take([location], self.now) == location


TestGates = GateMachine.TestCase


def closed(location: str = EAST, *, times: int = 1, seed: int = 0) -> tuple[LocationGates, float]:
    """Gates of which one has closed so often in a row, and the time of the last refusal."""
    gates, now = LocationGates(PACING, Random(seed)), 0.0
    for _ in range(PACING.gate_after - 1):
        assert gates.refused(location, now) is Blame.UNCLEAR
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
    assert gates.take([EAST], now) is None
    gates.unanswered(EAST)
    assert gates.take([EAST], now) == EAST


def test_success_opens_a_location_for_all():
    gates, now = closed()
    now += gates.wait([EAST], now)
    gates.take([EAST], now)
    gates.unanswered(EAST)
    gates.accepted(EAST, now)
    assert [gates.take([EAST], now) for _ in range(10)] == [EAST] * 10


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


def test_two_locations_that_refuse_at_once_mean_the_account():
    gates = LocationGates(PACING, Random(0))
    for _ in range(10):
        gates.refused(EAST, 0.0)
        assert gates.refused(WEST, 2.0) is Blame.ACCOUNT
    assert gates.take([WEST], 2.0) == WEST


def test_locations_that_refuse_while_another_accepts_are_full():
    """Nobody is to wait because two locations of ten are full."""
    gates = LocationGates(PACING, Random(0))
    for number in range(10):
        gates.accepted(SOUTH, 0.2 * number)
        for location in (EAST, WEST):
            full = number + 1 >= PACING.gate_after
            assert gates.refused(location, 0.2 * number) is (Blame.LOCATION if full else Blame.UNCLEAR)
    assert gates.take([EAST, WEST, SOUTH], 2.0) == SOUTH


def test_a_location_that_accepts_and_refuses_in_turn_is_not_full():
    """Then the account is throttled, whatever the others do."""
    gates = LocationGates(PACING, Random(0))
    for location in (EAST, WEST, SOUTH):
        gates.accepted(location, 0.0)
    gates.refused(EAST, 0.0)
    assert gates.refused(WEST, 2.0) is Blame.ACCOUNT


def test_what_was_accepted_long_ago_excuses_nobody():
    gates = LocationGates(PACING, Random(0))
    gates.accepted(SOUTH, 0.0)
    gates.refused(EAST, 2.1)
    assert gates.refused(WEST, 2.1) is Blame.ACCOUNT


def test_refusals_of_two_locations_far_apart_mean_the_locations():
    gates = LocationGates(PACING, Random(0))
    gates.refused(EAST, 0.0)
    assert gates.refused(WEST, 2.1) is Blame.UNCLEAR
