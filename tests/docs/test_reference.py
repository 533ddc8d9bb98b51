"""What the pages list is what there is: settings, errors, commands, faults, names."""

import inspect
import re
from typing import Any, get_args

import attrs
import pytest

import gameye_async
from gameye_async import AsyncGameye, LaunchRequest, Pacing, RetryPolicy, Timeouts, emulator, errors
from gameye_async.cli.app import build_app
from gameye_async.cli.exits import Exit
from gameye_async.emulator import Fault, Profile, Quirks, Scenario
from gameye_async.emulator.faults import Kind
from gameye_async.emulator.routes import SCOPES
from gameye_async.settings import TOKEN_VARIABLE, URL_VARIABLE, Environment
from tests.docs.pages import page, rows

NAME = re.compile(r"`([^`]+)`")
CONFIGURATION, ERRORS, EMULATOR = page("configuration.md"), page("errors.md"), page("emulator.md")
COMMANDS = page("command-line.md")
APP = build_app()


def names(cells: list[list[str]], column: int = 0) -> list[str]:
    """The names in code style in one column of a table, from top to bottom."""
    return [name for row in cells for name in NAME.findall(row[column])]


def evaluated(text: str) -> object:
    """The value of an expression as a page has it."""
    return eval(text, vars(gameye_async).copy())


def defaults(cells: list[list[str]]) -> dict[str, object]:
    """The names in the first column of a table, and their defaults in the last one."""
    return dict(zip(names(cells), map(evaluated, names(cells, -1)), strict=True))


def fields(cls: type[Any]) -> dict[str, object]:
    """The defaults of an attrs class."""
    return {name: each.default for name, each in inspect.signature(cls).parameters.items() if name != "kind"}


@pytest.mark.parametrize(
    ("title", "settings"), [("Timeouts", Timeouts), ("Retries", RetryPolicy), ("Pacing", Pacing)]
)
def test_every_setting_has_its_default(title: str, settings: type[Any]):
    """A default that changes must change on the page."""
    assert defaults(rows(CONFIGURATION.section(title))) == fields(settings)


def test_every_argument_of_the_client_has_its_default():
    assert defaults(rows(CONFIGURATION.section("The client"))) == fields(AsyncGameye)


def test_every_environment_and_variable_is_named():
    section = CONFIGURATION.section("Token and address")

    assert {TOKEN_VARIABLE, URL_VARIABLE} <= set(names(rows(section)))
    assert {f"Environment.{each.name}": each.value for each in Environment}.items() <= {
        (row[0].strip("`"), row[1].strip("`")) for row in rows(section)
    }


def test_every_field_of_a_launch_is_told():
    told = names(rows(page("launching.md").section("The request")))

    assert {field.name for field in attrs.fields(LaunchRequest)} <= set(told)


def family() -> list[type[errors.GameyeError]]:
    """The public errors, as they stand in the file."""
    return [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.GameyeError) and each.__name__[0] != "_"
    ]


def parent(error: type[errors.GameyeError]) -> type[errors.GameyeError] | None:
    """The public error that one is derived from, directly or by way of a private one."""
    return next((base for base in error.mro()[1:] if base in family()), None)


def tree(error: type[errors.GameyeError], indent: str = "") -> list[str]:
    """An error, and below it those that are derived from it, the private ones left out."""
    derived = [
        other
        for other in family()
        if next((base for base in other.mro()[1:] if base in family()), None) is error
    ]
    lines = []
    for other in derived:
        also = "".join(f" ({base.__name__})" for base in other.__bases__ if base.__module__ == "builtins")
        last = other is derived[-1]
        lines.append(f"{indent}{'└── ' if last else '├── '}{other.__name__}{also}")
        lines += tree(other, indent + ("    " if last else "│   "))
    return lines


def test_the_tree_of_errors_is_that_of_the_code():
    """With the built-in class that each can be caught as."""
    (block,) = [block for block in ERRORS.blocks if block.language == "text"]

    assert block.text.splitlines() == ["GameyeError", *tree(errors.GameyeError)]


def test_every_error_says_what_to_do():
    """In the order of the tree."""
    assert names(rows(ERRORS.section("Each error"))) == [error.__name__ for error in family()]


def test_every_attribute_of_an_error_is_told():
    """Those that some error has, and no other exception."""
    told = names(rows(ERRORS.section("What they carry")))
    samples = [error("", session_id="") if hasattr(error, "session_id") else error("") for error in family()]

    assert set(told) == {name for sample in samples for name in vars(sample)} | {"log_tail"}


def test_every_command_has_its_section_and_its_options():
    """In it, each option, and an example that `tests.docs.test_blocks` runs."""
    commands = [name for name in APP if name[0] != "-"]
    assert {title for title in COMMANDS.anchors if title not in {"command-line", "exit-codes"}} == set(
        commands
    )
    for command in commands:
        section = COMMANDS.section(command)
        assert f"\ngameye-async {command}" in section
        untold = options(command) - set(re.findall(r"--[a-z][a-z-]*", section))
        assert not untold, f"{command}: {untold}"


def options(command: str) -> set[str]:
    """The long options of a command."""
    arguments = APP[command].assemble_argument_collection()
    names = {name for argument in arguments for name in argument.names if name.startswith("--")}
    # cyclopts makes negative ones where it is not told not to, as the application is.
    return {name for name in names if not name.startswith(("--no-", "--empty-"))} - positional(command)


def positional(command: str) -> set[str]:
    """What cyclopts would also take by name, and shows as an argument."""
    parameters = inspect.signature(APP[command].default_command).parameters.values()
    return {
        f"--{parameter.name.replace('_', '-')}"
        for parameter in parameters
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    }


def test_every_exit_code_is_told():
    codes = [int(row[0]) for row in rows(COMMANDS.section("Exit codes"))]

    assert codes == sorted(Exit)


def test_every_quirk_has_its_default():
    assert defaults(rows(EMULATOR.section("Quirks"))) == {
        name: frozenset() if value is attrs.NOTHING else value for name, value in fields(Quirks).items()
    }


def test_every_fault_is_told():
    """Its kinds, its arguments with their defaults, and the operations it can hit."""
    section = EMULATOR.section("Faults")
    kinds, arguments = section.split("| argument |")

    assert names(rows(kinds)) == list(get_args(Kind))
    assert defaults(rows(f"| argument |{arguments}")) == fields(Fault)
    assert set(names([[section.split("Operations:")[1]]])) == set(SCOPES)


def test_the_profiles_are_as_they_are():
    cells = rows(EMULATOR.section("Profiles"))

    for column, profile in ((1, Profile.CURRENT), (2, Profile.LEGACY)):
        launched, stopped, required, ports = [row[column] for row in cells]
        assert (int(launched), int(stopped)) == (profile.launched, profile.stopped)
        assert tuple(NAME.findall(required)) == profile.launch_required
        assert ports == f"{profile.ports[0]}-{profile.ports[-1]}"


def test_every_key_of_a_scenario_is_told():
    section = EMULATOR.section("Scenario files")

    assert not [
        field.name for field in attrs.fields(Scenario) if not re.search(rf"\b{field.name}\b", section)
    ]


def test_every_public_name_is_in_the_reference():
    """Those of the package and of the emulator, and each method of the client."""
    listed = {
        name
        for path in ("client", "models", "settings", "errors", "probes", "emulator", "testing")
        for name in re.findall(r"^::: ([\w.]+)", page(f"reference/{path}.md").text, re.MULTILINE)
    }
    methods = {f"AsyncGameye.{name}" for name in dir(AsyncGameye) if name[0] != "_"}
    public = {f"gameye_async.{name}" for name in (*gameye_async.__all__, *methods) if name[0] != "_"}
    public |= {f"gameye_async.emulator.{name}" for name in emulator.__all__}

    assert listed == public | {"gameye_async.testing"}
