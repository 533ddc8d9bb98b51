"""Launch requests from files: JSON Lines, each line as `POST /session` takes it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gameye_async import ConfigurationError, LaunchRequest
from gameye_async._codec import parse_launch_request

STDIN = "-"
_FAULTS_SHOWN = 10


def read_requests(source: str) -> list[LaunchRequest]:
    """The launch requests of a file, or of standard input for `-`; blank lines are skipped.

    Raises:
        ConfigurationError: The file cannot be read, or lines are wrong; the text says which and why.
    """
    name = "<stdin>" if source == STDIN else source
    try:
        content = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}") from None
    requests: list[LaunchRequest] = []
    faults: list[str] = []
    line_of: dict[str, int] = {}
    for number, line in _filled_lines(content):
        try:
            request = _parse(line)
            first = line_of.setdefault(request.id, number)
            if first != number:
                raise ConfigurationError(f"id {request.id!r} is that of line {first} already")  # noqa: TRY301
        except ConfigurationError as error:
            faults.append(f"{name}:{number}: {error}")
        else:
            requests.append(request)
    if faults:
        raise ConfigurationError("\n".join(_clipped(faults)))
    return requests


def _filled_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip())


def _parse(line: bytes) -> LaunchRequest:
    try:
        payload = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"not JSON: {error.msg} at column {error.colno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigurationError("not JSON: neither text nor data of any sane depth") from None
    return parse_launch_request(payload)


def _clipped(faults: list[str]) -> list[str]:
    more = len(faults) - _FAULTS_SHOWN
    return [*faults[:_FAULTS_SHOWN], f"and {more} more lines"] if more > 0 else faults
