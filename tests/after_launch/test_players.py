"""Groups of players find seats in running sessions; no session is overfull at rest, nobody sits twice."""

import asyncio
from random import Random

import pytest

from gameye_async import (
    AsyncGameye,
    ClientClosedError,
    ConfigurationError,
    GameyeError,
    NoAnswerError,
    ServerError,
    Timeouts,
)
from gameye_async.emulator import Fault, Quirks, World
from tests.after_launch.harness import FIELDS, WEST, Stage, stage
from tests.clients import failure
from tests.reliability.stage import in_virtual_time

IMAGE = FIELDS["image"]


async def launch(gameye: AsyncGameye, *players: str, **fields: object) -> str:
    session = await gameye.launch(**FIELDS | fields)
    if players:
        await gameye.join(session.id, players)
    return session.id


def rosters(place: Stage) -> dict[str, list[str]]:
    return {session.id: list(session.players) for session in place.world.live}


@in_virtual_time
async def test_the_fullest_session_with_room_is_chosen():
    async with stage() as (place, gameye):
        await launch(gameye, "a")
        fullest = await launch(gameye, "b", "c")
        await launch(gameye, "d", "e", "f")
        found = await gameye.find_seat(IMAGE, ["x", "y"], 4)
        assert found is not None
        assert found.id == fullest
        assert found.player_count == 4
        assert found.address(7777, "udp")[0] == found.host
        assert rosters(place)[fullest] == ["b", "c", "x", "y"]


@in_virtual_time
async def test_there_is_no_seat_where_all_is_full():
    async with stage() as (place, gameye):
        await launch(gameye, "a", "b")
        assert await gameye.find_seat(IMAGE, ["x"], 2) is None
        assert await gameye.find_seat("other-game", ["x"], 2) is None
        assert place.now < 1


@in_virtual_time
async def test_only_what_matches_is_joined():
    async with stage(locations=[WEST, "na-east"]) as (_, gameye):
        await launch(gameye, "a", "b", location="na-east", version="2", labels={"mode": "duel"})
        await launch(gameye, "c", "d", version="1", labels={"mode": "duel"})
        await launch(gameye, "e", "f", version="2", labels={"mode": "race"})
        wanted = await launch(gameye, version="2", labels={"mode": "duel"})
        found = await gameye.find_seat(IMAGE, ["x"], 4, location=WEST, version="2", labels={"mode": "duel"})
        assert found is not None
        assert found.id == wanted


@in_virtual_time
async def test_a_session_that_tells_no_count_is_joined_and_counted():
    quirks = Quirks(omit_list_fields=frozenset({"playerCount", "status"}))
    async with stage(quirks=quirks) as (place, gameye):
        full = await launch(gameye, "a", "b")
        roomy = await launch(gameye)
        found = await gameye.find_seat(IMAGE, ["x"], 2)
        assert found is not None
        assert found.id == roomy
        assert rosters(place)[full] == ["a", "b"]


@in_virtual_time
async def test_a_session_that_waits_for_its_group_is_left_alone():
    async with stage() as (place, gameye):
        waiting = await launch(gameye)
        assert await gameye.find_seat(IMAGE, ["x"], 4, players_above=0) is None
        assert rosters(place)[waiting] == []


@in_virtual_time
async def test_a_session_with_players_is_joined_when_empty_ones_are_not():
    async with stage() as (_, gameye):
        await launch(gameye)
        occupied = await launch(gameye, "a")
        found = await gameye.find_seat(IMAGE, ["x"], 4, players_above=0)
        assert found is not None
        assert found.id == occupied


@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_ten_matchmakers_race_for_the_same_seats(seed):
    """Thirty players, three sessions of eight: whoever is told of a seat sits there, and only there."""
    rng = Random(seed)
    async with stage() as (place, gameye):
        ids = [await launch(gameye) for _ in range(3)]

        async def matchmaker(number: int) -> dict[str, str]:
            seats = {}
            async with place.client(rng=Random(f"{seed}/{number}")) as own:
                for group in range(2):
                    names = [f"{number}.{group}.{one}" for one in range(rng.choice((1, 1, 2)))]
                    found = await own.find_seat(IMAGE, names, 8)
                    if found is not None:
                        seats |= dict.fromkeys(names, found.id)
            return seats

        told = await asyncio.gather(*map(matchmaker, range(10)))
        seats = {name: session for seated in told for name, session in seated.items()}
        final = rosters(place)
        assert {name: session for session in ids for name in final[session]} == seats
        assert sum(map(len, final.values())) == len(seats)
        assert all(len(final[session]) <= 8 for session in ids)
        assert len(seats) > 12


@in_virtual_time
async def test_a_seat_that_was_lost_to_others_is_left_again():
    """Somebody else joins between the list and the join."""
    async with stage(Fault("latency", operation="join-session", seconds=1.0)) as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        place.network.loop.call_later(0.5, place.world.join, {"session": session_id, "players": ["a", "b"]})
        assert await gameye.find_seat(IMAGE, ["x"], 2) is None
        assert rosters(place)[session_id] == ["a", "b"]


@in_virtual_time
async def test_a_session_that_is_over_meanwhile_is_passed_over():
    async with stage(Fault("latency", operation="join-session", seconds=1.0, count=1)) as (place, gameye):
        over = (await gameye.launch(**FIELDS)).id
        left = (await gameye.launch(**FIELDS)).id
        place.network.loop.call_later(0.5, place.world.end_session, over)
        found = await gameye.find_seat(IMAGE, ["x"], 2)
        assert found is not None
        assert found.id == left


@in_virtual_time
async def test_a_race_that_is_always_lost_ends(monkeypatch):
    """Others come just before each join and are gone with each leave."""
    asked = []
    join, leave = World.join, World.leave

    def crowded(world, body):
        asked.append(world.clock())
        join(world, {"session": body["session"], "players": ["a", "b"]})
        return join(world, body)

    def emptied(world, body):
        leave(world, {"session": body["session"], "players": ["a", "b"]})
        return leave(world, body)

    monkeypatch.setattr(World, "join", crowded)
    monkeypatch.setattr(World, "leave", emptied)
    async with stage() as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        assert await gameye.find_seat(IMAGE, ["x"], 2) is None
        assert rosters(place)[session_id] == []
    assert len(asked) == 6


@in_virtual_time
async def test_a_seat_in_a_session_that_ends_need_not_be_given_up():
    """It is overfull when the join is answered, and over when the players want to leave."""
    slow = [Fault("latency", operation=name, seconds=1.0) for name in ("join-session", "leave-session")]
    async with stage(*slow) as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        place.network.loop.call_later(0.5, place.world.join, {"session": session_id, "players": ["a", "b"]})
        place.network.loop.call_later(1.5, place.world.end_session, session_id)
        assert await gameye.find_seat(IMAGE, ["x"], 2) is None


@in_virtual_time
async def test_a_cancelled_search_that_has_no_seat_gives_none_up():
    """The join is on its way when the search is cancelled, and the session ends before it arrives."""
    async with stage(Fault("latency", operation="join-session", seconds=5.0)) as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        place.faults.add(Fault("refuse", operation="leave-session", count=1))
        searching = asyncio.create_task(gameye.find_seat(IMAGE, ["x"], 2))
        await asyncio.sleep(2.0)
        searching.cancel()
        assert isinstance(await failure(searching), asyncio.CancelledError)
        place.world.end_session(session_id)
        await asyncio.sleep(10.0)
        assert [fault.operation for fault in place.faults] == ["join-session", "leave-session"]


@in_virtual_time
async def test_a_cancelled_search_gives_its_seat_up():
    """The join is on its way when the search is cancelled, and cannot be called back."""
    async with stage(Fault("latency", operation="join-session", seconds=5.0, when="after")) as (
        place,
        gameye,
    ):
        session_id = (await gameye.launch(**FIELDS)).id
        searching = asyncio.create_task(gameye.find_seat(IMAGE, ["x"], 2))
        await asyncio.sleep(2.0)
        assert rosters(place)[session_id] == ["x"]
        searching.cancel()
        assert isinstance(await failure(searching), asyncio.CancelledError)
        await asyncio.sleep(5.0)
        assert rosters(place)[session_id] == []


@in_virtual_time
async def test_a_search_that_the_client_does_not_outlive_says_so():
    """A `CancelledError` would be taken for a cancellation of the task that searches."""
    slow = Fault("latency", operation="join-session", seconds=5.0)
    async with stage(slow, client={"timeouts": Timeouts(close=1.0)}) as (_, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        searching = asyncio.create_task(gameye.find_seat(IMAGE, ["x"], 2))
        await asyncio.sleep(1.0)
        await gameye.aclose()
        error = await failure(searching)
        assert isinstance(error, ClientClosedError)
        assert session_id in str(error)


@in_virtual_time
async def test_a_lost_answer_is_asked_for_again():
    async with stage(Fault("cut_after_commit", operation="join-session", count=2)) as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        found = await gameye.find_seat(IMAGE, ["x"], 2)
        assert found is not None
        assert found.player_count == 1
        assert rosters(place)[session_id] == ["x"]


@in_virtual_time
async def test_a_join_that_may_have_happened_is_taken_back():
    async with stage(Fault("refuse", operation="join-session", when="after")) as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        assert isinstance(await failure(gameye.find_seat(IMAGE, ["x"], 2)), ServerError)
        assert rosters(place)[session_id] == []


@in_virtual_time
async def test_a_leave_that_fails_is_said_and_nothing_else_is_joined():
    async with stage() as (place, gameye):
        first = await launch(gameye)
        await launch(gameye)
        place.faults.add(Fault("latency", operation="join-session", seconds=1.0))
        place.faults.add(Fault("refuse", operation="leave-session"))
        place.network.loop.call_later(0.5, place.world.join, {"session": first, "players": ["a", "b"]})
        error = await failure(gameye.find_seat(IMAGE, ["x"], 2))
        assert isinstance(error, NoAnswerError)
        assert first in str(error)
        assert [names for names in rosters(place).values() if "x" in names] == [["a", "b", "x"]]


@in_virtual_time
async def test_a_refused_join_is_said():
    async with stage(Fault("refuse", operation="join-session", status=403)) as (_, gameye):
        await gameye.launch(**FIELDS)
        assert isinstance(await failure(gameye.find_seat(IMAGE, ["x"], 2)), GameyeError)


@pytest.mark.parametrize(("players", "capacity"), [([], 4), (["a", "b", "c"], 2), (["a"], 0)])
@in_virtual_time
async def test_a_group_has_to_fit(players, capacity):
    async with stage() as (_, gameye):
        with pytest.raises(ConfigurationError):
            await gameye.find_seat(IMAGE, players, capacity)


@in_virtual_time
async def test_one_name_is_one_player():
    async with stage() as (place, gameye):
        session_id = (await gameye.launch(**FIELDS)).id
        assert await gameye.find_seat(IMAGE, "x", 1) is not None
        assert rosters(place)[session_id] == ["x"]
