"""Which sessions a list shows."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import frozen

from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.sessions import Session

Test = Callable[[Session], bool]

_DEEP: Final = re.compile(r"(filter|filterNot|playerCount)\[([^\]]*)\]")
_SYSTEM_FIELDS: Final = frozenset({"image", "tag", "host", "location"})
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@frozen
class Selection:
    """The filters of one list, all of which must match.

    Labels are the user's own, compared by equality; player counts are strict; unknown query parameters are
    ignored. `everything` lets in sessions that are not running.
    """

    everything: bool
    tests: tuple[Test, ...]

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> "Selection":
        """Read the decoded pairs of a query string; a `Refusal` with 400 for a value of another type."""
        everything = False
        tests: list[Test] = []
        for name, value in query:
            if name == "all":
                everything = parse_bool(name, value)
            elif name in _SYSTEM_FIELDS:
                tests.append(_system_field(name, value))
            elif match := _DEEP.fullmatch(name):
                tests.append(_DEEP_TESTS[match[1]](match[2], value))
        return cls(everything, tuple(tests))

    def matches(self, session: Session) -> bool:
        """Whether the list shows this session."""
        if not self.everything and session.status != "running":
            return False
        return not self.tests or all(test(session) for test in self.tests)


def parse_bool(name: str, value: str) -> bool:
    """A boolean of a query string; a `Refusal` with 400 when it is none."""
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise Refusal(400, f"The query parameter {name} must be true or false.") from None


def _system_field(name: str, value: str) -> Test:
    read = operator.attrgetter(name)
    return lambda session: bool(read(session) == value)


def _label(key: str, value: str) -> Test:
    return lambda session: session.labels.get(key) == value


def _other_label(key: str, value: str) -> Test:
    return lambda session: session.labels.get(key) != value


def _player_count(bound: str, value: str) -> Test:
    compare = {"lt": operator.lt, "gt": operator.gt}.get(bound)
    if compare is None or not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise Refusal(400, "playerCount takes an integer under lt or gt.")
    limit = int(value)
    return lambda session: compare(len(session.players), limit)


_DEEP_TESTS: Final[Mapping[str, Callable[[str, str], Test]]] = {
    "filter": _label,
    "filterNot": _other_label,
    "playerCount": _player_count,
}
