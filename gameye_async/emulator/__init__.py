"""The Gameye API on loopback: a faithful double for tests, simulations and local play."""

from gameye_async.emulator.app import build_app
from gameye_async.emulator.faults import Fault, Faults
from gameye_async.emulator.history import History, RequestRecord
from gameye_async.emulator.quirks import Profile, Quirks
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.scenario import Scenario
from gameye_async.emulator.server import Emulator
from gameye_async.emulator.sessions import Image, WarmPool
from gameye_async.emulator.timeline import Event
from gameye_async.emulator.world import World

__all__ = [
    "Emulator",
    "Event",
    "Fault",
    "Faults",
    "History",
    "Image",
    "Profile",
    "Quirks",
    "Refusal",
    "RequestRecord",
    "Scenario",
    "WarmPool",
    "World",
    "build_app",
]
