"""`gameye-async launch`."""

import json
import os
import signal

import pytest

from gameye_async.emulator import Emulator, Fault
from tests.cli.harness import MATCHES, Gate, account, ended, read_until, run, run_here, running, terminal

LINES = MATCHES.read_text("utf-8").splitlines()
IDS = [json.loads(line)["id"] for line in LINES]
ONE = ("launch", "--image", "my-game", "--location", "europe")


def file_of(tmp_path, *lines):
    path = tmp_path / "matches.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


def live_ids(emulator):
    return [session.id for session in emulator.world.live]


async def test_a_file_of_a_thousand_is_launched(emulator):
    result = await run("launch", "--from", MATCHES, env=account(emulator))
    assert (result.code, result.errors) == (0, "")
    assert sorted(live_ids(emulator)) == sorted(IDS)
    assert result.output.splitlines()[2].split() == ["launched", "1,000"]


@pytest.mark.parametrize("width", [60, 120])
async def test_the_summary_fits_the_terminal(emulator, tmp_path, width):
    path = file_of(tmp_path, *LINES[:3])
    result = await run("launch", "--from", path, env={**account(emulator), "COLUMNS": str(width)})
    lines = result.output.splitlines()
    assert [" ".join(line.split()[:-1]) for line in lines[2:8]] == [
        "launched",
        "adopted",
        "failed",
        "unknown",
        "retries",
        "420s seen",
    ]
    assert max(map(len, lines)) <= width


async def test_requests_come_from_standard_input_too(emulator):
    result = await run("launch", "--from", "-", typed="\n".join(LINES[:5]).encode(), env=account(emulator))
    assert result.code == 0
    assert sorted(live_ids(emulator)) == sorted(IDS[:5])


async def test_a_session_is_launched_from_options(emulator):
    options = {
        "--arg": ("--max-players=8", "-v"),
        "--env": ("MAP=salt-pier", "MODE=a=b"),
        "--label": ("match=7",),
        "--version": ("1.2",),
        "--ttl": ("2h30m",),
        "--id": ("match-7",),
    }
    given = [part for option, values in options.items() for value in values for part in (option, value)]
    result = await run(*ONE, *given, env=account(emulator))
    (session,) = emulator.world.live
    assert (result.code, result.errors) == (0, "")
    assert (session.id, session.tag, session.ttl) == ("match-7", "1.2", 9_000)
    assert session.args == ("--max-players=8", "-v")
    assert session.labels == {"match": "7"}
    assert {"MAP": "salt-pier", "MODE": "a=b"}.items() <= session.env.items()
    assert "203.0.113." in result.output
    assert f"7777/udp on {session.host_ports[0]}" in result.output


async def test_further_locations_are_tried_when_the_first_is_full(emulator):
    emulator.world.set_capacity("europe", 0)
    await run(*ONE, "--location", "eu-west", env=account(emulator))
    assert [session.location for session in emulator.world.live] == ["eu-west"]


async def test_results_are_lines_of_json_when_asked_for(emulator, tmp_path):
    lost = {
        "id": "match-x",
        "image": "my-game",
        "location": "atlantis",
        "external_id": "x",
        "env": {"KEY": "s3cret"},
    }
    path = file_of(tmp_path, *LINES[:5], json.dumps(lost))
    result = await run("launch", "--from", path, "--json", env=account(emulator))
    results = {line["id"]: line for line in map(json.loads, result.output.splitlines())}
    launched = results[IDS[2]]
    session = emulator.world.session(IDS[2])
    assert results.keys() == {*IDS[:5], "match-x"}
    assert (launched["ok"], launched["host"]) == (True, session.machine.address)
    assert [port["host"] for port in launched["ports"]] == list(session.host_ports)
    assert launched["labels"] == json.loads(LINES[2])["labels"]
    refused = results["match-x"]
    assert (refused["ok"], refused["error"], refused["unknown"]) == (False, "NotFoundError", False)
    assert refused["external_id"] == "x"
    assert "s3cret" not in result.output


async def test_a_refused_launch_is_told_and_does_not_hold_up_the_others(emulator, tmp_path):
    lost = '{"id": "match-x", "image": "my-game", "location": "atlantis"}'
    path = file_of(tmp_path, LINES[0], lost, LINES[1])
    result = await run("launch", "--from", path, env=account(emulator))
    assert result.code == 1
    assert result.errors.startswith("match-x: NotFoundError: 404 ")
    assert sorted(live_ids(emulator)) == sorted(IDS[:2])


async def test_an_unknown_outcome_has_an_exit_code_of_its_own(emulator):
    emulator.faults.add(
        Fault("cut_after_commit", operation="session-run", count=1),
        Fault("refuse", operation="describe-session", status=403, count=1),
    )
    result = await run(*ONE, "--id", "match-7", env=account(emulator))
    assert result.code == 3
    assert result.output == ""
    assert result.errors.startswith("match-7: LaunchOutcomeUnknownError: ")


async def test_a_bad_line_launches_nothing(emulator, tmp_path):
    path = file_of(tmp_path, *LINES[:16], LINES[16][:-1], *LINES[17:20])
    result = await run("launch", "--from", path, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {path}:17: not JSON: ")
    assert not emulator.requests


async def test_an_unknown_field_launches_nothing(emulator, tmp_path):
    path = file_of(tmp_path, LINES[0], LINES[1].replace('"location"', '"regoin"'))
    result = await run("launch", "--from", path, env=account(emulator))
    assert result.code == 2
    assert result.errors == f"error: {path}:2: 'regoin' is not a field of a launch request\n"
    assert not emulator.requests


async def test_the_good_lines_of_a_bad_file_are_launched_when_asked_for(emulator, tmp_path):
    lines = [*LINES[:16], LINES[16][:-1], LINES[17], '{"image": "my-game"}', LINES[0], LINES[18]]
    path = file_of(tmp_path, *lines)
    result = await run("launch", "--from", path, "--keep-going", env=account(emulator))
    told = result.errors.splitlines()
    assert result.code == 1
    assert told[0].startswith(f"left out: {path}:17: not JSON: ")
    assert told[1].startswith(f"left out: {path}:19: ")
    assert "location" in told[1]
    assert told[2] == f"left out: {path}:20: id {IDS[0]!r} is that of line 1 already"
    assert len(told) == 3
    assert sorted(live_ids(emulator)) == sorted([*IDS[:16], *IDS[17:19]])


async def test_a_good_file_is_no_failure_when_it_is_to_keep_going(emulator, tmp_path):
    path = file_of(tmp_path, *LINES[:2])
    result = await run("launch", "--from", path, "--keep-going", env=account(emulator))
    assert (result.code, result.errors) == (0, "")


async def test_a_file_without_a_good_line_is_bad_input(emulator, tmp_path):
    path = file_of(tmp_path, "{}", LINES[1][:-1])
    result = await run("launch", "--from", path, "--keep-going", env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.count(f"{path}:") == 2
    assert not emulator.requests


async def test_an_unknown_outcome_weighs_more_than_a_bad_line(emulator, tmp_path):
    emulator.faults.add(
        Fault("cut_after_commit", operation="session-run", count=1),
        Fault("refuse", operation="describe-session", status=403, count=1),
    )
    path = file_of(tmp_path, LINES[0], "{}")
    result = await run("launch", "--from", path, "--keep-going", env=account(emulator))
    assert result.code == 3


async def test_a_dry_run_can_keep_going_too(tmp_path):
    path = file_of(tmp_path, LINES[0], "{}")
    result = await run("launch", "--from", path, "--keep-going", "--dry-run")
    assert (result.code, len(result.output.splitlines())) == (1, 1)
    assert result.errors.startswith(f"left out: {path}:2: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--from", "absent.jsonl"), "cannot read absent.jsonl: No such file or directory"),
        (("--from", "absent.jsonl", "--image", "my-game"), "--from brings whole launch requests"),
        ((), "say what to launch: --image and --location, or --from FILE"),
        (("--image", "my-game"), "say what to launch: --image and --location, or --from FILE"),
        ((*ONE[1:], "--ttl", "1d"), "ttl '1d' is not expressible in hours and minutes"),
        ((*ONE[1:], "--env", "hunter2"), "--env takes NAME=VALUE, and one has no '='\n"),
    ],
)
async def test_bad_input_is_told_and_launches_nothing(emulator, arguments, complaint):
    result = await run_here("launch", *arguments, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {complaint}")
    assert not emulator.requests


async def test_without_a_token_it_says_where_to_get_one():
    result = await run(*ONE)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: no API token: set GAMEYE_API_TOKEN")


async def test_a_wrong_url_is_bad_input():
    result = await run(*ONE, env={"GAMEYE_API_TOKEN": "t", "GAMEYE_API_URL": "http://203.0.113.1"})
    assert result.code == 2
    assert result.errors.startswith("error: the base URL must use https")


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
async def test_an_interruption_stops_what_was_launched_and_what_is_in_flight(interruption):
    gate = Gate(free=20)
    async with (
        Emulator(start_container=gate) as emulator,
        running(
            *("launch", "--from", MATCHES, "--json", "--concurrency", "30"), env=account(emulator)
        ) as process,
    ):
        for _ in range(20):
            await process.stdout.readline()
        process.send_signal(interruption)
        announced = await process.stderr.readline()
        gate.opened.set()
        result = await ended(process)
        assert announced == b"interrupted: stopping 20 sessions and what is in flight\n"
        assert (result.code, result.errors) == (130, "stopped: nothing is left running\n")
        assert live_ids(emulator) == []
        assert len(emulator.world.history) >= 50


async def test_an_interruption_names_what_it_could_not_settle(emulator, tmp_path):
    emulator.world.set_capacity("sa-east", 0)
    full = '{"image": "my-game", "location": "sa-east"}'
    path = file_of(tmp_path, *LINES[:2], full)
    emulator.faults.add(Fault("refuse", operation="session-stop", status=403))
    async with running("launch", "--from", path, "--json", env=account(emulator)) as process:
        launched = [json.loads(await process.stdout.readline())["id"] for _ in range(2)]
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    left = result.errors.splitlines()[1:]
    assert result.code == 130
    assert sorted(line.split()[1] for line in left) == sorted(launched)
    assert all("may be running: 403 FORBIDDEN" in line for line in left)


async def test_sessions_are_stopped_when_nobody_reads_the_results(emulator):
    reader, writer = os.pipe()
    async with running(
        "launch", "--from", MATCHES, "--json", env=account(emulator), stdout=writer
    ) as process:
        os.close(writer)
        os.close(reader)
        result = await ended(process)
    assert result.code == 130
    assert "interrupted" in result.errors
    assert "Traceback" not in result.errors
    assert live_ids(emulator) == []


async def test_a_terminal_gets_a_progress_bar():
    gate = Gate(free=2)
    async with Emulator(start_container=gate) as emulator:
        env = {**account(emulator), "TERM": "xterm", "COLUMNS": "80"}
        with terminal() as (controller, writer):
            async with running(*("launch", "--from", MATCHES, "--concurrency", "5"), env=env, stderr=writer):
                os.close(writer)
                shown = await read_until(controller, "2/1,000 launched 5 in flight 0 retried")
                gate.opened.set()
    assert "━" in shown
    assert "2/1,000 launched 5 in flight 0 retried" in shown


async def test_lines_of_json_on_a_terminal_are_not_overwritten_by_a_bar(emulator, tmp_path):
    path = file_of(tmp_path, LINES[0])
    env = {**account(emulator), "TERM": "xterm"}
    with terminal() as (controller, writer):
        async with running(
            *("launch", "--from", path, "--json"), env=env, stdout=writer, stderr=writer
        ) as process:
            os.close(writer)
            await process.wait()
            shown = await read_until(controller, "\n")
    assert json.loads(shown)["id"] == IDS[0]
