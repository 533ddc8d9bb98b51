"""Charts as inline SVG whose lines stretch with the page and whose texts do not."""

from collections.abc import Sequence

from gameye_async._markup import Markup, joined, markup
from gameye_async.loadtest.curves import Chart, Curve, Point
from gameye_async.loadtest.scales import Scale

_SIDE = 1000


def figure(chart: Chart, table: Markup) -> Markup:
    """A chart with its legend, and the same as a table for those who want or need numbers."""
    return markup(
        '<figure class="card {name}"><figcaption><h2>{title}</h2><p class="soft">{note}</p></figcaption>'
        '<ul class="legend">{legend}</ul>'
        '<div class="plot"><svg role="img" aria-label="{title}; the numbers are in the table below">'
        '{grid}<svg viewBox="0 0 1000 1000" preserveAspectRatio="none">{lines}</svg></svg></div>'
        "<details><summary>As a table</summary>{table}</details></figure>",
        name=chart.name,
        title=chart.title,
        note=chart.note,
        legend=[
            markup(
                '<li><svg class="swatch {style}"><path d="M0 5H26"/></svg>{name}</li>',
                style=curve.style,
                name=curve.name,
            )
            for curve in chart.curves
        ],
        grid=_grid(chart.x, chart.y),
        lines=[_line(curve, chart) for curve in chart.curves],
        table=table,
    )


def _grid(x: Scale, y: Scale) -> Markup:
    rows = [
        markup(
            '<line x2="100%" y1="{at}%" y2="{at}%"/>'
            '<text x="-8" y="{at}%" dy="0.35em" class="side">{text}</text>',
            at=f"{100 * (1 - y.place(value)):.2f}",
            text=text,
        )
        for value, text in y.ticks
    ]
    columns = [
        markup(
            '<text x="{at}%" y="100%" dy="1.6em" class="{edge} {spare}">{text}</text>',
            at=f"{100 * x.place(value):.2f}",
            edge="first" if not x.place(value) else "last" if x.place(value) == 1 else "",
            spare="spare" if number % 2 else "",
            text=text,
        )
        for number, (value, text) in enumerate(x.ticks)
    ]
    return joined((*rows, *columns))


def _line(curve: Curve, chart: Chart) -> Markup:
    path = " ".join(_stroke(stroke, chart) for stroke in curve.strokes if stroke)
    return markup('<path class="{style}" d="{path}"/>', style=curve.style, path=path)


def _stroke(points: Sequence[Point], chart: Chart) -> str:
    places = [f"{_SIDE * chart.x.place(x):.1f} {_SIDE * (1 - chart.y.place(y)):.1f}" for x, y in points]
    # A point alone is a line that goes nowhere, and is drawn as a dot.
    return f"M{places[0]}L{' '.join(places[1:] or places)}"
