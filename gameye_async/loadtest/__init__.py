"""Load tests in an open loop: launches arrive on a schedule, however slow the answers are.

It needs the extra `loadtest`.
"""

from gameye_async.loadtest.arrivals import Arrival, schedule
from gameye_async.loadtest.generator import LoadTest, run
from gameye_async.loadtest.histogram import Histogram
from gameye_async.loadtest.plan import Plan, Shard
from gameye_async.loadtest.recorder import PlaceProgress, Progress
from gameye_async.loadtest.report import ClientSettings, Failure, Interval, LoadReport, Part, Place
from gameye_async.loadtest.shapes import CONSTANT, SHAPES, Phase, Shape, ramp, spike, steps

__all__ = [
    "CONSTANT",
    "SHAPES",
    "Arrival",
    "ClientSettings",
    "Failure",
    "Histogram",
    "Interval",
    "LoadReport",
    "LoadTest",
    "Part",
    "Phase",
    "Place",
    "PlaceProgress",
    "Plan",
    "Progress",
    "Shape",
    "Shard",
    "ramp",
    "run",
    "schedule",
    "spike",
    "steps",
]
