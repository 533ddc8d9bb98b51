"""The pull workers on their own, in virtual time: nothing is lost, nothing done twice, nothing left."""

import asyncio
from collections import Counter
from random import Random

import pytest
from attrs import define, field

from gameye_async._bulk import Bulk
from tests.simulation.loop import run


@define
class Ledger:
    """What was pulled, done, consumed and discarded, and how much at once."""

    pulled: list[int] = field(factory=list)
    working: int = 0
    most: int = 0
    furthest_ahead: int = 0
    done: list[int] = field(factory=list)
    consumed: list[int] = field(factory=list)
    discarded: list[int] = field(factory=list)
    ended_early: list[int] = field(factory=list)

    def source(self, items):
        for item in items:
            self.pulled.append(item)
            self.furthest_ahead = max(self.furthest_ahead, len(self.pulled) - len(self.consumed))
            yield item

    async def source_async(self, items):
        for item in self.source(items):
            await asyncio.sleep(0)
            yield item

    def bulk(self, source, seconds, *, concurrency=4, ordered=False, on_progress=None):
        async def work(_, item):
            self.working += 1
            self.most = max(self.most, self.working)
            try:
                await asyncio.sleep(seconds(item))
            except asyncio.CancelledError:
                self.ended_early.append(item)
                raise
            finally:
                self.working -= 1
            self.done.append(item)
            return item

        return Bulk(source, work, self.discarded.append, concurrency, ordered, on_progress)


class LeaveError(Exception):
    """The consumer has had enough."""


async def consume(ledger, bulk, rng, behaviour, stop_after):
    """Consume outcomes the way some program might."""
    async with bulk as outcomes:
        async for outcome in outcomes:
            ledger.consumed.append(outcome)
            if behaviour == "slow":
                await asyncio.sleep(rng.uniform(0.0, 3.0))
            if len(ledger.consumed) == stop_after and behaviour == "break":
                break
            if len(ledger.consumed) == stop_after and behaviour == "raise":
                raise LeaveError


BEHAVIOURS = ("all", "slow", "break", "raise", "cancel")


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("is_async", [False, True])
def test_every_item_pulled_is_consumed_or_discarded_or_ended(behaviour, ordered, is_async):
    """Whatever the consumer does, at whatever moment, over a hundred random schedules."""
    for seed in range(100):
        rng = Random(seed)
        ledger = Ledger()
        items, concurrency = rng.randint(0, 40), rng.randint(1, 8)

        async def main(rng=rng, ledger=ledger, items=items, concurrency=concurrency):
            source = (ledger.source_async if is_async else ledger.source)(range(items))
            bulk = ledger.bulk(
                source, lambda _: rng.expovariate(1.0), concurrency=concurrency, ordered=ordered
            )
            task = asyncio.ensure_future(consume(ledger, bulk, rng, behaviour, rng.randint(1, 20)))
            if behaviour == "cancel":
                await asyncio.sleep(rng.uniform(0.0, 8.0))
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        run(main)

        assert Counter(ledger.consumed + ledger.discarded) == Counter(ledger.done)
        # An async source may be cancelled between handing an item over and its work.
        assert Counter(ledger.pulled) - Counter(ledger.done + ledger.ended_early) <= Counter(
            ledger.pulled[-1:] if is_async else []
        )
        assert ledger.most <= concurrency
        assert ledger.furthest_ahead <= 2 * concurrency + 1
        if behaviour in {"all", "slow"}:
            assert sorted(ledger.consumed) == list(range(items))
        if ordered:
            assert ledger.consumed == sorted(ledger.consumed)


def test_outcomes_come_in_the_order_of_completion_by_default():
    """The fast ones need not wait for the slow one."""
    ledger = Ledger()

    async def main():
        async with ledger.bulk([3, 1, 2], float) as outcomes:
            return [outcome async for outcome in outcomes]

    assert run(main) == [1, 2, 3]


def test_an_exception_of_the_source_comes_after_the_outcomes_before_it():
    """A source that breaks loses nothing of what it gave."""
    ledger = Ledger()

    def breaks():
        yield 1.0
        yield 2.0
        raise LeaveError

    async def main():
        async with ledger.bulk(breaks(), float) as outcomes:
            async for outcome in outcomes:
                ledger.consumed.append(outcome)

    with pytest.raises(LeaveError):
        run(main)
    assert ledger.consumed == [1.0, 2.0]


def test_the_source_is_not_read_while_the_consumer_is_slow():
    """A consumer that stops consuming stops the launches."""
    ledger = Ledger()

    async def main():
        async with ledger.bulk(ledger.source(range(1000)), lambda _: 0.1) as outcomes:
            ledger.consumed.append(await anext(outcomes))
            await asyncio.sleep(3600)
            return len(ledger.pulled)

    assert run(main) == 2 * 4 + 1


def test_progress_is_told_ten_times_a_second_and_at_the_end():
    """Also while nothing is completed."""
    ledger = Ledger()
    told = []

    async def main():
        loop = asyncio.get_running_loop()
        async with ledger.bulk([0.95], float, on_progress=lambda: told.append(loop.time())) as outcomes:
            async for _ in outcomes:
                pass

    run(main)

    assert told[:-1] == pytest.approx([0.1 * tick for tick in range(10)])
    assert told[-1] == pytest.approx(0.95)


def test_two_consumers_are_refused():
    """An outcome goes to one task."""
    ledger = Ledger()

    async def main():
        async with ledger.bulk([1, 2], float) as outcomes:
            first = asyncio.ensure_future(anext(outcomes))
            await asyncio.sleep(0.5)
            with pytest.raises(RuntimeError, match="one task"):
                await anext(outcomes)
            return await first

    assert run(main) == 1


def test_a_progress_callback_that_fails_at_once_starts_nothing():
    """Nobody leaves a block that was not entered, and so nobody would end what was begun."""
    ledger = Ledger()

    async def main():
        with pytest.raises(LeaveError):
            await ledger.bulk(ledger.source([1, 2]), float, on_progress=fail).__aenter__()
        await asyncio.sleep(5.0)

    def fail():
        raise LeaveError

    run(main)

    assert ledger.pulled == []


def test_outcomes_are_consumed_inside_their_block():
    """Without it nothing would be begun, and the outcomes would seem to be at their end."""
    ledger = Ledger()

    async def main():
        with pytest.raises(RuntimeError, match="inside `async with`"):
            await anext(ledger.bulk([1, 2], float))

    run(main)
