"""An asyncio event loop in virtual time: hours pass in milliseconds, and a world always runs the same way."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn, TypeVar
from unittest import mock

import aiohttp.connector

T = TypeVar("T")

DAY = 86_400.0


class SimulationError(RuntimeError):
    """The simulated world cannot go on, or did not end cleanly."""


class DeadlockError(SimulationError):
    """Nothing is ready and no timer is set, yet the main coroutine is not done."""


class LivelockError(SimulationError):
    """The world used up its virtual time or its steps."""


class LeakedTasksError(SimulationError):
    """The main coroutine returned while tasks were still pending."""


class UnhandledError(SimulationError):
    """A callback or a task raised, and nobody looked at the exception."""


class SimLoop(asyncio.BaseEventLoop):
    """A loop whose clock stands still while callbacks run, and jumps to the next timer when none is ready.

    Callbacks run first in, first out, and so do timers set for the same moment. There are no sockets and no
    threads: what goes to an executor runs at once.

    Args:
        start: the first value of ``time()``, in seconds.
        max_time: virtual seconds after which the world counts as livelocked.
        max_steps: callbacks after which the world counts as livelocked.
    """

    def __init__(self, *, start: float = 0.0, max_time: float = DAY, max_steps: int = 1_000_000) -> None:
        super().__init__()
        self._now = start
        self._max_time = max_time
        self._max_steps = max_steps
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_numbers = count()
        self._allow()
        # Debug mode looks for calls from other threads and for callbacks that take long, and pays with the
        # stack of every future: here are no threads, and callbacks take no time at all.
        self.set_debug(False)
        self.unhandled: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Schedule a callback for a virtual time; timers set for the same moment keep their order."""
        self._check_closed()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._timer_numbers), timer))
        return timer

    def run_in_executor(self, executor: object, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run a blocking function at once: a thread would make the order of events a matter of luck."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001  -- whatever it raises belongs to whoever awaits the future
            future.set_exception(exc)
        return future

    async def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise SimulationError("a simulated world has no sockets, processes or resolver; use a Network")

    create_connection = create_server = create_datagram_endpoint = _refuse
    getaddrinfo = getnameinfo = subprocess_exec = subprocess_shell = _refuse

    def pending(self) -> list[asyncio.Task[Any]]:
        """Return the unfinished tasks in an order that does not depend on memory addresses."""
        return sorted(asyncio.all_tasks(self), key=lambda task: (len(task.get_name()), task.get_name()))

    def settle(self) -> None:
        """Run all that is ready without letting time pass."""
        while self._ready:
            self.stop()
            self.run_forever()

    def shut_down(self) -> None:
        """Cancel what is left, as `asyncio.Runner` does, and close."""
        self._allow()
        with suppress(SimulationError):
            leftovers = self.pending()
            for task in leftovers:
                task.cancel()
            self.run_until_complete(_outcomes(leftovers))
            self.run_until_complete(self.shutdown_asyncgens())
        self.close()

    def close(self) -> None:
        """Close the loop and drop its timers."""
        super().close()
        self._timers.clear()

    def _allow(self) -> None:
        self._latest = self._now + self._max_time
        self._steps_left = self._max_steps

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not ready and not self._stopping:
            self._jump()
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        self._steps_left -= len(ready)
        if self._steps_left < 0:
            raise LivelockError(self._describe(f"more than {self._max_steps} steps"))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001  -- the base loop's own way to run a handle

    def _jump(self) -> None:
        if not self._timers:
            raise DeadlockError(self._describe("nothing is ready and no timer is set"))
        when = self._timers[0][0]
        if when > self._latest:
            raise LivelockError(self._describe(f"more than {self._max_time} virtual seconds"))
        self._now = max(self._now, when)

    def _describe(self, problem: str) -> str:
        return "\n  ".join([f"{problem} at t={self._now}; pending:", *map(repr, self.pending())])


def run(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    start: float = 0.0,
    max_time: float = DAY,
    max_steps: int = 1_000_000,
    allow_leaks: bool = False,
) -> T:
    """Run a coroutine function in a world of its own and return its result.

    Args:
        main: the world: everything in it is created by this coroutine.
        start: the first value of ``loop.time()``, in seconds.
        max_time: virtual seconds the world may last.
        max_steps: callbacks the world may run.
        allow_leaks: whether tasks may outlive ``main``; they are cancelled either way.

    Raises:
        DeadlockError: when all tasks wait for each other.
        LivelockError: when ``max_time`` or ``max_steps`` is used up.
        UnhandledError: when an exception reached the loop's exception handler.
        LeakedTasksError: when ``main`` returned before the tasks it started had ended.
    """
    loop = SimLoop(start=start, max_time=max_time, max_steps=max_steps)
    with _undisturbed(loop):
        try:
            result = loop.run_until_complete(main())
            loop.settle()
            leaked = [repr(task) for task in loop.pending()]
        finally:
            loop.shut_down()
    if loop.unhandled:
        first = loop.unhandled[0]
        raise UnhandledError(first["message"]) from first.get("exception")
    if leaked and not allow_leaks:
        raise LeakedTasksError("\n  ".join(["main returned before these tasks had ended:", *leaked]))
    return result


@contextmanager
def _undisturbed(loop: SimLoop) -> Iterator[None]:
    """Keep the real clock and the garbage collector's moments out of a world.

    aiohttp ages pooled connections by `time.monotonic` instead of the loop's clock; a collection runs
    finalizers, which schedule callbacks, at a moment that depends on everything allocated before.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        with mock.patch.object(aiohttp.connector, "monotonic", loop.time):
            yield
    finally:
        if collecting:
            gc.enable()


async def _outcomes(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
