"""The operations of the Session API, each a function that builds its `Request`.

They are those of the vendor's OpenAPI description; each docstring names the `operationId`. What reads answers
by cattrs imports that when it is needed; see `_structure`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from gameye_async import _codec
from gameye_async._exchange import (
    CONFLICT,
    MIB,
    Answered,
    Repeat,
    Request,
    answered_anything,
    answered_json,
    server_time,
)
from gameye_async.errors import BadAnswerError, ConfigurationError
from gameye_async.launch_request import CONTROL, LONE, LaunchRequest, segment

if TYPE_CHECKING:
    from gameye_async._ownership import Sighting, Survey
    from gameye_async.records import Location, Roster, SessionDetails, SessionSummary


_NOT_FOUND = 404
_MAX_PATH = 4096


def launch(request: LaunchRequest, location: str) -> Request[_codec.LaunchAnswer]:
    """`session-run`: allocate a session in one location."""
    body = _codec.launch_body(request, location)
    return Request("launch", "POST", "/session", "/session", _launched, body, Repeat.UNSENT)


def describe(session_id: str) -> "Request[SessionDetails]":
    """`describe-session`: one session by id."""
    target = f"/session/{segment(session_id, 'session id')}"
    return Request("describe", "GET", target, "/session/{id}", _described, session_id=session_id)


def look(session_id: str) -> "Request[Sighting]":
    """`describe-session`, with what it takes to tell whose session it is."""
    target = f"/session/{segment(session_id, 'session id')}"
    return Request("describe", "GET", target, "/session/{id}", _sighted)


def survey(labels: Mapping[str, str]) -> "Request[Survey]":
    """`session-list`, with what it takes to tell how old the sessions are."""
    target = _query("/session", {f"filter[{name}]": value for name, value in labels.items()})
    return Request("list_sessions", "GET", target, "/session", _surveyed, limit=8 * MIB)


def list_sessions(
    *,
    location: str | None = None,
    image: str | None = None,
    version: str | None = None,
    host: str | None = None,
    labels: Mapping[str, str] | None = None,
    players_below: int | None = None,
    players_above: int | None = None,
    include_ended: bool = False,
) -> "Request[list[SessionSummary]]":
    """`session-list`: all sessions that match; the API knows no pages and no order."""
    query = {
        "location": location,
        "image": image,
        "tag": version,
        "host": host,
        "playerCount[lt]": players_below,
        "playerCount[gt]": players_above,
        "all": "true" if include_ended else None,
    } | {f"filter[{name}]": value for name, value in (labels or {}).items()}
    return Request("list_sessions", "GET", _query("/session", query), "/session", _listed, limit=8 * MIB)


def stop(session_id: str) -> Request[bool]:
    """`session-stop`: True when it was stopped now, False when it was already over (409)."""
    target = f"/session/{segment(session_id, 'session id')}"
    return Request(
        "stop", "DELETE", target, "/session/{id}", _stopped, accepts=(CONFLICT,), session_id=session_id
    )


def join(session_id: str, players: Iterable[str]) -> "Request[Roster]":
    """`join-session`: register players; joining twice changes nothing."""
    return _roster("join", "PUT", session_id, players)


def leave(session_id: str, players: Iterable[str]) -> "Request[Roster]":
    """`leave-session`: take players out.

    A DELETE with a body. The description allows only `players` in it; the service answers 404 unless
    `session` is there too.
    """
    return _roster("leave", "DELETE", session_id, players)


def _roster(operation: str, method: str, session_id: str, players: Iterable[str]) -> "Request[Roster]":
    segment(session_id, "session id")
    names = [players] if isinstance(players, str) else list(players)
    if not all(isinstance(name, str) and name and not LONE.search(name) for name in names):
        raise ConfigurationError("player ids must be texts that are not empty")
    path = f"/session/player/{operation}"
    return Request(
        operation,
        method,
        path,
        path,
        lambda answered: _enrolled(answered, session_id),
        _codec.dumps({"session": session_id, "players": names}),
        session_id=session_id,
    )


def available_locations(image: str) -> "Request[list[Location]]":
    """`get-available-locations`: where an image can be hosted now."""
    target = f"/available-location/{segment(image, 'image')}"
    return Request("available_locations", "GET", target, "/available-location/{image}", _located)


def tag_exists(location: str, image: str, version: str) -> Request[bool]:
    """`tag-exists`: an unknown tag is answered by 200 with false, or by 404, depending on the platform."""
    target = "/".join(
        ("/tag", segment(location, "location"), segment(image, "image"), segment(version, "version"))
    )
    return Request(
        "tag_exists", "GET", target, "/tag/{region}/{image}/{version}", _tagged, accepts=(_NOT_FOUND,)
    )


def logs(session_id: str, *, follow: bool) -> Request[None]:
    """`stream-logs`: what a session has printed, from its start; with `follow`, also what it will."""
    target = f"/logs?id={segment(session_id, 'session id')}&follow={'true' if follow else 'false'}"
    return Request("logs", "GET", target, "/logs", _uncompressed, session_id=session_id)


def artifact(session_id: str, path: str) -> Request[None]:
    """`artifacts`: a file or folder of a session that is over, as a tar.

    Raises:
        ConfigurationError: The path is not absolute, too long, or holds control characters.
    """
    if not isinstance(path, str) or not path.startswith("/") or CONTROL.search(path):
        raise ConfigurationError("the path must be an absolute path in the container, one line of text")
    if len(path.encode()) > _MAX_PATH:
        raise ConfigurationError(f"the path must be at most {_MAX_PATH} bytes")
    target = f"/artifacts?session={segment(session_id, 'session id')}&path={quote(path, safe='')}"
    return Request("download_artifact", "GET", target, "/artifacts", lambda _: None, session_id=session_id)


def regions() -> Request[list[str]]:
    """`list-regions`: the names of all regions."""
    return Request("regions", "GET", "/region", "/region", _named)


def health() -> Request[Any]:
    """`GET /health`: in no description; text or JSON as it comes."""
    return Request("health", "GET", "/health", "/health", answered_anything)


def metrics() -> Request[Any]:
    """`GET /metrics`: only in the older documentation; text or JSON as it comes."""
    return Request("metrics", "GET", "/metrics", "/metrics", answered_anything, limit=8 * MIB)


def other(
    method: str, path: str, *, json: object = None, query: Mapping[str, str | int | None] | None = None
) -> Request[Any]:
    """Any other operation of the API.

    Raises:
        ConfigurationError: The path could leave the API's origin, or the body is not JSON.
    """
    verb = method.upper()
    if not verb.isalpha() or not verb.isascii():
        raise ConfigurationError(f"{method!r} is not an HTTP method")
    if not path.startswith("/") or path.startswith("//") or CONTROL.search(path):
        raise ConfigurationError("the path must start with one slash and hold no control characters")
    if any(part in {".", ".."} for part in path.split("/")) or "#" in path or "?" in path:
        raise ConfigurationError("the path must have no dot segments, query or fragment; pass query=...")
    try:
        body = None if json is None else _codec.dumps(json)
    except (TypeError, ValueError):
        raise ConfigurationError("json= cannot be written as JSON") from None
    return Request(
        "request",
        verb,
        _query(quote(path, safe="/%"), query or {}),
        path,
        answered_anything,
        body,
        Repeat.ALWAYS if verb in {"GET", "HEAD", "PUT", "DELETE"} else Repeat.UNSENT,
        limit=8 * MIB,
    )


def _query(path: str, query: Mapping[str, str | int | None]) -> str:
    try:
        text = urlencode({name: value for name, value in query.items() if value is not None})
    except UnicodeEncodeError:
        raise ConfigurationError("a filter or query value holds a lone surrogate") from None
    return f"{path}?{text}" if text else path


def _launched(answered: Answered) -> _codec.LaunchAnswer:
    payload = answered_json(answered)
    answer = _codec.launch_answer(payload)
    if answer is not None:
        return answer
    from gameye_async import _structure

    return _structure.structure(payload, _codec.LaunchAnswer)


def _described(answered: Answered) -> "SessionDetails":
    from gameye_async import _structure

    return _structure.details(answered_json(answered))


def _surveyed(answered: Answered) -> "Survey":
    from gameye_async._ownership import Survey

    return Survey(_listed(answered), server_time(answered.headers))


def _sighted(answered: Answered) -> "Sighting":
    from gameye_async._ownership import Sighting

    return Sighting(_described(answered), server_time(answered.headers))


def _listed(answered: Answered) -> "list[SessionSummary]":
    from gameye_async import _structure

    return _structure.summaries(answered_json(answered))


def _enrolled(answered: Answered, session_id: str) -> "Roster":
    from gameye_async import _structure

    return _structure.roster(session_id, answered_json(answered))


def _stopped(answered: Answered) -> bool:
    return answered.status != CONFLICT


def _located(answered: Answered) -> "list[Location]":
    from gameye_async import _structure

    return _structure.locations(answered_json(answered))


def _tagged(answered: Answered) -> bool:
    from gameye_async import _structure

    return answered.status != _NOT_FOUND and _structure.member(answered_json(answered), "exists", bool)


def _named(answered: Answered) -> list[str]:
    from gameye_async import _structure

    return _structure.member(answered_json(answered), "regions", list[str])


def _uncompressed(head: Answered) -> None:
    if head.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadAnswerError(f"{head.status}: the log came compressed, which was not asked for")
