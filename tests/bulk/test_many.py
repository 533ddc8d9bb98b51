"""`launch_many` and `stop_many` against the emulator."""

import asyncio

import pytest

from gameye_async import AsyncGameye, ClientStats, ConfigurationError, LaunchRequest, NotFoundError
from gameye_async.emulator import Emulator, Fault


def requests(count, **fields):
    return [LaunchRequest("arena", "europe", **fields) for _ in range(count)]


def client_of(emulator):
    return AsyncGameye(emulator.token, base_url=emulator.url)


async def collect(outcomes):
    async with outcomes as each:
        return [outcome async for outcome in each]


async def test_every_request_is_launched_once_and_told_of_once():
    """One outcome a request, with its request, index and session."""
    wanted = requests(100)

    async with Emulator() as emulator, client_of(emulator) as gameye:
        found = {
            outcome.index: outcome for outcome in await collect(gameye.launch_many(wanted, concurrency=20))
        }

        assert {index: outcome.request for index, outcome in found.items()} == dict(enumerate(wanted))
        assert all(outcome.ok and outcome.session.id == outcome.request.id for outcome in found.values())
        assert {session.id for session in emulator.world.live} == {request.id for request in wanted}


async def test_failures_are_outcomes_and_do_not_end_the_others():
    """A request the API refuses, and an item that is no request, stand between good ones."""
    wanted = [*requests(1), LaunchRequest("arena", "atlantis"), "no request", *requests(1)]

    async with Emulator() as emulator, client_of(emulator) as gameye:
        found = await collect(gameye.launch_many(wanted, ordered=True))

    assert [outcome.ok for outcome in found] == [True, False, False, True]
    assert isinstance(found[1].error, NotFoundError)
    assert isinstance(found[2].error, ConfigurationError)
    assert "item 2 is a str" in str(found[2].error)


async def test_leaving_early_stops_what_was_launched_and_not_delivered():
    """One session was seen; of the others none is left."""
    async with Emulator() as emulator:
        async with (
            client_of(emulator) as gameye,
            gameye.launch_many(requests(50), concurrency=10) as outcomes,
        ):
            kept = (await anext(outcomes)).session

        assert [session.id for session in emulator.world.live] == [kept.id]


async def test_leaving_early_leaves_the_sessions_of_a_queue_that_redelivers():
    """Whoever repeats the ids takes them over."""
    wanted = requests(50)
    enough = asyncio.Event()

    def look(stats: ClientStats) -> None:
        if stats.launched >= 10:
            enough.set()

    async with Emulator() as emulator:
        async with (
            client_of(emulator) as gameye,
            gameye.launch_many(wanted, concurrency=10, on_abandon="leave", on_progress=look) as outcomes,
        ):
            await anext(outcomes)
            await enough.wait()

        left = {session.id for session in emulator.world.live}
        assert len(left) >= 10
        assert left < {request.id for request in wanted}


@pytest.mark.parametrize("how", ["exception", "cancel"])
async def test_a_consumer_that_fails_leaves_only_what_it_was_given(how):
    """An exception in the block, or a cancel of its task, is as good as leaving."""
    given = []

    async def consume(gameye):
        async with gameye.launch_many(requests(50), concurrency=10) as outcomes:
            async for outcome in outcomes:
                given.append(outcome.session.id)
                if how == "exception":
                    raise LookupError
                asyncio.current_task().cancel()

    async with Emulator() as emulator:
        async with client_of(emulator) as gameye:
            with pytest.raises((LookupError, asyncio.CancelledError)):
                await consume(gameye)

        assert len(given) == 1
        assert [session.id for session in emulator.world.live] == given


async def test_sessions_that_outlive_the_client_undelivered_are_reported():
    """The client was closed inside the block: nobody can stop them any more, so the user is told."""
    orphans = []

    async with Emulator() as emulator:
        gameye = AsyncGameye(emulator.token, base_url=emulator.url, on_orphan=orphans.append)
        async with gameye, gameye.launch_many(requests(5)) as outcomes:
            kept = (await anext(outcomes)).session.id
            await gameye.aclose()

        left = {session.id for session in emulator.world.live}
        assert left == {kept} | {orphan.session_id for orphan in orphans}


async def test_lost_answers_cost_no_session():
    """Half of the answers are lost after the launch; each session is adopted, none is doubled."""
    async with (
        Emulator(
            seed=1, faults=[Fault("cut_after_commit", operation="session-run", probability=0.3)]
        ) as emulator,
        client_of(emulator) as gameye,
    ):
        found = await collect(gameye.launch_many(requests(30), concurrency=30))

        assert all(outcome.ok for outcome in found)
        assert {outcome.session.created_by for outcome in found} == {"launch", "adopted"}
        assert len(emulator.world.live) == 30
        assert gameye.stats.adopted > 0


async def test_stop_many_tells_which_were_over_already():
    """True for the running one, False for the one that is over, an error for the unknown one."""
    async with Emulator() as emulator, client_of(emulator) as gameye:
        running, over = [await gameye.launch(request) for request in requests(2)]
        emulator.world.end_session(over.id)

        found = await collect(gameye.stop_many([running.id, over.id, "unknown"], ordered=True))

        assert [outcome.stopped for outcome in found] == [True, False, None]
        assert [outcome.ok for outcome in found] == [True, True, False]
        assert isinstance(found[2].error, NotFoundError)
        assert not emulator.world.live


async def test_one_id_is_one_session_to_stop():
    """As one name is one player: its letters are no ids."""
    async with Emulator() as emulator, client_of(emulator) as gameye:
        (request,) = requests(1)
        session = await gameye.launch(request)

        (outcome,) = await collect(gameye.stop_many(session.id))

        assert outcome.ok
        assert not emulator.world.live


async def test_progress_is_told_with_the_statistics():
    """The last word is the whole truth."""
    told = []

    async with Emulator() as emulator, client_of(emulator) as gameye:
        await collect(gameye.launch_many(requests(10), on_progress=told.append))

    assert told[0].launched == 0
    assert told[-1].launched == 10
    assert "10 launched" in str(told[-1])


async def test_a_concurrency_of_nothing_is_refused():
    """It could never end."""
    async with Emulator() as emulator, client_of(emulator) as gameye:
        with pytest.raises(ConfigurationError, match="concurrency"):
            gameye.launch_many(requests(1), concurrency=0)
