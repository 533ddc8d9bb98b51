"""The simulated clock: time jumps, and worlds that hang, spin or leak are told apart from those that end."""

import asyncio
import time

import pytest

from tests.simulation.loop import (
    DeadlockError,
    LeakedTasksError,
    LivelockError,
    SimulationError,
    UnhandledError,
    run,
)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_time_jumps_to_the_next_timer():
    """An hour of sleep takes no real time and ends exactly when it should."""

    async def world():
        await asyncio.sleep(3600.0)
        return now()

    began = time.monotonic()
    assert run(world, start=0.5) == 3600.5
    assert time.monotonic() - began < 1.0


def test_timers_for_one_moment_keep_their_order():
    async def world():
        order: list[int] = []
        for number in range(50):
            asyncio.get_running_loop().call_at(7.0, order.append, number)
        await asyncio.sleep(8.0)
        return order

    assert run(world) == list(range(50))


def test_timeouts_and_task_groups_work_in_virtual_time():
    async def world():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(2.0))
            group.create_task(asyncio.sleep(3.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60.0), 4.0)
        return now()

    assert run(world) == 7.0


def test_a_cancelled_timer_does_not_move_the_clock():
    async def world():
        loop = asyncio.get_running_loop()
        loop.call_later(100.0, print).cancel()
        await loop.create_future()

    with pytest.raises(DeadlockError, match=r"t=0\.0"):
        run(world)


def test_a_deadlock_is_reported_with_the_tasks_that_wait():
    async def wait_for_nobody():
        await asyncio.get_running_loop().create_future()

    async def world():
        await asyncio.create_task(wait_for_nobody())

    with pytest.raises(DeadlockError, match=r"t=0\.0(?s:.*)wait_for_nobody"):
        run(world)


def test_a_world_that_spins_is_stopped():
    async def world():
        def spin() -> None:
            loop.call_soon(spin)

        loop = asyncio.get_running_loop()
        spin()
        await loop.create_future()

    with pytest.raises(LivelockError, match="1000 steps"):
        run(world, max_steps=1000)


def test_a_world_that_never_ends_is_stopped():
    async def world():
        def tick() -> None:
            loop.call_later(60.0, tick)

        loop = asyncio.get_running_loop()
        tick()
        await loop.create_future()

    with pytest.raises(LivelockError, match="virtual seconds"):
        run(world, max_time=3600.0)


def test_a_task_left_behind_is_reported_and_cancelled():
    cancelled: list[float] = []

    async def linger():
        try:
            await asyncio.sleep(60.0)
        finally:
            cancelled.append(now())

    async def world():
        task = asyncio.create_task(linger())
        await asyncio.sleep(1.0)
        return task

    with pytest.raises(LeakedTasksError, match="linger"):
        run(world)
    assert run(world, allow_leaks=True).cancelled()
    assert cancelled == [1.0, 1.0]


def test_a_task_that_ends_in_the_last_moment_is_no_leak():
    async def world():
        return asyncio.create_task(asyncio.sleep(0, "done"))

    assert run(world).result() == "done"


def test_an_exception_that_nobody_looked_at_fails_the_world():
    async def world():
        asyncio.get_running_loop().call_soon(int, "seven")
        await asyncio.sleep(1.0)

    with pytest.raises(UnhandledError) as caught:
        run(world)
    assert isinstance(caught.value.__cause__, ValueError)


def test_the_exception_of_the_world_is_raised_as_it_is():
    async def world():
        asyncio.create_task(asyncio.sleep(60.0))  # noqa: RUF006  -- left behind on purpose
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run(world)


def test_threads_run_at_once():
    async def world():
        return await asyncio.to_thread(lambda: 6 * 7), now()

    assert run(world) == (42, 0.0)


def test_real_connections_are_refused():
    async def world():
        await asyncio.open_connection("203.0.113.7", 80)

    with pytest.raises(SimulationError, match="no sockets"):
        run(world)
