"""`gameye-async emulator`: the API on loopback."""

import asyncio
import contextlib
import logging
import os
import shlex
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import ConfigurationError
from gameye_async.cli.exits import Exit, run_to_end

if TYPE_CHECKING:
    from gameye_async.emulator import Emulator

# How much the launch times of the emulator vary: 99 of 100 stay below twice the median.
_SPREAD = 0.3
_STDIN = 0


def emulator(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8080,
    host: str = "127.0.0.1",
    allow_remote: bool = False,
    profile: Literal["current", "legacy"] | None = None,
    token: str | None = None,
    scenario: Path | None = None,
    run: str | None = None,
    launch_seconds: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    start_rate: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    until_eof: Annotated[bool, Parameter(show_default=False)] = False,
) -> int:
    """Serve the API on loopback, without an account, until Ctrl-C.

    For instance:

        gameye-async emulator --port 8080
        gameye-async emulator --launch-seconds 0.5 --start-rate 10
        gameye-async emulator --scenario busy-evening.toml
        gameye-async emulator --run "python examples/echo_server.py"

    Args:
        port: Port to listen on; 0 takes a free one.
        host: Address to listen on.
        allow_remote: Let it be an address that other machines can reach.
        profile: Generation of the API; current unless a scenario says otherwise.
        token: Token that it asks for; emulator-token unless a scenario says otherwise.
        scenario: TOML file of locations, quirks, images, warm pools and faults; other options come first.
        run: Command that is run as a local process for every session.
        launch_seconds: Median time that a launch takes.
        start_rate: Launches a second that the account may start; more get a 420.
        until_eof: End when standard input does, too, so that no program leaves its emulator behind.
    """
    given = {"profile": profile, "token": token, "run": run, "start_rate": start_rate}
    options = {name: value for name, value in given.items() if value is not None}
    options |= {"host": host, "port": port, "allow_remote": allow_remote}
    status = run_to_end(_serve(scenario, options, launch_seconds, until_eof=until_eof))
    return Exit.OK if status == Exit.INTERRUPTED else status


async def _serve(
    scenario: Path | None, options: dict[str, Any], launch_seconds: float, *, until_eof: bool
) -> int:
    from gameye_async.emulator.server import collect_garbage_less  # noqa: PLC0415  -- see `_new_emulator`

    logging.basicConfig()
    collect_garbage_less()
    async with AsyncExitStack() as stack:
        server = _new_emulator(scenario, options, launch_seconds)
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on port {options['port']}: {error.strerror}") from None
        _announce(server.url, server.token)
        await (_end_of_input() if until_eof else asyncio.Event()).wait()
    return Exit.OK


def _new_emulator(scenario: Path | None, options: dict[str, Any], launch_seconds: float) -> "Emulator":
    # aiohttp.web takes a while to import, and the other commands do without it.
    from gameye_async.emulator import Fault, Scenario  # noqa: PLC0415  -- see above

    slow = Fault(
        "latency",
        operation="session-run",
        seconds=launch_seconds,
        distribution="lognormal",
        spread=_SPREAD,
    )
    try:
        loaded = Scenario() if scenario is None else Scenario.load(scenario)
        faults = (*(loaded.faults or ()), *([slow] if launch_seconds else ()))
        return loaded.emulator(**options, faults=faults)
    except OSError as error:
        raise ConfigurationError(f"cannot read {scenario}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _announce(url: str, token: str) -> None:
    # Plain lines, because programs read the first two, and shells those of the exports.
    sys.stdout.write(
        f"url    {url}\n"
        f"token  {token}\n\n"
        "Paste into another shell; Ctrl-C ends the emulator:\n"
        f"export GAMEYE_API_URL={url}\n"
        f"export GAMEYE_API_TOKEN={shlex.quote(token)}\n\n"
        f"Look at it, fill locations and inject faults: {url}/_emulator/\n"
    )
    sys.stdout.flush()


def _end_of_input() -> asyncio.Event:
    """An event that is set when standard input ends."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(_STDIN, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(ended.set)

    # A thread reads whatever it is, also where a loop cannot watch it: a file, or a console of Windows.
    threading.Thread(target=read, daemon=True).start()
    return ended
