"""A load test on a terminal: while it runs, and what came of it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from attrs import frozen
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gameye_async._lines import sanitized
from gameye_async.cli.tables import show, show_together
from gameye_async.loadtest import LoadReport, LoadTest, Plan, Progress
from gameye_async.loadtest.documents import PERCENTS
from gameye_async.loadtest.histogram import percentile_name
from gameye_async.loadtest.scales import duration

# The statistics take a few milliseconds, in which no launch begins.
_FRAME = 0.5
_WIDEST = 100
_ENDINGS = {
    "max_sessions": "arrivals ended at the cap of sessions",
    "max_cost": "arrivals ended at the cap of costs",
    "interrupted": "interrupted",
}


@asynccontextmanager
async def live_view(test: LoadTest, *, as_json: bool) -> AsyncGenerator[None, None]:
    """Show how a test gets on, on a terminal that does not show lines of JSON as well."""
    if not sys.stderr.isatty() or (as_json and sys.stdout.isatty()):
        yield
        return
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)

    def frame() -> RenderableType:
        return progress_view(test.plan, test.progress(), console.width)

    async def draw(live: Live) -> None:
        while True:
            live.update(frame(), refresh=True)
            await asyncio.sleep(_FRAME)

    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as live:
        drawing = asyncio.create_task(draw(live))
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])


def progress_view(plan: Plan, now: Progress, width: int) -> RenderableType:
    """One frame.

    Args:
        plan: What is run.
        now: How far it is.
        width: Columns of the terminal.
    """
    width = min(width, _WIDEST)
    title = Table.grid(expand=True)
    title.add_column(overflow="ellipsis", no_wrap=True)
    title.add_column(justify="right", no_wrap=True)
    is_launching = now.seconds < plan.duration
    state = (
        f"{now.seconds:,.0f} s of {plan.duration:,.0f} s"
        if is_launching
        else f"no more arrivals, {now.living:,} sessions to stop"
    )
    title.add_row(Text(f"{plan.image}, {plan.run}", style="bold"), state)
    # A bar alone does not end its line.
    bar = Table.grid(expand=True)
    bar.add_row(
        ProgressBar(total=plan.duration, completed=min(now.seconds, plan.duration), complete_style="cyan")
    )
    errors = ", ".join(f"{count:,} {kind}" for kind, count in sorted(now.errors.items()))
    parts: list[RenderableType] = [
        title,
        bar,
        _numbers(now),
        Text(),
        _places(
            [
                _Row(name, place.launched, place.failed, place.throttled, place.p50, place.p99)
                for name, place in now.places.items()
            ]
        ),
    ]
    if errors:
        parts += [Text(), Text(errors, style="red", overflow="fold")]
    frame = Table.grid(expand=False)
    frame.add_column(width=width)
    frame.add_row(Group(*parts))
    return frame


def _numbers(now: Progress) -> Table:
    columns = (
        {"asked": f"{now.asked:,.1f}/s", "got": f"{now.got:,.1f}/s", "due": f"{now.due:,}"},
        {"in flight": f"{now.in_flight:,}", "sessions": f"{now.living:,}", "420s": f"{now.throttled:,}"},
        {"p50": duration(now.p50), "p90": duration(now.p90), "p99": duration(now.p99)},
    )
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in columns:
        table.add_column(style="dim", no_wrap=True)
        table.add_column(justify="right", no_wrap=True, min_width=10)
    for row in zip(*(column.items() for column in columns), strict=True):
        table.add_row(*(text for pair in row for text in pair))
    return table


@frozen
class _Row:
    location: str
    launched: int
    failed: int
    throttled: int
    p50: float | None
    p99: float | None


def _places(rows: Sequence[_Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("location", overflow="fold")
    for name in ("launched", "failed", "420s", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        counts = (f"{count:,}" for count in (row.launched, row.failed, row.throttled))
        table.add_row(sanitized(row.location), *counts, _number(row.p50), _number(row.p99))
    return table


def show_report(report: LoadReport) -> None:
    """Print a report, as wide as the terminal."""
    places = [
        _Row(
            place.location, place.launched, place.failed, place.throttled, *place.latency.percentiles(50, 99)
        )
        for place in report.places
    ]
    show_together(_summary(report), _places(places))
    if report.failures:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("error", overflow="fold")
        table.add_column("location", overflow="fold")
        table.add_column("launches", justify="right", no_wrap=True)
        for failure in report.failures:
            table.add_row(failure.kind, sanitized(failure.location), f"{failure.count:,}")
        show(table)
        show("")
    for part in report.parts:
        show(_last_words(report, part.ending, part.run, part.left, str(part.shard)))


def _summary(report: LoadReport) -> Table:
    # Most of the last interval may lie behind the end.
    seconds = min(max(len(report.intervals), 1) * report.interval, report.plan.duration)
    rows: dict[str, str] = {
        "due": f"{report.due:,}",
        "launched": f"{report.launched:,}",
        "failed": f"{report.failed:,}",
        **({"taken back": f"{report.abandoned:,}"} if report.abandoned else {}),
        "420s seen": f"{report.throttled:,}",
        "launches per second": f"{report.launched / seconds:,.1f}",
        **_latencies(report),
        "request alone p99": duration(report.service.percentiles(99)[0]),
        "began late p99": duration(report.lag.percentiles(99)[0]),
        "most sessions at once": f"{report.peak:,}",
        "session hours": f"{report.session_seconds / 3600:,.2f}",
        **({} if report.cost is None else {"estimated cost": f"{report.cost:,.2f}"}),
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(f"{report.plan.image}")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _latencies(report: LoadReport) -> Mapping[str, str]:
    percents = report.latency.tellable(PERCENTS)
    values = zip(percents, report.latency.percentiles(*percents), strict=True)
    return {
        **{f"waited {percentile_name(percent)}": duration(value) for percent, value in values},
        "waited at most": duration(report.latency.maximum),
    }


def _last_words(report: LoadReport, ending: str, run: str, left: int | None, shard: str) -> str:
    which = f"shard {shard}: " if report.plan.shard.count > 1 else ""
    early = f"{_ENDINGS[ending]}; " if ending in _ENDINGS else ""
    proof = {None: "whether sessions are left is unknown", 0: "no session is left running"}
    return f"{which}{early}{proof.get(left, f'{left} sessions are left')} (loadtest={run})"


def _number(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.0f}"
