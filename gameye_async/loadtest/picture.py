"""A report as a PNG: its charts and its most important numbers, for a message or a slide."""

from collections.abc import Mapping
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from gameye_async.errors import ConfigurationError
from gameye_async.loadtest.curves import Chart, percentiles, rates, waiting
from gameye_async.loadtest.histogram import percentile_name
from gameye_async.loadtest.report import LoadReport
from gameye_async.loadtest.scales import duration

_INK, _SOFT, _LINE, _ACCENT = "#1c1c2a", "#5f5f77", "#e4e4ee", "#b3256b"
_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "low": {"color": "#7a8fe0", "linewidth": 1.4},
    "middle": {"color": "#4f4fc9", "linewidth": 1.4},
    "high": {"color": _ACCENT, "linewidth": 1.8},
    "asked": {"color": "#b4b4c6", "linewidth": 3.0},
    "got": {"color": "#0f7f6d", "linewidth": 1.4},
    "alone": {"color": "#5f5f77", "linewidth": 1.4, "linestyle": (0, (4, 3))},
}
_SETTINGS: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    # A name with dollars in it is no formula.
    "text.parse_math": False,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
_DPI = 160


def to_png(report: LoadReport) -> bytes:
    """The picture of a report.

    Raises:
        ConfigurationError: The extra `loadtest` is not installed.
    """
    mpl = plotting_module()
    figures = import_module("matplotlib.figure")
    with mpl.rc_context(_SETTINGS):
        # Without pyplot, there is no display to look for and no figure to close.
        figure = figures.Figure(figsize=(11, 7.4), facecolor="white")
        figure.set_layout_engine("constrained", rect=(0.01, 0.01, 0.98, 0.84), hspace=0.12, wspace=0.08)
        grid = figure.add_gridspec(2, 2)
        _title(figure, report)
        _draw(figure.add_subplot(grid[0, :]), waiting(report))
        _draw(figure.add_subplot(grid[1, 0]), rates(report))
        _draw(figure.add_subplot(grid[1, 1]), percentiles(report))
        file = BytesIO()
        figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()


def plotting_module() -> Any:
    """The library behind the picture.

    Raises:
        ConfigurationError: The extra is not installed.
    """
    try:
        return import_module("matplotlib")
    except ModuleNotFoundError:
        raise ConfigurationError(
            'a picture of a load test needs an extra: pip install "gameye-async[loadtest]"'
        ) from None


def _title(figure: Any, report: LoadReport) -> None:
    percents = report.latency.tellable((50, 90, 99, 99.9))
    waits = zip(percents, report.latency.percentiles(*percents), strict=True)
    figures = [f"{percentile_name(percent)} {duration(value)}" for percent, value in waits]
    figures += [f"{report.launched:,} of {report.due:,} launched", f"{report.failed:,} failed"]
    left = "nothing left running" if report.is_clean else "sessions may be left running"
    began = report.parts[0].began
    about = (f"{began:%Y-%m-%d %H:%M %Z}", report.client.api, report.parts[0].run, left)
    figure.text(0.02, 0.955, f"Load test of {report.plan.image}", fontsize=15, fontweight="bold")
    figure.text(0.02, 0.922, "   ".join(about), color=_SOFT)
    figure.text(
        0.02, 0.885, "     ".join(figures), fontsize=11, fontweight="bold", color=_STYLES["high"]["color"]
    )


def _draw(axes: Any, chart: Chart) -> None:
    for curve in chart.curves:
        for number, stroke in enumerate(curve.strokes):
            xs = [chart.x.place(x) for x, _ in stroke]
            ys = [chart.y.place(y) for _, y in stroke]
            marker = "." if len(stroke) == 1 else ""
            axes.plot(xs, ys, label=None if number else curve.name, marker=marker, **_STYLES[curve.style])
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([chart.x.place(value) for value, _ in chart.x.ticks], [text for _, text in chart.x.ticks])
    axes.set_yticks([chart.y.place(value) for value, _ in chart.y.ticks], [text for _, text in chart.y.ticks])
    axes.tick_params(axis="x", pad=6)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(chart.title, loc="left", fontsize=10.5, fontweight="bold", pad=20)
    if chart.curves and any(curve.strokes for curve in chart.curves):
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=3, frameon=False, fontsize=8)
