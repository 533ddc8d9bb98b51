"""The example of a load test of one's own runs; `tests/docs` runs the page about load tests."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from gameye_async.loadtest import Shape

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/load-tests.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def finished(*command, **options) -> str:
    """What a program prints that ends well and complains of nothing."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GAMEYE_")}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=inherited | options.pop("env", {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **options,
    )
    output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return output.decode()


async def test_the_example_runs_against_an_emulator_of_its_own(tmp_path):
    output = await finished(
        sys.executable, "-W", "error", str(ROOT / "examples/loadtest_script.py"), str(tmp_path / "r.html")
    )
    assert output.splitlines()[0].startswith("10/s: ")
    assert "nothing left" in output
    assert "<title>Load test of my-game</title>" in (tmp_path / "r.html").read_text("utf-8")


async def test_the_example_runs_against_what_the_environment_says(emulator):
    account = {"GAMEYE_API_URL": emulator.url, "GAMEYE_API_TOKEN": emulator.token}
    await finished(sys.executable, "-W", "error", str(ROOT / "examples/loadtest_script.py"), env=account)
    assert emulator.history.counts["launched"] > 10
    assert not emulator.world.live


def test_the_profile_among_the_examples_is_one():
    assert Shape.load(ROOT / "examples/evening.toml").mean == pytest.approx(0.4600, abs=0.001)


def test_the_profile_of_the_page_is_one(tmp_path):
    (block,) = blocks("toml")
    (tmp_path / "profile.toml").write_text(block)
    assert Shape.load(tmp_path / "profile.toml").mean == pytest.approx(5 / 6)
