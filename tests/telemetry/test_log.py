"""The logger `gameye_async`: what it says at which level, and that an import sets nothing up."""

import asyncio
import logging
import subprocess
import sys

import pytest

from gameye_async import Timeouts
from gameye_async.emulator import Fault
from tests.faultserver import FaultServer, answer, hang, held
from tests.reliability.stage import (
    EAST,
    WEST,
    Script,
    described,
    emulated,
    launched,
    new_request,
    quick_client,
)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The level and the first word of each line of the client."""
    return [
        (record.levelname, record.getMessage().split()[0])
        for record in caplog.records
        if record.name == "gameye_async"
    ]


async def test_at_debug_every_step_is_logged(caplog):
    caplog.set_level(logging.DEBUG, "gameye_async")
    async with emulated(locations={WEST: 0, EAST: 10}) as (_, gameye):
        session = await gameye.launch(new_request(WEST, EAST))
    assert lines(caplog) == [
        ("DEBUG", "CallStarted"),
        ("DEBUG", "AttemptStarted"),
        ("DEBUG", "AttemptAnswered"),
        ("DEBUG", "AttemptStarted"),
        ("DEBUG", "AttemptAnswered"),
        ("INFO", "CallEnded"),
    ]
    refused, ended = caplog.messages[2], caplog.messages[-1]
    assert "operation='launch'" in refused
    assert f"session_id='{session.id}'" in refused
    assert f"location='{WEST}' status=420" in refused
    assert "error='CapacityError'" in refused
    assert f"outcome='succeeded' location='{EAST}' status=201 attempts=2" in ended


async def test_at_info_a_launch_is_one_line(caplog):
    """Other calls are none."""
    caplog.set_level(logging.INFO, "gameye_async")
    async with emulated() as (_, gameye):
        session = await gameye.launch(new_request())
        await gameye.describe(session.id)
    assert lines(caplog) == [("INFO", "CallEnded")]


async def test_at_info_an_orphan_that_was_stopped_is_a_line(caplog):
    caplog.set_level(logging.INFO, "gameye_async")
    request, release = new_request(), asyncio.Event()
    script = Script(POST=[held(release, launched(request))], GET=[described(request)], DELETE=[answer(204)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        call = asyncio.create_task(gameye.launch(request))
        await server.wait_for_request()
        call.cancel()
        await asyncio.wait([call])
        release.set()
    assert lines(caplog) == [("INFO", "OrphanStopped"), ("INFO", "CallEnded")]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING], ids=logging.getLevelName)
async def test_a_session_that_may_be_running_is_one_warning(caplog, level):
    """At every level, because it costs money until somebody stops it."""
    caplog.set_level(level, "gameye_async")
    request = new_request()
    async with FaultServer(hang()) as server:
        async with quick_client(server.url, timeouts=Timeouts(close=0.0)) as gameye:
            call = asyncio.create_task(gameye.launch(request))
            await server.wait_for_request()
        await asyncio.wait([call])
        assert not isinstance(call.exception(), asyncio.CancelledError)
        await server.wait_for_hangup()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert request.id in warnings[0]


async def test_nothing_is_logged_below_the_level(caplog):
    caplog.set_level(logging.WARNING, "gameye_async")
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with emulated(fault) as (_, gameye):
        await gameye.launch(new_request())
    assert lines(caplog) == []


async def test_a_line_stays_a_line(caplog):
    """A location may come from a player, and must not write lines of its own."""
    caplog.set_level(logging.DEBUG, "gameye_async")
    async with FaultServer(answer(404)) as server, quick_client(server.url) as gameye:
        outcome = await asyncio.gather(gameye.launch(new_request("eu\nINFO forged")), return_exceptions=True)
    assert isinstance(outcome[0], Exception)
    assert len(caplog.messages) == 4
    assert not any("\n" in message for message in caplog.messages)


def test_an_import_sets_nothing_up():
    code = """
import logging, gameye_async, gameye_async.telemetry
logger = logging.getLogger("gameye_async")
print(logger.handlers, logger.level, logger.propagate, logging.root.handlers)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] 0 True []"
