"""`gameye-async emulator`."""

import signal
import socket

import pytest

from gameye_async import AsyncGameye, CapacityError
from tests.cli.harness import ended, run, running


async def announcement(process):
    lines = [(await process.stdout.readline()).decode().rstrip("\n") for _ in range(6)]
    return lines[0].split()[1], lines[1].split()[1], lines[4:]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_until_it_is_told_to_end(ending):
    async with running("emulator", "--port", "0") as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            await gameye.launch(image="my-game", location="europe")
            process.send_signal(ending)
            result = await ended(process)
    assert (result.code, result.errors) == (0, "")


async def test_it_prints_what_another_shell_needs():
    async with running("emulator", "--port", "0", "--token", "it's-secret") as process:
        url, token, exports = await announcement(process)
    assert url.startswith("http://127.0.0.1:")
    assert token == "it's-secret"
    assert exports == [f"export GAMEYE_API_URL={url}", "export GAMEYE_API_TOKEN='it'\"'\"'s-secret'"]


async def test_it_serves_the_profile_that_was_asked_for():
    async with running("emulator", "--port", "0", "--profile", "legacy") as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            session = await gameye.launch(image="my-game", location="europe", enable_metrics=True)
    assert session.attempts[0].status == 200


async def test_it_refuses_what_comes_too_fast():
    async with running("emulator", "--port", "0", "--start-rate", "0.001") as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            await gameye.launch(image="my-game", location="europe")
            with pytest.raises(CapacityError):
                await gameye.launch(image="my-game", location="europe", deadline=0.5)


async def test_launches_take_as_long_as_was_asked_for():
    async with running("emulator", "--port", "0", "--launch-seconds", "0.1") as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            session = await gameye.launch(image="my-game", location="europe")
    assert session.elapsed > 0.02


async def test_it_ends_with_its_standard_input_when_asked_to():
    async with running("emulator", "--port", "0", "--until-eof") as process:
        await announcement(process)
        process.stdin.close()
        result = await ended(process)
    assert (result.code, result.errors) == (0, "")


async def test_a_port_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = await run("emulator", "--port", port)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: cannot listen on port {port}: ")
