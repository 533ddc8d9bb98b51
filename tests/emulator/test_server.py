"""The emulator as a server: starting, recording, restarting, and leaving nothing behind."""

import asyncio

import aiohttp
import pytest

from gameye_async.emulator import Emulator, Fault, Refusal, World
from tests.emulator.harness import LAUNCH, Caller, Clock, loop_time, new_world, run_virtually, serving


async def test_it_listens_on_a_free_port_of_loopback():
    async with Emulator() as first, Emulator() as second:
        assert first.url.startswith("http://127.0.0.1:")
        assert first.url != second.url


async def test_it_has_no_url_before_and_after():
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="async with"):
        _ = emulator.url
    async with emulator:
        assert emulator.url
    with pytest.raises(RuntimeError, match="async with"):
        _ = emulator.url


async def test_it_can_be_entered_again_and_remembers():
    emulator = Emulator()
    async with emulator:
        emulator.world.launch(LAUNCH)
    async with emulator:
        assert len(emulator.world.live) == 1


def test_a_world_that_was_given_takes_no_options():
    with pytest.raises(TypeError, match="capacity"):
        Emulator(new_world(Clock()), capacity=5)


def test_one_seed_gives_one_sequence_of_ids():
    first, second = (Emulator(seed=3).world.launch(LAUNCH)["id"] for _ in range(2))
    assert first == second


async def test_requests_are_recorded():
    async with serving() as (emulator, call):
        await call("POST", "/session", json={})
        await call("GET", "/session/a%2Fb?x=1")
        first, second = emulator.requests
        assert (first.method, first.path, first.operation, first.status) == (
            "POST",
            "/session",
            "session-run",
            422,
        )
        assert (second.path, second.operation, second.status) == (
            "/session/a%2Fb?x=1",
            "describe-session",
            404,
        )
        assert second.elapsed >= 0


async def test_a_container_is_started_between_reservation_and_commit():
    seen = []

    async def start(session):
        seen.append((session.id, session.status))

    async with serving(start_container=start) as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        assert seen == [("m-1", "created")]
        assert emulator.world.describe("m-1")["status"] == "running"


@pytest.mark.parametrize(("error", "status"), [(Refusal(420), 420), (OSError("no such program"), 500)])
async def test_a_container_that_does_not_start_leaves_nothing(error, status):
    async def start(_session):
        raise error

    async with serving(start_container=start) as (emulator, call):
        assert (await call("POST", "/session", json=LAUNCH | {"id": "m-1"})).status == status
        assert emulator.world.places["europe"].used == 0
        emulator.world.launch(LAUNCH | {"id": "m-1"})


async def test_a_thousand_clients_connect_at_once():
    async with serving(capacity=1_000) as (emulator, call):
        replies = await asyncio.gather(*(call("POST", "/session", json=LAUNCH) for _ in range(1_000)))
        assert {reply.status for reply in replies} == {201}
        assert len({session.id for session in emulator.world.live}) == 1_000


async def test_dropped_connections_are_reset_and_new_ones_welcome():
    async with serving() as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.write_log("m-1", "one\n")
        async with call.session.get(f"{emulator.url}/logs?id=m-1&follow=true") as response:
            await response.content.readline()
            emulator.drop_connections()
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
        assert (await call("GET", "/session/m-1")).status == 200


def test_a_restart_cuts_launches_in_flight_and_undoes_them():
    async def scenario():
        world = new_world(loop_time)
        async with serving(world, faults=[Fault("latency", seconds=10, count=1)]) as (emulator, call):
            launch = asyncio.create_task(call("POST", "/session", json=LAUNCH | {"id": "m-1"}))
            await asyncio.sleep(5)
            emulator.restart()
            with pytest.raises(aiohttp.ClientConnectionError):
                await launch
            await asyncio.sleep(10)
            assert world.live == []
            assert world.places["europe"].used == 0

    run_virtually(scenario)


async def test_leaving_is_prompt_although_requests_are_open():
    starting = asyncio.Event()

    async def start(_session):
        starting.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    headers = {"Authorization": "Bearer emulator-token"}
    async with asyncio.timeout(5), aiohttp.ClientSession(headers=headers) as session:
        async with Emulator(start_container=start) as emulator:
            call = Caller(session, emulator.url)
            emulator.world.launch(LAUNCH | {"id": "m-1"})
            follower = asyncio.create_task(call("GET", "/logs?id=m-1&follow=true"))
            launch = asyncio.create_task(call("POST", "/session", json=LAUNCH))
            await starting.wait()
            await call("GET", "/session")
        results = await asyncio.gather(follower, launch, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert emulator.world.places["europe"].used == 1
    assert asyncio.all_tasks() == before


async def test_worlds_can_be_made_by_hand():
    world = new_world(Clock(5.0))
    assert isinstance(world, World)
    async with serving(world) as (_, call):
        assert (await call("POST", "/session", json=LAUNCH)).status == 201
        assert world.history[-1].at == 5.0


def test_a_simulation_repeats_itself_from_its_seed():
    histories = []

    async def scenario():
        world = new_world(loop_time, locations={"europe": 20}, start_seconds=2)
        faults = [
            Fault("latency", seconds=1, distribution="lognormal", spread=1),
            Fault("refuse", probability=0.3, status=500),
            Fault("cut_after_commit", probability=0.2),
        ]
        async with serving(world, faults=faults) as (emulator, call):
            bodies = [LAUNCH | {"id": f"m-{number}", "ttl": "1m"} for number in range(30)]
            calls = (call("POST", "/session", json=body) for body in bodies)
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(120)
            assert world.live == []
            histories.append((list(world.history), [record.status for record in emulator.requests]))

    run_virtually(scenario)
    run_virtually(scenario)
    assert histories[0] == histories[1]
    assert {500, None, 201} <= set(histories[0][1])
