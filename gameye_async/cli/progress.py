"""Progress bars, for terminals."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from attrs import define
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, TextColumn

from gameye_async import AsyncGameye

_FRAME = 0.1


@define
class Steps:
    """How far something is.

    Attributes:
        total: How much there is to do; None when nobody knows.
        done: How much of it is done.
        text: What is being done.
    """

    total: int | None = None
    done: int = 0
    text: str = ""

    def fields(self) -> dict[str, Any]:
        """As the fields of a bar."""
        return {"total": self.total, "completed": self.done, "text": self.text}


def launch_progress(
    gameye: AsyncGameye, total: int, *, as_json: bool = False
) -> AbstractAsyncContextManager[None]:
    """Show how launches get on."""

    def read() -> dict[str, Any]:
        now = gameye.stats
        done = now.launched + now.adopted
        return {"total": total, "completed": done, "in_flight": now.in_flight, "retried": now.retried}

    return _bar(
        read,
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} launched"),
        TextColumn("{task.fields[in_flight]} in flight"),
        TextColumn("{task.fields[retried]:,} retried"),
        as_json=as_json,
    )


def count_progress(steps: Steps, *, as_json: bool) -> AbstractAsyncContextManager[None]:
    """Show how many of a known number are done."""
    columns = TextColumn("{task.completed:,.0f}/{task.total:,.0f}"), TextColumn("{task.fields[text]}")
    return _bar(steps.fields, *columns, as_json=as_json)


def byte_progress(steps: Steps, *, as_json: bool) -> AbstractAsyncContextManager[None]:
    """Show how many bytes have come, and of what."""
    return _bar(steps.fields, DownloadColumn(), TextColumn("{task.fields[text]}"), as_json=as_json)


@asynccontextmanager
async def _bar(
    read: Callable[[], dict[str, Any]], *columns: ProgressColumn, as_json: bool
) -> AsyncGenerator[None, None]:
    """Draw a bar on standard error, if it is a terminal that does not show lines of JSON as well."""
    # Lines of JSON and a bar would overwrite each other.
    if not sys.stderr.isatty() or (as_json and sys.stdout.isatty()):
        yield
        return
    progress = Progress(
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        *columns,
        console=Console(stderr=True),
        # A frame is drawn by the event loop, and standard output is for results.
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        expand=True,
    )
    task = progress.add_task("", **read())

    async def draw() -> None:
        while True:
            progress.update(task, refresh=True, **read())
            await asyncio.sleep(_FRAME)

    with progress:
        drawing = asyncio.create_task(draw())
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])
