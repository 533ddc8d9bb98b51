"""`gameye-async artifact` and `collect`."""

import json
import os
import signal
import tarfile

import pytest

from gameye_async.emulator import Fault
from tests.cli.harness import CHECKOUT, account, ended, read_until, run, running, terminal


@pytest.fixture
def match(emulator):
    """A session with a log and two files."""
    world = emulator.world
    world.add_foreign_session("match-1", image="my-game", location="europe")
    world.write_log("match-1", "ready\n")
    world.put_file("match-1", "/data/replay.bin", b"r" * 50_000)
    world.put_file("match-1", "/data/score.txt", b"4:2")
    return emulator


@pytest.fixture
def over(match):
    """The same, when it is over."""
    match.world.end_session("match-1")
    return match


async def test_an_archive_is_written_where_it_was_asked_for(over, tmp_path):
    file = tmp_path / "data.tar"
    result = await run("artifact", "match-1", "/data", "--output", file, "--json", env=account(over))
    assert (result.code, result.errors) == (0, "")
    with tarfile.open(file) as archive:
        assert any(name.endswith("score.txt") for name in archive.getnames())
    written = json.loads(result.output)
    assert (written["id"], written["path"], written["archive"]) == ("match-1", "/data", str(file))
    assert written["size"] == file.stat().st_size
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("width", [60, 120])
async def test_an_archive_is_named_after_its_path(over, tmp_path, width):
    env = {**account(over), "COLUMNS": str(width), "PYTHONPATH": str(CHECKOUT)}
    result = await run("artifact", "match-1", "/data/", env=env, cwd=tmp_path)
    (file,) = tmp_path.iterdir()
    assert (result.code, result.errors) == (0, "")
    assert file.name in {"data.tar", "data.tar.gz"}
    assert file.name in result.output
    assert f"{file.stat().st_size:,} bytes" in result.output


async def test_an_archive_is_unpacked(over, tmp_path):
    folder = tmp_path / "replays"
    result = await run("artifact", "match-1", "/data", "--extract", folder, env=account(over))
    assert (result.code, result.errors) == (0, "")
    assert [path.read_text() for path in folder.rglob("score.txt")] == ["4:2"]
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("session", "path", "status"), [("match-1", "/none", 404), ("match-x", "/data", 404)]
)
async def test_what_is_not_there_is_told_and_leaves_nothing(over, tmp_path, session, path, status):
    target = tmp_path / "data.tar"
    result = await run("artifact", session, path, "--output", target, env=account(over))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith(f"error: {status} ")
    assert list(tmp_path.iterdir()) == []


async def test_a_terminal_shows_how_far_a_download_is_and_an_interruption_leaves_nothing(over, tmp_path):
    over.faults.add(Fault("slow_drip", operation="artifacts", seconds=1.0))
    env = {**account(over), "TERM": "xterm", "COLUMNS": "80"}
    command = ("artifact", "match-1", "/data", "--output", tmp_path / "data.tar")
    with terminal() as (controller, writer):
        async with running(*command, env=env, stderr=writer) as process:
            os.close(writer)
            await read_until(controller, r"0\.\d/[\d.]+ kB")
            process.send_signal(signal.SIGINT)
            last_words = await read_until(controller)
            await process.wait()
    assert process.returncode == 130
    assert "Traceback" not in last_words
    assert list(tmp_path.iterdir()) == []


async def test_a_session_is_stopped_and_collected(match, tmp_path):
    folder = tmp_path / "post-mortem"
    result = await run("collect", "match-1", "/data", "--directory", folder, env=account(match))
    assert (result.code, result.errors) == (0, "")
    assert (folder / "log.txt").read_text() == "ready\n"
    assert len(list(folder.iterdir())) == 2
    assert str(folder / "log.txt") in result.output
    assert match.world.session("match-1").is_over


async def test_what_could_not_be_collected_is_told_beside_what_could(over, tmp_path):
    folder = tmp_path / "post-mortem"
    options = ("--directory", folder, "--json")
    over.faults.add(Fault("refuse", operation="artifacts", status=403))
    result = await run("collect", "match-1", "/data", *options, env=account(over))
    collected = json.loads(result.output)
    assert result.code == 1
    assert (collected["id"], collected["log"]) == ("match-1", str(folder / "log.txt"))
    assert (collected["artifacts"], list(collected["errors"])) == ({}, ["/data"])
    assert result.errors.startswith("/data: PermissionDeniedError: 403 ")


async def test_an_unknown_session_leaves_nothing_to_collect(emulator, tmp_path):
    result = await run("collect", "match-x", "--directory", tmp_path / "x", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 404 ")


async def test_a_directory_that_cannot_be_made_is_told(over, tmp_path):
    (tmp_path / "file").write_text("")
    async with running(
        "collect", "match-1", "--directory", tmp_path / "file" / "x", env=account(over)
    ) as process:
        result = await ended(process)
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: ")
    assert "Traceback" not in result.errors
