"""Durations in HDR histograms, which are joined without loss."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, Self

from attrs import define, field

from gameye_async.errors import ConfigurationError

# 1 microsecond to 1 hour; what takes longer counts as an hour.
_MICROSECOND = 1e-6
_HIGHEST = 3_600_000_000
# What 100 minus a percentile is of a count of one, with room for the rounding of 99.9.
_WHOLE = 99.999


def percentile_name(percent: float) -> str:
    """A percentile as `p99.9`."""
    return f"p{percent:g}"


def hdr_module() -> Any:
    """The library behind the histograms.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    try:
        return import_module("hdrh.histogram")
    except ModuleNotFoundError:
        raise ConfigurationError('load tests need an extra: pip install "gameye-async[loadtest]"') from None


def _new(digits: int = 3) -> Any:
    return hdr_module().HdrHistogram(1, _HIGHEST, digits)


@define(eq=False, repr=False)
class Histogram:  # noqa: PLW1641  -- it changes
    """How long things took, in seconds, to three significant digits from 1 microsecond to 1 hour.

    Raises:
        ConfigurationError: The extra `loadtest` is not installed.

    Attributes:
        hdr: The histogram of the library, in microseconds.
    """

    hdr: Any = field(factory=_new)

    @classmethod
    def rough(cls) -> Self:
        """One of two digits, which takes a seventh of the memory."""
        return cls(_new(2))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.encode() == other.encode()

    def __repr__(self) -> str:
        return f"<Histogram of {self.count:,}>"

    def add(self, seconds: float) -> None:
        """Count one."""
        self.hdr.record_value(min(max(round(seconds / _MICROSECOND), 0), _HIGHEST))

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.hdr.total_count)

    @property
    def mean(self) -> float | None:
        """Their mean; None without any."""
        return self.hdr.get_mean_value() * _MICROSECOND if self.count else None

    @property
    def maximum(self) -> float | None:
        """The longest; None without any."""
        return self.hdr.get_max_value() * _MICROSECOND if self.count else None

    def percentiles(self, *percents: float) -> list[float | None]:
        """What so many per cent took at most; None without any."""
        if not self.count:
            return [None for _ in percents]
        found = self.hdr.get_percentile_to_value_dict(list(percents))
        return [found[percent] * _MICROSECOND for percent in percents]

    def tellable(self, percents: Iterable[float]) -> list[float]:
        """Those of the percentiles beyond which at least one of these would lie; the others say nothing."""
        return [percent for percent in percents if self.count * (100.0 - percent) >= _WHOLE]

    def share_above(self, seconds: float) -> float:
        """The share that took longer, from 0 to 1."""
        limit = round(seconds / _MICROSECOND)
        longer = sum(
            item.count_added_in_this_iter_step
            for item in self.hdr.get_recorded_iterator()
            if item.value_iterated_to > limit
        )
        return longer / self.count if self.count else 0.0

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        """All of several histograms in one, as if they had been one from the beginning."""
        parts = list(parts)
        whole = cls(_new(max((part.hdr.significant_figures for part in parts), default=3)))
        for part in parts:
            whole.hdr.add(part.hdr)
        return whole

    def encode(self) -> str:
        """The compressed, base64 encoded form that HDR histogram libraries share."""
        return str(self.hdr.encode().decode())

    @classmethod
    def decode(cls, text: str) -> Self:
        """The histogram of an encoded form.

        Raises:
            ConfigurationError: It is none.
        """
        module = hdr_module()
        try:
            return cls(module.HdrHistogram.decode(text.encode()))
        except Exception:  # noqa: BLE001  -- the library raises what its parts happen to raise
            raise ConfigurationError("not an encoded HDR histogram") from None
