"""`gameye-async loadtest`, as a process of its own."""

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys

import pytest

from gameye_async.cli.loadtest_view import show_report
from gameye_async.emulator import Emulator, Fault
from gameye_async.emulator.sessions import Session
from gameye_async.loadtest import LoadReport
from gameye_async.loadtest.documents import from_json, read
from tests.cli.harness import Gate, account, ended, read_until, run, run_here, running, terminal
from tests.loadtest.samples import sample

TEST = ("loadtest", "--image", "my-game", "--location", "europe", "--lifetime", "0.2")
SHORT = (*TEST, "--rate", "120", "--duration", "0.5")
ENDINGS = ("html", "json", "png", "hdr")


def left(emulator):
    return [session.id for session in emulator.world.live]


async def test_a_load_test_launches_stops_and_tells(emulator):
    result = await run(*SHORT, "--run", "friday", env=account(emulator))
    assert (result.code, result.errors) == (0, "")
    lines = [line.split() for line in result.output.splitlines()]
    launched = emulator.history.counts["launched"]
    assert launched > 30
    assert ["due", str(launched)] in [line[:2] for line in lines]
    assert result.output.endswith("no session is left running (loadtest=friday)\n")
    assert left(emulator) == []


async def test_stops_do_not_queue_up_where_as_many_launches_do_not(emulator):
    """Sixty stops of a second each, within a second: eight at a time, a session would live for four."""
    emulator.faults.add(Fault("latency", operation="session-stop", seconds=1.0))
    result = await run(*SHORT, "--json", env=account(emulator))
    report = json.loads(result.output)
    assert report["session_seconds"] / report["launched"] < 2.5


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}])
async def test_what_it_tells_fits_the_terminal(emulator, width, settings):
    emulator.faults.add(Fault("refuse", operation="session-run", status=403, count=3))
    result = await run(*SHORT, env={**account(emulator), "COLUMNS": str(width), **settings})
    assert result.code == 1
    assert max(map(len, result.output.splitlines())) <= width
    assert "\x1b" not in result.output
    assert "PermissionDeniedError" in result.output
    assert "waited p50" in result.output


@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}])
@pytest.mark.parametrize("width", [60, 120])
async def test_a_terminal_shows_how_it_gets_on(width, settings):
    gate = Gate(free=20)
    async with Emulator(start_container=gate) as emulator:
        env = {**account(emulator), "TERM": "xterm-256color", "COLUMNS": str(width), **settings}
        with terminal() as (controller, writer):
            async with running(*TEST, "--rate", "60", "--duration", "2", env=env, stderr=writer):
                os.close(writer)
                drawn = await read_until(controller, r"no more arrivals")
                gate.opened.set()
                drawn += await read_until(controller)
    for part in ("my-game, load-", "asked", "got", "in flight", "p99", "420s", "location", "europe", "━"):
        assert part in drawn
    assert ("\x1b[36m" in drawn) == (not settings)
    assert left(emulator) == []


async def test_nothing_is_drawn_where_there_is_no_terminal(emulator):
    result = await run(*SHORT, env={**account(emulator), "TERM": "xterm"})
    assert result.errors == ""
    assert "━" not in result.output


async def test_the_report_is_a_line_of_json_when_asked_for(emulator):
    result = await run(*SHORT, "--json", "--max-sessions", "10", env=account(emulator))
    assert (result.code, result.errors, result.output.count("\n")) == (0, "", 1)
    report = from_json(result.output)
    assert (report.launched, report.parts[0].ending) == (10, "max_sessions")
    assert report.is_clean


async def test_a_report_is_written_in_every_form(emulator, tmp_path):
    folder = tmp_path / "night"
    result = await run(*SHORT, "--report", folder, "--json", env=account(emulator))
    assert (result.code, result.errors) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"report.{ending}" for ending in ENDINGS)
    report = from_json(result.output)
    assert read(folder / "report.json") == read(folder / "report.hdr") == report
    assert f"{report.launched:,}" in (folder / "report.html").read_text()
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")


async def test_a_profile_shapes_the_rate(emulator, tmp_path):
    profile = tmp_path / "late.toml"
    profile.write_text("[[phases]]\nshare = 1\nlevel = 0\n[[phases]]\nshare = 1\nlevel = 1\n")
    options = ("--rate", "60", "--duration", "1", "--profile", profile, "--arrivals", "constant", "--json")
    result = await run(*TEST, *options, env=account(emulator))
    report = from_json(result.output)
    assert (report.due, report.launched) == (30, 30)
    assert [each.due for each in report.intervals[:2]] == [0, 30]


async def test_locations_are_taken_in_turn_and_commas_are_preferences():
    async with Emulator(locations={"europe": 0, "asia": 1_000, "africa": 1_000}) as emulator:
        options = ("--location", "africa", "--rate", "60", "--duration", "1", "--json")
        command = (*TEST[:3], "--location", "europe,asia", *options)
        result = await run(*command, env=account(emulator))
        launched = {place.location: place.launched for place in from_json(result.output).places}
        assert launched["europe"] == 0
        assert launched["asia"] == pytest.approx(launched["africa"], abs=2)


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
async def test_an_interruption_stops_everything_and_still_reports(interruption, tmp_path):
    begun, opened = asyncio.Event(), asyncio.Event()

    async def start(_session: Session) -> None:
        """Starts at once what the first 15 launches asked for."""
        if len(emulator.world.history) > 15:
            begun.set()
            await opened.wait()

    async with Emulator(start_container=start) as emulator:
        command = (*TEST[:-1], "60", "--rate", "40", "--duration", "60", "--report", tmp_path / "cut.json")
        async with running(*command, env=account(emulator)) as process:
            await begun.wait()
            process.send_signal(interruption)
            announced = (await process.stderr.readline()).decode()
            opened.set()
            result = await ended(process)
        assert re.fullmatch(r"interrupted: stopping \d+ sessions and what is in flight\n", announced)
        assert (result.code, result.errors) == (130, "")
        assert "interrupted; no session is left running" in result.output
        assert left(emulator) == []
        report = read(tmp_path / "cut.json")
    assert report.parts[0].ending == "interrupted"
    assert report.launched == report.stopped > 5
    assert report.abandoned == report.due - report.launched > 0


async def test_two_shards_are_merged_into_their_sum(emulator, tmp_path):
    options = ("--rate", "80", "--duration", "1", "--seed", "5")
    files = [tmp_path / "a.hdr", tmp_path / "b.hdr"]
    results = await asyncio.gather(
        *(
            run(*TEST, *options, "--shard", f"{index}/2", "--report", file, env=account(emulator))
            for index, file in enumerate(files, 1)
        )
    )
    assert [result.code for result in results] == [0, 0]
    parts = [read(file) for file in files]
    joined = await run("loadtest", "merge", *files, "--report", tmp_path / "both", "--json")
    assert (joined.code, joined.errors) == (0, "")
    report = from_json(joined.output)
    assert report == LoadReport.merge(parts)
    assert report.launched == sum(part.launched for part in parts) == emulator.history.counts["launched"]
    assert report.latency.count == report.launched
    assert read(tmp_path / "both/report.hdr") == report
    assert left(emulator) == []


async def test_shards_that_share_a_directory_do_not_overwrite_each_other(emulator, tmp_path):
    for shard in ("1/2", "2/2"):
        await run(*SHORT, "--shard", shard, "--report", tmp_path, env=account(emulator))
    merged = await run("loadtest", "merge", *sorted(tmp_path.glob("*.json")), env={"COLUMNS": "60"})
    assert merged.code == 0
    assert "shard 1/2: no session is left running" in merged.output
    assert "shard 2/2: no session is left running" in merged.output
    assert max(map(len, merged.output.splitlines())) <= 60


async def test_a_session_that_may_be_left_has_an_exit_code_of_its_own(emulator):
    emulator.faults.add(Fault("refuse", operation="session-list", status=403))
    result = await run(*SHORT, "--run", "friday", env=account(emulator))
    assert result.code == 3
    assert result.errors == (
        "sessions may be left running: look for them with "
        "gameye-async list --label loadtest=friday --label shard=1/1\n"
    )


async def test_production_is_refused_unless_it_is_meant():
    for url in (
        {},
        {"GAMEYE_API_URL": "https://api.gameye.io"},
        {"GAMEYE_API_URL": "https://API.gameye.io.:443/"},
    ):
        result = await run_here(*SHORT, env={"GAMEYE_API_TOKEN": "t", **url})
        assert (result.code, result.output) == (2, "")
        assert result.errors.startswith("error: this is the production platform, where sessions cost money")
        assert "--yes-production" in result.errors


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--max-cost", "5"), "max_cost needs price_per_hour"),
        (("--shard", "3/2"), "a shard is one of 1/2 to 2/2"),
        (("--profile", "absent.toml"), "cannot read absent.toml: No such file or directory"),
        (("--report", "report.pdf"), "report.pdf must end with one of .json, .hdr, .html, .png"),
        (("--report", "absent/report.html"), "there is no directory absent"),
        (("--report", "absent/night"), "cannot make the directory absent/night: No such file or directory"),
        (("--ttl", "30s"), "ttl '30s' is not expressible"),
        (("--lifetime", "301"), "ttl 5m must be longer than the lifetime of 301 s"),
        (("--env", "hunter2"), "--env takes NAME=VALUE"),
    ],
)
async def test_bad_usage_is_told_and_launches_nothing(emulator, options, complaint):
    result = await run_here(*SHORT[:5], *SHORT[7:], *options, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {complaint}")
    assert not emulator.requests


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ((), "name the reports to merge"),
        (("absent.hdr",), "cannot read absent.hdr: No such file or directory"),
        (("README.md",), "README.md: no load report in it"),
        (("pyproject.toml",), "pyproject.toml: not JSON"),
    ],
)
async def test_what_cannot_be_merged_is_told(files, complaint):
    result = await run_here("loadtest", "merge", *files)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {complaint}")


async def test_without_a_token_it_says_where_to_get_one():
    result = await run_here(*SHORT)
    assert result.code == 2
    assert result.errors.startswith("error: no API token: set GAMEYE_API_TOKEN")


async def test_a_closed_pipe_ends_it_like_an_interruption_and_the_report_is_written(emulator, tmp_path):
    reader, writer = os.pipe()
    command = (*SHORT, "--json", "--report", tmp_path / "night.json")
    async with running(*command, env=account(emulator), stdout=writer) as process:
        os.close(writer)
        os.close(reader)
        result = await ended(process)
    assert (result.code, result.errors) == (130, "")
    assert read(tmp_path / "night.json").is_clean
    assert left(emulator) == []


async def test_the_numbers_are_told_when_the_report_cannot_be_written(emulator, tmp_path):
    result = await run(
        *(*SHORT, "--report", tmp_path / "a.json"),
        env=account(emulator),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert result.code == 1
    assert "waited p50" in result.output
    assert result.errors.endswith("File too large\n")


@pytest.mark.parametrize("package", ["hdrh", "matplotlib"])
async def test_a_missing_extra_is_told_before_anything_is_launched(emulator, package, tmp_path):
    command = [*SHORT, "--report", str(tmp_path / "report.png")]
    program = (
        f"import sys; sys.modules[{package!r}] = None; sys.modules[{package + '.histogram'!r}] = None\n"
        f"sys.argv[1:] = {command!r}\nfrom gameye_async.cli import main; sys.exit(main())"
    )
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        env=os.environ | account(emulator),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.endswith('pip install "gameye-async[loadtest]"\n')
    assert not emulator.requests


async def test_the_values_of_env_reach_the_containers_and_no_report(emulator, tmp_path):
    result = await run(
        *(*SHORT, "--env", "KEY=s3cret", "--json", "--report", tmp_path), env=account(emulator)
    )
    texts = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(texts) == 4
    assert not any(b"s3cret" in text for text in (*texts, result.output.encode(), result.errors.encode()))
    first = next(event for event in emulator.world.history if event.kind == "launched")
    assert emulator.world.session(first.session_id).env["KEY"] == "s3cret"


async def test_the_json_is_one_that_any_program_reads(emulator):
    result = await run(*SHORT, "--json", env=account(emulator))
    document = json.loads(result.output)
    assert document["schema"] == "gameye-async/load-report/1"
    assert document["latency"]["p50"] > 0


def test_other_commands_do_without_the_extra_and_do_not_wait_for_it():
    program = (
        "import sys; sys.modules['hdrh'] = sys.modules['matplotlib'] = None\n"
        "from gameye_async.cli.app import run\n"
        "assert run(['--help']) == 0\n"
        "sys.exit('gameye_async.loadtest' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "│ loadtest " in result.stdout


def test_the_rate_is_told_of_the_time_in_which_launches_were_due(capsys):
    """Not of the whole last interval, most of which lies behind the end."""
    report = sample()
    assert len(report.intervals) * report.interval > report.plan.duration
    show_report(report)
    (line,) = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith("launches per second")
    ]
    assert line.split()[-1] == f"{report.launched / report.plan.duration:.1f}"
