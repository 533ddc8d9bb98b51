"""When launches arrive."""

from collections import Counter
from itertools import pairwise
from math import exp, sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gameye_async.loadtest import CONSTANT, SHAPES, Phase, Plan, Shape, schedule, spike

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def expected_between(plan: Plan, begin: float, end: float) -> float:
    """How many arrivals of all shards there are to be, on average, between two moments (seconds)."""
    total = start = 0.0
    for seconds, first, last in plan.shape.pieces(plan.rate, plan.duration):
        low, high = max(begin - start, 0.0), min(end - start, seconds)
        if low < high:
            slope = (last - first) / seconds
            total += (high - low) * (first + slope * (low + high) / 2)
        start += seconds
    return total


def plan(location="eu-west", **options):
    return Plan("my-game", location, **{"rate": 100, "duration": 60.0} | options)


def times(**options):
    return [arrival.at for arrival in schedule(plan(**options))]


def test_a_constant_rate_has_equal_distances():
    found = times(arrivals="constant")
    assert len(found) == 6_000
    assert found[0] == pytest.approx(0.005)
    assert all(after - before == pytest.approx(0.01) for before, after in pairwise(found))


@shapes
def test_a_constant_process_has_the_number_that_the_shape_integrates_to(shape):
    found = times(shape=shape, arrivals="constant")
    assert len(found) == round(plan(shape=shape).expected)
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < 60


@shapes
def test_a_constant_process_follows_the_rate_in_every_second(shape):
    wanted = plan(shape=shape)
    found = Counter(int(at) for at in times(shape=shape, arrivals="constant"))
    for second in range(60):
        assert found[second] == pytest.approx(expected_between(wanted, second, second + 1), abs=1)


@shapes
@pytest.mark.parametrize("seed", range(5))
def test_a_poisson_process_has_the_expected_number_within_four_deviations(shape, seed):
    expected = plan(shape=shape).expected
    assert len(times(shape=shape, seed=seed)) == pytest.approx(expected, abs=4 * sqrt(expected))


@shapes
def test_a_poisson_process_follows_the_rate(shape):
    """Chi squared over the seconds: 60 of them give 60, with a deviation of 11."""
    wanted = plan(shape=shape, rate=2_000)
    found = Counter(int(arrival.at) for arrival in schedule(wanted))
    means = [expected_between(wanted, second, second + 1) for second in range(60)]
    assert sum((found[second] - mean) ** 2 / mean for second, mean in enumerate(means)) < 60 + 4 * 11


def test_the_distances_of_a_poisson_process_are_exponential():
    gaps = [after - before for before, after in pairwise(times(rate=1_000))]
    for mean in (0.5, 1.0, 2.0, 4.0):
        share = sum(gap > mean / 1_000 for gap in gaps) / len(gaps)
        assert share == pytest.approx(exp(-mean), abs=0.01)


def test_a_seed_gives_one_schedule_and_another_seed_another():
    assert times(seed=7) == times(seed=7)
    assert times(seed=7) != times(seed=8)


@given(
    count=st.integers(1, 9),
    arrivals=st.sampled_from(["poisson", "constant"]),
    shape=st.sampled_from(list(SHAPES.values())),
    seed=st.integers(0, 1_000),
)
def test_all_shards_together_are_exactly_the_whole(count, arrivals, shape, seed):
    options = {"rate": 20, "arrivals": arrivals, "shape": shape, "seed": seed, "location": ["a", "b", "c"]}
    whole = list(schedule(plan(**options)))
    parts = [list(schedule(plan(shard=f"{index}/{count}", **options))) for index in range(1, count + 1)]
    joined = sorted((arrival for part in parts for arrival in part), key=lambda arrival: arrival.index)
    assert joined == whole
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("shard", ["1/1", "1/2", "2/2", "3/4"])
def test_locations_are_taken_in_turn_in_every_shard(shard):
    taken = Counter(arrival.place for arrival in schedule(plan(location=["a", "b"], shard=shard)))
    assert taken[0] == pytest.approx(taken[1], rel=0.02)


def test_a_phase_without_launches_has_none():
    quiet = Shape([Phase(1, 1), Phase(1, 0), Phase(1, 1)])
    assert not [at for at in times(shape=quiet) if 20 < at < 40]


@given(
    # Also the smallest number there is: it once made a phase of infinite length.
    phases=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=5),
)
@example(phases=[(5e-324, 1.0, 1.0)])
@example(phases=[(5e-324, 1.0, 2.0)])
def test_any_shape_gives_ordered_moments_within_the_duration(phases):
    try:
        shape = Shape([Phase(*phase) for phase in phases])
    except ValueError:
        return
    found = times(shape=shape, rate=3, duration=10.0, arrivals="constant")
    assert found == sorted(found)
    assert all(0 <= at <= 10 for at in found)
    assert abs(len(found) - plan(shape=shape, rate=3, duration=10.0).expected) <= 1


def test_what_is_expected_adds_up():
    wanted = plan(shape=spike())
    parts = [expected_between(wanted, second / 7, (second + 1) / 7) for second in range(7 * 60)]
    assert sum(parts) == pytest.approx(wanted.expected)
    assert CONSTANT.mean == 1.0
