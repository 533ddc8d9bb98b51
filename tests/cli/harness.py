"""Runs the command line as a process of its own, as a shell would."""

import asyncio
import io
import os
import pty
import re
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from attrs import define, field, frozen

from gameye_async.cli import main
from gameye_async.emulator import Emulator
from gameye_async.emulator.sessions import Session

CHECKOUT = Path(__file__).parents[2]
MATCHES = CHECKOUT / "examples/matches.jsonl"
TIME_LIMIT = 60.0
_FOREIGN_SETTINGS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")


@frozen
class Ended:
    """A process that has ended."""

    code: int | None
    output: str
    errors: str


@define
class Gate:
    """Lets this many sessions start, and the others only when it is opened."""

    free: int
    opened: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, session: Session) -> None:
        if self.free:
            self.free -= 1
        else:
            await self.opened.wait()


def account(emulator: Emulator) -> dict[str, str]:
    """The variables that say where the API is and how to get in."""
    return {"GAMEYE_API_URL": emulator.url, "GAMEYE_API_TOKEN": emulator.token}


@contextmanager
def terminal() -> Generator[tuple[int, int], None, None]:
    """A terminal: the end that is read and typed at, and the end that a process writes to."""
    controller, terminal = pty.openpty()
    try:
        yield controller, terminal
    finally:
        os.close(controller)


async def read_until(controller: int, pattern: str = "(?!)") -> str:
    """What a terminal shows until `pattern` is in it, or until the last process has closed it."""
    drawn = ""
    while not re.search(pattern, drawn):
        try:
            drawn += (await asyncio.to_thread(os.read, controller, 4096)).decode(errors="replace")
        except OSError:
            break
    return drawn


@asynccontextmanager
async def running(
    *arguments: str | Path, env: Mapping[str, str] | None = None, **options: Any
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """`gameye-async` with these arguments, in an environment that only `env` tells of Gameye."""
    streams = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "default::ResourceWarning", "-m", "gameye_async", *arguments),
        env=_environment(env),
        **{"cwd": CHECKOUT, **streams, "stderr": asyncio.subprocess.PIPE, **options},
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process, typed: bytes | None = None) -> Ended:
    """Wait for the end of a process and of all that write to its standard error."""
    output, errors = await process.communicate(typed)
    return Ended(process.returncode, (output or b"").decode(), (errors or b"").decode())


async def run(*arguments: str | Path, typed: bytes | None = None, **options: Any) -> Ended:
    """Run a command to its end."""
    async with running(*arguments, **options) as process:
        return await ended(process, typed)


async def run_here(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run in this process, in no time, what ends before there is a loop: help, and most of bad usage."""
    output, errors = io.StringIO(), io.StringIO()
    with (
        chdir(CHECKOUT),
        mock.patch.dict(os.environ, _environment(env), clear=True),
        mock.patch.object(sys, "argv", ["gameye-async", *map(str, arguments)]),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        # On a thread, so that a command that goes on, and should not, finds the API.
        code = await asyncio.to_thread(main)
    return Ended(code, output.getvalue(), errors.getvalue())


def _environment(told: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GAMEYE_") and name not in _FOREIGN_SETTINGS
    }
    return {**inherited, **(told or {})}
