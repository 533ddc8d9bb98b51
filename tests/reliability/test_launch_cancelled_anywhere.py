"""A launch cancelled at every turn of the loop: nothing is held, left running or forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import pytest
from attrs import field, frozen

from gameye_async import AsyncGameye, CapacityError, RateLimitedError, RetryPolicy, Timeouts
from gameye_async.emulator import Fault
from tests.reliability.stage import EAST, WEST, Stage, new_request, stage
from tests.simulation.faults import BLACK_HOLE, ScriptedFaults
from tests.simulation.faults import Fault as NetworkFault
from tests.simulation.loop import run

RETRY = RetryPolicy(quiet=4.0)
# The longest attempt, then the quiet window, then the time after which an idle connection is closed.
SETTLING = 60.0

Preparation = Callable[[Stage], Awaitable[asyncio.Task[Any] | None]]


async def nothing(place: Stage) -> None:
    """The launch is the first of its client."""


async def take_the_only_place(place: Stage) -> asyncio.Task[Any]:
    """Another launch is under way, and the next has to queue."""
    return asyncio.create_task(place.gameye.launch(new_request(EAST)))


async def slow_down(place: Stage) -> None:
    """A refusal has lowered the rate, and the next launch has to wait for its turn."""
    with suppress(RateLimitedError):
        await place.gameye.launch(new_request(WEST), deadline=0.5)


async def fill_up(place: Stage) -> None:
    """All locations are closed for a while."""
    for _ in range(3):
        with suppress(CapacityError):
            await place.gameye.launch(new_request(WEST, EAST), deadline=0.5)
    place.world.set_capacity(WEST, 1)


@frozen
class Plot:
    """What happens to a launch.

    Attributes:
        faults: What goes wrong at the API.
        answers: What goes wrong on the way back.
        options: Of the world.
        client: Of the client.
        prepare: What comes before, and another launch that is to be left in peace.
    """

    faults: tuple[Fault, ...] = ()
    answers: tuple[NetworkFault, ...] = ()
    options: Mapping[str, Any] = field(factory=dict)
    client: Mapping[str, Any] = field(factory=dict)
    prepare: Preparation = nothing


SLOW = Fault("latency", operation="session-run", seconds=0.2)
PLOTS = {
    "it works": Plot(),
    "one location is full": Plot(options={"locations": {WEST: 0, EAST: 1}}),
    "the answer is lost": Plot((Fault("cut_after_commit", operation="session-run", count=1),)),
    "the request is lost": Plot((Fault("cut_before_commit", operation="session-run", count=1),)),
    "the answer is spoilt": Plot((Fault("not_json", operation="session-run", count=1),)),
    "no answer comes": Plot(answers=(BLACK_HOLE,)),
    "it has to queue": Plot((SLOW,), client={"max_concurrency": 1}, prepare=take_the_only_place),
    "it has to slow down": Plot((Fault("refuse", status=429, count=1),), prepare=slow_down),
    "its locations are closed": Plot(options={"locations": {WEST: 0, EAST: 0}}, prepare=fill_up),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_a_launch_cancelled_at_any_turn_leaves_nothing_behind(plot):
    def is_cancelled(turn: int) -> bool:
        return run(partial(is_cancelled_in_time, PLOTS[plot], turn), max_time=3_600.0)

    assert next(turn for turn in count() if not is_cancelled(turn)) > 5


async def is_cancelled_in_time(plot: Plot, turn: int) -> bool:
    """Cancel a launch before a turn of the loop and check what is left; False when it was over before."""
    client = {"retry": RETRY} | dict(plot.client)
    plan = ScriptedFaults(responses=plot.answers)
    async with stage(*plot.faults, plan=plan, client=client, **plot.options) as place:
        other = await plot.prepare(place)
        call = asyncio.create_task(place.gameye.launch(new_request(WEST, EAST), deadline=120.0))
        cancelled_at: list[float] = []
        before_turn(turn, lambda: call.cancel() and cancelled_at.append(place.now))
        await asyncio.wait([call])
        # The caller is let go within one step, whatever goes on behind it.
        assert not call.cancelled() or cancelled_at == [place.now]
        owned = {task.result().id for task in (call, other) if task and await is_delivered(task)}
        await place.wait(SETTLING)
        assert {session.id for session in place.world.live} == owned
        assert place.network.stats.open == 0
        assert_at_rest(place.gameye)
    assert not place.orphans
    return call.cancelled()


def cancel_nobody(call: asyncio.Task[Any], closing: asyncio.Task[None]) -> None:
    """The client is closed, and that is all."""


def cancel_the_launch(call: asyncio.Task[Any], _: asyncio.Task[None]) -> None:
    call.cancel()


def cancel_both(call: asyncio.Task[Any], closing: asyncio.Task[None]) -> None:
    """As a task group does that holds both, when the closing has just begun."""
    for task in (call, closing):
        asyncio.get_running_loop().call_soon(task.cancel)


@pytest.mark.parametrize(
    ("grace", "interrupt"),
    [(0.0, cancel_nobody), (0.0, cancel_the_launch), (1.0, cancel_both)],
    ids=["before its client", "at once", "with the closing"],
)
@pytest.mark.parametrize("plot", PLOTS)
def test_a_client_closed_at_any_turn_leaves_nothing_unreported(plot, grace, interrupt):
    """Without any grace, and also when the launch, or the closing itself, is cancelled in the same moment."""

    def is_closed(turn: int) -> bool:
        return run(partial(is_closed_in_time, PLOTS[plot], turn, grace, interrupt), max_time=3_600.0)

    assert next(turn for turn in count() if not is_closed(turn)) > 5


async def is_closed_in_time(
    plot: Plot,
    turn: int,
    grace: float,
    interrupt: Callable[[asyncio.Task[Any], asyncio.Task[None]], None],
) -> bool:
    """Close the client before a turn of the loop and check what is left; False when the launch was over."""
    client = {"retry": RETRY, "timeouts": Timeouts(close=grace)} | dict(plot.client)
    plan = ScriptedFaults(responses=plot.answers)
    async with stage(*plot.faults, plan=plan, client=client, **plot.options) as place:
        other = await plot.prepare(place)
        call = asyncio.create_task(place.gameye.launch(new_request(WEST, EAST), deadline=120.0))
        closings: list[asyncio.Task[None]] = []

        def close() -> None:
            if not call.done():
                closings.append(asyncio.create_task(place.gameye.aclose()))
                interrupt(call, closings[0])

        before_turn(turn, close)
        await asyncio.wait([call, *filter(None, [other])])
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*closings)
        delivered = {task.result().id for task in (call, other) if task and has_session(task)}
        await place.wait(SETTLING)
        reported = {orphan.session_id for orphan in place.orphans}
        assert {session.id for session in place.world.live} - delivered <= reported
        assert place.network.stats.open == 0
        assert_at_rest(place.gameye)
    return bool(closings)


def has_session(call: asyncio.Task[Any]) -> bool:
    return not call.cancelled() and call.exception() is None


async def is_delivered(call: asyncio.Task[Any]) -> bool:
    await asyncio.wait([call])
    return not call.cancelled()


def before_turn(turn: int, callback: Callable[[], object]) -> None:
    """Have something done before a turn of the running loop, counted from the next one."""
    loop: Any = asyncio.get_running_loop()
    run_once, left = loop._run_once, turn  # noqa: SLF001  -- no public hook tells the turns of a loop

    def run_one_more() -> None:
        nonlocal left
        if left == 0:
            callback()
        left -= 1
        run_once()

    loop._run_once = run_one_more  # noqa: SLF001  -- likewise


def assert_at_rest(gameye: AsyncGameye) -> None:
    core = gameye._cores[0]  # noqa: SLF001  -- only they know what is held
    assert core.launcher.admission.queue.in_flight == 0
    assert core.caller.control._value == core.caller.control_concurrency  # noqa: SLF001  -- likewise
    assert not core.supervisor._tasks  # noqa: SLF001  -- likewise
    stats = gameye.stats
    assert (stats.in_flight, stats.queued, stats.backing_off) == (0, 0, 0)
