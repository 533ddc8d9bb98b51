"""Results as lines of JSON for programs, in the API's vocabulary."""

import json
from typing import Any

from gameye_async import LaunchOutcome, LaunchOutcomeUnknownError, Session


def json_line(outcome: LaunchOutcome) -> str:
    """What became of a launch, on one line; `env` is left out, because it holds secrets."""
    request = outcome.request
    result = outcome.session or outcome.error
    return json.dumps(
        {
            "id": request.id,
            "ok": outcome.session is not None,
            "image": request.image,
            "version": request.version,
            "labels": request.labels,
            "external_id": request.external_id,
            "attempts": len(result.attempts) if result else 0,
        }
        | (_session(outcome.session) if outcome.session else _error(outcome.error))
    )


def _session(session: Session) -> dict[str, Any]:
    ports = [
        {"type": port.protocol, "container": port.container, "host": port.host} for port in session.ports
    ]
    return {
        "location": session.location,
        "host": session.host,
        "ports": ports,
        "created_by": session.created_by,
        "elapsed": round(session.elapsed, 6),
    }


def _error(error: BaseException | None) -> dict[str, Any]:
    return {
        "error": type(error).__name__,
        "message": str(error),
        "unknown": isinstance(error, LaunchOutcomeUnknownError),
    }
