"""A launch rate that processes keep to together, with a real Redis, and without one."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gameye_async import AsyncGameye, ConfigurationError, LaunchRequest, Pacing
from gameye_async._admission_queue import AdmissionQueue, SharedAdmissionQueue
from gameye_async.emulator import Emulator
from gameye_async.settings import Token
from gameye_async.shared_rate import Gate, SharedRate
from tests.worker.engines import Engine, free_port

CHECKOUT = Path(__file__).parents[2]
TURNS = """
import asyncio, sys, time
from random import Random
from gameye_async.settings import Token
from gameye_async.shared_rate import SharedRate

async def main():
    settings = SharedRate(sys.argv[1], rate=float(sys.argv[2]), processes=3, timeout=10.0)
    gate = settings.open(Token("canary-token").fingerprint, Random())
    print("ready", flush=True)
    granted = 0
    try:
        async with asyncio.timeout(float(sys.stdin.readline()) - time.time()):
            while True:
                await gate.turn()
                granted += 1
    except TimeoutError:
        print(granted)
    finally:
        await gate.aclose()

asyncio.run(main())
"""


@asynccontextmanager
async def gate_of(url: str, account: str | None = "studio", **options: Any) -> AsyncIterator[Gate]:
    """The gate of one client; a machine that is busy with something else is no failure of Redis."""
    patient = {"rate": 10.0, "processes": 2, "timeout": 10.0}
    settings = SharedRate(url, **{**patient, "account": account, **options})
    gate = settings.open(Token("canary-token").fingerprint, Random(1))
    try:
        yield gate
    finally:
        await gate.aclose()


async def turns(gate: Gate, seconds: float) -> int:
    """How many turns it gives in so many seconds."""
    count = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                await gate.turn()
                count += 1
    except TimeoutError:
        return count


@pytest.mark.engine
async def test_three_processes_keep_to_one_rate(redis: Engine):
    """They start rate x time + burst launches at most, and not much less."""
    rate, seconds = 40.0, 4.0
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TURNS, redis.url, str(rate)),
            cwd=CHECKOUT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    end = time.time() + seconds
    outputs = await asyncio.gather(*(process.communicate(f"{end}\n".encode()) for process in processes))
    granted = [int(output) for output, _ in outputs]
    assert 0.5 * rate * seconds <= sum(granted) <= rate * seconds + rate
    assert all(granted)


@pytest.mark.engine
async def test_accounts_do_not_wait_for_each_other(redis: Engine):
    """Each has its burst, where one account would have one for both."""
    async with gate_of(redis.url, "one", window=10) as one, gate_of(redis.url, "two", window=10) as two:
        counts = await asyncio.gather(turns(one, 3.0), turns(two, 3.0))
    assert min(counts) >= 100


@pytest.mark.engine
async def test_redis_never_learns_the_token(redis: Engine):
    """The account is known by a hash, the same in all processes that have the token."""
    async with gate_of(redis.url, None) as gate, gate_of(redis.url, None) as other:
        await gate.turn()
        await other.turn()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(redis.url.rpartition(":")[2]))
        writer.write(b"KEYS *\r\nQUIT\r\n")
        keys = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    assert "canary" not in keys
    assert keys.count(await Token("canary-token").fingerprint()) == 1


async def test_another_token_is_another_account():
    assert await Token("one").fingerprint() != await Token("two").fingerprint()


@pytest.mark.engine
async def test_while_redis_is_away_each_process_keeps_to_its_share(redis: Engine, caplog):
    """It says so once, and launches go on at the common rate as soon as Redis is back."""
    caplog.set_level(logging.WARNING)
    async with gate_of(redis.url, rate=20.0) as gate:
        await gate.turn()
        await redis.kill()
        away = await turns(gate, 3.0)
        await redis.start()
        async with asyncio.timeout(30):
            while "is back" not in caplog.text:
                await gate.turn()
    assert 10 <= away <= 31
    assert caplog.text.count("Redis does not answer") == 1
    assert "this process launches 10 a second at most" in caplog.text


async def test_a_redis_that_never_answers_holds_a_launch_up_for_the_timeout_only(caplog):
    """It accepts connections and says nothing, as behind a broken network."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with gate_of(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1) as gate:
            began = time.monotonic()
            await gate.turn()
            took = time.monotonic() - began
    assert 0.1 <= took < 3.0
    assert "Redis does not answer (TimeoutError)" in caplog.text


@pytest.mark.parametrize("says", [b"-WRONGPASS no\r\n", b"-LOADING later\r\n", b"hello\r\n", b""])
async def test_no_launch_fails_because_of_redis(says, caplog):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(says * 10)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pacing = Pacing(shared=SharedRate(f"redis://ann:rosebud@127.0.0.1:{port}", rate=100, processes=1))
    async with (
        server,
        Emulator() as emulator,
        AsyncGameye(emulator.token, base_url=emulator.url, pacing=pacing) as gameye,
    ):
        assert (await gameye.launch(image="my-game", location="europe")).created_by == "launch"
    assert "Redis does not answer" in caplog.text
    assert "rosebud" not in caplog.text + repr(pacing) + repr(gameye)


@pytest.mark.engine
async def test_clients_launch_at_the_shared_rate(redis: Engine):
    """Two clients of one account, as two processes have them."""
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator())
        pacing = Pacing(shared=SharedRate(redis.url, rate=10, processes=2, timeout=10.0))
        clients = [
            await stack.enter_async_context(AsyncGameye(emulator.token, base_url=emulator.url, pacing=pacing))
            for _ in range(2)
        ]
        began = time.monotonic()
        await asyncio.gather(
            *(client.launch(LaunchRequest("my-game", "europe")) for client in clients for _ in range(15))
        )
        took = time.monotonic() - began
    # The burst is 10, and the other 20 come at 10 a second.
    assert 1.9 <= took < 15.0


async def test_a_launch_that_waits_for_redis_can_be_cancelled():
    """At once, and the next one asks anew."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with gate_of(f"redis://127.0.0.1:{silent.getsockname()[1]}", timeout=60.0) as gate:
            assert await turns(gate, 0.1) == 0
            assert gate._redis is None  # noqa: SLF001  -- a late answer would be taken for another's


async def test_a_client_without_a_shared_rate_pays_nothing_for_it():
    """Its pace is the plain one, and nothing of the extra is imported."""
    async with AsyncGameye("token", base_url="http://127.0.0.1:1") as plain:
        assert type(plain._cores[0].launcher.admission.queue) is AdmissionQueue  # noqa: SLF001  -- what the hot path uses
    shared = Pacing(shared=SharedRate(f"redis://127.0.0.1:{free_port()}", rate=1, processes=1))
    async with AsyncGameye("token", base_url="http://127.0.0.1:1", pacing=shared) as other:
        assert type(other._cores[0].launcher.admission.queue) is SharedAdmissionQueue  # noqa: SLF001  -- as above
    code = "import sys, gameye_async.client; print({'limits', 'redis', 'nats'} & sys.modules.keys())"
    run = subprocess.run(  # noqa: ASYNC221  -- nothing else runs on this loop
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"rate": 0}, "rate"),
        ({"processes": 0}, "processes"),
        ({"window": 0}, "window"),
        ({"timeout": 0}, "timeout"),
        ({"rate": 0.3}, "choose another window"),
        ({"url": "127.0.0.1:6379"}, "redis://"),
        ({"url": "http://127.0.0.1"}, "redis://"),
    ],
)
def test_settings_are_checked(wrong, complaint):
    settings = {"url": "redis://127.0.0.1:6379", "rate": 10, "processes": 2} | wrong
    with pytest.raises(ConfigurationError, match=complaint):
        SharedRate(settings.pop("url"), **settings)


def test_a_slow_rate_has_a_longer_window():
    assert SharedRate("redis://127.0.0.1", rate=0.5, processes=1, window=2).burst == 1
