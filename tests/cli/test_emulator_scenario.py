"""`gameye-async emulator` with a scenario, and with sessions as processes."""

import sys

import pytest

from gameye_async import AsyncGameye, CapacityError
from tests.cli.harness import CHECKOUT, ended, run, running
from tests.cli.test_emulator import announcement


async def test_it_plays_a_scenario(tmp_path):
    file = tmp_path / "evening.toml"
    file.write_text('token = "evening"\n[locations]\neu-west = 0\neu-east = 9\n')
    async with running("emulator", "--port", "0", "--scenario", file) as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            assert token == "evening"
            assert (await gameye.launch(image="my-game", location="eu-east")).location == "eu-east"
            with pytest.raises(CapacityError):
                await gameye.launch(image="my-game", location="eu-west", deadline=0.5)


async def test_the_options_come_before_the_scenario(tmp_path):
    file = tmp_path / "evening.toml"
    file.write_text('token = "evening"')
    async with running("emulator", "--port", "0", "--scenario", file, "--token", "mine") as process:
        assert (await announcement(process))[1] == "mine"


async def test_a_scenario_that_is_wrong_is_told(tmp_path):
    file = tmp_path / "evening.toml"
    file.write_text("[[faults]]\nkind = 'gremlin'")
    result = await run("emulator", "--scenario", file)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith(f"error: {file}: faults[0].kind: must be one of latency, ")


async def test_a_scenario_that_is_not_there_is_told():
    result = await run("emulator", "--scenario", "nowhere.toml")
    assert (result.code, result.errors) == (2, "error: cannot read nowhere.toml: No such file or directory\n")


async def test_it_runs_sessions_as_processes_and_leaves_none_behind():
    command = f"'{sys.executable}' '{CHECKOUT / 'examples' / 'echo_server.py'}'"
    async with running("emulator", "--port", "0", "--run", command) as process:
        url, token, _ = await announcement(process)
        async with AsyncGameye(token, base_url=url) as gameye:
            session = await gameye.launch(image="my-game", location="europe")
            assert session.host == "127.0.0.1"
        process.terminate()
        result = await ended(process)
    assert (result.code, result.errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--run", "no-such-program"), "there is no program 'no-such-program'"),
        (("--host", "0.0.0.0"), "other machines could reach '0.0.0.0'"),
    ],
)
async def test_what_cannot_be_is_told(arguments, complaint):
    result = await run("emulator", "--port", "0", *arguments)
    assert (result.code, result.output) == (2, "")
    assert complaint in result.errors


async def test_it_says_where_its_page_is():
    async with running("emulator", "--port", "0") as process:
        url, _, _ = await announcement(process)
        await process.stdout.readline()
        assert (await process.stdout.readline()).decode().strip().endswith(f"{url}/_emulator/")
