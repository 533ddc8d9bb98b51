"""Two launches of one id in one client: refused, or one launch with two callers."""

import asyncio

import pytest

from gameye_async import ConfigurationError, LaunchOutcomeUnknownError
from gameye_async.emulator import Fault
from tests.faultserver import FaultServer, answer, held
from tests.reliability.stage import (
    EAST,
    WEST,
    Script,
    described,
    in_virtual_time,
    launched,
    methods,
    new_request,
    quick_client,
    refusal,
    stage,
)

REQUEST = new_request(id="match-1")


@pytest.fixture
async def release():
    """Set it to let the API answer."""
    return asyncio.Event()


@pytest.fixture
async def server(release):
    script = Script(POST=[held(release, launched(REQUEST))], GET=[described(REQUEST)], DELETE=[answer(204)])
    async with FaultServer(script) as server:
        yield server


@pytest.fixture
async def gameye(server):
    async with quick_client(server.url) as gameye:
        yield gameye


async def start(gameye, server, **options):
    call = asyncio.create_task(gameye.launch(REQUEST, **options))
    await server.wait_for_request()
    return call


async def let_go(call):
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({}, {"idempotent": True}),
        ({"idempotent": True}, {}),
        ({"idempotent": True, "on_abandon": "stop"}, {"idempotent": True}),
    ],
    ids=["neither is idempotent", "only the second", "only the first", "to be stopped"],
)
async def test_a_second_launch_is_refused(gameye, server, release, first, second):
    call = await start(gameye, server, **first)
    with pytest.raises(ConfigurationError, match="under way"):
        await gameye.launch(REQUEST, **second)
    release.set()
    assert (await call).id == REQUEST.id
    assert methods(server) == ["POST"]


async def test_another_request_under_the_same_id_is_refused(gameye, server, release):
    call = await start(gameye, server, idempotent=True)
    with pytest.raises(ConfigurationError, match="under way"):
        await gameye.launch(new_request(EAST, id=REQUEST.id), idempotent=True)
    release.set()
    await call


async def test_idempotent_launches_are_one(gameye, server, release):
    calls = [await start(gameye, server, idempotent=True) for _ in range(3)]
    release.set()
    sessions = await asyncio.gather(*calls)
    assert sessions == [sessions[0]] * 3
    assert methods(server) == ["POST"]


async def test_one_caller_may_go_and_the_other_gets_the_session(gameye, server, release):
    first = await start(gameye, server, idempotent=True)
    second = await start(gameye, server, idempotent=True)
    await let_go(first)
    release.set()
    assert (await second).id == REQUEST.id


async def test_the_deadline_of_one_caller_is_not_that_of_the_other(gameye, server, release):
    patient = await start(gameye, server, idempotent=True)
    with pytest.raises(LaunchOutcomeUnknownError):
        await gameye.launch(REQUEST, idempotent=True, deadline=0.05)
    release.set()
    assert (await patient).id == REQUEST.id


@in_virtual_time
async def test_a_caller_that_gives_up_knows_nothing_while_the_other_goes_on():
    """The session that the other one gets is that of this launch too."""
    async with stage(locations={WEST: 0}) as place:
        place.network.loop.call_at(6.0, place.world.set_capacity, WEST, 1)
        patient = asyncio.create_task(place.gameye.launch(REQUEST, idempotent=True))
        with pytest.raises(LaunchOutcomeUnknownError):
            await place.gameye.launch(REQUEST, idempotent=True, deadline=5.0)
        assert (await patient).id == REQUEST.id


async def test_the_last_caller_that_goes_abandons_the_launch():
    """What is under way is finished and left, for whoever repeats the id; nothing more is sent."""
    release = asyncio.Event()
    script = Script(POST=[held(release, refusal(500))])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        for call in [await start(gameye, server, idempotent=True) for _ in range(2)]:
            await let_go(call)
        release.set()
    assert methods(server) == ["POST"]


async def test_who_comes_back_in_time_takes_the_abandoned_launch_over(gameye, server, release):
    await let_go(await start(gameye, server, idempotent=True))
    call = await start(gameye, server, idempotent=True)
    release.set()
    assert (await call).id == REQUEST.id
    assert methods(server) == ["POST"]


@in_virtual_time
async def test_who_comes_back_as_the_launch_ends_starts_another():
    async with stage(Fault("refuse", status=420, retry_after=20.0, count=1)) as place:
        first = asyncio.create_task(place.gameye.launch(REQUEST, idempotent=True))
        await place.wait(1.0)
        first.cancel()
        assert (await asyncio.create_task(place.gameye.launch(REQUEST, idempotent=True))).id == REQUEST.id
    assert place.served == ["POST", "GET", "POST"]


async def test_an_id_whose_session_is_being_stopped_is_refused():
    stopping = asyncio.Event()
    script = Script(POST=[launched(REQUEST)], GET=[held(stopping, described(REQUEST))], DELETE=[answer(204)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        call = await start(gameye, server)
        await let_go(call)
        await server.wait_for_request(2)
        with pytest.raises(ConfigurationError, match="is being stopped"):
            await gameye.launch(REQUEST)
        stopping.set()
    assert methods(server) == ["POST", "GET", "DELETE"]


async def test_a_finished_launch_frees_its_id(gameye, server, release):
    release.set()
    await gameye.launch(REQUEST)
    assert (await gameye.launch(REQUEST)).location == WEST
    assert methods(server) == ["POST", "POST"]
