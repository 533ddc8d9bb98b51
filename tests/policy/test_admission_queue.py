"""The queue in front of the network: bounded, fair, and whole whatever is cancelled when."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from math import inf
from random import Random

import pytest
from attrs import Factory, define
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async._admission_queue import AdmissionQueue, SharedAdmissionQueue
from gameye_async._pacing import AdaptiveRate, LocationGates
from gameye_async.settings import Pacing
from tests.simulation.loop import SimLoop, run

EAST, WEST = "eu-east", "eu-west"


def admission_queue(limit: int = 1000, **pacing: float) -> AdmissionQueue:
    """A queue on the running loop."""
    settings = Pacing(**pacing)
    clock = asyncio.get_running_loop().time
    return AdmissionQueue(limit, LocationGates(settings, Random(0)), AdaptiveRate(settings), clock)


def refuse(queue: AdmissionQueue) -> None:
    """Have the rate lowered."""
    now = queue.clock()
    queue.rate.refused(now, sent=now)


def close(queue: AdmissionQueue, location: str = WEST) -> float:
    """Have a location refuse until it is closed; for how long it is."""
    now = queue.clock()
    for _ in range(queue.gates.pacing.gate_after):
        queue.refused(location, now)
    return queue.gates.wait([location], now)


async def enter(queue: AdmissionQueue, locations: Sequence[str] = (WEST,)) -> str:
    """Go in as a launch does."""
    return queue.enter_now(locations, queue.clock()) or await queue.enter(locations)


@define(eq=False)
class Visit:
    """One launch.

    Attributes:
        locations: Where it may go.
        task: It goes in and, when it is told to, out.
        inside: Where and since when it is inside.
        is_accepted: Whether its location accepts it, as soon as that is known.
    """

    locations: tuple[str, ...]
    task: asyncio.Task[None]
    inside: tuple[str, float] | None = None
    is_accepted: asyncio.Future[bool] = Factory(asyncio.Future)


class QueueMachine(RuleBasedStateMachine):
    """Launches come, go, are refused and cancelled at any moment, also when they are just let in."""

    def __init__(self):
        super().__init__()
        self.loop = SimLoop()
        self.visits: list[Visit] = []
        self.admitted: list[Visit] = []
        self.sent: list[tuple[float, float]] = []

    @initialize(limit=st.integers(1, 3) | st.integers(1, 30))
    def open(self, limit: int):
        settings = Pacing()
        gates, self.rate = LocationGates(settings, Random(0)), AdaptiveRate(settings)
        self.queue = AdmissionQueue(limit, gates, self.rate, self.loop.time)

    async def visit(self, number: int):
        visit, rate = self.visits[number], self.rate.rate
        location = self.queue.enter_now(visit.locations, self.loop.time())
        if location is None:
            location = await self.queue.enter(visit.locations)
            rate = self.rate.rate
        since = self.loop.time()
        visit.inside = location, since
        self.admitted.append(visit)
        self.sent.append((since, rate))
        is_accepted = False
        try:
            is_accepted = await visit.is_accepted
        finally:
            self.queue.leave(location, since)
        if is_accepted:
            self.queue.accepted(location, self.loop.time())
        else:
            self.queue.refused(location, self.loop.time())

    def live(self) -> list[Visit]:
        return [visit for visit in self.visits if not visit.task.done()]

    def inside(self) -> list[Visit]:
        return [visit for visit in self.live() if visit.inside]

    def waiting(self) -> list[Visit]:
        return [visit for visit in self.live() if not visit.inside]

    @rule(count=st.integers(1, 10), locations=st.sampled_from([(WEST,), (EAST,), (WEST, EAST)]))
    def arrive(self, count: int, locations: tuple[str, ...]):
        for number in range(len(self.visits), len(self.visits) + count):
            answer = self.loop.create_future()
            self.visits.append(Visit(locations, self.loop.create_task(self.visit(number)), None, answer))

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject):
        data.draw(st.sampled_from(self.live())).task.cancel()

    @precondition(lambda self: self.inside())
    @rule(data=st.data(), is_accepted=st.booleans())
    def answer(self, data: st.DataObject, *, is_accepted: bool):
        answer = data.draw(st.sampled_from(self.inside())).is_accepted
        if not answer.done():
            answer.set_result(is_accepted)

    @rule()
    def settle(self):
        self.loop.settle()

    @rule()
    def throttle(self):
        self.rate.refused(self.loop.time(), self.loop.time())

    @rule(location=st.sampled_from([WEST, EAST]))
    def fill_up(self, location: str):
        """A location refuses often enough to be closed, unless it accepts as well."""
        for _ in range(self.queue.gates.pacing.gate_after):
            self.loop.call_soon(self.queue.refused, location, self.loop.time())
        self.loop.settle()

    @rule(seconds=st.floats(0.0, 3.0))
    def pass_time(self, seconds: float):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule()
    def pass_enough_time(self):
        """As long as a location is closed, and as a turn takes at the lowest rate for each who waits."""
        self.loop.run_until_complete(asyncio.sleep(1.5 * Pacing().gate_cap))
        for _ in self.waiting():
            self.loop.run_until_complete(asyncio.sleep(1.0 / Pacing().floor))
        self.loop.settle()
        now, gates = self.loop.time(), self.queue.gates
        assert self.queue.in_flight == len(self.inside())
        assert self.queue.queued + self.queue.shut_out == len(self.waiting())
        # Whoever still waits has no place, or each of its locations is just tried by another launch.
        for visit in self.waiting():
            assert self.queue.in_flight == self.queue.limit or gates.wait(visit.locations, now) == inf

    @invariant()
    def never_above_the_limit(self):
        assert 0 <= self.queue.in_flight <= self.queue.limit

    @invariant()
    def first_come_first_served(self):
        """Among those that may go to the same locations."""
        for locations in {visit.locations for visit in self.admitted}:
            alike = [self.visits.index(visit) for visit in self.admitted if visit.locations == locations]
            assert alike == sorted(alike)

    @invariant()
    def never_faster_than_the_rate(self):
        for (earlier, _), (later, rate) in zip(self.sent, self.sent[1:], strict=False):
            assert later - earlier >= 1.0 / rate - 1e-9

    def teardown(self):
        for visit in self.live():
            visit.task.cancel()
        self.loop.settle()
        assert (self.queue.in_flight, self.queue.queued, self.queue.shut_out) == (0, 0, 0)
        self.loop.shut_down()


TestQueue = QueueMachine.TestCase


def test_a_launch_that_is_cancelled_as_it_is_let_in_passes_all_of_it_on():
    """Its place, and the try of a location that was closed."""

    async def world():
        queue = admission_queue(limit=1)
        await asyncio.sleep(close(queue))
        assert await enter(queue) == WEST
        first, second = (asyncio.create_task(enter(queue)) for _ in range(2))
        await asyncio.sleep(0)
        queue.leave(WEST, queue.clock())
        asyncio.get_running_loop().call_soon(first.cancel)
        await second
        return first.cancelled(), queue.in_flight, queue.queued

    assert run(world) == (True, 1, 0)


def test_a_refusal_slows_those_down_that_wait_already():
    """A launch that would have gone after 2 seconds goes 2 seconds after the second refusal."""

    async def world():
        queue = admission_queue(floor=0.5)
        refuse(queue)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(1.5)
        refuse(queue)
        await waiting
        return queue.clock()

    assert run(world) == 3.5


def test_an_acceptance_speeds_those_up_that_wait_already():
    """It would have gone after 10 seconds; at 20 launches a second, it goes as soon as that is known."""

    async def world():
        queue = admission_queue(floor=0.1)
        refuse(queue)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(5.0)
        for _ in range(10):
            queue.accepted(EAST, queue.clock())
        await waiting
        return queue.clock()

    assert run(world) == 5.0


def test_a_newcomer_does_not_overtake_when_the_head_of_the_queue_is_cancelled_as_its_turn_comes():
    async def world():
        loop, queue = asyncio.get_running_loop(), admission_queue()
        refuse(queue)
        turns: list[str] = []

        async def launch(name: str):
            await enter(queue)
            turns.append(name)

        head = asyncio.create_task(launch("head"))
        others = [asyncio.create_task(launch("second"))]
        await asyncio.sleep(0)
        loop.call_at(2.0, head.cancel)
        loop.call_at(2.0, lambda: others.append(asyncio.create_task(launch("newcomer"))))
        await asyncio.sleep(2.5)
        await asyncio.gather(*others)
        return turns

    assert run(world) == ["second", "newcomer"]


def test_a_launch_that_gave_up_waiting_is_in_nobodys_way():
    async def world():
        queue = admission_queue()
        refuse(queue)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.sleep(1.0)
        await enter(queue)
        return queue.clock()

    assert run(world) == 2.0


def test_launches_for_a_closed_location_hold_nobody_up():
    """Not at the rate either: their turns are for those who can use them."""

    async def world():
        queue = admission_queue(floor=0.5)
        shut = close(queue, WEST)
        refuse(queue)
        closed = [asyncio.create_task(enter(queue)) for _ in range(100)]
        other = asyncio.create_task(enter(queue, (EAST,)))
        await other
        counts = queue.shut_out, queue.queued
        for task in closed:
            task.cancel()
        return queue.clock(), shut, counts

    at, shut, counts = run(world)
    assert at == 2.0 < shut
    assert counts == (100, 0)


def test_a_launch_goes_where_a_location_opens_first():
    async def world():
        queue = admission_queue(gate_base=8.0, gate_cap=8.0)
        longest = max((close(queue, location), location) for location in (EAST, WEST))
        (location,) = {EAST, WEST} - {longest[1]}
        return await enter(queue, (longest[1], location)) == location, queue.clock() < longest[0]

    assert run(world) == (True, True)


def test_those_that_waited_for_a_location_go_before_a_newcomer():
    async def world():
        queue = admission_queue()
        shut, order = close(queue), []

        async def launch(name: str):
            location = await enter(queue)
            order.append(name)
            queue.leave(location, queue.clock())

        launches = [asyncio.create_task(launch(name)) for name in "ab"]
        await asyncio.sleep(shut)
        await asyncio.gather(*launches, launch("newcomer"))
        return order

    assert run(world) == ["a", "b", "newcomer"]


def test_a_location_that_opens_again_is_tried_by_one_then_four_then_sixteen():
    async def world():
        queue = admission_queue()
        shut = close(queue)
        launches = [asyncio.create_task(enter(queue)) for _ in range(200)]
        await asyncio.sleep(shut)
        waves: list[int] = []
        while not all(launch.done() for launch in launches):
            await asyncio.sleep(0.5)
            waves.append(queue.in_flight)
            while queue.in_flight:
                queue.leave(WEST, queue.clock())
                queue.accepted(WEST, queue.clock())
        return waves

    assert run(world) == [1, 4, 16, 179]


@pytest.mark.parametrize("count", [100, 1000])
def test_launches_that_wait_cost_nothing(count):
    """However many there are for a location that is closed for 2 seconds, and then tried for 10."""

    async def world():
        looks = 0
        queue, clock = admission_queue(), asyncio.get_running_loop().time

        def looking() -> float:
            nonlocal looks
            looks += 1
            return clock()

        queue.clock = looking
        close(queue)
        waiting = [asyncio.create_task(queue.enter((WEST,))) for _ in range(count)]
        await asyncio.sleep(12.0)
        seen, inside = looks, queue.in_flight
        for task in waiting:
            task.cancel()
        return seen, inside

    looks, inside = run(world)
    assert (looks < 10, inside) == (True, 1)


async def starts(queue: AdmissionQueue, count: int) -> list[float]:
    """When so many launches that arrive at once start; they leave together, in the end."""

    async def launch() -> float:
        await enter(queue)
        return queue.clock()

    began = await asyncio.gather(*(launch() for _ in range(count)))
    for _ in range(count):
        queue.leave(WEST, queue.clock())
    return began


def test_launches_that_need_connections_start_eight_in_two_milliseconds():
    async def world():
        return await starts(admission_queue(limit=100), 20)

    assert Counter(run(world)) == {0.0: 8, 0.002: 8, 0.004: 4}


@pytest.mark.parametrize(("count", "ticks"), [(64, [64]), (100, [36, 64])])
def test_launches_that_find_connections_start_sixty_four_in_two_milliseconds(count, ticks):
    async def world():
        queue = admission_queue(limit=100)
        await starts(queue, count)
        await asyncio.sleep(5.0)
        return await starts(queue, count)

    assert sorted(Counter(run(world)).values()) == ticks


def test_a_pool_that_is_used_in_time_keeps_its_connections():
    async def world():
        queue = admission_queue(limit=100)
        for _ in range(3):
            began = await starts(queue, 100)
            await asyncio.sleep(10.0)
        return began

    assert sorted(Counter(run(world)).values()) == [36, 64]


def test_a_pool_that_was_idle_for_long_has_no_connections_left():
    async def world():
        queue = admission_queue(limit=100)
        await starts(queue, 100)
        await asyncio.sleep(20.0)
        return await starts(queue, 20)

    assert sorted(Counter(run(world)).values()) == [4, 8, 8]


def test_a_newcomer_does_not_overtake_those_that_wait_for_the_next_tick():
    async def world():
        queue = admission_queue(limit=100)
        let_in: list[str | None] = []
        asyncio.get_running_loop().call_at(
            0.002, lambda: let_in.append(queue.enter_now((WEST,), queue.clock()))
        )
        await starts(queue, 20)
        return let_in

    assert run(world) == [None]


def test_a_newcomer_waits_behind_those_for_whom_a_place_is_free_now():
    async def world():
        queue = admission_queue(limit=1)
        await enter(queue)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(0)
        queue.leave(WEST, queue.clock())
        overtakes = queue.enter_now((WEST,), queue.clock())
        await waiting
        return overtakes

    assert run(world) is None


@define
class Turnstile:
    """A shared gate that lets one launch through every `every` seconds; remembers how many asked at once."""

    every: float
    asking: int = 0
    busiest: int = 0
    error: Exception | None = None

    async def turn(self) -> None:
        self.asking += 1
        self.busiest = max(self.busiest, self.asking)
        try:
            await asyncio.sleep(self.every)
        finally:
            self.asking -= 1
        error, self.error = self.error, None
        if error is not None:
            raise error

    async def aclose(self) -> None:
        pass


def shared(gate: Turnstile, limit: int = 1000, **pacing: float) -> SharedAdmissionQueue:
    """A queue on the running loop, whose rate others keep to as well."""
    loop, settings = asyncio.get_running_loop(), Pacing(**pacing)
    gates = LocationGates(settings, Random(0))
    return SharedAdmissionQueue(
        limit,
        gates,
        AdaptiveRate(settings),
        loop.time,
        gate,
        lambda work, context: loop.create_task(work, context=context),
    )


async def gone(queue: AdmissionQueue, name: str, went: list[tuple[str, float]]) -> None:
    """Launch as a client does; say who went when."""
    await enter(queue)
    went.append((name, queue.clock()))


def test_a_shared_gate_is_asked_for_one_launch_at_a_time_in_the_order_of_arrival():
    """Also for those that arrive while it is being asked."""

    async def world():
        gate = Turnstile(2.0)
        queue = shared(gate)
        went: list[tuple[str, float]] = []
        launches = [asyncio.create_task(gone(queue, name, went)) for name in ("first", "second")]
        await asyncio.sleep(1.0)
        launches.append(asyncio.create_task(gone(queue, "newcomer", went)))
        await asyncio.gather(*launches)
        return went, gate.busiest

    assert run(world) == ([("first", 2.0), ("second", 4.0), ("newcomer", 6.0)], 1)


def test_the_turn_of_a_launch_that_gave_up_is_for_the_next_one():
    """Nobody else's launch had it, so it would be lost for all processes."""

    async def world():
        queue = shared(Turnstile(2.0))
        went: list[tuple[str, float]] = []
        head, second, third = (asyncio.create_task(gone(queue, name, went)) for name in ("1", "2", "3"))
        loop = asyncio.get_running_loop()
        loop.call_at(0.5, second.cancel)
        loop.call_at(1.0, head.cancel)
        await third
        return head.cancelled(), second.cancelled(), went

    assert run(world) == (True, True, [("3", 2.0)])


def test_a_turn_that_comes_when_nobody_waits_any_more_is_kept():
    async def world():
        queue = shared(Turnstile(2.0))
        alone = asyncio.create_task(enter(queue))
        await asyncio.sleep(1.0)
        alone.cancel()
        await asyncio.sleep(9.0)
        await enter(queue)
        kept = queue.clock()
        await enter(queue)
        return kept, queue.clock()

    assert run(world) == (10.0, 12.0)


def test_a_turn_that_none_of_the_closed_locations_can_use_is_for_another_one():
    async def world():
        queue = shared(Turnstile(1.0), gate_base=60.0, gate_cap=60.0)
        close(queue, WEST)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(5.0)
        await enter(queue, (EAST,))
        waiting.cancel()
        return queue.clock()

    assert run(world) == 5.0


def test_the_adaptive_rate_counts_before_a_shared_gate_as_well():
    """The gate would let four a second through, and the refusals allow one in two."""

    async def world():
        queue = shared(Turnstile(0.25), floor=0.5)
        refuse(queue)
        went: list[tuple[str, float]] = []
        await asyncio.gather(*(gone(queue, name, went) for name in "123"))
        return went

    assert run(world) == [("1", 2.25), ("2", 4.5), ("3", 6.75)]


def test_no_turn_is_asked_for_while_there_is_no_place():
    """Others could use it meanwhile."""

    async def world():
        gate = Turnstile(1.0)
        queue = shared(gate, limit=1)
        await enter(queue)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(5.0)
        asking = gate.asking
        queue.leave(WEST, queue.clock())
        await waiting
        return asking, queue.clock()

    assert run(world) == (0, 7.0)


def test_a_shared_gate_that_fails_fails_the_launch_whose_turn_it_was():
    async def world():
        queue = shared(Turnstile(1.0, error=ValueError("no token")))
        head, second = (asyncio.create_task(enter(queue)) for _ in range(2))
        await asyncio.wait([head, second])
        return str(head.exception()), second.result(), queue.clock(), queue.in_flight

    assert run(world) == ("no token", WEST, 2.0, 1)


def test_a_shared_gate_that_fails_when_nobody_waits_any_more_fails_nobody():
    async def world():
        queue = shared(Turnstile(1.0, error=ValueError("no token")))
        gone_away = [asyncio.create_task(enter(queue)) for _ in range(2)]
        await asyncio.sleep(0.5)
        for launch in gone_away:
            launch.cancel()
        await asyncio.sleep(1.0)
        await enter(queue)
        return queue.clock()

    assert run(world) == 2.5


def test_a_launch_that_is_cancelled_as_the_shared_gate_fails_is_cancelled():
    async def world():
        queue = shared(Turnstile(1.0, error=ValueError("no token")))
        launch = asyncio.create_task(enter(queue))
        for _turn in range(3):
            await asyncio.sleep(0)
        assert queue.gate.asking
        # Begun after the gate's, it ends after it.
        await asyncio.sleep(1.0)
        launch.cancel()
        await asyncio.wait([launch])
        return launch.cancelled(), queue.in_flight

    assert run(world) == (True, 0)


def test_a_shared_gate_is_asked_in_nobodys_name():
    """The turn may be for another launch than the one that happened to be there."""
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")

    @define
    class Witness(Turnstile):
        seen: str = ""

        async def turn(self) -> None:
            self.seen = tenant.get()

    async def world():
        witness = Witness(0.0)
        tenant.set("studio")
        await enter(shared(witness))
        return witness.seen

    assert run(world) == "nobody"


def test_a_closed_queue_asks_for_no_turn_any_more():
    async def world():
        gate = Turnstile(inf)
        queue = shared(gate)
        waiting = asyncio.create_task(enter(queue))
        await asyncio.sleep(1.0)
        asking = gate.asking
        queue.close()
        waiting.cancel()
        await asyncio.sleep(0)
        queue.close()
        return asking, gate.asking

    assert run(world) == (1, 0)
