"""Many calls at once: workers that pull from any source and give one outcome an item, in constant memory.

Waiting items cost nothing, because they have not been read: `gather` with a semaphore holds 1.7 KB for each
and stalls the event loop for almost a second at a hundred thousand.
"""

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from types import TracebackType
from typing import Generic, Self, TypeVar

from attrs import define, field

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")

Source = Iterable[ItemT] | AsyncIterable[ItemT]

# How often a progress callback is called (seconds).
_PROGRESS = 0.1


@define(eq=False, repr=False)
class Bulk(Generic[ItemT, OutcomeT]):
    """An async context manager over an async iterator of outcomes, for one consumer.

    The source is read only when a worker is free and the consumer keeps up: at most `concurrency` items are
    worked on, and as many outcomes wait to be consumed. Leaving early stops the reading, ends the work under
    way, closes a source that is an async generator, and discards the outcomes that were not consumed. An
    exception of the source, or of the work, is raised after the outcomes that came before it.

    Attributes:
        source: Items, from any sync or async iterable.
        work: Makes the outcome of an item and its index; an item's failure is an outcome, too.
        discard: Takes back an outcome that nobody will see.
        concurrency: Most items that are worked on at once.
        ordered: Whether outcomes come in the order of the source instead of that of completion.
        on_progress: Called ten times a second, and at the end.
    """

    source: Source[ItemT]
    work: Callable[[int, ItemT], Awaitable[OutcomeT]]
    discard: Callable[[OutcomeT], None]
    concurrency: int
    ordered: bool
    on_progress: Callable[[], object] | None
    _entered: bool = field(default=False, init=False)
    _items: AsyncIterator[ItemT] = field(init=False)
    _pulling: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _pulled: int = field(default=0, init=False)
    _exhausted: bool = field(default=False, init=False)
    _failure: BaseException | None = field(default=None, init=False)
    # A dict for its order: a set of tasks is walked by address.
    _workers: dict[asyncio.Task[None], None] = field(factory=dict[asyncio.Task[None], None], init=False)
    _room: asyncio.Semaphore = field(init=False)
    # Numbered as they are consumed: by their items, or as they came.
    _done: dict[int, OutcomeT] = field(factory=dict[int, OutcomeT], init=False)
    _completed: int = field(default=0, init=False)
    _consumed: int = field(default=0, init=False)
    _consumer: asyncio.Future[None] | None = field(default=None, init=False)
    _ticker: asyncio.TimerHandle | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        self._items = (
            aiter(self.source) if isinstance(self.source, AsyncIterable) else _Sync(iter(self.source))
        )
        self._room = asyncio.Semaphore(2 * self.concurrency)
        # First what may fail: a block that is not entered is not left.
        self._tick()
        self._entered = True
        self._hire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exhausted = True
        for worker in self._workers:
            worker.cancel()
        try:
            if self._workers:
                await asyncio.wait(self._workers)
            close = getattr(self._items, "aclose", None)
            if close is not None:
                await close()
        finally:
            for outcome in self._done.values():
                self.discard(outcome)
            if self._ticker is not None:
                self._ticker.cancel()
            if self.on_progress is not None:
                self.on_progress()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> OutcomeT:
        if not self._entered:
            raise RuntimeError("outcomes are consumed inside `async with`, which ends what is under way")
        if self._consumer is not None:
            raise RuntimeError("outcomes are consumed by one task at a time")
        while self._consumed not in self._done:
            if not self._workers:
                raise self._failure or StopAsyncIteration
            self._consumer = asyncio.get_running_loop().create_future()
            try:
                await self._consumer
            finally:
                self._consumer = None
        self._room.release()
        self._consumed += 1
        return self._done.pop(self._consumed - 1)

    def _hire(self) -> None:
        worker = asyncio.get_running_loop().create_task(self._pull())
        self._workers[worker] = None
        worker.add_done_callback(self._retire)

    def _retire(self, worker: asyncio.Task[None]) -> None:
        del self._workers[worker]
        if not worker.cancelled() and (failure := worker.exception()) is not None:
            self._failure, self._exhausted = failure, True
        self._wake()

    async def _pull(self) -> None:
        """Work on one item after another; each hires one more worker, until there are enough."""
        while True:
            await self._room.acquire()
            async with self._pulling:
                if self._exhausted:
                    return
                try:
                    item = await anext(self._items)
                except StopAsyncIteration:
                    self._exhausted = True
                    return
                index = self._pulled
                self._pulled += 1
            if len(self._workers) < self.concurrency:
                self._hire()
            outcome = await self.work(index, item)
            self._done[index if self.ordered else self._completed] = outcome
            self._completed += 1
            self._wake()

    def _wake(self) -> None:
        consumer = self._consumer
        is_due = self._consumed in self._done or not self._workers
        if consumer is not None and not consumer.done() and is_due:
            consumer.set_result(None)

    def _tick(self) -> None:
        if self.on_progress is not None:
            self.on_progress()
            self._ticker = asyncio.get_running_loop().call_later(_PROGRESS, self._tick)


@define(eq=False, repr=False)
class _Sync(Generic[ItemT]):
    """A sync iterator as an async one."""

    _items: Iterator[ItemT]

    def __aiter__(self) -> Self:  # pragma: no cover  -- only `anext` is asked for; the type has both
        return self

    async def __anext__(self) -> ItemT:
        try:
            return next(self._items)
        except StopIteration:
            raise StopAsyncIteration from None
