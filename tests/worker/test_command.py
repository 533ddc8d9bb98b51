"""`gameye-async worker`."""

import asyncio
import os
import re
import signal
import sys

import pytest

from gameye_async import LaunchRequest
from gameye_async.emulator import Emulator, Fault
from gameye_async.worker import LaunchQueue
from tests.cli.harness import account, run, run_here
from tests.worker.engines import Engine, command, free_port, running
from tests.worker.pool import worker

HIDE = "import sys; sys.modules[{!r}] = None; from gameye_async.cli import main; sys.exit(main())"


@pytest.mark.engine
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_it_launches_until_it_is_told_to_end(nats: Engine, emulator: Emulator, ending):
    async with running(worker(nats.url, emulator.url)) as process, LaunchQueue(nats.url) as queue:
        await queue.submit("4711", LaunchRequest("my-game", "europe"))
        async for outcome in queue.outcomes():
            assert outcome.ok
            break
        assert await process.end(ending) == 0
    assert process.said[-1] == "stopped; jobs: 1 launched\n"


@pytest.mark.engine
async def test_it_ends_by_itself_when_its_token_is_refused(nats: Engine, emulator: Emulator):
    """And says what to look at; the job waits for one with a good token."""
    emulator.faults.add(Fault("refuse", operation="session-run", status=401))
    async with running(worker(nats.url, emulator.url)) as process, LaunchQueue(nats.url) as queue:
        await queue.submit("4711", LaunchRequest("my-game", "europe"))
        assert await process.ended() == 1
        assert re.fullmatch(r"stopped; jobs: [0-9]+ returned\n", process.said[-2])
        assert process.said[-1].startswith("error: 401 UNAUTHORIZED: ")
        assert "Check GAMEYE_API_TOKEN" in process.said[-1]


@pytest.mark.engine
async def test_it_shares_a_launch_rate(nats: Engine, redis: Engine, emulator: Emulator):
    options = ("--rate=5", "--processes=2", "--redis", redis.url)
    async with running(worker(nats.url, emulator.url, *options)) as process, LaunchQueue(nats.url) as queue:
        await redis.kill()
        await queue.submit("4711", LaunchRequest("my-game", "europe"))
        await process.says("this process launches 2.5 a second at most")
        assert await process.end(signal.SIGTERM) == 0


async def test_a_nats_that_is_not_there_is_told(emulator: Emulator):
    port = free_port()
    result = await run("worker", "--nats", f"nats://127.0.0.1:{port}", env=account(emulator))
    assert (result.code, result.output) == (1, "")
    assert f"cannot reach NATS at 127.0.0.1:{port}" in result.errors


@pytest.mark.engine
async def test_a_nats_without_jetstream_is_told(emulator: Emulator):
    port = free_port()
    plain = Engine(
        (command("nats-server"), "-a", "127.0.0.1", "-p", str(port)), f"nats://127.0.0.1:{port}", "is ready"
    )
    async with running(plain):
        result = await run("worker", "--nats", plain.url, env=account(emulator))
    assert result.code == 2
    assert "start nats-server with -js" in result.errors


async def test_it_needs_a_token():
    result = await run("worker")
    assert result.code == 2
    assert "no API token" in result.errors


@pytest.mark.parametrize("option", ["--rate=5", "--processes=2"])
async def test_a_rate_needs_to_know_how_many_share_it(option):
    result = await run_here("worker", option, env={"GAMEYE_API_TOKEN": "token"})
    assert (result.code, result.output) == (2, "")
    assert "--rate and --processes go together" in result.errors


@pytest.mark.parametrize(("package", "options"), [("nats", ()), ("limits", ("--rate=5", "--processes=2"))])
async def test_a_missing_extra_is_a_sentence(package, options):
    """And not a traceback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HIDE.format(package), "worker", *options),
        env=os.environ | {"GAMEYE_API_TOKEN": "token"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert 'pip install "gameye-async[worker]"' in errors.decode()
