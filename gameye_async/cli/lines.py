"""Results as lines of JSON for programs, in the API's vocabulary; `env` is left out: it holds secrets."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from gameye_async import (
    LaunchOutcome,
    LaunchOutcomeUnknownError,
    Port,
    Roster,
    Session,
    SessionDetails,
    SessionSummary,
    StopOutcome,
    StopUnconfirmedError,
)


def write_line(result: Mapping[str, Any]) -> None:
    """Print a result as a line of JSON."""
    sys.stdout.write(f"{json.dumps(result)}\n")


def json_line(outcome: LaunchOutcome) -> str:
    """What became of a launch, on one line."""
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


def stop_fields(outcome: StopOutcome) -> dict[str, Any]:
    """What became of a stop; `stopped` is false for a session that was over already."""
    fields: dict[str, Any] = {"id": outcome.session_id, "ok": outcome.ok}
    return fields | ({"stopped": outcome.stopped} if outcome.ok else _error(outcome.error))


def session_fields(session: SessionSummary) -> dict[str, Any]:
    """A session as it is listed or described."""
    fields: dict[str, Any] = {
        "id": session.id,
        "image": session.image,
        "version": session.version,
        "location": session.location,
        "status": session.status,
        "host": session.host,
        "ports": _ports(session.ports),
        "created": session.created.isoformat(),
        "labels": dict(session.labels),
        "player_count": session.player_count,
    }
    return fields | ({"players": session.players} if isinstance(session, SessionDetails) else {})


def roster_fields(roster: Roster) -> dict[str, Any]:
    """Who is in a session."""
    return {"id": roster.session_id, "players": roster.players, "player_count": roster.count}


def _session(session: Session) -> dict[str, Any]:
    return {
        "location": session.location,
        "host": session.host,
        "ports": _ports(session.ports),
        "created_by": session.created_by,
        "elapsed": round(session.elapsed, 6),
    }


def _ports(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    return [{"type": port.protocol, "container": port.container, "host": port.host} for port in ports]


def _error(error: BaseException | None) -> dict[str, Any]:
    return {
        "error": type(error).__name__,
        "message": str(error),
        "unknown": isinstance(error, LaunchOutcomeUnknownError | StopUnconfirmedError),
    }
