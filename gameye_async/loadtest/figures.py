"""Numbers as people read them."""

_SECOND = 1.0
_TEN = 10.0


def duration(seconds: float | None) -> str:
    """A time as `65.5 ms` or `1.73 s`; a dash for None."""
    if seconds is None:
        return "-"
    if seconds >= _SECOND:
        return f"{seconds:,.2f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= _TEN * _TEN else f"{milliseconds:.3g} ms"


def percentile_name(percent: float) -> str:
    """A percentile as `p99.9`."""
    return f"p{percent:g}"
