"""Pictures of the results: each measure beside its marks, each client beside the others, how cost grows."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.harness import Measure, shown

INK, PALE, GRID = "#1f2933", "#7b8794", "#e4e7eb"
OURS = "#2563a8"
VERDICTS = {"stretch": "#1a7f5a", "target": "#57a98a", "floor": "#e0a83a", "missed": "#c8553d"}

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": PALE,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": PALE,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}


def draw(results: Mapping[str, Any], measures: Sequence[Measure], provenance: str, directory: Path) -> None:
    """Write the pictures of what there are results of."""
    with mpl.rc_context(STYLE):
        pictures = {"targets": targets(measures)}
        if "peers" in results:
            pictures["peers"] = peers(results["peers"]["figures"])
        if "scaling" in results:
            pictures["scaling"] = scaling(results["scaling"]["figures"])
        for name, figure in pictures.items():
            figure.text(0.015, 0.012, provenance, color=PALE, fontsize=7.5)
            figure.savefig(directory / f"{name}.png", dpi=160, facecolor="white", metadata={"Software": None})
            plt.close(figure)


def _titled(figure: Figure, title: str, subtitle: str) -> None:
    """Say what is to be seen, and how to read it; the axes get the rest of the room."""
    inch = 1 / figure.get_figheight()
    figure.text(0.015, 1 - 0.30 * inch, title, fontsize=13, fontweight="bold")
    figure.text(0.015, 1 - 0.55 * inch, subtitle, color=PALE, fontsize=9)
    figure.set_layout_engine("constrained", rect=(0.008, 0.25 * inch, 0.98, 1 - 0.95 * inch))


def targets(measures: Sequence[Measure]) -> Figure:
    """How far each result is from its target, the other marks beside it."""
    present = [measure for measure in reversed(measures) if measure.result]
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.36 * len(present)))
    for row, measure in enumerate(present):
        color = VERDICTS[measure.verdict]
        result, floor, stretch = (
            _share(measure, value) for value in (measure.result or 1.0, measure.floor, measure.stretch)
        )
        axes.plot((1, result), (row, row), color=color, linewidth=7, solid_capstyle="butt")
        axes.plot(result, row, "o", markersize=9, color=color)
        axes.plot((floor, floor), (row - 0.28, row + 0.28), color=INK, linewidth=1.2)
        axes.plot(stretch, row, "o", markersize=4, color="white", markeredgecolor=INK, zorder=3)
        label = shown(measure.result, measure.unit)
        axes.text(1.02, row, label, va="center", fontweight="bold", transform=axes.get_yaxis_transform())
    axes.axvline(1, color=INK, linewidth=1)
    axes.set(xscale="log", yticks=range(len(present)), yticklabels=[measure.name for measure in present])
    shares = [_share(measure, measure.result or 1.0) for measure in present]
    axes.set(xlim=(min(0.18, *shares) * 0.8, max(3.0, *shares) * 1.2), ylim=(-0.7, len(present) - 0.3))
    axes.set_xlabel("better  \N{LEFTWARDS ARROW}  share of the target  \N{RIGHTWARDS ARROW}  worse")
    _plain(axes)
    left, right = axes.get_xlim()
    axes.set_xticks([share for share in (0.1, 0.2, 0.5, 1, 2, 5) if left < share < right])
    _titled(
        figure,
        "What was asked, and what came of it",
        "green: the target is met    amber: the floor    red: neither        "
        "\N{LIGHT VERTICAL BAR} floor    \N{WHITE CIRCLE} stretch",
    )
    return figure


def _share(measure: Measure, value: float) -> float:
    """A figure as a share of the target, so that less is better."""
    return measure.target / value if measure.more else value / measure.target


def _plain(axes: Axes) -> None:
    """Numbers as one writes them, and a light grid behind the bars."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def peers(figures: Mapping[str, Any]) -> Figure:
    """CPU of a launch with each client, side by side for two concurrencies."""
    figure, both = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for axes, concurrency in zip(both, (10, 100), strict=True):
        costs = figures[f"cpu_microseconds, concurrency {concurrency}"]
        names = [name for name in reversed(costs) if not name.endswith("again")]
        for row, name in enumerate(names):
            color = OURS if name == "AsyncGameye" else PALE
            axes.plot((1, costs[name]), (row, row), color=GRID, linewidth=1.5, zorder=1)
            axes.plot(costs[name], row, "o", color=color, markersize=9)
            times = "" if name == "AsyncGameye" else f"    {costs[name] / costs['AsyncGameye']:.1f}x"
            label = f"{costs[name]:,.0f}{times}"
            axes.annotate(
                label, (costs[name], row), (9, 0), textcoords="offset points", va="center", color=color
            )
        axes.set(xscale="log", xlim=(30, max(costs.values()) * 7), ylim=(-0.6, len(names) - 0.4))
        axes.set_yticks(range(len(names)), names)
        axes.set_title(f"{concurrency} at once", loc="left", fontsize=10)
        _plain(axes)
    _titled(figure, "CPU of one launch", "microseconds, on a logarithmic scale; left is better")
    return figure


def scaling(figures: Mapping[str, Any]) -> Figure:
    """How the cost of a launch grows with concurrency, and with the number of launches."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    crowds = figures["cpu_microseconds by concurrency"]
    for name, color in (("bare aiohttp", PALE), ("AsyncGameye", OURS)):
        _curve(
            left, [int(count) for count in crowds], [costs[name] for costs in crowds.values()], name, color
        )
    numbers = figures["cpu_microseconds by launches"]
    _curve(right, numbers, list(numbers.values()), "AsyncGameye", OURS)
    left.set_title("launches at once, against a stub server", loc="left", fontsize=10)
    right.set_title("launches in all, 100 at once, without a network", loc="left", fontsize=10)
    left.legend(frameon=False, loc="lower left")
    left.set_ylim(0, None)
    grown = figures["growth_mib by launches"]
    right.text(
        0.98, 0.06, f"memory growth at {int(max(grown, key=int)):,}: {grown[max(grown, key=int)]:.2g} MiB",
        transform=right.transAxes, ha="right", color=PALE,
    )  # fmt: skip
    _titled(figure, "How the cost grows", "CPU microseconds of a launch")
    return figure


def _curve(axes: Axes, counts: Iterable[str], costs: Sequence[float], name: str, color: str) -> None:
    x = [int(count) for count in counts]
    axes.plot(x, costs, color=color, linewidth=2, marker="o", markersize=4.5, label=name)
    axes.set_xscale("log")
    _plain(axes)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
