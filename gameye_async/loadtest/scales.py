"""Where values lie on an axis, which of them are written beside it, and how."""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor, log10
from typing import Final

from attrs import frozen

_STEPS: Final = (1, 2, 5)
_MOST_TICKS: Final = 7
# With more of them, ticks at 2 and 5 would run into each other.
_FEW_DECADES: Final = 2.5
_SECOND: Final = 1.0
_TEN: Final = 10.0


def duration(seconds: float | None) -> str:
    """A time as `65.5 ms` or `1.73 s`; a dash for None."""
    if seconds is None:
        return "-"
    if seconds >= _SECOND:
        return f"{seconds:,.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= _TEN * _TEN else f"{milliseconds:.3g} ms"


@frozen
class Scale:
    """An axis.

    Attributes:
        low: The value at its beginning.
        high: The value at its end.
        ticks: The values that are marked, with their texts.
        project: Makes distances of values; the identity, or a logarithm.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    project: Callable[[float], float] = float

    def place(self, value: float) -> float:
        """Where a value lies, from 0 at the beginning to 1 at the end."""
        low, high = self.project(self.low), self.project(self.high)
        return (self.project(min(max(value, self.low), self.high)) - low) / (high - low)


def linear(high: float, text: Callable[[float], str]) -> Scale:
    """From 0 to at least `high`, with round ticks."""
    raw = max(high, 1e-9) / _MOST_TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (*_STEPS, 10) if factor * power >= raw)
    count = ceil(high / step - 1e-9)
    return Scale(
        0.0,
        max(count, 1) * step,
        [(number * step, text(number * step)) for number in range(max(count, 1) + 1)],
    )


def elapsed(seconds: float) -> Scale:
    """The time of a test, which ends where it ends."""
    scale = linear(seconds, lambda value: f"{value:g} s")
    return Scale(0.0, seconds, [tick for tick in scale.ticks if tick[0] <= seconds])


def durations(values: Iterable[float]) -> Scale:
    """A logarithmic axis for latencies, from a little below the shortest to above the longest."""
    shown = [max(value, 1e-6) for value in values] or [0.001, 1.0]
    low, high = _rounded(min(shown), down=True), _rounded(max(shown), down=False)
    if low == high:
        high = _rounded(high * 1.5, down=False)
    decades = log10(high / low)
    steps = _STEPS if decades <= _FEW_DECADES else (1,)
    ticks = [
        factor * 10.0**power
        for power in range(floor(log10(low)) - 1, ceil(log10(high)) + 1)
        for factor in steps
    ]
    marked = [(tick, duration(tick)) for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return Scale(low, high, marked, log10)


def nines(count: int) -> Scale:
    """Percentiles, of which each nine more takes as much room as the one before, as far as `count` tells."""
    nines = max(ceil(log10(max(count, 10))), 1)
    ticks = [(50.0, "50%")]
    ticks += [
        (100.0 - 10.0 ** (2 - number), f"{100 - 10.0 ** (2 - number):.10g}%")
        for number in range(1, nines + 1)
    ]
    return Scale(0.0, 100.0 - 10.0 ** (2 - nines), ticks, _nines)


def _nines(percent: float) -> float:
    return -log10(1.0 - percent / 100.0)


def _rounded(value: float, *, down: bool) -> float:
    """The next of 1, 2, 5, 10 and so on."""
    power = 10.0 ** floor(log10(value) + 1e-9)
    factors = [factor * power for factor in (*_STEPS, 10)]
    if down:
        return max(factor for factor in factors if factor <= value * 1.000001)
    return min(factor for factor in factors if factor >= value * 0.999999)
