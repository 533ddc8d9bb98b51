"""The parts of the page."""

from collections.abc import Iterable, Mapping
from importlib.resources import files

from gameye_async._markup import Markup, joined, markup
from gameye_async.loadtest.curves import charts
from gameye_async.loadtest.documents import PERCENTS
from gameye_async.loadtest.histogram import percentile_name
from gameye_async.loadtest.page.svg import figure
from gameye_async.loadtest.report import LoadReport, Part
from gameye_async.loadtest.scales import duration
from gameye_async.loadtest.shapes import SHAPES, Shape

# As in the benchmark: a launch that begins later than this (seconds) slips.
LATE = 0.01
_ENDINGS = {
    "completed": "ran to its end",
    "max_sessions": "ended at the cap of sessions",
    "max_cost": "ended at the cap of costs",
    "interrupted": "was interrupted",
}


def to_html(report: LoadReport) -> str:
    """The page of a report."""
    folder = files("gameye_async.loadtest.page")
    first = report.parts[0]
    return markup(
        folder.joinpath("report.html").read_text("utf-8"),
        css=Markup(folder.joinpath("report.css").read_text("utf-8")),
        image=report.plan.image,
        run=first.run,
        began=f"{first.began:%Y-%m-%d %H:%M:%S %Z}",
        api=report.client.api,
        state=_state(report),
        figures=_figures(report),
        notes=joined(markup("<li>{note}</li>", note=note) for note in _notes(report)),
        charts=[figure(chart, _chart_table(report, chart.name)) for chart in charts(report)],
        places=_places(report),
        failures=_failures(report),
        parts=_parts(report),
        settings=_fields(_settings(report)),
        versions=_fields(report.versions),
    )


def _state(report: LoadReport) -> Markup:
    endings = sorted({part.ending for part in report.parts})
    ended = markup(
        '<span class="pill {tone}">{text}</span>',
        tone="good" if endings == ["completed"] else "warn",
        text=", ".join(_ENDINGS[ending] for ending in endings),
    )
    left = markup(
        '<span class="pill {tone}">{text}</span>',
        tone="good" if report.is_clean else "bad",
        text="nothing left running" if report.is_clean else "sessions may be left running",
    )
    missing = markup('<span class="pill warn">not all shards</span>') if not report.is_whole else Markup()
    return joined((ended, left, missing))


def _figures(report: LoadReport) -> Markup:
    percents = report.latency.tellable(PERCENTS[:4])
    values = report.latency.percentiles(*percents)
    waits = {
        f"latency.{percentile_name(percent)}": (f"waited, {percentile_name(percent)}", duration(value))
        for percent, value in zip(percents, values, strict=True)
    }
    waits["latency.max"] = ("waited at most", duration(report.latency.maximum))
    counts = {
        "launched": (f"launched of {report.due:,}", f"{report.launched:,}"),
        "failed": ("failed", f"{report.failed:,}"),
        "throttled": ("420s and 429s", f"{report.throttled:,}"),
    }
    return joined(
        markup(
            '<div class="{kind}"><dt>{name}</dt><dd data-figure="{key}">{value}</dd></div>',
            kind="wait" if key in waits else "bad" if key == "failed" and report.failed else "",
            name=name,
            key=key,
            value=value,
        )
        for key, (name, value) in (waits | counts).items()
    )


def _notes(report: LoadReport) -> Iterable[str | Markup]:
    places = f"{report.client.max_concurrency:,}"
    yield (
        "A wait runs from the moment at which a launch was due by the schedule to its session. Waiting for "
        f"one of the client's {places} places, for its pace after a 420, and for retries is part of it."
    )
    if report.failed:
        yield f"{report.failed:,} launches failed. They have no wait, and are in no percentile."
    if report.abandoned:
        yield f"{report.abandoned:,} launches were taken back when the test was interrupted."
    late, p99 = report.lag.share_above(LATE), report.lag.percentiles(99)[0]
    if late > LATE:
        yield markup(
            '<strong class="bad">The test itself was late: {late} of launches began more than 10 ms after '
            "they were due. Its machine was too busy, and part of the waits is its own.</strong>",
            late=f"{late:.1%}",
        )
    else:
        yield f"The schedule was kept: 99 % of launches began at most {duration(p99)} after they were due."
    yield ("Not measured: whether the game inside a container was ready, and the way from players to it.")
    if report.is_clean:
        yield "At the end, the API listed no session with the label of this run."


def _chart_table(report: LoadReport, name: str) -> Markup:
    match name:
        case "waiting":
            return _waiting_table(report)
        case "rates":
            return _rate_table(report)
        case _:
            return _percentile_table(report)


def _waiting_table(report: LoadReport) -> Markup:
    rows = [
        (f"{each.begin:g} s", *(duration(value) for value in each.latency.percentiles(50, 90, 99)))
        for each in report.intervals
    ]
    return _table(("due from", "p50", "p90", "p99"), rows)


def _rate_table(report: LoadReport) -> Markup:
    rows = [
        (
            f"{each.begin:g} s",
            *(f"{count:,}" for count in (each.due, each.launched, each.failed, each.throttled)),
        )
        for each in report.intervals
    ]
    return _table(("from", "due", "launched", "failed", "420s"), rows)


def _percentile_table(report: LoadReport) -> Markup:
    percents = report.latency.tellable((50, 75, 90, 95, 99, 99.9, 99.99, 99.999))
    waits, alone = report.latency.percentiles(*percents), report.service.percentiles(*percents)
    rows = [
        (f"{percent:g} %", duration(wait), duration(service))
        for percent, wait, service in zip(percents, waits, alone, strict=True)
    ]
    longest = ("100 %", duration(report.latency.maximum), duration(report.service.maximum))
    return _table(("launches", "waited at most", "request alone"), [*rows, longest])


def _places(report: LoadReport) -> Markup:
    rows = [
        (
            place.location,
            f"{place.launched:,}",
            f"{place.failed:,}",
            f"{place.throttled:,}",
            *(duration(value) for value in place.latency.percentiles(50, 99)),
        )
        for place in report.places
    ]
    return _table(("location", "launched", "failed", "420s", "p50", "p99"), rows)


def _failures(report: LoadReport) -> Markup:
    if not report.failures:
        return markup('<p class="soft">None.</p>')
    rows = [(failure.kind, failure.location, f"{failure.count:,}") for failure in report.failures]
    return _table(("error", "location", "launches"), rows, texts=2)


def _parts(report: LoadReport) -> Markup:
    return _table(
        ("shard", "run", "arrivals", "took", "swept", "left"),
        [_part(part) for part in report.parts],
        texts=3,
    )


def _part(part: Part) -> tuple[str, ...]:
    left = "unknown" if part.left is None else f"{part.left:,}"
    return str(part.shard), part.run, _ENDINGS[part.ending], duration(part.seconds), f"{part.swept:,}", left


def _settings(report: LoadReport) -> dict[str, str]:
    plan, client = report.plan, report.client
    cost = report.cost
    return {
        "locations": "; ".join(" then ".join(names) for names in plan.location),
        "rate": f"{plan.rate:,.10g}/s",
        "duration": f"{plan.duration:,.10g} s",
        "arrivals": plan.arrivals,
        "shape": _shape(plan.shape),
        "seed": str(plan.seed),
        "lifetime": f"{plan.lifetime:,.10g} s",
        "ttl": plan.ttl,
        "places": f"{client.max_concurrency:,}",
        "pacing after 420": "adaptive" if client.adaptive_pacing else "off",
        "deadline": f"{client.deadline:,.10g} s",
        "attempts": f"{client.attempts:,}",
        **({"cap of sessions": f"{plan.max_sessions:,}"} if plan.max_sessions else {}),
        **({"cap of costs": f"{plan.max_cost:,.2f}"} if plan.max_cost else {}),
        "most sessions at once": f"{report.peak:,}",
        "session hours": f"{report.session_seconds / 3600:,.3f}",
        **({} if cost is None else {"estimated cost": f"{cost:,.2f}"}),
    }


def _shape(shape: Shape) -> str:
    for name, known in SHAPES.items():
        if shape == known:
            return name
    levels = ((phase.level, phase.end) for phase in shape.phases)
    return "levels " + ", ".join(f"{a:g}" if a == b else f"{a:g} to {b:g}" for a, b in levels)


def _fields(fields: Mapping[str, str]) -> Markup:
    return markup(
        "<dl>{rows}</dl>",
        rows=[
            markup("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value)
            for name, value in fields.items()
        ],
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], *, texts: int = 1) -> Markup:
    """A table whose first columns are texts, and the others numbers."""
    kinds = ["", *["text"] * (texts - 1)]

    def cells(tag: str, values: Iterable[str]) -> list[Markup]:
        return [
            markup(
                "<{tag} class={kind}>{value}</{tag}>",
                tag=tag,
                kind="text" if number < len(kinds) else "number",
                value=value,
            )
            for number, value in enumerate(values)
        ]

    return markup(
        '<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>',
        heads=cells("th", heads),
        rows=[markup("<tr>{cells}</tr>", cells=cells("td", row)) for row in rows],
    )
