"""Many time limits on one timer do what `asyncio.timeout_at` does with a timer each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf, nan

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from gameye_async._sweeper import Limit, Sweeper
from gameye_async.errors import ConfigurationError
from tests.simulation.loop import UnhandledError, run

GRAIN = 0.01


class Watched(Sweeper):
    """Remembers the timers that were set."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())
        self.timers: list[asyncio.TimerHandle] = []

    def arm(self, when: float) -> None:
        super().arm(when)
        assert self._timer is not None
        self.timers.append(self._timer)

    def pending(self) -> int:
        return sum(not timer.cancelled() and timer.when() > self.loop.time() for timer in self.timers)


def sweeper() -> Sweeper:
    return Sweeper(asyncio.get_running_loop())


def now() -> float:
    return asyncio.get_running_loop().time()


async def bounded(limit: Limit, seconds: float) -> float:
    """Sleep within a limit; when it ended."""
    with limit:
        await asyncio.sleep(seconds)
    return now()


def test_a_block_that_takes_too_long_ends_without_an_error():
    async def world():
        with sweeper().until(3.0) as limit:
            await asyncio.sleep(60.0)
        return limit.expired, now()

    assert run(world) == (True, 3.0)


def test_a_block_that_is_done_in_time_is_left_alone():
    async def world():
        with sweeper().until(3.0) as limit:
            await asyncio.sleep(2.0)
        await asyncio.sleep(60.0)
        return limit.expired

    assert run(world) is False


def test_a_limit_that_has_passed_ends_the_block_at_its_first_await():
    async def world():
        await asyncio.sleep(5.0)
        with sweeper().until(3.0) as limit:
            await asyncio.sleep(60.0)
        return limit.expired, now()

    assert run(world) == (True, 5.0)


def test_the_error_of_a_block_goes_through():
    async def world():
        with sweeper().until(3.0):
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run(world)


def test_an_error_raised_while_the_block_ends_goes_through():
    async def world():
        with sweeper().until(3.0):
            try:
                await asyncio.sleep(60.0)
            finally:
                raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run(world)


def test_a_limit_that_ran_out_leaves_no_cancellation_behind():
    async def world():
        await bounded(sweeper().until(1.0), 60.0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert run(world) == 0


def test_a_cancellation_from_outside_wins_over_a_limit_that_runs_out_with_it():
    async def world():
        task = asyncio.create_task(bounded(sweeper().until(1.0), 60.0))
        asyncio.get_running_loop().call_at(1.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        return now()

    assert run(world) == 1.0


def test_a_limit_that_is_ended_early_ends_its_block_as_if_its_time_were_over():
    async def world():
        task = asyncio.current_task()
        assert task is not None
        with sweeper().until(60.0) as limit:
            asyncio.get_running_loop().call_at(1.0, limit.end)
            await asyncio.sleep(120.0)
        ended = now()
        await asyncio.sleep(120.0)
        return limit.expired, ended, task.cancelling()

    assert run(world) == (True, 1.0, 0)


def test_a_limit_that_is_ended_as_it_runs_out_cancels_its_block_once():
    """A second cancellation would look like one from outside, and go on."""

    async def world():
        task = asyncio.current_task()
        assert task is not None
        with sweeper().until(1.0) as limit:
            asyncio.get_running_loop().call_at(1.0, limit.end)
            await asyncio.sleep(60.0)
        return limit.expired, now(), task.cancelling()

    assert run(world) == (True, 1.0, 0)


def test_a_limit_needs_a_task():
    async def world():
        asyncio.get_running_loop().call_soon(sweeper().until(1.0).__enter__)
        await asyncio.sleep(0)

    with pytest.raises(UnhandledError) as caught:
        run(world)
    assert isinstance(caught.value.__cause__, RuntimeError)


@given(limits=st.lists(st.floats(0.0, 20.0), min_size=1, max_size=30))
def test_limits_run_out_at_most_a_grain_late_and_never_early(limits):
    async def world():
        shared = sweeper()
        return await asyncio.gather(*(bounded(shared.until(when), 60.0) for when in limits))

    for when, ended in zip(limits, run(world), strict=True):
        assert when <= ended <= when + GRAIN


def test_a_thousand_limits_have_one_timer():
    async def world():
        shared = Watched()
        tasks = [asyncio.create_task(bounded(shared.until(100.0 + number), 5.0)) for number in range(1000)]
        await asyncio.sleep(1.0)
        pending = shared.pending()
        await asyncio.gather(*tasks)
        return pending, len(shared.timers)

    assert run(world) == (1, 1)


def test_limits_that_run_out_close_together_are_swept_together():
    async def world():
        shared = Watched()
        await asyncio.gather(*(bounded(shared.until(1.0 + n / 100_000), 60.0) for n in range(1000)))
        return len(shared.timers)

    assert run(world) == 2


def test_an_earlier_limit_moves_the_timer():
    async def world():
        shared = Watched()
        ended = await asyncio.gather(bounded(shared.until(9.0), 60.0), bounded(shared.until(1.0), 60.0))
        return ended, shared.pending()

    assert run(world) == ([9.0, 1.0], 0)


def test_nothing_is_left_after_close():
    async def world():
        shared = Watched()
        with shared.until(60.0):
            shared.close()
            await asyncio.sleep(120.0)
        return shared.pending()

    assert run(world) == 0


def test_an_endless_limit_sets_no_timer_of_its_own():
    async def world():
        shared = Watched()
        forever = asyncio.create_task(bounded(shared.until(inf), 60.0))
        await bounded(shared.until(1.0), 5.0)
        pending = shared.pending()
        await forever
        return pending

    assert run(world) == 0


@frozen
class Block:
    """Sleeps before and after the block inside it, in seconds, all of it within a limit."""

    limit: float
    before: float
    after: float


Inside = Callable[[], Awaitable[None]]
Bounded = Callable[[float, Inside], Awaitable[bool]]

QUARTERS = st.integers(0, 40).map(lambda number: number / 4)
PROGRAMS = st.lists(st.builds(Block, QUARTERS, QUARTERS, QUARTERS), min_size=1, max_size=4)


def by_sweeper() -> Bounded:
    shared = sweeper()

    async def bounded(when: float, inside: Inside) -> bool:
        with shared.until(when) as limit:
            await inside()
        return limit.expired

    return bounded


def by_the_book() -> Bounded:
    async def bounded(when: float, inside: Inside) -> bool:
        try:
            async with asyncio.timeout_at(when):
                await inside()
        except TimeoutError:
            return True
        return False

    return bounded


async def walk(blocks: Sequence[Block], bounded: Bounded, log: list[tuple[bool, float]]) -> None:
    """Run nested blocks; say of each that was not cancelled whether its limit ended it, and when."""
    if not blocks:
        return

    async def inside() -> None:
        await asyncio.sleep(block.before)
        await walk(rest, bounded, log)
        await asyncio.sleep(block.after)

    block, *rest = blocks
    # Each depth has its own part of a quarter, so that no two things happen at the same moment.
    expired = await bounded(block.limit + (len(rest) + 1) / 32, inside)
    log.append((expired, now()))


@given(programs=st.lists(st.tuples(PROGRAMS, st.none() | QUARTERS), min_size=1, max_size=4))
def test_nested_limits_and_cancellations_end_as_those_of_asyncio_do(programs):
    def outcomes(make: Callable[[], Bounded]) -> list[tuple[bool, list[tuple[bool, float]]]]:
        async def world():
            loop, bounded = asyncio.get_running_loop(), make()
            logs: list[list[tuple[bool, float]]] = [[] for _ in programs]
            tasks: list[asyncio.Task[None]] = []
            for (blocks, cancelled), log in zip(programs, logs, strict=True):
                tasks.append(asyncio.create_task(walk(blocks, bounded, log)))
                if cancelled is not None:
                    loop.call_at(cancelled + 7 / 32, tasks[-1].cancel)
            await asyncio.wait(tasks)
            return [(task.cancelled(), log) for task, log in zip(tasks, logs, strict=True)]

        return run(world)

    assert outcomes(by_sweeper) == outcomes(by_the_book)


def test_a_limit_that_is_no_time_is_refused_and_stops_no_other_from_running_out():
    async def world():
        shared = sweeper()
        with pytest.raises(ConfigurationError, match="not nan"):
            await bounded(shared.until(nan), 60.0)
        earlier = asyncio.create_task(bounded(shared.until(1.0), 60.0))
        with pytest.raises(ConfigurationError, match="not nan"):
            await bounded(shared.until(nan), 60.0)
        return await asyncio.gather(earlier, bounded(shared.until(2.0), 60.0))

    assert run(world) == [1.0, 2.0]
