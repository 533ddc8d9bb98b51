"""How the launch rate of a load test changes with time."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, cast

from attrs import field, frozen

from gameye_async.errors import ConfigurationError

_MOST = 1e9


def _number(_instance: object, attribute: Any, value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value <= _MOST:
        raise ConfigurationError(
            f"{attribute.name} of a phase must be a number from 0 to a billion, not {value!r}"
        )


@frozen
class Phase:
    """A part of the time, in which the rate stays or changes evenly.

    Args:
        share: How long it is, compared with the other phases.
        level: The rate at its beginning, as a multiple of the plan's rate.
        to: The rate at its end, likewise; that of the beginning when None.
    """

    share: float = field(validator=_number)
    level: float = field(validator=_number)
    to: float | None = field(default=None, validator=_number)

    @property
    def end(self) -> float:
        """The level at its end."""
        return self.level if self.to is None else self.to


@frozen
class Shape:
    """A curve of the launch rate, drawn once over the whole duration of a plan.

    Args:
        phases: Its parts, in order; between two of them the rate may jump.

    Raises:
        ConfigurationError: There is no phase in which anything is launched.
    """

    phases: tuple[Phase, ...] = field(converter=tuple[Phase, ...])

    def __attrs_post_init__(self) -> None:
        if not self.mean:
            raise ConfigurationError("a shape needs a phase with a share and a level above 0")

    @property
    def mean(self) -> float:
        """The rate on average, as a multiple of the plan's rate."""
        whole = sum(phase.share for phase in self.phases)
        # By the whole first, because half of the smallest number there is has no half.
        shares = [(phase.share / whole, phase) for phase in self.phases if phase.share]
        return sum(share * (phase.level + phase.end) / 2 for share, phase in shares)

    def pieces(self, rate: float, duration: float) -> list[tuple[float, float, float]]:
        """Seconds and first and last rate (launches per second) of each phase.

        Args:
            rate: What level 1 stands for, in launches per second.
            duration: Seconds of all phases together.
        """
        whole = sum(phase.share for phase in self.phases)
        return [
            # In this order: for the smallest of shares, the duration by the whole is infinite.
            (phase.share / whole * duration, phase.level * rate, phase.end * rate)
            for phase in self.phases
            if phase.share
        ]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a profile: a TOML file of phases.

        ```toml
        [[phases]]          # the first third of the time: from nothing to the plan's rate
        share = 1
        level = 0.0
        to = 1.0

        [[phases]]          # the rest: stay there
        share = 2
        level = 1.0
        ```

        Raises:
            ConfigurationError: It cannot be read, is no TOML, or holds anything else.
        """
        try:
            data = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}") from None
        try:
            return cls(_phases(data))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None


def _phases(data: Mapping[str, Any]) -> list[Phase]:
    tables = data.get("phases")
    if data.keys() - {"phases"} or not isinstance(tables, list):
        raise ConfigurationError("a profile holds [[phases]] and nothing else")
    return [_phase(table) for table in cast("list[Any]", tables)]


def _phase(table: object) -> Phase:
    if not isinstance(table, dict) or not {"share", "level"} <= table.keys() <= {"share", "level", "to"}:
        raise ConfigurationError("a phase has a share, a level and, if it changes, a level to go to")
    return Phase(**cast("dict[str, float]", table))


def steps(levels: Sequence[float]) -> Shape:
    """As long at each level as at the others, with jumps in between."""
    return Shape([Phase(1.0, level) for level in levels])


def ramp(level: float = 0.0, to: float = 1.0) -> Shape:
    """From one level to another in a line."""
    return Shape([Phase(1.0, level, to)])


def spike(base: float = 0.2, peak: float = 1.0, share: float = 0.2) -> Shape:
    """A base level, and in the middle a peak for this share of the time."""
    rest = Phase((1.0 - share) / 2, base)
    return Shape([rest, Phase(share, peak), rest])


CONSTANT: Final = steps([1.0])
SHAPES: Final[Mapping[str, Shape]] = {
    "constant": CONSTANT,
    "ramp": ramp(),
    "spike": spike(),
    "steps": steps([0.2, 0.4, 0.6, 0.8, 1.0]),
}
