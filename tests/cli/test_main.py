"""The command line as a whole."""

import subprocess
import sys

import pytest

from gameye_async import __version__
from tests.cli.harness import account, run, run_here

COMMANDS = (
    *("launch", "list", "describe", "ready", "stop", "reconcile", "join", "leave", "seat"),
    *("logs", "artifact", "collect", "locations", "regions", "tag", "health", "demo", "emulator", "loadtest"),
    "worker",
)


async def test_version_is_that_of_the_package():
    result = await run("--version")
    assert (result.code, result.output, result.errors) == (0, f"{__version__}\n", "")


async def test_without_arguments_it_shows_the_commands():
    result = await run_here()
    assert result.code == 0
    assert all(f"│ {command} " in result.output for command in COMMANDS)


async def test_the_top_help_documents_the_exit_codes():
    result = await run_here("--help")
    assert [line.split()[0] for line in result.output.partition("Exit codes:\n")[2].splitlines()[:5]] == [
        "0",
        "1",
        "2",
        "3",
        "130",
    ]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("width", [60, 120])
async def test_help_of_every_command_has_an_example_and_fits_the_terminal(command, width):
    result = await run_here(command, "--help", env={"COLUMNS": str(width)})
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
    result = await run_here(*arguments)
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: ")
    assert complaint in result.errors
    assert result.errors.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--label", "match"),
        ("list", "--players-below", "many"),
        ("describe",),
        ("ready", "match-7", "--tcp", "--http", "/"),
        ("ready", "match-7", "--port", "80"),
        ("ready", "match-7", "--http", "health"),
        ("stop",),
        ("stop", "--all"),
        ("stop", "match-7", "--label", "match=7"),
        ("stop", "--all", "--label", "match=7"),
        ("reconcile", "--id-prefix", "m", "--stop"),
        ("reconcile", "--id-prefix", "m", "--expected", "absent.txt"),
        ("join", "match-7"),
        ("leave", "match-7"),
        ("seat", "--image", "my-game", "--capacity", "8"),
        ("seat", "ada", "--image", "my-game", "--capacity", "0"),
        ("logs",),
        ("artifact", "match-7"),
        ("artifact", "match-7", "/data", "--output", "absent/data.tar"),
        ("artifact", "match-7", "/data", "--extract", "tests"),
        ("collect",),
        ("locations",),
        ("regions", "europe"),
        ("tag", "my-game", "1.2"),
        ("health", "--verbose"),
    ],
    ids=" ".join,
)
async def test_what_cannot_be_meant_is_refused_before_anything_is_sent(emulator, arguments):
    result = await run_here(*arguments, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: ")
    assert not emulator.requests


@pytest.mark.parametrize(
    "arguments",
    [("reconcile",), ("seat", "ada", "grace", "--image", "my-game", "--capacity", "1")],
    ids=" ".join,
)
async def test_what_the_client_refuses_is_bad_usage_too(emulator, arguments):
    result = await run(*arguments, env=account(emulator))
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: ")
    assert not emulator.requests


@pytest.mark.parametrize("command", ["list", "stop match-7", "logs match-7"])
async def test_without_a_token_every_command_says_where_to_get_one(command):
    result = await run(*command.split())
    assert (result.code, result.output) == (2, "")
    assert result.errors.startswith("error: no API token: set GAMEYE_API_TOKEN")


async def test_the_token_may_be_in_a_file(emulator, tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{emulator.token}\n")
    result = await run("regions", env={"GAMEYE_API_URL": emulator.url, "GAMEYE_API_TOKEN_FILE": str(file)})
    assert (result.code, result.errors) == (0, "")


async def test_a_token_file_that_is_not_there_is_told():
    result = await run("regions", env={"GAMEYE_API_TOKEN_FILE": "absent"})
    assert result.code == 2
    assert result.errors == "error: cannot read the token from absent: No such file or directory\n"


async def test_a_wrong_token_is_refused_and_never_printed(emulator):
    env = account(emulator) | {"GAMEYE_API_TOKEN": "wr0ng-token"}
    result = await run("list", env=env)
    assert (result.code, result.output) == (1, "")
    assert result.errors.startswith("error: 401 UNAUTHORIZED")
    assert "wr0ng-token" not in result.errors


async def test_completion_is_installed_for_the_shell(tmp_path):
    result = await run("--install-completion", env={"HOME": str(tmp_path), "SHELL": "/bin/bash"})
    assert (result.code, result.errors) == (0, "")
    (script,) = tmp_path.rglob("completions/gameye-async")
    assert "reconcile" in script.read_text()


@pytest.mark.parametrize("package", ["cyclopts", "rich"])
def test_a_missing_extra_is_told_with_the_way_to_get_it(package):
    program = (
        f"import sys; sys.modules[{package!r}] = None; from gameye_async.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: the command line needs an extra: pip install 'gameye-async[cli]'\n"


def test_the_version_is_told_without_the_extra():
    program = (
        "import sys; sys.modules['cyclopts'] = None; sys.argv = ['gameye-async', '--version']; "
        "from gameye_async.cli import main; sys.exit(main())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"{__version__}\n")


def test_the_library_does_without_the_extra():
    program = "import sys, gameye_async.cli; sys.exit(not {'cyclopts', 'rich'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
