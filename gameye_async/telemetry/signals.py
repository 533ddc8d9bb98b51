"""A client's calls as OpenTelemetry's signals: spans and metrics, with attributes that both have.

The attributes' names follow the semantic conventions for HTTP clients; those that are Gameye's own start with
`gameye.`. No attribute of a metric has more values than there are locations or errors.
https://opentelemetry.io/docs/specs/semconv/http/
"""

from collections.abc import Mapping

from attrs import define, field
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

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
)

Value = str | int | float | tuple[str, ...]

_CAPACITY = 420
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
# Those of the conventions for HTTP clients (seconds); and for launches up to their usual deadline.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_LAUNCH_BUCKETS = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60)


@define(eq=False)
class Spans:
    """One span a call, with a span event for each attempt and for what else happened to it.

    Attributes:
        tracer: Makes them.
    """

    tracer: Tracer
    # Found by call and not by context: many are under way at once, and a launch may outlive its caller.
    _open: dict[Call, Span] = field(factory=dict[Call, Span], init=False)

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        call = event.call
        if call is None:
            return
        match event:
            case CallStarted():
                self._open[call] = self._start(call)
            case AttemptStarted():
                pass  # its end tells all of it
            case AttemptAnswered() | AttemptFailed():
                self._add(call, "gameye.attempt", _exchange(event) | _attempt(event))
            case BackingOff():
                self._add(
                    call, "gameye.backing_off", {"gameye.delay": event.delay, "error.type": event.error}
                )
            case Adopted():
                self._add(call, "gameye.adopted", {"gameye.location": event.location})
            case OrphanStopped():
                self._add(call, "gameye.orphan_stopped", _orphan(event))
            case OrphanReported():
                self._add(call, "gameye.orphan_reported", _orphan(event))
            case CallEnded():  # pragma: no branch  -- there are no other events
                _end(self._open.pop(call), event)

    def _start(self, call: Call) -> Span:
        method = _known(call.method)
        name = "HTTP" if method == "_OTHER" else method
        return self.tracer.start_span(
            f"{name} {call.template}" if call.template else name,
            kind=SpanKind.CLIENT,
            attributes=_present(
                {
                    "http.request.method": method,
                    "url.template": call.template,
                    **_server(call),
                    "gameye.operation": call.operation,
                    "gameye.session.id": call.session_id,
                    "gameye.image": call.image,
                    "gameye.locations": call.locations,
                }
            ),
        )

    def _add(self, call: Call, name: str, attributes: Mapping[str, Value | None]) -> None:
        self._open[call].add_event(name, _present(attributes))


def _attempt(attempt: AttemptAnswered | AttemptFailed) -> dict[str, Value | None]:
    about: dict[str, Value | None] = {
        "gameye.attempt.number": attempt.number,
        "gameye.attempt.elapsed": attempt.elapsed,
        "gameye.location": attempt.location,
    }
    if isinstance(attempt, AttemptAnswered):
        return about | {"gameye.identifier": attempt.identifier}
    return about | {"gameye.attempt.phase": attempt.phase, "gameye.attempt.reason": attempt.reason}


def _orphan(orphan: OrphanStopped | OrphanReported) -> dict[str, Value | None]:
    return {"gameye.session.id": orphan.session_id, "gameye.location": orphan.location}


def _end(span: Span, ended: CallEnded) -> None:
    span.set_attributes(
        _present(
            {
                "http.response.status_code": ended.status,
                "error.type": ended.error,
                "gameye.outcome": ended.outcome,
                "gameye.location": ended.location,
                "gameye.attempts": ended.attempts,
                "gameye.elapsed": ended.elapsed,
            }
        )
    )
    if ended.error is not None:
        span.set_status(StatusCode.ERROR)
    span.end()


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
                self._requests.record(event.elapsed, _present(_exchange(event) | _server(event.call)))
                if isinstance(event, AttemptAnswered) and event.status == _CAPACITY:
                    self._refusals.add(1, _present({"gameye.location": event.location}))
            case CallEnded(call=Call(operation="launch")):
                attributes = _present(
                    {
                        "gameye.location": event.location,
                        "gameye.outcome": event.outcome,
                        "error.type": event.error,
                    }
                )
                self._launches.add(1, attributes)
                self._durations.record(event.elapsed, attributes)
            case OrphanStopped() | OrphanReported():
                outcome = "stopped" if isinstance(event, OrphanStopped) else "reported"
                where = {"gameye.location": event.location, "gameye.outcome": outcome}
                self._orphans.add(1, _present(where))
            case _:
                pass


def _present(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """The attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None and value != ()}


def _known(method: str) -> str:
    """A method of HTTP as it is; any other as the conventions want it, so that nobody can make up many."""
    return method if method in _METHODS else "_OTHER"


def _server(call: Call) -> dict[str, Value | None]:
    """Where the API is."""
    return {"server.address": call.address, "server.port": call.port}


def _exchange(attempt: AttemptAnswered | AttemptFailed) -> dict[str, Value | None]:
    """What was asked in an attempt, and what came back."""
    return {
        "http.request.method": _known(attempt.method),
        "url.template": attempt.template,
        "http.response.status_code": attempt.status if isinstance(attempt, AttemptAnswered) else None,
        "error.type": attempt.error,
    }
