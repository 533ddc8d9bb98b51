"""What a request may contain: tables of field checks, written by hand because launches are many."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from gameye_async.emulator.refusal import Refusal, Violation

Check = Callable[[object], "tuple[str, str] | None"]
"""Answers None for a good value, or (suffix of the field's name, what is wrong)."""

_DURATION: Final = re.compile(r"(?=.)(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?")
_SHORTEST_TTL: Final = 60


def text(value: object) -> tuple[str, str] | None:
    """Any string."""
    return None if isinstance(value, str) else ("", "must be a string")


def filled_text(value: object) -> tuple[str, str] | None:
    """A string of at least one character."""
    return text(value) or (None if value else ("", "must not be empty"))


def boolean(value: object) -> tuple[str, str] | None:
    """A JSON boolean."""
    return None if isinstance(value, bool) else ("", "must be a boolean")


def list_of(check: Check) -> Check:
    """An array whose every item passes `check`."""

    def check_items(value: object) -> tuple[str, str] | None:
        if not isinstance(value, list):
            return "", "must be an array"
        for index, item in enumerate(cast("list[object]", value)):
            if wrong := check(item):
                return f"[{index}]{wrong[0]}", wrong[1]
        return None

    return check_items


def map_of(check: Check) -> Check:
    """An object whose every value passes `check`."""

    def check_values(value: object) -> tuple[str, str] | None:
        if not isinstance(value, dict):
            return "", "must be an object"
        for key, item in cast("dict[str, object]", value).items():
            if wrong := check(item):
                return f".{key}{wrong[0]}", wrong[1]
        return None

    return check_values


def either(*checks: Check) -> Check:
    """A value that passes one of `checks`; the first one words the complaint."""

    def check_any(value: object) -> tuple[str, str] | None:
        wrongs = [check(value) for check in checks]
        return wrongs[0] if all(wrongs) else None

    return check_any


def scalar(value: object) -> tuple[str, str] | None:
    """A string or a number."""
    good = isinstance(value, str | int | float) and not isinstance(value, bool)
    return None if good else ("", "must be a string")


def blank(value: object) -> tuple[str, str] | None:
    """Null or an empty string."""
    return None if value is None or value == "" else ("", "must be left blank")


def duration(value: object) -> tuple[str, str] | None:
    """A time to live in hours and minutes, like `2h30m`."""
    if not isinstance(value, str):
        return "", "must be a string"
    return None if _DURATION.fullmatch(value) else ("", "must be a duration in hours and minutes, like 2h30m")


def ttl_seconds(value: str) -> int:
    """Seconds of a valid duration; below a minute counts as a minute."""
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"not a duration in hours and minutes: {value!r}")
    hours, minutes = match.groups(default="0")
    return max(_SHORTEST_TTL, int(hours) * 3600 + int(minutes) * 60)


CURRENT_LAUNCH: Final[Mapping[str, Check]] = {
    "id": filled_text,
    "location": filled_text,
    "image": filled_text,
    "env": map_of(filled_text),
    "args": list_of(filled_text),
    "restart": boolean,
    "labels": map_of(text),
    "version": text,
    "ttl": duration,
    "external_id": text,
}
# The founding document leaves env and args "blank" without saying how, and shows an array with one empty
# argument and labels whose values may be numbers: all of these pass.
LEGACY_LAUNCH: Final[Mapping[str, Check]] = {
    "id": filled_text,
    "location": filled_text,
    "image": filled_text,
    "env": either(map_of(scalar), blank),
    "args": either(list_of(text), text, blank),
    "restart": boolean,
    "labels": map_of(scalar),
    "version": text,
    "enableMetrics": text,
}
JOIN: Final[Mapping[str, Check]] = {"session": text, "players": list_of(text)}
LEAVE: Final[Mapping[str, Check]] = {"players": list_of(text)}


def require(body: object, fields: Mapping[str, Check], required: tuple[str, ...]) -> dict[str, Any]:
    """The body as a mapping of exactly these fields; else a `Refusal` with 422 and every violation."""
    if not isinstance(body, dict):
        raise Refusal(422, "The body must be a JSON object.")
    mapping = cast("dict[str, Any]", body)
    if violations := tuple(_violations(mapping, fields, required)):
        raise Refusal(422, "The body breaks the schema of this call.", violations=violations)
    return mapping


def _violations(
    body: dict[str, Any], fields: Mapping[str, Check], required: tuple[str, ...]
) -> Iterator[Violation]:
    for name in required:
        if name not in body:
            yield {"field": name, "description": "is required"}
    for name, value in body.items():
        check = fields.get(name)
        if check is None:
            yield {"field": name, "description": "is not a known property"}
        elif wrong := check(value):
            yield {"field": name + wrong[0], "description": wrong[1]}
