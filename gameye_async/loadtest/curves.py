"""The curves of a report, for whatever draws them."""

from collections.abc import Sequence
from math import log10

from attrs import frozen

from gameye_async.loadtest.histogram import Histogram
from gameye_async.loadtest.report import LoadReport
from gameye_async.loadtest.scales import Scale, durations, elapsed, linear, nines

Point = tuple[float, float]
_PER_NINE = 12


@frozen
class Curve:
    """A line.

    Attributes:
        name: What it shows.
        style: How it is drawn: "low", "middle", "high" for percentiles, "asked", "got" and "alone".
        strokes: Its parts, between which there is nothing to show.
    """

    name: str
    style: str
    strokes: Sequence[Sequence[Point]]


@frozen
class Chart:
    """Lines on two axes.

    Attributes:
        name: Its name in the file.
        title: What it answers.
        note: How to read it.
        curves: The lines.
        x: The axis along the bottom.
        y: The axis up the side.
    """

    name: str
    title: str
    note: str
    curves: Sequence[Curve]
    x: Scale
    y: Scale


def charts(report: LoadReport) -> list[Chart]:
    """All charts of a report."""
    return [waiting(report), rates(report), percentiles(report)]


def waiting(report: LoadReport) -> Chart:
    """Percentiles of latency over time."""
    styles = {50: "low", 90: "middle", 99: "high"}
    found = [each.latency.percentiles(*styles) for each in report.intervals]
    middles = [each.begin + report.interval / 2 for each in report.intervals]
    curves = [
        Curve(f"p{percent}", style, _strokes(middles, [values[index] for values in found]))
        for index, (percent, style) in enumerate(styles.items())
    ]
    shown = [y for curve in curves for stroke in curve.strokes for _, y in stroke]
    return Chart(
        "waiting",
        "How long players waited, over time",
        "By the moment at which a launch was due. Logarithmic.",
        curves,
        elapsed(_end(report)),
        durations(shown),
    )


def rates(report: LoadReport) -> Chart:
    """Launches asked for and sessions got, over time."""
    asked = [each.due / report.interval for each in report.intervals]
    got = [each.launched / report.interval for each in report.intervals]
    begins = [each.begin for each in report.intervals]
    return Chart(
        "rates",
        "Launches asked for, and sessions got",
        "A second. What comes late is got late.",
        [
            Curve("asked", "asked", [_stairs(begins, asked, report.interval)]),
            Curve("got", "got", [_stairs(begins, got, report.interval)]),
        ],
        elapsed(_end(report)),
        linear(max((*asked, *got), default=1.0), lambda value: f"{value:,.10g}"),
    )


def percentiles(report: LoadReport) -> Chart:
    """The percentile curve, with what the requests took alone beside it."""
    curves = [
        Curve("waited, from when it was due", "high", [_curve(report.latency)]),
        Curve("request alone, from sending", "alone", [_curve(report.service)]),
    ]
    shown = [y for curve in curves for stroke in curve.strokes for _, y in stroke]
    return Chart(
        "percentiles",
        "So many launches waited at most so long",
        "Each nine takes the same room. The gap is what a test that waits for answers would have hidden.",
        curves,
        nines(report.latency.count),
        durations(shown),
    )


def _end(report: LoadReport) -> float:
    return max(len(report.intervals) * report.interval, report.interval)


def _strokes(xs: Sequence[float], ys: Sequence[float | None]) -> list[list[Point]]:
    strokes: list[list[Point]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if y is None:
            strokes.append([])
        else:
            strokes[-1].append((x, y))
    return [stroke for stroke in strokes if stroke]


def _stairs(begins: Sequence[float], values: Sequence[float], width: float) -> list[Point]:
    return [
        point
        for begin, value in zip(begins, values, strict=True)
        for point in ((begin, value), (begin + width, value))
    ]


def _curve(histogram: Histogram) -> list[Point]:
    if not histogram.count:
        return []
    steps = int(log10(max(histogram.count, 10)) * _PER_NINE)
    percents = [100.0 - 10.0 ** (2 - number / _PER_NINE) for number in range(steps + 1)]
    values = histogram.percentiles(*percents)
    return [(percent, value) for percent, value in zip(percents, values, strict=True) if value is not None]
