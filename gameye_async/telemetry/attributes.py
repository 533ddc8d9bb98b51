"""The attributes that spans and metrics have in common.

The names follow the semantic conventions for HTTP clients; those that are Gameye's own start with `gameye.`.
https://opentelemetry.io/docs/specs/semconv/http/
"""

from collections.abc import Mapping

from gameye_async.telemetry.events import AttemptAnswered, AttemptFailed, Call

Value = str | int | float | tuple[str, ...]

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def present(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """The attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None and value != ()}


def known(method: str) -> str:
    """A method of HTTP as it is; any other as the conventions want it, so that nobody can make up many."""
    return method if method in _METHODS else "_OTHER"


def server(call: Call) -> dict[str, Value | None]:
    """Where the API is."""
    return {"server.address": call.address, "server.port": call.port}


def exchange(attempt: AttemptAnswered | AttemptFailed) -> dict[str, Value | None]:
    """What was asked in an attempt, and what came back."""
    return {
        "http.request.method": known(attempt.method),
        "url.template": attempt.template,
        "http.response.status_code": attempt.status if isinstance(attempt, AttemptAnswered) else None,
        "error.type": attempt.error,
    }
