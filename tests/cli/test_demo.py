"""`gameye-async demo`."""

import os
import signal

import pytest

from gameye_async import LaunchRequest
from gameye_async.cli import demo
from gameye_async.emulator import Fault
from tests.cli.harness import MATCHES, ended, read_until, run, running, terminal


@pytest.fixture
def few_matches(tmp_path):
    path = tmp_path / "matches.jsonl"
    path.write_text("".join(MATCHES.read_text("utf-8").splitlines(keepends=True)[:60]), "utf-8")
    return path


@pytest.mark.parametrize("width", [60, 120])
async def test_it_launches_lists_back_and_stops_a_file_of_matches(few_matches, width):
    result = await run("demo", few_matches, env={"COLUMNS": str(width)})
    lines = result.output.splitlines()
    assert (result.code, result.errors) == (0, "")
    assert lines[0] == "launching 60 matches, 200 at once"
    assert lines[-2:] == [
        "listed back 60 sessions: none lost, doubled or foreign",
        "stopped 60 sessions: none left",
    ]
    assert max(map(len, lines)) <= width
    # The tables stand side by side where there is room.
    assert (" location " in lines[3]) == (width == 120)


async def test_a_match_that_cannot_be_launched_is_named(few_matches):
    with few_matches.open("a") as file:
        file.write('{"id": "match-x", "image": "my-game", "location": "atlantis"}\n')
    result = await run("demo", few_matches)
    assert result.code == 1
    assert result.errors.startswith("match-x: NotFoundError: ")
    assert "listed back 60 sessions" in result.output


async def test_an_interrupted_demo_takes_its_emulator_with_it(few_matches):
    env = {"TERM": "xterm", "COLUMNS": "80"}
    with terminal() as (controller, writer):
        async with running("demo", few_matches, env=env, stderr=writer, start_new_session=True) as process:
            os.close(writer)
            await read_until(controller, r"/60 launched [1-9]\d* in flight")
            # Ctrl-C goes to the whole group.
            os.killpg(process.pid, signal.SIGINT)
            # The emulator writes to the same terminal, so that this waits for its end as well.
            last_words = await read_until(controller)
            await process.wait()
    assert process.returncode == 130
    assert "may be running" not in last_words
    assert "Traceback" not in last_words


async def test_an_emulator_does_not_outlive_a_killed_demo(few_matches):
    async with running("demo", few_matches) as process:
        await process.stdout.readline()
        process.kill()
        result = await ended(process)
    assert result.errors == ""


async def test_a_file_that_cannot_be_read_starts_nothing():
    result = await run("demo", "absent.jsonl")
    assert (result.code, result.output) == (2, "")
    assert result.errors == "error: cannot read absent.jsonl: No such file or directory\n"


def test_a_thousand_matches_are_made_up_where_there_is_no_file():
    requests = demo.generated_requests(1_000)
    assert len({request.id for request in requests}) == 1_000
    assert len({request.location for request in requests}) > 1


async def test_made_up_matches_can_be_launched(emulator, gameye):
    for request in demo.generated_requests(20):
        await gameye.launch(request)
    assert len(emulator.world.live) == 20


def test_an_inventory_of_just_what_was_launched_is_fine():
    assert demo.Inventory.take(["a", "b"], ["b", "a"]).complaints() == []


def test_an_inventory_names_what_is_lost_doubled_and_foreign():
    complaints = demo.Inventory.take(["a", "b", "c"], ["b", "b", "x", "c"]).complaints()
    assert complaints == ["1 lost: a", "1 doubled: b", "1 foreign: x"]


async def test_a_lost_session_is_named(emulator, gameye, capsys):
    emulator.world.add_foreign_session("match-2", image="my-game", location="europe")
    requests = [LaunchRequest("my-game", "europe", id="match-1")]

    def lose(event):
        if event.kind == "launched":
            emulator.world.end_session("match-1")

    emulator.world.subscribe(lose)
    assert await demo.play(gameye, requests, concurrency=1) == 1
    assert capsys.readouterr().err.splitlines() == [
        "1 lost: match-1",
        "1 foreign: match-2",
        "1 left: match-2",
    ]


async def test_a_session_that_could_not_be_stopped_is_named(emulator, gameye, capsys):
    emulator.faults.add(Fault("refuse", operation="session-stop", status=403))
    requests = [LaunchRequest("my-game", "europe", id="match-1")]
    assert await demo.play(gameye, requests, concurrency=1) == 1
    refusal, left = capsys.readouterr().err.splitlines()
    assert refusal.startswith("403 FORBIDDEN")
    assert left == "1 left: match-1"
