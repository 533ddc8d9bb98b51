"""`gameye-async list`, `describe` and `ready`."""

import json
import os

import pytest

from gameye_async.emulator import Emulator, Fault
from gameye_async.emulator.sessions import Image
from tests.cli.harness import account, ended, run, running

SECRET = {"API_KEY": "s3cret"}


@pytest.fixture
def matches(emulator):
    """Three sessions of invented matches; the emulator's world holds them."""
    add = emulator.world.add_foreign_session
    add("match-1", image="lanternfish-arena", location="europe", labels={"match": "1"}, env=SECRET, age=7300)
    add("match-2", image="lanternfish-arena", location="eu-west", labels={"match": "2"}, age=60)
    add("match-3", image="mossgate-expedition", location="eu-west", labels={"match": "3"})
    return emulator


async def test_sessions_are_listed_oldest_first(matches):
    result = await run("list", env=account(matches))
    header, _, *rows = result.output.splitlines()
    assert (result.code, result.errors) == (0, "")
    assert header.split() == ["id", "location", "status", "players", "age", "image", "host", "ports"]
    assert [row.split()[0] for row in rows] == ["match-1", "match-2", "match-3"]
    assert rows[0].split()[1:6] == ["europe", "running", "0", "2", "h"]


@pytest.mark.parametrize(("width", "columns"), [(60, 5), (80, 6), (130, 8)])
async def test_a_list_leaves_out_the_columns_that_do_not_fit(matches, width, columns):
    result = await run("list", env={**account(matches), "COLUMNS": str(width)})
    lines = result.output.splitlines()
    assert len(lines[0].split()) == columns
    assert len(lines) == 5
    assert max(map(len, lines)) <= width


async def test_lines_of_a_list_hold_everything_but_the_environment(matches):
    result = await run("list", "--image", "lanternfish-arena", "--json", env=account(matches))
    first, second = map(json.loads, result.output.splitlines())
    session = matches.world.session("match-1")
    assert (first["id"], first["labels"], first["host"]) == ("match-1", {"match": "1"}, session.host)
    assert [port["host"] for port in first["ports"]] == list(session.host_ports)
    assert second["id"] == "match-2"
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("--location", "eu-west"), ["match-2", "match-3"]),
        (("--label", "match=1"), ["match-1"]),
        (("--location", "eu-west", "--image", "mossgate-expedition"), ["match-3"]),
        (("--players-above", "0"), []),
    ],
)
async def test_filters_narrow_a_list(matches, filters, found):
    result = await run("list", *filters, "--json", env=account(matches))
    assert [json.loads(line)["id"] for line in result.output.splitlines()] == found


async def test_sessions_that_are_over_are_listed_when_asked_for(matches):
    matches.world.end_session("match-1")
    listed = [
        (await run("list", *more, "--json", env=account(matches))).output.count("match-1")
        for more in ((), ("--ended",))
    ]
    assert listed == [0, 1]


async def test_a_list_of_nothing_says_so(emulator):
    assert (await run("list", env=account(emulator))).output == "no sessions\n"
    assert (await run("list", "--json", env=account(emulator))).output == ""


async def test_a_refused_list_is_told(emulator):
    emulator.faults.add(Fault("refuse", operation="session-list", status=403))
    result = await run("list", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 403 FORBIDDEN")


async def test_what_others_wrote_cannot_fool_the_terminal(emulator):
    labels = {"match": "\x1b[2Jgone"}
    emulator.world.add_foreign_session("match-1", image="my-game", location="europe", labels=labels)
    result = await run("describe", "match-1", env=account(emulator))
    assert "match=gone" in result.output
    assert "\x1b" not in result.output


async def test_nobody_reading_a_list_is_no_crash(emulator):
    for number in range(200):
        emulator.world.add_foreign_session(f"match-{number}", image="my-game", location="europe")
    for more in ((), ("--json",)):
        reader, writer = os.pipe()
        async with running("list", *more, env=account(emulator), stdout=writer) as process:
            os.close(writer)
            os.close(reader)
            result = await ended(process)
        assert (result.code, result.errors) == (130, "")


@pytest.mark.parametrize("width", [60, 120])
async def test_a_session_is_described(matches, width):
    matches.world.join({"session": "match-1", "players": ["ada", "grace"]})
    result = await run("describe", "match-1", env={**account(matches), "COLUMNS": str(width)})
    fields = dict(line.rstrip().split("  ", 1) for line in result.output.splitlines())
    assert (result.code, result.errors) == (0, "")
    assert fields["image"].strip() == "lanternfish-arena:latest"
    assert fields["labels"].strip() == "match=1"
    assert fields["players"].strip() == "ada, grace"
    assert max(map(len, result.output.splitlines())) <= width
    assert "s3cret" not in result.output


async def test_a_description_is_a_line_of_json_when_asked_for(matches):
    matches.world.join({"session": "match-1", "players": ["ada"]})
    described = json.loads((await run("describe", "match-1", "--json", env=account(matches))).output)
    assert (described["status"], described["players"], described["player_count"]) == ("running", ["ada"], 1)
    assert "env" not in described


@pytest.mark.parametrize("command", ["describe", "ready"])
async def test_an_unknown_session_is_told(emulator, command):
    result = await run(command, "match-x", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 404 ")


@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_a_session_that_runs_is_ready(matches, options):
    result = await run("ready", "match-1", *options, env=account(matches))
    assert (result.code, result.errors) == (0, "")
    assert "running" in result.output


async def test_a_session_that_is_over_is_never_ready_and_shows_its_last_words(matches):
    matches.world.write_log("match-1", "cannot load salt-pier\n")
    matches.world.end_session("match-1", "dead")
    result = await run("ready", "match-1", env=account(matches))
    assert result.code == 1
    assert result.errors.splitlines()[0] == "cannot load salt-pier"
    assert result.errors.splitlines()[1].startswith("error: session match-1 ended before it was ready")


async def test_a_probe_of_a_port_that_is_not_there_is_told():
    async with Emulator(images={"my-game": Image(ports=(("udp", 7777),))}) as emulator:
        emulator.world.add_foreign_session("match-1", image="my-game", location="europe")
        result = await run("ready", "match-1", "--tcp", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: no port any/tcp; the session has: 7777/udp")


async def test_a_game_that_answers_is_ready_and_one_that_does_not_is_not():
    command = "python3 -m http.server --bind 127.0.0.1 $GAMEYE_PORT_TCP_80"
    async with Emulator(run=["sh", "-c", f"exec {command}"]) as emulator:
        await run("launch", "--image", "my-game", "--location", "europe", "--id", "m", env=account(emulator))
        good = await run("ready", "m", "--http", "/", env=account(emulator))
        bad = await run("ready", "m", "--udp", "ping", "--timeout", "0.3", env=account(emulator))
    assert (good.code, good.errors) == (0, "")
    assert bad.code == 1
    assert "its probe does not pass" in bad.errors
