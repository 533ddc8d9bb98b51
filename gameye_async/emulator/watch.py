"""Waiting for a world, which by itself applies what is due only when somebody looks."""

import asyncio
from collections.abc import Callable
from typing import Self

from attrs import define, field

from gameye_async.emulator.fleet import Fleet


@define(eq=False)
class Watch:
    """A context manager that notices each change of a world, or of one session of it.

    The clock of the world must be that of the event loop.
    """

    world: Fleet
    session_id: str | None = None
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False)
    _unsubscribe: Callable[[], None] = field(init=False)

    def __enter__(self) -> Self:
        self._unsubscribe = self.world.subscribe(self.notice, self.session_id)
        return self

    def __exit__(self, *_: object) -> None:
        self._unsubscribe()

    async def change(self, within: float | None = None) -> None:
        """Return when something has changed since the last call, comes due, or after `within` seconds."""
        due = self.world.next_due()
        waits = [within] if within is not None else []
        if due is not None:
            waits.append(due - self.world.clock())
        try:
            async with asyncio.timeout(min(waits, default=None)):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        self.world.settle()

    def notice(self, _change: object = None) -> None:
        """Count something else as a change."""
        self._changed.set()


async def keep_time(world: Fleet) -> None:
    """Apply what comes due in a world at its time, until cancelled."""
    with Watch(world) as watch:
        while True:
            await watch.change()
