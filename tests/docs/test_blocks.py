"""Every block of code on a page is what it says, and runs."""

import gc
import json
import re
import subprocess
import sys
import tomllib

import pytest

from gameye_async.emulator import Scenario
from gameye_async.loadtest import Shape
from tests.docs.pages import BLOCKS, ROOT, Block, blocks
from tests.docs.shell import Shell, commands

TESTS = [block for block in blocks("python") if "def test_" in block.text]
# Programs that name these ask for servers beside the API; `tests/worker` runs them where those are.
WITH_SERVERS = [block for block in blocks("python") if re.search("NATS_URL|REDIS_URL", block.text)]
PROGRAMS = [block for block in blocks("python") if block not in TESTS + WITH_SERVERS]
LANGUAGES = {"python", "py", "sh", "toml", "json", "text"}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_says_what_it_is(block: Block):
    """A fence without a known language would be checked by nobody."""
    assert block.language in LANGUAGES


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_runs_against_the_emulator(block: Block):
    """Each is a whole program, as a reader would copy it, and leaves nothing open."""
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})

    gc.collect()  # what was left open warns here, and not in another test


@pytest.mark.parametrize("block", TESTS, ids=str)
def test_a_test_passes(block: Block, tmp_path):
    """As a file of its own, in a folder without settings."""
    file = tmp_path / "test_it.py"
    file.write_text(block.text)

    command = [sys.executable, "-m", "pytest", "-q", file]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"{block.text.count('def test_')} passed" in run.stdout, run.stdout


@pytest.mark.parametrize("block", blocks("py"), ids=str)
def test_an_excerpt_stands_word_for_word_in_an_example(block: Block):
    """In the file that its title names; the README has no titles, and names it in its text."""
    assert block.text in (ROOT / (block.title or "examples/test_matchmaker.py")).read_text("utf-8")


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_a_command_does_what_it_should(block: Block, shell: Shell):
    """Each line in order; see `tests.docs.shell` for what is run and what is only looked at."""
    for words in commands(block.text):
        shell.run(words)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_a_file_of_settings_loads(block: Block, tmp_path):
    """Scenarios, profiles of load tests, and what belongs to pyproject.toml."""
    if "[tool." in block.text:
        tomllib.loads(block.text)
        return
    file = tmp_path / "it.toml"
    file.write_text(block.text)

    if "[[phases]]" in block.text:
        Shape.load(file)
    else:
        Scenario.load(file).emulator()


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block):
    """One document, or one a line."""
    for text in block.text.splitlines() if block.text.count("\n{") else [block.text]:
        json.loads(text)
