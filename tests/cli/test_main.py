"""The command line as a whole."""

import subprocess
import sys

import pytest

from gameye_async import __version__
from tests.cli.harness import run


async def test_version_is_that_of_the_package():
    result = await run("--version")
    assert (result.code, result.output, result.errors) == (0, f"{__version__}\n", "")


async def test_without_arguments_it_shows_the_commands():
    result = await run()
    assert result.code == 0
    assert all(f"│ {command} " in result.output for command in ("launch", "demo", "emulator"))


@pytest.mark.parametrize("command", ["launch", "demo", "emulator"])
@pytest.mark.parametrize("width", [60, 120])
async def test_help_of_every_command_has_an_example_and_fits_the_terminal(command, width):
    result = await run(command, "--help", env={"COLUMNS": str(width)})
    assert result.code == 0
    assert f"\n    gameye-async {command}" in result.output
    assert max(map(len, result.output.splitlines())) <= width


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("lunch",), 'Did you mean "launch"?'),
        (("launch", "--regoin", "eu-west"), "--regoin"),
        (("launch", "--concurrency", "0"), "--concurrency"),
        (("emulator", "--profile", "future"), "--profile"),
    ],
)
async def test_bad_usage_is_one_line_on_standard_error(arguments, complaint):
    result = await run(*arguments)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: ")
    assert complaint in result.errors
    assert result.errors.count("\n") == 1


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_a_missing_extra_is_told_with_the_way_to_get_it(package):
    program = (
        f"import sys; sys.modules[{package!r}] = None; from gameye_async.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: the command line needs an extra: pip install 'gameye-async[cli]'\n"


def test_the_library_does_without_the_extra():
    program = "import sys, gameye_async.cli; sys.exit(not {'cyclopts', 'rich'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
