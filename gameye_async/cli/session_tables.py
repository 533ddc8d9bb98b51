"""Sessions as the API lists and describes them, for people."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rich.table import Table

from gameye_async import SessionDetails, SessionSummary
from gameye_async.cli.lines import session_fields, write_line
from gameye_async.cli.tables import fields_table, port_list, show, show_rows

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


def show_sessions(sessions: Iterable[SessionSummary], *, as_json: bool) -> None:
    """Print a list of sessions, the oldest first."""
    ordered = sorted(sessions, key=lambda session: (session.created, session.id))
    if as_json:
        for session in ordered:
            write_line(session_fields(session))
    elif ordered:
        now = datetime.now(UTC)
        show_rows([_row(session, now) for session in ordered], right=("players", "age"))
    else:
        show("no sessions")


def show_session(session: SessionSummary, *, as_json: bool) -> None:
    """Print one session, with everything but its environment."""
    if as_json:
        write_line(session_fields(session))
    else:
        show(_details_table(session))


def _row(session: SessionSummary, now: datetime) -> dict[str, str]:
    return {
        "id": session.id,
        "location": session.location,
        "status": session.status or "-",
        "players": _count(session.player_count),
        "age": age(now - session.created),
        "image": _image(session),
        "host": session.host,
        "ports": port_list(session.ports),
    }


def _details_table(session: SessionSummary) -> Table:
    fields = {
        "id": session.id,
        "image": _image(session),
        "location": session.location,
        "status": session.status or "-",
        "host": session.host,
        "ports": port_list(session.ports),
        "created": session.created.isoformat(sep=" ", timespec="seconds"),
        "labels": ", ".join(f"{name}={value}" for name, value in session.labels.items()),
        "player count": _count(session.player_count),
    }
    if isinstance(session, SessionDetails):
        fields["players"] = ", ".join(session.players)
    return fields_table({name: value or "-" for name, value in fields.items()})


def age(time: timedelta) -> str:
    """How long something has been there, in its largest unit."""
    for unit, length in _UNITS.items():
        if time >= length:
            return f"{time // length} {unit}"
    return f"{max(time // timedelta(seconds=1), 0)} s"


def _image(session: SessionSummary) -> str:
    return session.image if session.version is None else f"{session.image}:{session.version}"


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"
