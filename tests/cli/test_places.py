"""`gameye-async locations`, `regions`, `tag` and `health`."""

import json
import os
import signal

import pytest

from gameye_async.emulator import Emulator, Fault
from gameye_async.emulator.sessions import Image
from tests.cli.harness import account, read_until, run, running, terminal


@pytest.fixture
async def rollout():
    """An API with three locations, of which one has the new tag already."""
    images = {"my-game": Image(tags=("1.4",), tags_in={"eu-west": ("1.5", "1.4")})}
    async with Emulator(images=images, locations=("eu-west", "eu-east", "na-east")) as emulator:
        yield emulator


def pull(emulator):
    """The new tag arrives everywhere."""
    emulator.world.images["my-game"] = Image(tags=("1.5", "1.4"))


@pytest.mark.parametrize("width", [60, 120])
async def test_locations_are_listed_with_their_addresses(rollout, width):
    result = await run("locations", "my-game", env={**account(rollout), "COLUMNS": str(width)})
    rows = [line.split() for line in result.output.splitlines()[2:]]
    assert (result.code, result.errors) == (0, "")
    assert rows == [[place.name, place.address] for place in rollout.world.places.values()]


async def test_locations_are_lines_of_json_when_asked_for(rollout):
    result = await run("locations", "my-game", "--json", env=account(rollout))
    place = rollout.world.places["eu-west"]
    assert json.loads(result.output.splitlines()[0]) == {"location": "eu-west", "ips": [place.address]}


async def test_an_image_that_nobody_knows_has_no_locations(rollout):
    result = await run("locations", "no-game", env=account(rollout))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 404 ")


async def test_regions_are_listed(rollout):
    result = await run("regions", env=account(rollout))
    lines = await run("regions", "--json", env=account(rollout))
    assert result.output.split() == ["eu-west", "eu-east", "na-east"]
    assert json.loads(lines.output.splitlines()[2]) == {"region": "na-east"}


@pytest.mark.parametrize(("command", "operation"), [("regions", "list-regions"), ("health", "health")])
async def test_a_refusal_is_told(emulator, command, operation):
    emulator.faults.add(Fault("refuse", operation=operation, status=403))
    result = await run(command, env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 403 FORBIDDEN")


async def test_health_is_what_the_api_says(emulator):
    result = await run("health", env=account(emulator))
    lines = await run("health", "--json", env=account(emulator))
    assert (result.code, result.output.split()) == (0, ["status", "ok"])
    assert json.loads(lines.output) == {"status": "ok"}


async def test_a_tag_that_is_everywhere_is_fine(rollout):
    result = await run("tag", "my-game", "1.4", "eu-west", "eu-east", env=account(rollout))
    assert (result.code, result.errors) == (0, "")
    assert [line.split() for line in result.output.splitlines()[2:]] == [
        ["eu-west", "yes"],
        ["eu-east", "yes"],
    ]


async def test_a_tag_that_is_missing_somewhere_is_not(rollout):
    result = await run("tag", "my-game", "1.5", "eu-west", "eu-east", "--json", env=account(rollout))
    places = [json.loads(line) for line in result.output.splitlines()]
    assert result.code == 1
    assert {place["location"]: place["exists"] for place in places} == {"eu-west": True, "eu-east": False}


async def test_a_refused_question_for_a_tag_is_told(rollout):
    rollout.faults.add(Fault("refuse", operation="tag-exists", status=403))
    result = await run("tag", "my-game", "1.5", "eu-west", env=account(rollout))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 403 FORBIDDEN")


@pytest.mark.parametrize("no_color", [False, True])
async def test_a_terminal_shows_how_far_a_tag_has_come(rollout, no_color):
    env = {**account(rollout), "TERM": "xterm", "COLUMNS": "100"} | ({"NO_COLOR": "1"} if no_color else {})
    wait = ("tag", "my-game", "1.5", "eu-west", "eu-east", "na-east", "--wait")
    with terminal() as (controller, writer):
        async with running(*wait, env=env, stderr=writer) as process:
            os.close(writer)
            shown = await read_until(controller, "1/3 .*waiting for eu-east, na-east")
            pull(rollout)
            await read_until(controller)
            output = (await process.stdout.read()).decode()
            await process.wait()
    assert process.returncode == 0
    assert output.count("yes") == 3
    assert ("\x1b[36m" in shown) is not no_color


async def test_a_tag_that_does_not_come_in_time_is_told(rollout):
    result = await run("tag", "my-game", "1.5", "eu-east", "--wait", "--timeout", "0.2", env=account(rollout))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: the tag 1.5 of my-game was not in eu-east within 0.2 s")


async def test_waiting_for_a_tag_can_be_interrupted(rollout):
    env = {**account(rollout), "TERM": "xterm"}
    with terminal() as (controller, writer):
        async with running("tag", "my-game", "1.5", "eu-east", "--wait", env=env, stderr=writer) as process:
            os.close(writer)
            await read_until(controller, "0/1")
            process.send_signal(signal.SIGINT)
            last_words = await read_until(controller)
            await process.wait()
    assert process.returncode == 130
    assert "Traceback" not in last_words
