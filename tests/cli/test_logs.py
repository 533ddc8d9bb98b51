"""`gameye-async logs`."""

import asyncio
import json
import os
import signal

import pytest

from tests.cli.harness import account, ended, run, running


@pytest.fixture
def match(emulator):
    """A session that has printed two lines."""
    emulator.world.add_foreign_session("match-1", image="my-game", location="europe")
    emulator.world.write_log("match-1", "loading salt-pier\n\x1b[31mready\x1b[0m\n")
    return emulator


async def test_a_log_is_printed_without_what_could_fool_a_terminal(match):
    result = await run("logs", "match-1", env=account(match))
    assert (result.code, result.errors) == (0, "")
    assert result.output == "loading salt-pier\nready\n"


async def test_a_log_is_printed_as_it_is_when_asked_for(match):
    result = await run("logs", "match-1", "--raw", env=account(match))
    assert result.output == "loading salt-pier\n\x1b[31mready\x1b[0m\n"


async def test_lines_of_a_log_are_lines_of_json_when_asked_for(match):
    result = await run("logs", "match-1", "--json", env=account(match))
    assert [json.loads(line) for line in result.output.splitlines()] == [
        {"id": "match-1", "line": "loading salt-pier"},
        {"id": "match-1", "line": "ready"},
    ]


async def test_an_unknown_session_has_no_log(emulator):
    result = await run("logs", "match-x", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 404 ")


async def test_a_log_is_followed_to_the_end_of_the_session(match):
    async with running("logs", "match-1", "-f", env=account(match)) as process:
        first = [await process.stdout.readline() for _ in range(2)]
        match.world.write_log("match-1", "over\n")
        third = await process.stdout.readline()
        match.world.end_session("match-1")
        result = await ended(process)
    assert [*first, third] == [b"loading salt-pier\n", b"ready\n", b"over\n"]
    assert (result.code, result.output, result.errors) == (0, "", "")


async def test_following_can_be_interrupted(match):
    async with running("logs", "match-1", "--follow", env=account(match)) as process:
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    assert (result.code, result.errors) == (130, "")


async def test_following_ends_when_nobody_reads_on(match):
    reader, writer = os.pipe()
    async with running("logs", "match-1", "--follow", env=account(match), stdout=writer) as process:
        os.close(writer)
        await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        match.world.write_log("match-1", "over\n")
        result = await ended(process)
    assert (result.code, result.errors) == (130, "")
