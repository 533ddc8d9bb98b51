"""Counting what became of many launches."""

import math
from collections import Counter
from collections.abc import Iterable

from attrs import define, field

from gameye_async import GameyeError, LaunchOutcome, LaunchOutcomeUnknownError, Session
from gameye_async.cli.exits import Exit

_TOO_MANY = 420
_ERRORS_SHOWN = 10


@define
class Tally:
    """Launches by outcome.

    Attributes:
        sessions: Those that were launched or adopted.
        errors: Those of the other launches, each with its session id.
        throttled: How often each location answered 420.
    """

    sessions: list[Session] = field(factory=list[Session], init=False)
    errors: list[tuple[str, GameyeError]] = field(factory=list[tuple[str, GameyeError]], init=False)
    throttled: Counter[str] = field(factory=Counter[str], init=False)

    def add(self, outcome: LaunchOutcome) -> None:
        """Count one more."""
        if outcome.session is not None:
            self.sessions.append(outcome.session)
        if outcome.error is not None:
            self.errors.append((outcome.request.id, outcome.error))
        result = outcome.session or outcome.error
        for attempt in result.attempts if result else ():
            if attempt.status == _TOO_MANY and attempt.location is not None:
                self.throttled[attempt.location] += 1

    @property
    def adopted(self) -> int:
        """How many sessions an earlier attempt turned out to have created."""
        return sum(session.created_by == "adopted" for session in self.sessions)

    @property
    def unknown(self) -> int:
        """How many launches may have left a session."""
        return sum(isinstance(error, LaunchOutcomeUnknownError) for _, error in self.errors)

    def error_lines(self) -> list[str]:
        """What failed and why, the first few."""
        lines = [f"{session_id}: {type(error).__name__}: {error}" for session_id, error in self.errors]
        more = len(lines) - _ERRORS_SHOWN
        return [*lines[:_ERRORS_SHOWN], f"and {more:,} more"] if more > 0 else lines

    @property
    def exit_code(self) -> Exit:
        """What the command that launched them should exit with."""
        if self.unknown:
            return Exit.UNKNOWN
        return Exit.FAILED if self.errors else Exit.OK


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least `percent` of them do not exceed (nearest rank); NaN without values."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1] if ordered else math.nan
