"""`gameye-async join`, `leave` and `seat`: players in sessions."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import AsyncGameye, ConfigurationError, NoAnswerError, Roster, SessionSummary
from gameye_async.cli.exits import Exit, complain
from gameye_async.cli.lines import roster_fields, write_line
from gameye_async.cli.options import AsJson, Labels, ask, pairs
from gameye_async.cli.session_tables import show_session
from gameye_async.cli.tables import fields_table, show

T = TypeVar("T")


def join(session_id: str, /, *players: str, as_json: AsJson = False) -> int:
    """Register players as having joined a session; twice is as good as once.

    For instance:

        gameye-async join match-7 ada grace

    Args:
        session_id: The session.
        players: Their ids.
        as_json: Print who is in it as a line of JSON.
    """
    _check(players)
    return _change(
        lambda gameye: gameye.join(session_id, players), lambda roster: _show(roster, as_json=as_json)
    )


def leave(session_id: str, /, *players: str, as_json: AsJson = False) -> int:
    """Take players out of a session; twice is as good as once.

    For instance:

        gameye-async leave match-7 ada

    Args:
        session_id: The session.
        players: Their ids.
        as_json: Print who is in it as a line of JSON.
    """
    _check(players)
    return _change(
        lambda gameye: gameye.leave(session_id, players), lambda roster: _show(roster, as_json=as_json)
    )


def seat(
    *players: str,
    image: str,
    capacity: Annotated[int, Parameter(validator=Number(gte=1))],
    location: str | None = None,
    version: str | None = None,
    label: Labels = None,
    as_json: AsJson = False,
) -> int:
    """Join players to the fullest running session that has room for all of them; 1 when there is none.

    For instance:

        gameye-async seat ada grace --image my-game --capacity 16

    Args:
        players: Ids of players who are in no session; they stay together.
        image: Application name.
        capacity: Most players of a session.
        location: Only sessions there.
        version: Only sessions of this tag.
        label: Only sessions with this NAME=VALUE; may be repeated.
        as_json: Print the session as a line of JSON.
    """
    _check(players)
    labels = pairs("--label", label)

    def tell(session: SessionSummary | None) -> int:
        if session is None:
            complain("no session has room; launch one")
            return Exit.FAILED
        show_session(session, as_json=as_json)
        return Exit.OK

    return _change(
        lambda gameye: gameye.find_seat(
            image, players, capacity, location=location, version=version, labels=labels
        ),
        tell,
    )


def _check(players: tuple[str, ...]) -> None:
    if not players:
        raise ConfigurationError("name at least one player")


def _change(call: Callable[[AsyncGameye], Awaitable[T]], tell: Callable[[T], int]) -> int:
    """Make a change, tell what came of it, and return the exit code."""
    try:
        result = ask(call)
    except NoAnswerError as error:
        complain(f"error: {error}")
        return Exit.UNKNOWN
    return tell(result)


def _show(roster: Roster, *, as_json: bool) -> int:
    if as_json:
        write_line(roster_fields(roster))
    else:
        fields = {"session": roster.session_id, "player count": f"{roster.count:,}"}
        show(fields_table(fields | {"players": ", ".join(roster.players)}))
    return Exit.OK
