"""The queues in front of the network: bounded, fair, and whole whatever is cancelled when."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from attrs import Factory, define
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gameye_async._limiter import Lane, Pace, SharedPace
from gameye_async._pacing import AdaptiveRate
from gameye_async.settings import Pacing
from tests.simulation.loop import SimLoop, run


@define(eq=False)
class Visit:
    """One launch in a queue; numbers follow the order of arrival."""

    number: int
    task: asyncio.Task[None]
    inside: bool = False
    go: asyncio.Event = Factory(asyncio.Event)


class Crowd(RuleBasedStateMachine):
    """Launches come and are cancelled at any moment, also between being let in and noticing it."""

    def __init__(self):
        super().__init__()
        self.loop = SimLoop()
        self.visits: list[Visit] = []
        self.admitted: list[int] = []

    def teardown(self):
        self.loop.shut_down()

    async def visit(self, number: int):
        raise NotImplementedError

    def live(self) -> list[Visit]:
        return [visit for visit in self.visits if not visit.task.done()]

    def waiting(self) -> list[Visit]:
        return [visit for visit in self.live() if not visit.inside]

    def enter(self, number: int) -> Visit:
        visit = self.visits[number]
        visit.inside = True
        self.admitted.append(number)
        return visit

    @rule(count=st.integers(1, 10))
    def arrive(self, count: int):
        for number in range(len(self.visits), len(self.visits) + count):
            self.visits.append(Visit(number, self.loop.create_task(self.visit(number))))

    @precondition(lambda self: self.live())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject):
        data.draw(st.sampled_from(self.live())).task.cancel()

    @rule()
    def settle(self):
        self.loop.settle()

    @invariant()
    def first_come_first_served(self):
        assert self.admitted == sorted(self.admitted)


class LaneMachine(Crowd):
    @initialize(limit=st.integers(1, 3) | st.integers(1, 30), clock=st.sampled_from([None, SimLoop.time]))
    def open(self, limit: int, clock: Callable[[SimLoop], float] | None):
        self.lane = Lane(limit, None if clock is None else partial(clock, self.loop))

    async def visit(self, number: int):
        if not self.lane.enter_now():
            await self.lane.enter()
        try:
            await self.enter(number).go.wait()
        finally:
            self.lane.leave()

    @precondition(lambda self: any(visit.inside for visit in self.live()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject):
        data.draw(st.sampled_from([visit for visit in self.live() if visit.inside])).go.set()

    @rule()
    def pass_time(self):
        """All that the spreading of starts puts off has been let in."""
        self.loop.run_until_complete(asyncio.sleep(1.0))
        self.loop.settle()
        assert self.lane.in_flight == min(self.lane.limit, len(self.live()))
        assert self.lane.queued == len(self.waiting())

    @invariant()
    def never_above_the_limit(self):
        assert 0 <= self.lane.in_flight <= self.lane.limit

    def teardown(self):
        for visit in self.live():
            visit.task.cancel()
        self.loop.settle()
        assert (self.lane.in_flight, self.lane.queued) == (0, 0)
        super().teardown()


class PaceMachine(Crowd):
    @initialize()
    def open(self):
        self.pace = Pace(AdaptiveRate(Pacing()), self.loop.time)
        self.sent: list[tuple[float, float]] = []

    async def visit(self, number: int):
        if not self.pace.turn_now(self.loop.time()):
            await self.pace.turn()
        self.enter(number)
        self.sent.append((self.loop.time(), self.pace.rate.rate))

    @rule()
    def refuse(self):
        self.pace.rate.refused(self.loop.time(), self.loop.time())

    @rule()
    def accept(self):
        self.pace.rate.accepted(self.loop.time())

    @rule(seconds=st.floats(0.0, 3.0))
    def pass_time(self, seconds: float):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule()
    def settle(self):
        self.loop.settle()
        assert self.pace.rate.wait(self.loop.time()) > 0.0 or not self.waiting()

    @invariant()
    def never_faster_than_the_rate(self):
        for (earlier, rate), (later, _) in zip(self.sent, self.sent[1:], strict=False):
            assert later - earlier >= 1.0 / rate - 1e-9

    def teardown(self):
        """However many were cancelled, each of the others gets its turn in time."""
        floor = self.pace.rate.pacing.floor
        for _ in self.waiting():
            self.loop.run_until_complete(asyncio.sleep(1.0 / floor))
        self.loop.settle()
        assert not self.live()
        super().teardown()


TestLane = LaneMachine.TestCase
TestPace = PaceMachine.TestCase


def test_a_launch_that_is_cancelled_as_it_is_let_in_passes_its_place_on():
    async def world():
        lane = Lane(1)
        await lane.enter()
        first, second = (asyncio.create_task(lane.enter()) for _ in range(2))
        await asyncio.sleep(0)
        lane.leave()
        first.cancel()
        await second
        return first.cancelled(), lane.in_flight, lane.queued

    assert run(world) == (True, 1, 0)


def test_a_refusal_slows_those_down_that_wait_already():
    """A launch that would have gone after 2 seconds goes 2 seconds after the second refusal."""

    async def world():
        loop = asyncio.get_running_loop()
        pace = Pace(AdaptiveRate(Pacing(floor=0.5)), loop.time)
        pace.rate.refused(0.0, sent=0.0)
        waiting = asyncio.create_task(pace.turn())
        await asyncio.sleep(1.5)
        pace.rate.refused(1.5, sent=1.0)
        await waiting
        return loop.time()

    assert run(world) == 3.5


def test_a_newcomer_does_not_overtake_when_the_head_of_the_queue_is_cancelled_as_its_turn_comes():
    async def world():
        loop = asyncio.get_running_loop()
        pace = Pace(AdaptiveRate(Pacing()), loop.time)
        pace.rate.refused(0.0, sent=0.0)
        turns: list[str] = []

        async def launch(name: str):
            if not pace.turn_now(asyncio.get_running_loop().time()):
                await pace.turn()
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


def test_only_the_head_of_the_queue_looks_at_the_clock():
    """A hundred launches that wait cost a few looks each, and not a hundred."""

    async def world():
        loop = asyncio.get_running_loop()
        looks = 0

        def clock() -> float:
            nonlocal looks
            looks += 1
            return loop.time()

        pace = Pace(AdaptiveRate(Pacing()), clock)
        pace.rate.refused(0.0, sent=0.0)
        await asyncio.gather(*(pace.turn() for _ in range(100)))
        return looks

    assert run(world) <= 300


async def starts(lane: Lane, count: int) -> list[float]:
    """When so many launches that arrive at once start; they leave together, in the end."""

    async def launch() -> float:
        if not lane.enter_now():
            await lane.enter()
        return asyncio.get_running_loop().time()

    began = await asyncio.gather(*(launch() for _ in range(count)))
    for _ in range(count):
        lane.leave()
    return began


def test_launches_that_need_connections_start_eight_in_two_milliseconds():
    async def world():
        return await starts(Lane(100, asyncio.get_running_loop().time), 20)

    assert Counter(run(world)) == {0.0: 8, 0.002: 8, 0.004: 4}


def test_launches_that_find_connections_start_sixty_four_in_two_milliseconds():
    async def world():
        lane = Lane(100, asyncio.get_running_loop().time)
        await starts(lane, 100)
        await asyncio.sleep(5.0)
        return await starts(lane, 100)

    assert sorted(Counter(run(world)).values()) == [36, 64]


def test_a_pool_that_was_idle_for_long_has_no_connections_left():
    async def world():
        lane = Lane(100, asyncio.get_running_loop().time)
        await starts(lane, 100)
        await asyncio.sleep(20.0)
        return await starts(lane, 20)

    assert sorted(Counter(run(world)).values()) == [4, 8, 8]


def test_a_newcomer_does_not_overtake_those_that_wait_for_the_next_tick():
    async def world():
        loop = asyncio.get_running_loop()
        lane = Lane(100, loop.time)
        let_in: list[bool] = []
        loop.call_at(0.002, lambda: let_in.append(lane.enter_now()))
        await starts(lane, 20)
        return let_in

    assert run(world) == [False]


def test_a_launch_that_gave_up_waiting_is_in_nobodys_way():
    async def world():
        pace = Pace(AdaptiveRate(Pacing()), asyncio.get_running_loop().time)
        pace.rate.refused(0.0, sent=0.0)
        waiting = asyncio.create_task(pace.turn())
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.sleep(1.0)
        return pace.turn_now(asyncio.get_running_loop().time())

    assert run(world)


def test_a_newcomer_waits_behind_one_that_was_called_in_and_no_longer():
    async def world():
        lane = Lane(2)
        assert lane.enter_now()
        assert lane.enter_now()
        called = asyncio.create_task(lane.enter())
        await asyncio.sleep(0)
        lane.leave()
        lane.leave()
        overtakes = lane.enter_now()
        await lane.enter()
        return overtakes, called.done()

    assert run(world) == (False, True)


@define
class Turnstile:
    """A shared gate that lets one launch through every `every` seconds; remembers how many asked at once."""

    every: float
    asking: int = 0
    busiest: int = 0

    async def turn(self) -> None:
        self.asking += 1
        self.busiest = max(self.busiest, self.asking)
        try:
            await asyncio.sleep(self.every)
        finally:
            self.asking -= 1

    async def aclose(self) -> None:
        pass


async def gone(pace: Pace, name: str, went: list[tuple[str, float]]) -> None:
    """Launch as a client does; say who went when."""
    if not pace.turn_now(asyncio.get_running_loop().time()):
        await pace.turn()
    went.append((name, asyncio.get_running_loop().time()))


def test_a_shared_gate_is_asked_for_one_launch_at_a_time_in_the_order_of_arrival():
    """Also for those that arrive while it is being asked."""

    async def world():
        loop, gate = asyncio.get_running_loop(), Turnstile(2.0)
        pace = SharedPace(AdaptiveRate(Pacing()), loop.time, gate)
        went: list[tuple[str, float]] = []
        launches = [asyncio.create_task(gone(pace, name, went)) for name in ("first", "second")]
        await asyncio.sleep(1.0)
        launches.append(asyncio.create_task(gone(pace, "newcomer", went)))
        await asyncio.gather(*launches)
        return went, gate.busiest

    assert run(world) == ([("first", 2.0), ("second", 4.0), ("newcomer", 6.0)], 1)


def test_a_launch_that_gave_up_does_not_hold_up_those_behind_it_at_a_shared_gate():
    """The head of the queue asks already, the next one only waits; the third asks when the head goes."""

    async def world():
        loop = asyncio.get_running_loop()
        pace = SharedPace(AdaptiveRate(Pacing()), loop.time, Turnstile(2.0))
        went: list[tuple[str, float]] = []
        head, second, third = (asyncio.create_task(gone(pace, name, went)) for name in ("1", "2", "3"))
        loop.call_at(0.5, second.cancel)
        loop.call_at(1.0, head.cancel)
        await third
        return head.cancelled(), second.cancelled(), went

    assert run(world) == (True, True, [("3", 3.0)])


def test_the_adaptive_rate_counts_before_a_shared_gate_as_well():
    """The gate would let four a second through, and the refusals allow one in two."""

    async def world():
        loop = asyncio.get_running_loop()
        pace = SharedPace(AdaptiveRate(Pacing(floor=0.5)), loop.time, Turnstile(0.25))
        pace.rate.refused(0.0, sent=0.0)
        went: list[tuple[str, float]] = []
        await asyncio.gather(*(gone(pace, name, went) for name in "123"))
        return went

    assert run(world) == [("1", 2.25), ("2", 4.25), ("3", 6.25)]
