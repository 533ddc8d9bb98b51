"""HTML from templates and values, where what is not markup already is escaped."""

from collections.abc import Iterable
from html import escape
from typing import Any, cast


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def markup(template: str, /, **values: object) -> Markup:
    """A template whose `{name}` are replaced by values; lists of markup are joined."""
    return Markup(template.format_map({name: _safe(value) for name, value in values.items()}))


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces of markup one after another."""
    return Markup("".join(parts))


def _safe(value: object) -> str:
    if isinstance(value, Markup):
        return value
    if isinstance(value, list):
        return "".join(_safe(item) for item in cast("list[Any]", value))
    return escape(str(value))
