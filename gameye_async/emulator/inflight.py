"""Requests that are being served, which have to end when the server does."""

import asyncio
from types import TracebackType
from typing import Any

from aiohttp import web
from attrs import define, field


@define(eq=False)
class InFlight:
    """A context manager around each request, and a hook for the shutdown of its application."""

    _tasks: set[asyncio.Task[Any] | None] = field(factory=set[asyncio.Task[Any] | None], init=False)

    def __enter__(self) -> None:
        self._tasks.add(asyncio.current_task())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tasks.discard(asyncio.current_task())

    async def end(self, _app: web.Application) -> None:
        """Stop serving at once: slow answers, followed logs and streams of events are given up."""
        tasks = [task for task in self._tasks if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
