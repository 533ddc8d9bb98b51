"""A progress bar of launches, for terminals."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from gameye_async import AsyncGameye

_FRAME = 0.1


@asynccontextmanager
async def launch_progress(
    gameye: AsyncGameye, total: int, *, is_quiet: bool = False
) -> AsyncGenerator[None, None]:
    """Show on standard error how launches get on, unless that is no terminal or `is_quiet`."""
    if is_quiet or not sys.stderr.isatty():
        yield
        return
    progress = Progress(
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} launched"),
        TextColumn("{task.fields[in_flight]} in flight"),
        TextColumn("{task.fields[retried]:,} retried"),
        console=Console(stderr=True),
        # A frame is drawn by the event loop, and standard output is for results.
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        expand=True,
    )
    bar = progress.add_task("", total=total, in_flight=0, retried=0)

    async def draw() -> None:
        while True:
            now = gameye.stats
            done = now.launched + now.adopted
            progress.update(bar, completed=done, in_flight=now.in_flight, retried=now.retried, refresh=True)
            await asyncio.sleep(_FRAME)

    with progress:
        drawing = asyncio.create_task(draw())
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])
