"""One value as one segment of a path."""

import re
from urllib.parse import quote

from gameye_async.errors import ConfigurationError

CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
LONE = re.compile(r"[\ud800-\udfff]")
_MAX_SEGMENT = 255


def segment(value: str, name: str) -> str:
    """A value as exactly one percent-encoded path segment.

    Raises:
        ConfigurationError: It is empty, `.`, `..`, over 255 bytes, or holds control characters.
    """
    if not isinstance(value, str) or not value or value in {".", ".."} or CONTROL.search(value):
        raise ConfigurationError(
            f"the {name} must be text other than '.' and '..' without control characters"
        )
    if len(value.encode()) > _MAX_SEGMENT:
        raise ConfigurationError(f"the {name} must be at most {_MAX_SEGMENT} bytes")
    return quote(value, safe="")
