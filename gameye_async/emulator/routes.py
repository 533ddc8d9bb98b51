"""Which operation a request asks for."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from gameye_async.emulator.refusal import Refusal

_OPERATIONS: Final[Mapping[str, tuple[str, str | None]]] = {
    "session-run": ("POST /session", "session:start"),
    "session-list": ("GET /session", "session:read"),
    "describe-session": ("GET /session/{id}", "session:read"),
    "session-stop": ("DELETE /session/{id}", "session:stop"),
    "join-session": ("PUT /session/player/join", None),
    "leave-session": ("DELETE /session/player/leave", None),
    "artifacts": ("GET /artifacts", "artifact:read"),
    "get-available-locations": ("GET /available-location/{image}", "regions:read"),
    "tag-exists": ("GET /tag/{region}/{image}/{version}", "regions:read"),
    "stream-logs": ("GET /logs", "logs:read"),
    "list-regions": ("GET /region", None),
    "metrics": ("GET /metrics", None),
    "health": ("GET /health", None),
}

SCOPES: Final = {operation: scope for operation, (_, scope) in _OPERATIONS.items()}
"""Every operation and the scope that a token needs for it, where one is declared."""


def _routes() -> dict[tuple[str | None, ...], dict[str, str]]:
    """The operations of each path by their methods; a parameter of the path is None."""
    routes: dict[tuple[str | None, ...], dict[str, str]] = {}
    for operation, (call, _) in _OPERATIONS.items():
        method, _, path = call.partition(" /")
        pattern = tuple(None if part.startswith("{") else part for part in path.split("/"))
        routes.setdefault(pattern, {})[method] = operation
    return routes


_ROUTES: Final = _routes()


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
    parameters: tuple[str, ...] = ()
    methods = _ROUTES.get(segments)
    if methods is None and all(segments):
        parameters = segments[1:]
        methods = _ROUTES.get((segments[0], *(None for _ in parameters)))
    if methods is None:
        raise Refusal(404, "There is no such path.")
    if method not in methods:
        raise Refusal(405, f"This path takes {', '.join(sorted(methods))}.")
    return methods[method], parameters
