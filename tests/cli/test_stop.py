"""`gameye-async stop` and `reconcile`."""

import asyncio
import json
import os
import signal
from contextlib import suppress

import pytest

from gameye_async.emulator import Fault
from tests.cli.harness import account, ended, read_until, run, running, terminal

FRIDAY = ("--label", "night=friday")


@pytest.fixture
def night(emulator):
    """Three sessions of Friday and one of somebody else."""
    for number in (1, 2, 3):
        emulator.world.add_foreign_session(
            f"match-{number}", image="my-game", location="europe", labels={"night": "friday"}, age=600
        )
    emulator.world.add_foreign_session("other-1", image="my-game", location="europe", age=600)
    return emulator


def live_ids(emulator):
    return [session.id for session in emulator.world.live if session.status == "running"]


async def test_sessions_are_stopped_by_id(night):
    night.world.end_session("match-2")
    result = await run("stop", "match-1", "match-2", env=account(night))
    assert (result.code, result.errors) == (0, "")
    rows = sorted(line.rstrip().split(maxsplit=1) for line in result.output.splitlines()[2:])
    assert rows == [["match-1", "stopped"], ["match-2", "was over"]]
    assert live_ids(night) == ["match-3", "other-1"]


async def test_stops_are_lines_of_json_when_asked_for(night):
    result = await run("stop", "match-1", "match-x", "--json", env=account(night))
    stopped, unknown = sorted(map(json.loads, result.output.splitlines()), key=lambda line: line["id"])
    assert stopped == {"id": "match-1", "ok": True, "stopped": True}
    assert (unknown["ok"], unknown["error"], unknown["unknown"]) == (False, "NotFoundError", False)
    assert result.code == 1


async def test_an_unknown_session_is_told_and_does_not_hold_up_the_others(night):
    result = await run("stop", "match-x", "match-1", env=account(night))
    assert result.code == 1
    assert result.errors.startswith("match-x: NotFoundError: 404 ")
    assert "match-1" not in live_ids(night)


async def test_a_session_named_twice_is_stopped_once(night):
    result = await run("stop", "match-1", "match-1", env=account(night))
    assert (result.code, result.output.count("match-1")) == (0, 1)


async def test_an_unconfirmed_stop_has_an_exit_code_of_its_own(night):
    night.faults.add(Fault("cut_before_commit", operation="session-stop"))
    async with running("stop", "match-1", env=account(night)) as process:
        first = (await process.stderr.readline()).decode()
        night.faults.clear()
        result = await ended(process)
    assert result.code == 3
    assert first.startswith("match-1: StopUnconfirmedError: ")
    assert live_ids(night) == ["match-2", "match-3", "other-1"]


async def test_all_of_a_label_are_stopped_and_nobody_elses(night):
    result = await run("stop", "--all", *FRIDAY, "--yes", env=account(night))
    assert (result.code, result.errors) == (0, "")
    assert live_ids(night) == ["other-1"]


async def test_all_of_a_label_that_nothing_carries_is_fine(night):
    result = await run("stop", "--all", "--label", "night=monday", "--yes", env=account(night))
    assert (result.code, result.output, result.errors) == (0, "", "")


async def test_where_nobody_can_be_asked_nothing_is_stopped(night):
    result = await run("stop", "--all", *FRIDAY, env=account(night), typed=b"y\n")
    assert (result.code, result.output) == (2, "")
    assert "--yes" in result.errors
    assert len(live_ids(night)) == 4


@pytest.mark.parametrize(("answer", "left"), [("y", 1), ("", 4), ("no", 4)])
async def test_a_terminal_is_asked(night, answer, left):
    with terminal() as (controller, tty):
        async with running("stop", "--all", *FRIDAY, env=account(night), stdin=tty, stderr=tty) as process:
            asked = await read_until(controller, r"\[y/N\]")
            os.write(controller, f"{answer}\n".encode())
            await process.wait()
        os.close(tty)
    assert "match-1, match-2, match-3" in asked
    assert "Stop 3 sessions?" in asked
    assert process.returncode == 0
    assert len(live_ids(night)) == left


async def test_an_interrupted_question_stops_nothing(night):
    with terminal() as (controller, tty):
        async with running("stop", "--all", *FRIDAY, env=account(night), stdin=tty, stderr=tty) as process:
            await read_until(controller, r"\[y/N\]")
            while process.returncode is None:
                # Python misses one that comes just before it begins to read; people press Ctrl-C again.
                process.send_signal(signal.SIGINT)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 5.0)
        os.close(tty)
    assert process.returncode == 130
    assert len(live_ids(night)) == 4


async def test_an_interrupted_stop_names_what_may_still_run(night):
    night.faults.add(Fault("refuse", operation="session-stop", status=503))
    env = {**account(night), "TERM": "xterm", "COLUMNS": "80"}
    with terminal() as (controller, tty):
        async with running("stop", "match-1", "match-2", env=env, stderr=tty) as process:
            os.close(tty)
            await read_until(controller, "0/2 stopped")
            process.send_signal(signal.SIGINT)
            night.faults.clear()
            last_words = await read_until(controller)
            await process.wait()
    assert process.returncode == 130
    assert "2 not known to be stopped: match-1, match-2" in last_words
    assert "Traceback" not in last_words


async def test_strays_are_found_and_left_alone(night, tmp_path):
    expected = tmp_path / "results.jsonl"
    expected.write_text('{"id": "match-1", "ok": true}\n\nmatch-2\n')
    result = await run("reconcile", *FRIDAY, "--expected", expected, env=account(night))
    assert (result.code, result.errors) == (0, "")
    assert [line.split()[0] for line in result.output.splitlines()[2:]] == ["match-3"]
    assert len(live_ids(night)) == 4


async def test_strays_are_stopped_when_asked_for(night):
    options = ("--id-prefix", "match-", "--expected", "-", "--stop", "--json")
    result = await run("reconcile", *options, typed=b"match-2\n", env=account(night))
    assert result.code == 0
    assert {json.loads(line)["id"] for line in result.output.splitlines()} == {"match-1", "match-3"}
    assert live_ids(night) == ["match-2", "other-1"]


async def test_strays_are_lines_of_json_when_asked_for(night):
    result = await run("reconcile", "--id-prefix", "match-", *FRIDAY, "--json", env=account(night))
    assert [json.loads(line)["id"] for line in result.output.splitlines()] == [
        f"match-{number}" for number in (1, 2, 3)
    ]


async def test_young_sessions_are_no_strays(night):
    result = await run("reconcile", *FRIDAY, "--grace", "3600", env=account(night))
    assert (result.code, result.output) == (0, "no sessions\n")


async def test_a_refused_reconcile_is_told(night):
    night.faults.add(Fault("refuse", operation="session-list", status=403))
    result = await run("reconcile", *FRIDAY, env=account(night))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 403 FORBIDDEN")


@pytest.mark.parametrize(("line", "fault"), [("{", "not JSON"), ('{"ok": true}', 'no "id" in it')])
async def test_a_file_of_expected_sessions_that_is_wrong_is_told(night, tmp_path, line, fault):
    expected = tmp_path / "results.jsonl"
    expected.write_text(f"match-1\n{line}\n")
    result = await run("reconcile", *FRIDAY, "--expected", expected, "--stop", env=account(night))
    assert (result.code, result.errors) == (2, f"error: {expected}:2: {fault}\n")
    assert len(live_ids(night)) == 4
