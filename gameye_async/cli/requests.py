"""Launch requests from files: JSON Lines, each line as `POST /session` takes it."""

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from gameye_async import ConfigurationError, LaunchRequest
from gameye_async._codec import parse_json, parse_launch_request

STDIN = "-"
_FAULTS_SHOWN = 10
# Must never change: ids made with it are in result files.
_NAMESPACE = uuid.UUID("6a1c9c1e-7b0d-5f4e-9a52-3d8f0c6b2e71")


def read_requests(
    source: str, *, derive_ids: bool = False, report: Callable[[str], object] | None = None
) -> list[LaunchRequest]:
    """The launch requests of a file, or of standard input for `-`; blank lines are skipped.

    Args:
        source: Name of the file.
        derive_ids: Make the id of a line that has none of its content, so that it is the same every time.
        report: Called with what is wrong with each bad line, which is then left out.

    Raises:
        ConfigurationError: The file cannot be read, or lines are wrong; the text says which and why. With
            `report`, only when no line is good.
    """
    name = "<stdin>" if source == STDIN else source
    try:
        content = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}") from None
    requests: list[LaunchRequest] = []
    faults: list[str] = []
    line_of: dict[str, int] = {}
    seen: Counter[str] | None = Counter() if derive_ids else None
    for number, line in _filled_lines(content):
        try:
            request = _parse(line, seen)
            first = line_of.setdefault(request.id, number)
            if first != number:
                raise ConfigurationError(f"id {request.id!r} is that of line {first} already")  # noqa: TRY301  -- all faults of a file are told at once
        except ConfigurationError as error:
            faults.append(f"{name}:{number}: {error}")
        else:
            requests.append(request)
    if faults and (report is None or not requests):
        raise ConfigurationError("\n".join(_clipped(faults)))
    if report is not None:
        for fault in faults:
            report(fault)
    return requests


def _filled_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip())


def _parse(line: bytes, seen: Counter[str] | None) -> LaunchRequest:
    payload = parse_json(line)
    return parse_launch_request(payload if seen is None else _identified(payload, seen))


def _identified(payload: object, seen: Counter[str]) -> object:
    """The payload with an id; one that has none gets it from its content and how often that came before."""
    if not isinstance(payload, dict) or "id" in payload:
        return cast("object", payload)
    content = json.dumps(payload, sort_keys=True)
    seen[content] += 1
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"{seen[content]} {content}")),
        **cast("dict[str, Any]", payload),
    }


def _clipped(faults: list[str]) -> list[str]:
    more = len(faults) - _FAULTS_SHOWN
    return [*faults[:_FAULTS_SHOWN], f"and {more} more lines"] if more > 0 else faults
