"""A tag is waited for in many locations, and locations are ranked for a group."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import ConfigurationError, DeadlineExceededError, Location, PermissionDeniedError
from gameye_async._rollout import Rollout, rank_locations
from gameye_async.emulator import Fault, Image, Quirks
from tests.after_launch.harness import stage
from tests.clients import failure
from tests.reliability.stage import in_virtual_time

PLACES = ["eu-west", "na-east", "asia-east"]


def rolling_out(**options: object):
    return stage(locations=PLACES, images={"my-game": Image(tags=("1",))}, **options)


def arrive(place, *locations: str) -> None:
    image = place.world.images["my-game"]
    tags_in = {**image.tags_in, **dict.fromkeys(locations, ("1", "2"))}
    place.world.images["my-game"] = Image(tags=("1",), tags_in=tags_in)


@pytest.mark.parametrize("missing_tag", ["false", "not_found"])
@in_virtual_time
async def test_a_tag_is_waited_for_in_all_locations(missing_tag):
    told = []
    async with rolling_out(quirks=Quirks(missing_tag=missing_tag)) as (place, gameye):
        place.network.loop.call_later(60.0, arrive, place, "na-east")
        place.network.loop.call_later(180.0, arrive, place, "eu-west", "asia-east")
        await gameye.wait_for_tag(PLACES, "my-game", "2", on_progress=told.append)
        assert 180 <= place.now < 191
    assert told[0] == Rollout((), tuple(PLACES))
    assert Rollout(("na-east",), ("eu-west", "asia-east")) in told
    assert told[-1] == Rollout(tuple(PLACES), ())
    assert len(told) < 40


@in_virtual_time
async def test_a_tag_that_is_there_is_not_waited_for():
    async with rolling_out() as (place, gameye):
        await gameye.wait_for_tag("eu-west", "my-game", "1")
        assert place.now < 1


@in_virtual_time
async def test_locations_that_have_the_tag_are_not_asked_again():
    async with rolling_out() as (place, gameye):
        arrive(place, "eu-west", "na-east")
        place.faults.add(Fault("refuse", operation="tag-exists", location="na-east", count=1))
        place.network.loop.call_later(30.0, arrive, place, "asia-east")
        place.network.loop.call_later(
            5.0, place.faults.add, Fault("refuse", operation="tag-exists", location="eu-west", status=403)
        )
        await gameye.wait_for_tag(PLACES, "my-game", "2")
        assert place.now >= 30


@in_virtual_time
async def test_a_rollout_that_takes_too_long_says_where():
    async with rolling_out() as (place, gameye):
        arrive(place, "eu-west")
        with pytest.raises(DeadlineExceededError, match="not in na-east, asia-east within 100 s"):
            await gameye.wait_for_tag(PLACES, "my-game", "2", timeout=100.0)
        assert 100 <= place.now < 101


@in_virtual_time
async def test_what_cannot_get_better_ends_the_wait():
    async with rolling_out() as (place, gameye):
        place.faults.add(Fault("refuse", operation="tag-exists", status=403))
        with pytest.raises(PermissionDeniedError):
            await gameye.wait_for_tag(PLACES, "my-game", "2")


@in_virtual_time
async def test_a_wait_can_be_cancelled():
    async with rolling_out() as (_, gameye):
        waiting = asyncio.create_task(gameye.wait_for_tag(PLACES, "my-game", "2"))
        await asyncio.sleep(5.0)
        waiting.cancel()
        assert isinstance(await failure(waiting), asyncio.CancelledError)


@in_virtual_time
async def test_a_location_that_cannot_be_asked_for_keeps_all_from_being_asked():
    async with rolling_out(client={"on_event": (told := []).append}) as (_, gameye):
        with pytest.raises(ConfigurationError):
            await gameye.wait_for_tag(["eu-west", ".."], "my-game", "1")
    assert told == []


@in_virtual_time
async def test_nowhere_is_no_place_to_wait_for():
    async with rolling_out() as (_, gameye):
        with pytest.raises(ConfigurationError):
            await gameye.wait_for_tag([], "my-game", "2")


def test_the_lowest_worst_latency_is_best():
    latencies = {"ann": {"west": 10, "east": 90, "south": 60}, "ben": {"west": 120, "east": 30, "south": 70}}
    assert rank_locations(["west", "east", "south"], latencies) == ["south", "east", "west"]


def test_between_equals_the_lowest_mean_is_best():
    latencies = {"ann": {"west": 80, "east": 20}, "ben": {"west": 80, "east": 80}}
    assert rank_locations(["west", "east"], latencies) == ["east", "west"]


def test_between_equals_the_first_named_is_best():
    latencies = {"ann": {"west": 20, "east": 20}}
    assert rank_locations(["west", "east"], latencies) == ["west", "east"]
    assert rank_locations(["west", "east"], {}) == ["west", "east"]


@pytest.mark.parametrize("latency", [None, math.nan, math.inf, -1.0])
def test_a_location_that_one_player_cannot_use_is_left_out(latency):
    ben = {"west": 20.0} | ({} if latency is None else {"east": latency})
    assert rank_locations(["east", "west"], {"ann": {"west": 90.0, "east": 5.0}, "ben": ben}) == ["west"]


def test_available_locations_can_be_ranked_as_they_come():
    places = [Location("east", ("203.0.113.7",)), Location("west", ())]
    assert rank_locations(places, {"ann": {"east": 50, "west": 20}}) == ["west", "east"]


TIMES = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 500))


@given(st.permutations("abcdef"), st.dictionaries(st.text(), TIMES, min_size=1))
def test_the_ranking_is_by_worst_then_mean(names, latencies):
    ranked = rank_locations(names, latencies)
    assert set(ranked) == set(names).intersection(*latencies.values())
    keys = [
        (max(player[name] for player in latencies.values()), math.fsum(p[name] for p in latencies.values()))
        for name in ranked
    ]
    assert keys == sorted(keys)
