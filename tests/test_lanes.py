"""How many calls are under way at once, who goes first, and when a refused token is tried again."""

import asyncio

import pytest
from aiohttp import web
from attrs import define

from gameye_async import AsyncGameye, AuthenticationError
from gameye_async.emulator import Emulator
from gameye_async.emulator.sessions import Session
from tests.clients import failure, simulated
from tests.simulation.loop import run


@define
class Gatehouse:
    """Starts containers when it is told to, and remembers how many it had to start at once."""

    opened: asyncio.Event
    arrived: asyncio.Condition
    waiting: int = 0
    most: int = 0

    async def start(self, _: Session) -> None:
        async with self.arrived:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.arrived.notify_all()
        try:
            await self.opened.wait()
        finally:
            self.waiting -= 1

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(5.0), self.arrived:
            await self.arrived.wait_for(lambda: self.waiting >= count)


async def test_launches_are_bounded_and_a_stop_does_not_wait_behind_them():
    """With 100 launches queued for 4 places, a session that is to be stopped is stopped at once."""
    gate = Gatehouse(asyncio.Event(), asyncio.Condition())
    gate.opened.set()
    async with (
        Emulator(start_container=gate.start) as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url, max_concurrency=4) as gameye,
        asyncio.TaskGroup() as group,
    ):
        running = await gameye.launch(image="my-game", location="eu-west")
        gate.opened.clear()
        launches = [group.create_task(gameye.launch(image="my-game", location="eu-west")) for _ in range(100)]
        await gate.wait_for(4)
        assert (gameye.stats.in_flight, gameye.stats.queued) == (4, 96)
        assert await gameye.stop(running.id)
        assert len(await gameye.list_sessions()) == 0
        assert not any(launch.done() for launch in launches)
        gate.opened.set()
        await asyncio.wait(launches)
        assert gate.most == 4
        assert len(await gameye.list_sessions()) == 100
        assert (gameye.stats.in_flight, gameye.stats.queued, gameye.stats.launched) == (0, 0, 101)


async def test_launches_go_first_come_first_served():
    order: list[str] = []

    async def start(session: Session) -> None:
        order.append(session.id)
        await asyncio.sleep(0)

    ids = [f"match-{number:02}" for number in range(30)]
    async with (
        Emulator(start_container=start) as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url, max_concurrency=1) as gameye,
        asyncio.TaskGroup() as group,
    ):
        for session_id in ids:
            group.create_task(gameye.launch(image="my-game", location="eu-west", id=session_id))
    assert order == ids


@pytest.mark.parametrize(("settings", "places"), [({}, 8), ({"control_concurrency": 20}, 20)])
def test_so_many_reads_and_stops_are_under_way_as_they_have_places(settings, places):
    """Eight unless the client was told otherwise, whether they are reads or the stops of `stop_many`."""
    most = under_way = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(1.0)
        under_way -= 1
        return web.Response(status=204) if request.method == "DELETE" else web.json_response({"regions": []})

    async def reads() -> float:
        async with simulated(handler, **settings) as gameye:
            await asyncio.gather(*(gameye.regions() for _ in range(40)))
            return asyncio.get_running_loop().time()

    async def stops() -> float:
        async with simulated(handler, **settings) as gameye:
            async with gameye.stop_many(f"match-{number}" for number in range(40)) as outcomes:
                assert all([outcome.stopped async for outcome in outcomes])
            return asyncio.get_running_loop().time()

    for world in (reads, stops):
        most = 0
        assert 40 / places <= run(world) < 40 / places + 1.0
        assert most == places


async def test_a_place_is_given_back_by_a_call_that_was_cancelled(emulator):
    """Cancelled in the queue or under way, no call takes a place with it."""
    async with AsyncGameye(emulator.token, base_url=emulator.url) as gameye:
        for turns in range(30):
            calls = [asyncio.create_task(gameye.regions()) for _ in range(12)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(5.0):
            await asyncio.gather(*(gameye.regions() for _ in range(20)))


def test_a_refused_token_is_not_sent_again_until_five_seconds_have_passed():
    """Then one call tries whether the API has changed its mind, and the others go on waiting."""
    sent: list[float] = []
    accepts = False

    async def handler(_: web.Request) -> web.Response:
        sent.append(asyncio.get_running_loop().time())
        if accepts:
            return web.json_response({"regions": []})
        return web.json_response({"code": "UNAUTHORIZED", "message": "no such token"}, status=401)

    async def world() -> None:
        nonlocal accepts
        async with simulated(handler) as gameye:
            await failure(gameye.regions())
            for _ in range(10):
                error = await failure(gameye.regions())
                assert isinstance(error, AuthenticationError)
                assert "not sent" in str(error)
            await asyncio.sleep(4.0)
            await failure(gameye.describe("match-1"))
            await failure(gameye.launch(image="my-game", location="eu-west"))
            assert len(sent) == 1
            await asyncio.sleep(1.1)
            await asyncio.gather(*(failure(gameye.regions()) for _ in range(10)))
            assert len(sent) == 2
            accepts = True
            await asyncio.sleep(5.1)
            assert await gameye.regions() == []
            await asyncio.gather(*(gameye.regions() for _ in range(10)))
            assert len(sent) == 13

    run(world)
