"""When launches arrive: a pure function of the plan and its seed, so that shards share one schedule."""

from collections.abc import Iterator
from itertools import count
from math import sqrt
from random import Random

from attrs import frozen

from gameye_async.loadtest.plan import Plan

# Turns taken in these steps are spread evenly, whichever of them a shard has.
_GOLDEN = 0.618033988749895


@frozen
class Arrival:
    """A launch that is due.

    Attributes:
        index: Its number in the whole test, from 0.
        at: Seconds from the beginning of the test.
        place: Which of the plan's locations it is for.
    """

    index: int
    at: float
    place: int


def schedule(plan: Plan) -> Iterator[Arrival]:
    """The arrivals of the plan's shard, in order; those of all shards together are those of the whole.

    Arrivals are counted along the curve of the rate: where its integral is 0.5, 1.5, 2.5 and so on for a
    constant process, and at distances drawn from the exponential distribution for a Poisson process, which
    is exact for every shape.
    """
    shard, places = plan.shard, len(plan.location)
    for index, at in enumerate(_moments(plan)):
        if index % shard.count == shard.index - 1:
            yield Arrival(index, at, int(index * _GOLDEN % 1.0 * places))


def _moments(plan: Plan) -> Iterator[float]:
    pieces = iter(plan.shape.pieces(plan.rate, plan.duration))
    seconds, first, last = next(pieces)
    start = passed = 0.0
    for target in _targets(plan):
        while target > (inside := seconds * (first + last) / 2) + passed:
            start, passed = start + seconds, passed + inside
            try:
                seconds, first, last = next(pieces)
            except StopIteration:
                return
        left = target - passed
        # The root of the integral of a line, in the form that a level line and one from 0 do not upset.
        root = first + sqrt(max(first * first + 2 * left * (last - first) / seconds, 0.0))
        yield start + (min(2 * left / root, seconds) if root else 0.0)


def _targets(plan: Plan) -> Iterator[float]:
    """The values of the rate's integral at which launches arrive."""
    if plan.arrivals == "constant":
        for number in count():
            yield number + 0.5
    rng = Random(plan.seed)  # noqa: S311  -- arrivals are no secret
    target = 0.0
    while True:
        target += rng.expovariate(1.0)
        yield target
