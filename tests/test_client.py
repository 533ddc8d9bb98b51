"""The client's operations against the emulator, and the life of a client."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gameye_async import (
    AsyncGameye,
    AuthenticationError,
    CapacityError,
    ConfigurationError,
    LaunchRequest,
    NotFoundError,
    RetryPolicy,
    Roster,
    SessionStatus,
    StopUnconfirmedError,
    Timeouts,
)
from gameye_async.emulator import Emulator, Image, Quirks
from tests.clients import client_of
from tests.faultserver import FaultServer, answer, close, held, html_502, json_answer

REGIONS = json_answer(200, {"regions": []})
both_profiles = pytest.mark.parametrize("emulator", ["current", "legacy"], indirect=True)


@both_profiles
async def test_a_session_is_launched_described_listed_and_stopped(gameye, emulator):
    session = await gameye.launch(
        image="my-game", location="eu-west", env={"MAP": "harbour"}, args=["--x"], labels={"match": "7"}
    )
    assert session.created_by == "launch"
    assert session.host.startswith("203.0.113.")
    assert session.port(7777, "udp").host in emulator.world.profile.ports

    seen = await gameye.describe(session.id)
    assert (seen.id, seen.host, seen.status) == (session.id, session.host, SessionStatus.RUNNING)
    assert set(seen.ports) == set(session.ports)
    assert (seen.labels, seen.env["MAP"]) == ({"match": "7"}, "harbour")
    assert abs(seen.created - datetime.now(UTC)) < timedelta(minutes=1)

    (listed,) = await gameye.list_sessions(labels={"match": "7"})
    assert (listed.id, listed.ports, listed.player_count) == (session.id, seen.ports, 0)

    assert await gameye.stop(session.id) is True
    assert await gameye.stop(session.id) is False
    assert await gameye.list_sessions() == []
    assert [entry.status for entry in await gameye.list_sessions(include_ended=True)] == ["exited"]


@both_profiles
async def test_players_join_and_leave_twice_as_well_as_once(gameye):
    session = await gameye.launch(image="my-game", location="eu-west")
    for _ in range(2):
        assert await gameye.join(session.id, ["ann", "ben"]) == Roster(session.id, ("ann", "ben"), 2)
    for _ in range(2):
        assert await gameye.leave(session.id, ["ben"]) == Roster(session.id, ("ann",), 1)
    assert (await gameye.describe(session.id)).players == ("ann",)


@pytest.mark.parametrize("kind", [str, list, tuple, set, dict.fromkeys, iter])
async def test_players_are_any_iterable_or_one_name(gameye, kind):
    session = await gameye.launch(image="my-game", location="eu-west")
    players = "ann" if kind is str else kind(["ann"])
    assert (await gameye.join(session.id, players)).players == ("ann",)
    assert (await gameye.leave(session.id, "ann")).count == 0


@both_profiles
async def test_what_can_be_launched_where_is_known(gameye, emulator):
    emulator.world.images = {"my-game": Image(tags=("1.0",))}
    places = await gameye.available_locations("my-game")
    assert {place.id for place in places} == set(await gameye.regions()) == set(emulator.world.places)
    assert all(ip.startswith("203.0.113.") for place in places for ip in place.ips)
    assert await gameye.tag_exists("eu-west", "my-game", "1.0")
    assert not await gameye.tag_exists("eu-west", "my-game", "2.0")
    assert not await gameye.tag_exists("eu-west", "other-game", "1.0")
    with pytest.raises(NotFoundError):
        await gameye.available_locations("other-game")


@both_profiles
async def test_health_and_metrics_come_as_they_are(gameye):
    assert await gameye.health() == {"status": "ok"}
    assert "gameye_sessions" in await gameye.metrics()


async def test_a_list_is_filtered_by_everything_at_once(gameye):
    for match in ("1", "2"):
        session = await gameye.launch(image="my-game", location="eu-west", version=match, labels={"m": match})
        await gameye.join(session.id, ["ann"] * int(match) + [f"guest-{match}"] * (int(match) - 1))
    filters: list[dict[str, Any]] = [
        {"labels": {"m": "2"}},
        {"version": "2"},
        {"players_above": 1},
        {"location": "eu-west", "image": "my-game", "host": session.host, "labels": {"m": "2"}},
    ]
    for chosen in filters:
        assert [entry.id for entry in await gameye.list_sessions(**chosen)] == [session.id]
    assert len(await gameye.list_sessions(players_below=3)) == 2
    assert await gameye.list_sessions(players_below=0) == await gameye.list_sessions(location="eu-east") == []


async def test_an_unknown_session_is_not_found(gameye):
    for call in (gameye.describe, gameye.stop):
        with pytest.raises(NotFoundError):
            await call("never-was")


async def test_an_answer_may_lack_its_id_and_repeat_its_ports():
    quirks = Quirks(omit_launch_id=True, duplicate_port=True)
    async with (
        Emulator(quirks=quirks) as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url) as gameye,
    ):
        session = await gameye.launch(image="my-game", location="eu-west", id="match-1")
    assert session.id == "match-1"
    assert len(set(session.ports)) == len(session.ports) == 2


async def test_a_launch_takes_a_request_or_its_fields(gameye):
    request = LaunchRequest("my-game", "eu-west", id="match-1")
    assert (await gameye.launch(request)).id == "match-1"
    with pytest.raises(ConfigurationError, match="not both"):
        await gameye.launch(request, image="my-game")
    with pytest.raises(ConfigurationError, match="image"):
        await gameye.launch(image="", location="eu-west")


async def test_a_default_ttl_is_for_launches_without_one():
    script = json_answer(201, {"host": "203.0.113.7", "ports": []})
    async with FaultServer(script) as server, client_of(server, default_ttl=timedelta(hours=2)) as gameye:
        await gameye.launch(image="my-game", location="eu-west")
        await gameye.launch(image="my-game", location="eu-west", ttl="5m")
    assert [request.json()["ttl"] for request in server.requests] == ["2h", "5m"]


async def test_on_abandon_is_one_of_two_words(gameye):
    """A misspelt "stop" would quietly leave sessions running."""
    with pytest.raises(ConfigurationError, match="on_abandon"):
        await gameye.launch(image="my-game", location="eu-west", on_abandon="Stop")


async def test_an_operation_that_has_no_method_can_be_requested():
    async with FaultServer(json_answer(200, {"applications": []})) as server, client_of(server) as gameye:
        assert await gameye.request("get", "/application", query={"page": 1, "none": None}) == {
            "applications": []
        }
        assert await gameye.request("PUT", "/application/a b%2Fc", json={"tagKeep": 2})
    assert [request.target for request in server.requests] == [
        "/application?page=1",
        "/application/a%20b%2Fc",
    ]
    assert server.requests[1].json() == {"tagKeep": 2}


@pytest.mark.parametrize(
    ("body", "expected"), [(b"", None), (b"plain text", "plain text"), (b"[1]", [1]), (b"\xff", "\ufffd")]
)
async def test_a_request_gives_json_text_or_nothing(body, expected):
    async with FaultServer(answer(200, body)) as server, client_of(server) as gameye:
        assert await gameye.request("GET", "/anything") == expected


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET /x", "/application", {}),
        ("", "/application", {}),
        ("G\xcbT", "/application", {}),
        ("GET", "application", {}),
        ("GET", "", {}),
        ("GET", "//example.net/x", {}),
        ("GET", "https://example.net/x", {}),
        ("GET", "/a/../b", {}),
        ("GET", "/a/.", {}),
        ("GET", "/a?b=c", {}),
        ("GET", "/a#b", {}),
        ("GET", "/a\r\nX-Evil: 1", {}),
        ("GET", "/\ud800", {}),
        ("GET", "/application", {"query": {"a": "\ud800"}}),
        ("POST", "/application", {"json": object()}),
        ("POST", "/application", {"json": {"a": "\ud800"}}),
    ],
)
async def test_a_request_that_could_go_astray_is_refused(method, path, options):
    async with FaultServer(REGIONS) as server, client_of(server) as gameye:
        with pytest.raises(ConfigurationError):
            await gameye.request(method, path, **options)
    assert server.requests == []


async def test_a_rotated_token_is_used_from_the_next_attempt_on():
    tokens = iter(["old", "new"])

    async def rotate() -> str:
        return next(tokens)

    script = [json_answer(401, {"code": "UNAUTHORIZED"}), REGIONS]
    async with FaultServer(script) as server, client_of(server, rotate) as gameye:
        with pytest.raises(AuthenticationError):
            await gameye.regions()
        assert await gameye.regions() == []
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


async def test_a_stop_without_an_answer_goes_on_in_the_background():
    script = [close(), close(), close(), close(), answer(204)]
    retry = RetryPolicy(attempts=2, base=1e-6, cap=1e-6)
    async with FaultServer(script) as server, client_of(server, retry=retry, timeouts=Timeouts()) as gameye:
        with pytest.raises(StopUnconfirmedError, match="match-1") as caught:
            await gameye.stop("match-1")
    assert caught.value.session_id == "match-1"
    assert {request.method for request in server.requests} == {"DELETE"}
    assert len(server.requests) == 5


async def test_a_stop_that_was_begun_is_finished_when_its_caller_has_gone():
    proceed = asyncio.Event()
    script = [held(proceed, html_502()), answer(204)]
    async with FaultServer(script) as server, client_of(server, timeouts=Timeouts()) as gameye:
        stop = asyncio.create_task(gameye.stop("match-1"))
        await server.wait_for_request()
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        proceed.set()
    assert [request.method for request in server.requests] == ["DELETE", "DELETE"]


async def test_a_full_location_is_a_capacity_error():
    async with (
        Emulator(locations={"eu-west": 0}) as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url, retry=RetryPolicy(throttle_floor=60.0)) as gameye,
    ):
        with pytest.raises(CapacityError, match="Try another location"):
            await gameye.launch(image="my-game", location="eu-west")
