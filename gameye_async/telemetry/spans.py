"""A client's calls as spans."""

from collections.abc import Mapping

from attrs import define, field
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from gameye_async.telemetry.attributes import Value, exchange, known, present, server
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
                self._add(call, "gameye.attempt", exchange(event) | _attempt(event))
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
        method = known(call.method)
        name = "HTTP" if method == "_OTHER" else method
        return self.tracer.start_span(
            f"{name} {call.template}" if call.template else name,
            kind=SpanKind.CLIENT,
            attributes=present(
                {
                    "http.request.method": method,
                    "url.template": call.template,
                    **server(call),
                    "gameye.operation": call.operation,
                    "gameye.session.id": call.session_id,
                    "gameye.image": call.image,
                    "gameye.locations": call.locations,
                }
            ),
        )

    def _add(self, call: Call, name: str, attributes: Mapping[str, Value | None]) -> None:
        self._open[call].add_event(name, present(attributes))


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
        present(
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
