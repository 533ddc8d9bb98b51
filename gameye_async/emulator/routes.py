"""Which operation a request asks for."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from gameye_async.emulator.refusal import Refusal

SCOPES: Final[Mapping[str, str | None]] = {
    "session-run": "session:start",
    "session-list": "session:read",
    "describe-session": "session:read",
    "session-stop": "session:stop",
    "join-session": None,
    "leave-session": None,
    "artifacts": "artifact:read",
    "get-available-locations": "regions:read",
    "tag-exists": "regions:read",
    "stream-logs": "logs:read",
    "list-regions": None,
    "metrics": None,
    "health": None,
}
"""Every operation and the scope that a token needs for it, where one is declared."""

_FIXED: Final[Mapping[tuple[str, ...], Mapping[str, str]]] = {
    ("session",): {"POST": "session-run", "GET": "session-list"},
    ("session", "player", "join"): {"PUT": "join-session"},
    ("session", "player", "leave"): {"DELETE": "leave-session"},
    ("artifacts",): {"GET": "artifacts"},
    ("logs",): {"GET": "stream-logs"},
    ("region",): {"GET": "list-regions"},
    ("metrics",): {"GET": "metrics"},
    ("health",): {"GET": "health"},
}
_WITH_PARAMETERS: Final[Mapping[tuple[str, int], Mapping[str, str]]] = {
    ("session", 1): {"GET": "describe-session", "DELETE": "session-stop"},
    ("available-location", 1): {"GET": "get-available-locations"},
    ("tag", 3): {"GET": "tag-exists"},
}


def resolve(method: str, raw_path: str) -> tuple[str, tuple[str, ...]]:
    """The operation that a request asks for, and the decoded parameters of its path.

    The path is split before it is decoded, so that an id with an encoded slash stays one segment and
    `/session/player%2Fjoin` is a session rather than a join. aiohttp's own router cannot hold ids with
    braces, and matches partly decoded paths.

    Raises:
        Refusal: 404 or 405, or 400 for a path that does not decode.
    """
    try:
        segments = tuple(
            unquote(segment, errors="strict") for segment in raw_path.removeprefix("/").split("/")
        )
    except UnicodeDecodeError:
        raise Refusal(400, "The path is not percent-encoded UTF-8.") from None
    methods, parameters = _operations(segments)
    if method not in methods:
        raise Refusal(405, f"This path takes {', '.join(sorted(methods))}.")
    return methods[method], parameters


def _operations(segments: tuple[str, ...]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    if methods := _FIXED.get(segments):
        return methods, ()
    name, *parameters = segments
    if (methods := _WITH_PARAMETERS.get((name, len(parameters)))) and all(parameters):
        return methods, tuple(parameters)
    raise Refusal(404, "There is no such path.")
