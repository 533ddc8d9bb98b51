"""Results as tables for people."""

import math
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

from gameye_async import Port, Session
from gameye_async._lines import sanitized
from gameye_async.cli.tally import Tally, percentile

_GAP = 4
# Columns that stay in however narrow a terminal, and the width of a line that no terminal bounds.
_KEPT = 2
_UNBOUNDED = 10_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process here.
        raise BrokenPipeError


def show(renderable: RenderableType) -> None:
    """Print to standard output, as wide as the terminal; plain when it is piped or NO_COLOR is set."""
    _unfolding_console().print(renderable)


def show_together(left: Table, right: Table) -> None:
    """Print two tables side by side where the terminal is wide enough, else one below the other."""
    console = _console()
    if console.measure(left).maximum + _GAP + console.measure(right).maximum <= console.width:
        both = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        both.add_row(left, right)
        console.print(both)
    else:
        console.print(left)
        console.print()
        console.print(right)
    console.print()


def show_rows(rows: Sequence[Mapping[str, str]], *, right: Collection[str] = ()) -> None:
    """Print a table of rows that have the same columns, of which the last ones give way where it is narrow.

    Args:
        rows: Texts by the name of their column; at least one row.
        right: The columns of numbers.
    """
    console = _unfolding_console()
    unbounded = console.options.update(width=_UNBOUNDED)
    names = list(rows[0])
    grid = _grid(names, rows, right)
    while len(names) > _KEPT and console.measure(grid, options=unbounded).maximum > console.width:
        names.pop()
        grid = _grid(names, rows, right)
    console.print(grid)


def _grid(names: Sequence[str], rows: Iterable[Mapping[str, str]], right: Collection[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*[sanitized(row[name]) for name in names])
    return table


def fields_table(fields: Mapping[str, str]) -> Table:
    """One thing, a line for each of its fields."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, sanitized(value))
    return table


def _unfolding_console() -> Console:
    """One whose lines are as long as they need to be, where there is no terminal to fit."""
    console = _console()
    if not (console.is_terminal or os.environ.get("COLUMNS")):
        console.width = _UNBOUNDED
    return console


def _console() -> Console:
    return _Console(highlight=False, markup=False, emoji=False)


def session_table(session: Session) -> Table:
    """One session, for players to connect to."""
    return fields_table(
        {
            "id": session.id,
            "image": session.image if session.version is None else f"{session.image}:{session.version}",
            "location": session.location,
            "host": session.host,
            "ports": port_list(session.ports),
            created_by(session): f"in {_milliseconds(session.elapsed)} ms",
        }
    )


def port_list(ports: Iterable[Port]) -> str:
    """Ports on a line."""
    return ", ".join(f"{port.container}/{port.protocol} on {port.host}" for port in ports)


def created_by(session: Session) -> str:
    """Whether a session was launched now or adopted, as a word."""
    return "adopted" if session.created_by == "adopted" else "launched"


def summary_table(tally: Tally, *, retried: int, seconds: float) -> Table:
    """All launches in a few numbers; times in milliseconds."""
    times = [session.elapsed for session in tally.sessions]
    rows = {
        "launched": _count(len(tally.sessions) - tally.adopted),
        "adopted": _count(tally.adopted),
        "failed": _count(len(tally.errors) - tally.unknown),
        "unknown": _count(tally.unknown),
        "retries": _count(retried),
        "420s seen": _count(tally.throttled.total()),
        "wall time": f"{seconds:,.2f} s",
        "launches per second": f"{len(times) / seconds:,.1f}",
        "launch time p50": f"{_milliseconds(percentile(times, 50))} ms",
        "launch time p99": f"{_milliseconds(percentile(times, 99))} ms",
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("all locations")
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def location_table(tally: Tally) -> Table:
    """The same for each location, the busiest first."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for session in tally.sessions:
        times[session.location].append(session.elapsed)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("location", overflow="fold")
    for name in ("launched", "420s", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for location in sorted(times.keys() | tally.throttled.keys(), key=lambda name: (-len(times[name]), name)):
        here = times[location]
        table.add_row(
            location,
            _count(len(here)),
            _count(tally.throttled[location]),
            _milliseconds(percentile(here, 50)),
            _milliseconds(percentile(here, 99)),
        )
    return table


def id_list(ids: Iterable[str], shown: int = 10) -> str:
    """Ids on a line, the first few of them."""
    names = sorted(ids)
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more" if more > 0 else "")


def _count(number: int) -> str:
    return f"{number:,}"


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds * 1000:,.0f}"
