"""What a client does, for those who operate it: events, the log made of them, and OpenTelemetry.

`AsyncGameye(on_event=...)` calls a function with each event, in the event loop, so that it must be quick.
"""

from gameye_async.telemetry.events import (
    Adopted,
    AttemptAnswered,
    AttemptFailed,
    AttemptStarted,
    BackingOff,
    Call,
    CallEnded,
    CallStarted,
    Event,
    OrphanReported,
    OrphanStopped,
    Outcome,
)
from gameye_async.telemetry.otel import OpenTelemetry

__all__ = [
    "Adopted",
    "AttemptAnswered",
    "AttemptFailed",
    "AttemptStarted",
    "BackingOff",
    "Call",
    "CallEnded",
    "CallStarted",
    "Event",
    "OpenTelemetry",
    "OrphanReported",
    "OrphanStopped",
    "Outcome",
]
