"""Nothing stands in the README that does not run."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from gameye_async.emulator import Emulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
async def test_a_python_block_runs_against_the_emulator(block):
    """Each block is a whole program, as a reader would copy it."""
    async with Emulator() as emulator:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", block),
            cwd=ROOT,
            env=os.environ | {"GAMEYE_API_URL": emulator.url, "GAMEYE_API_TOKEN": emulator.token},
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()

        assert process.returncode == 0, errors.decode()
        assert not errors


def test_an_excerpt_stands_in_the_example_that_runs():
    """The test of one's own is a part of a file that the tests run."""
    (excerpt,) = re.findall(r"^```py\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

    assert excerpt in (ROOT / "examples" / "test_matchmaker.py").read_text()


def test_the_readme_has_python_blocks():
    """An empty list of blocks would test nothing."""
    assert len(BLOCKS) == 7


@pytest.mark.parametrize("path", re.findall(r"(?:examples|benchmarks|docs|tests)/[\w./-]+", README))
def test_a_file_that_is_named_exists(path):
    """A path in the README leads somewhere."""
    assert (ROOT / path).exists()


@pytest.mark.parametrize("session", re.findall(r"nox -s (\w+)", README))
def test_a_nox_session_that_is_named_exists(session):
    """A command in the README is one."""
    assert f"def {session}(" in (ROOT / "noxfile.py").read_text()
