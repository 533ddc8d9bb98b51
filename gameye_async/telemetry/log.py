"""The log of a client: its events as lines of `name=value`."""

import logging

import attrs

from gameye_async.telemetry.events import Call, CallEnded, CallStarted, Event, OrphanReported, OrphanStopped

_log = logging.getLogger("gameye_async")


def log_event(event: Event) -> None:
    """Write an event to the logger `gameye_async`: INFO for what became of launches, DEBUG for the rest."""
    match event:
        case OrphanReported():
            # Warned of where it happens, because nobody may be listening.
            return
        case OrphanStopped() | CallEnded(call=Call(operation="launch")):
            level = logging.INFO
        case _:
            level = logging.DEBUG
    if _log.isEnabledFor(level):
        _log.log(level, "%s %s", type(event).__name__, _fields(event))


def _fields(event: Event) -> str:
    fields = attrs.asdict(event, recurse=False)
    call: Call = fields.pop("call")
    if isinstance(event, CallStarted):
        about = attrs.asdict(call)
    else:
        about = {"id": call.id, "operation": call.operation, "session_id": call.session_id}
    return " ".join(
        f"{name}={_shown(value)}" for name, value in (about | fields).items() if value is not None
    )


def _shown(value: object) -> str:
    # Quoted, because a location may come from a player and hold a line break.
    return f"{value:.3f}" if isinstance(value, float) else repr(value)
