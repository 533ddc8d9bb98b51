"""`gameye-async join`, `leave` and `seat`."""

import json

import pytest

from gameye_async.emulator import Fault
from tests.cli.harness import account, run

SEAT = ("--image", "my-game", "--capacity", "4")


@pytest.fixture
def match(emulator):
    """A session with one player."""
    emulator.world.add_foreign_session("match-1", image="my-game", location="europe", env={"KEY": "s3cret"})
    emulator.world.join({"session": "match-1", "players": ["ada"]})
    return emulator


def players(emulator):
    return list(emulator.world.session("match-1").players)


async def test_players_join(match):
    result = await run("join", "match-1", "grace", "edsger", env=account(match))
    assert (result.code, result.errors) == (0, "")
    assert [line.split() for line in result.output.splitlines()] == [
        ["session", "match-1"],
        ["player", "count", "3"],
        ["players", "ada,", "grace,", "edsger"],
    ]
    assert players(match) == ["ada", "grace", "edsger"]


async def test_players_leave(match):
    result = await run("leave", "match-1", "ada", env=account(match))
    assert (result.code, result.errors) == (0, "")
    assert players(match) == []


@pytest.mark.parametrize(("command", "there"), [("join", ["ada"]), ("leave", [])])
async def test_who_is_in_it_is_a_line_of_json_when_asked_for(match, command, there):
    result = await run(command, "match-1", "ada", "--json", env=account(match))
    assert json.loads(result.output) == {
        "id": "match-1",
        "players": there,
        "player_count": len(there),
    }


@pytest.mark.parametrize("command", ["join", "leave"])
async def test_an_unknown_session_is_told(emulator, command):
    result = await run(command, "match-x", "ada", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 404 ")


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("width", [60, 120])
async def test_players_are_seated_together(match, options, width):
    env = {**account(match), "COLUMNS": str(width)}
    result = await run("seat", "grace", "edsger", *SEAT, *options, env=env)
    assert (result.code, result.errors) == (0, "")
    assert "match-1" in result.output
    assert "s3cret" not in result.output
    assert players(match) == ["ada", "grace", "edsger"]


async def test_without_room_there_is_no_seat(match):
    result = await run("seat", "grace", "edsger", *SEAT[:-1], "2", env=account(match))
    assert (result.code, result.output) == (1, "")
    assert result.errors == "no session has room; launch one\n"
    assert players(match) == ["ada"]


async def test_a_refused_seat_is_told(match):
    match.faults.add(Fault("refuse", operation="session-list", status=403))
    result = await run("seat", "grace", *SEAT, env=account(match))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 403 FORBIDDEN")


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        (("join", "match-1", "grace"), "join-session"),
        (("leave", "match-1", "ada"), "leave-session"),
        (("seat", "grace", *SEAT), "join-session"),
    ],
    ids=["join", "leave", "seat"],
)
async def test_without_an_answer_nobody_knows_who_is_in_it(match, command, operation):
    """The platform has done it each time, and no answer came."""
    match.faults.add(Fault("cut_after_commit", operation=operation))
    result = await run(*command, env=account(match))
    assert (result.code, result.output) == (3, "")
    assert result.errors.startswith("error: ")
