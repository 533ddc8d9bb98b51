"""Load tests in an open loop: launches arrive on a schedule, however slow the answers are.

It needs the extra `loadtest`.
"""

from gameye_async.loadtest.plan import Plan, Shard
from gameye_async.loadtest.schedule import Arrival, schedule
from gameye_async.loadtest.shapes import CONSTANT, SHAPES, Phase, Shape, ramp, spike, steps

__all__ = [
    "CONSTANT",
    "SHAPES",
    "Arrival",
    "Phase",
    "Plan",
    "Shape",
    "Shard",
    "ramp",
    "schedule",
    "spike",
    "steps",
]
