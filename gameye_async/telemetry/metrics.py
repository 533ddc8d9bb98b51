"""A client's calls as metrics; no attribute of theirs has more values than there are locations or errors."""

from collections.abc import Mapping

from attrs import define
from opentelemetry.metrics import Counter, Histogram, Meter

from gameye_async.telemetry.attributes import Value, exchange, present, server
from gameye_async.telemetry.events import (
    AttemptAnswered,
    AttemptFailed,
    Call,
    CallEnded,
    Event,
    OrphanReported,
    OrphanStopped,
)

# Those of the conventions for HTTP clients (seconds); and for launches up to their usual deadline.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LAUNCH_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)

_CAPACITY = 420


@define(eq=False, init=False)
class Metrics:
    """Counts launches, their refusals and orphans, and times launches and requests.

    Args:
        meter: Makes the instruments.
    """

    _requests: Histogram
    _launches: Counter
    _durations: Histogram
    _refusals: Counter
    _orphans: Counter

    def __init__(self, meter: Meter) -> None:
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_REQUEST_BUCKETS,
        )
        self._launches = meter.create_counter("gameye.launches", "{launch}", "Launches that ended.")
        self._durations = meter.create_histogram(
            "gameye.launch.duration",
            "s",
            "How long the callers of launches waited.",
            explicit_bucket_boundaries_advisory=_LAUNCH_BUCKETS,
        )
        self._refusals = meter.create_counter(
            "gameye.launch.refusals",
            "{refusal}",
            "Launches that a location refused for lack of capacity (420).",
        )
        self._orphans = meter.create_counter(
            "gameye.orphans", "{session}", "Sessions that nobody waited for: stopped, or reported."
        )

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case AttemptAnswered() | AttemptFailed():
                self._requests.record(event.elapsed, present(exchange(event) | server(event.call)))
                if isinstance(event, AttemptAnswered) and event.status == _CAPACITY:
                    self._refusals.add(1, present({"gameye.location": event.location}))
            case CallEnded(call=Call(operation="launch")):
                came_to = present(
                    {
                        "gameye.location": event.location,
                        "gameye.outcome": event.outcome,
                        "error.type": event.error,
                    }
                )
                self._launches.add(1, came_to)
                self._durations.record(event.elapsed, came_to)
            case OrphanStopped():
                self._orphans.add(1, _orphan(event.location, "stopped"))
            case OrphanReported():
                self._orphans.add(1, _orphan(event.location, "reported"))
            case _:
                pass


def _orphan(location: str | None, outcome: str) -> Mapping[str, Value]:
    return present({"gameye.location": location, "gameye.outcome": outcome})
