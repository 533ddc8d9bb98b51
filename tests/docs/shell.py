"""The commands on the pages, run where that takes no network and no time, and looked at where it does.

`gameye-async ...` and `curl ...` run against an emulator, and `gameye-async emulator` starts and ends again.
Of probes and workers, the options are parsed. What `nox`, `pip`, `pytest` and other `python` commands name
must exist: sessions, extras, files, tests, modules, options; nothing is installed, tested or measured.
"""

import gc
import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from attrs import define

from gameye_async.cli.app import build_app, run
from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NOXFILE = (ROOT / "noxfile.py").read_text("utf-8")
# Beside the variables that the project knows: what a page tells its reader to set.
VARIABLES = {"GAMEYE_API_TOKEN", "GAMEYE_API_URL", "GAMEYE_API_TOKEN_FILE"}
TIME_LIMIT = 60


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block, each as its words."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in line.split(" && "):
            if words := shlex.split(command, comments=True):
                yield words


@define
class Shell:
    """Runs commands, or looks whether they could be run."""

    folder: Path

    def run(self, words: list[str]) -> None:
        """Run one."""
        match words:
            case ["gameye-async", "emulator", *options]:
                self._serve(options)
            case ["gameye-async", *arguments] | ["python", "-m", "gameye_async", *arguments]:
                self._command(arguments)
            case ["curl", *arguments]:
                command = ["curl", *map(os.path.expandvars, arguments)]
                subprocess.run(command, cwd=self.folder, check=True, timeout=TIME_LIMIT)
            case _:
                look_at(words)

    def _command(self, arguments: list[str]) -> None:
        arguments = ["match-8" if word == "SESSION" else word for word in arguments]
        if {"--tcp", "--udp", "--http", "worker"} & set(arguments):
            # The emulator's sessions have no game that would answer, and workers need a queue.
            build_app().parse_args(arguments, print_error=False, exit_on_error=False)
            return
        if arguments[:1] == ["logs"] and {"-f", "--follow"} & set(arguments):
            # A log that is followed ends with its session.
            assert run(["stop", "match-7", "match-8"]) == 0
        if arguments[:1] == ["stop"] and "--all" in arguments and "--yes" not in arguments:
            # Nobody is there to be asked.
            arguments = [*arguments, "--yes"]
        if arguments[:1] == ["loadtest"] and "merge" not in arguments:
            # Its figures are of no interest, and it takes the seconds it is told.
            for option, seconds in (("--duration", "1"), ("--lifetime", "0.2")):
                arguments = [*_without(option, arguments), option, seconds]
        assert run(arguments) == 0, arguments

    def _serve(self, options: list[str]) -> None:
        options = _without("--port", options)
        thresholds, stdin = gc.get_threshold(), os.dup(0)
        try:
            with Path(os.devnull).open() as nothing:
                os.dup2(nothing.fileno(), 0)
            assert run(["emulator", *options, "--port=0", "--until-eof"]) == 0, options
        finally:
            os.dup2(stdin, 0)
            os.close(stdin)
            gc.set_threshold(*thresholds)


def _without(option: str, arguments: list[str]) -> list[str]:
    """All but an option and its value."""
    if option not in arguments:
        return arguments
    where = arguments.index(option)
    return arguments[:where] + arguments[where + 2 :]


def look_at(words: list[str]) -> None:
    """Whether a command could be run: what it names is there."""
    match words:
        case ["gameye-async" | "gameye_async", command, *_]:
            assert command in build_app(), command
        case ["export", assignment]:
            assert assignment.partition("=")[0] in VARIABLES
        case ["python", "-m", "gameye_async", *_] | ["apt-get", "install", *_]:
            pass
        case ["nats-server" | "redis-server", *_]:
            pass
        case ["python", "-m", "pip", "install", *packages] | ["pip", "install", *packages]:
            _look_at_packages(packages)
        case ["python", "-m", "nox", *arguments]:
            _look_at_sessions(arguments)
        case ["python", "-m", "pytest", *arguments] | ["pytest", *arguments]:
            _look_at_tests(arguments)
        case ["python", "-m", module, *options]:
            found = importlib.util.find_spec(module)
            assert found is not None, module
            _look_at_options(Path(found.origin or ""), options)
        case ["python", path, *options]:
            _look_at_options(ROOT / path, options)
        case _:
            raise AssertionError(f"nobody checks {words}")


def _look_at_packages(packages: list[str]) -> None:
    known = {"nox", "uv", "gameye-async", "pytest", "pytest-asyncio"}
    for package in packages:
        if package.startswith("-"):
            continue
        name, extras = re.fullmatch(r"([\w./-]+)(?:\[([\w,]+)\])?", package).groups()
        assert name in known or (ROOT / name).exists(), package
        assert set((extras or "").split(",")) <= {"", *PROJECT["project"]["optional-dependencies"]}


def _look_at_sessions(arguments: list[str]) -> None:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    assert own[0] in {"-s", "-l"}, arguments
    for session in own[1:]:
        assert f"def {session.partition('-')[0]}(" in NOXFILE, session


def _look_at_tests(arguments: list[str]) -> None:
    for argument in arguments:
        if argument.startswith("-") or "/" not in argument:
            continue
        path, *names = argument.split("::")
        assert (ROOT / path).exists(), path
        for name in names:
            assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text("utf-8"), name


def _look_at_options(path: Path, options: list[str]) -> None:
    """Whether a program, or what it shares with its neighbours, knows its options."""
    text = "".join(neighbour.read_text("utf-8") for neighbour in path.parent.glob("*.py"))
    for option in options:
        assert not option.startswith("--") or f'"{option.partition("=")[0]}"' in text, option
    assert path.exists(), path
