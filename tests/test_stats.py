"""The statistics of a client."""

from random import Random

import pytest

from gameye_async._stats import Counters, Histogram


def test_a_quantile_is_within_five_percent_of_the_truth():
    """Whatever the shape, from milliseconds to minutes, in a fixed number of buckets."""
    rng = Random(1)
    times = sorted(rng.lognormvariate(-1.0, 2.0) for _ in range(10_000))
    histogram = Histogram()
    for time in times:
        histogram.add(time)

    for share in (0.1, 0.5, 0.9, 0.99):
        assert histogram.quantile(share) == pytest.approx(times[int(share * len(times))], rel=0.06)


def test_extremes_are_counted_in_the_outermost_buckets():
    """Nothing is too short or too long."""
    histogram = Histogram()
    histogram.add(0.0)
    assert histogram.quantile(0.5) <= 0.001
    histogram.add(1e9)
    assert histogram.quantile(1.0) > 1000


def test_nothing_has_no_quantile():
    """Before the first launch there is no time to tell."""
    assert Histogram().quantile(0.5) is None


def test_a_snapshot_is_one_line_of_what_matters():
    """What is zero is left out."""
    counters = Counters(launched=7, adopted=2, retried=3)
    counters.failed["CapacityError"] += 1

    assert str(counters.snapshot(queued=0, in_flight=5)) == (
        "9 launched (2 adopted), 5 in flight, 3 retried, 1 CapacityError"
    )
