"""`gameye-async launch` with `--dry-run`, `--output` and `--resume`."""

import json
import os
import resource
import signal

import pytest

from gameye_async.emulator import Emulator
from tests.cli.harness import MATCHES, Gate, account, ended, run, run_here, running

LINES = MATCHES.read_text("utf-8").splitlines()[:20]
NAMELESS = [
    json.dumps({name: value for name, value in json.loads(line).items() if name != "id"}) for line in LINES
]
ONE = ("launch", "--image", "my-game", "--location", "europe", "--env", "KEY=s3cret")


@pytest.fixture
def matches(tmp_path):
    path = tmp_path / "matches.jsonl"
    path.write_text("\n".join(NAMELESS), "utf-8")
    return path


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results.jsonl"


def entries(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def launch(matches, results, *more):
    return "launch", "--from", matches, "--output", results, *more


async def test_a_dry_run_prints_the_request_and_sends_nothing(emulator):
    result = await run(*ONE, "--id", "match-7", "--ttl", "2h", "--dry-run", env=account(emulator))
    assert (result.code, result.errors) == (0, "")
    assert json.loads(result.output) == {
        "id": "match-7",
        "location": "europe",
        "image": "my-game",
        "env": {"KEY": "***"},
        "args": [],
        "restart": False,
        "ttl": "2h",
    }
    assert not emulator.requests


async def test_a_dry_run_shows_env_only_when_asked_to():
    result = await run_here(*ONE, "--dry-run", "--show-env")
    assert json.loads(result.output)["env"] == {"KEY": "s3cret"}


async def test_a_dry_run_needs_no_token_and_prints_every_line(matches):
    result = await run_here("launch", "--from", matches, "--dry-run")
    assert (result.code, len(result.output.splitlines())) == (0, len(LINES))


async def test_a_dry_run_of_a_bad_file_says_so(tmp_path):
    path = tmp_path / "matches.jsonl"
    path.write_text("{}")
    result = await run_here("launch", "--from", path, "--dry-run")
    assert (result.code, result.output) == (2, "")


async def test_results_are_written_beside_the_summary(emulator, matches, results):
    result = await run(*launch(matches, results), env=account(emulator))
    assert (result.code, result.errors) == (0, "")
    assert "launched" in result.output
    assert {entry["id"] for entry in entries(results)} == {session.id for session in emulator.world.live}
    assert all(entry["ok"] for entry in entries(results))
    secrets = json.loads(LINES[0])["env"].values()
    assert not any(secret in results.read_text() + result.output for secret in secrets)


async def test_a_second_run_launches_only_what_is_missing(emulator, matches, results):
    await run(*launch(matches, results), env=account(emulator))
    with matches.open("a") as file:
        file.write('\n{"image": "my-game", "location": "europe"}\n')
    emulator.requests.clear()
    result = await run(*launch(matches, results, "--resume"), env=account(emulator))
    assert (result.code, result.errors) == (0, f"20 of 21 are in {results} already\n")
    assert sum(request.operation == "session-run" for request in emulator.requests) == 1
    assert len(entries(results)) == 21


async def test_when_nothing_is_missing_nothing_is_sent(emulator, matches, results):
    await run(*launch(matches, results), env=account(emulator))
    emulator.requests.clear()
    result = await run(*launch(matches, results, "--resume"), env=account(emulator))
    assert (result.code, result.output) == (0, "")
    assert not emulator.requests


async def test_a_result_lost_by_a_kill_is_adopted(emulator, matches, results):
    await run(*launch(matches, results), env=account(emulator))
    whole = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(whole[:15]) + whole[15][:40])
    result = await run(*launch(matches, results, "--resume"), env=account(emulator))
    assert result.code == 0
    assert [entry["created_by"] for entry in entries(results)][15:] == ["adopted"] * 5
    assert len(emulator.world.live) == 20


async def test_a_killed_run_is_gone_on_with_and_nothing_is_launched_twice(matches, results):
    gate = Gate(free=8)
    async with Emulator(start_container=gate) as emulator:
        async with running(*launch(matches, results, "--json"), env=account(emulator)) as process:
            for _ in range(8):
                await process.stdout.readline()
            process.kill()
            await process.wait()
        gate.opened.set()
        result = await run(*launch(matches, results, "--resume"), env=account(emulator))
        assert result.code == 0
        assert result.errors == f"8 of 20 are in {results} already\n"
        assert len(emulator.world.live) == 20
        assert {entry["id"] for entry in entries(results)} == {session.id for session in emulator.world.live}


async def test_an_interrupted_run_leaves_its_sessions_to_the_next(matches, results):
    gate = Gate(free=8)
    command = launch(matches, results, "--concurrency", "4")
    async with Emulator(start_container=gate) as emulator:
        async with running(*command, "--json", env=account(emulator)) as process:
            for _ in range(8):
                await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            announced = (await process.stderr.readline()).decode()
            gate.opened.set()
            result = await ended(process)
        assert result.code == 130
        assert announced == f"interrupted: 8 sessions run on; --resume goes on from {results}\n"
        named = result.errors.splitlines()
        assert all(line.endswith("it was in flight; --resume takes it over") for line in named)
        assert {line.split()[1] for line in named} >= {session.id for session in emulator.world.live} - {
            entry["id"] for entry in entries(results)
        }
        again = await run(*command, "--resume", env=account(emulator))
        assert again.code == 0
        assert len(emulator.world.live) == 20


async def test_a_failed_line_is_tried_again(emulator, matches, results):
    matches.write_text('{"id": "match-1", "image": "my-game", "location": "europe"}\n')
    results.write_text('{"id": "match-1", "ok": true}\n{"id": "match-1", "ok": false}\n')
    result = await run(*launch(matches, results, "--resume"), env=account(emulator))
    assert (result.code, [entry["ok"] for entry in entries(results)]) == (0, [True, False, True])


async def test_equal_lines_are_different_sessions(emulator, matches, results):
    matches.write_text('{"image": "my-game", "location": "europe"}\n' * 3)
    await run(*launch(matches, results), env=account(emulator))
    assert len(emulator.world.live) == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((*ONE, "--output", "results.jsonl"), "--output, --resume and --keep-going go with --from FILE"),
        ((*ONE, "--keep-going"), "--output, --resume and --keep-going go with --from FILE"),
        (("launch", "--from", "-", "--resume"), "--resume goes on with the results in --output FILE"),
        (("launch", "--from", os.devnull, "--output", "absent/r.jsonl"), "cannot write absent/r.jsonl: "),
    ],
)
async def test_bad_usage_is_told_and_sends_nothing(emulator, arguments, complaint):
    result = await run_here(*arguments, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {complaint}")
    assert not emulator.requests


async def test_results_of_an_earlier_run_are_never_overwritten(emulator, matches, results):
    results.write_text('{"id": "match-1", "ok": true}\n')
    result = await run(*launch(matches, results), env=account(emulator))
    assert result.code == 2
    assert "exists: --resume launches what is missing" in result.errors
    assert entries(results) == [{"id": "match-1", "ok": True}]
    assert not emulator.requests


async def test_a_file_that_holds_something_else_is_left_alone(emulator, matches):
    content = matches.read_bytes()
    result = await run(*launch(matches, matches, "--resume"), env=account(emulator))
    assert (result.code, result.errors) == (2, f"error: {matches}:1: not the result of a launch\n")
    assert matches.read_bytes() == content
    assert not emulator.requests


async def test_a_mended_line_is_launched_by_the_next_run(emulator, matches, results):
    """Ids made of content do not depend on the bad lines in between."""
    whole = matches.read_text()
    matches.write_text(whole.replace(NAMELESS[7], NAMELESS[7][:-1]))
    result = await run(*launch(matches, results, "--keep-going"), env=account(emulator))
    assert result.code == 1
    assert result.errors.startswith(f"left out: {matches}:8: not JSON: ")
    assert len(entries(results)) == len(emulator.world.live) == 19
    matches.write_text(whole)
    result = await run(*launch(matches, results, "--keep-going", "--resume"), env=account(emulator))
    assert (result.code, result.errors) == (0, f"19 of 20 are in {results} already\n")
    assert len(entries(results)) == len(emulator.world.live) == 20


async def test_a_bad_line_is_told_also_when_all_others_are_launched_already(emulator, matches, results):
    matches.write_text(f"{NAMELESS[0]}\n{{}}\n")
    command = launch(matches, results, "--keep-going")
    await run(*command, env=account(emulator))
    result = await run(*command, "--resume", env=account(emulator))
    assert result.code == 1
    assert result.errors.splitlines()[0].startswith(f"left out: {matches}:2: ")
    assert len(emulator.world.live) == 1


async def test_a_full_disk_ends_the_run_and_loses_no_session(matches, results):
    """What is not in the file is named, and a later run takes it over."""
    results.write_text('{"id": "earlier", "ok": true}\n' * 30)
    gate = Gate(free=5)
    command = launch(matches, results, "--resume", "--concurrency", "10")
    room = results.stat().st_size + 700
    async with Emulator(start_container=gate) as emulator:
        async with running(
            *command,
            env=account(emulator),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        ) as process:
            first = (await process.stderr.readline()).decode()
            gate.opened.set()
            result = await ended(process)
        assert result.code == 1
        assert first.endswith("may be running: its result could not be written\n")
        assert result.errors.endswith("File too large\n")
        named = {line.split()[1] for line in (first + result.errors).splitlines() if "may be running" in line}
        whole = results.read_bytes().rpartition(b"\n")[0].splitlines()
        written = {json.loads(line)["id"] for line in whole}
        assert {session.id for session in emulator.world.live} <= written | named
        again = await run(*command, env=account(emulator))
        assert again.code == 0
        assert len(emulator.world.live) == 20
        assert {session.id for session in emulator.world.live} <= {entry["id"] for entry in entries(results)}
