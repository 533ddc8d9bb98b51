"""`gameye-async emulator`: the API on loopback."""

import asyncio
import contextlib
import logging
import os
import shlex
import sys
import threading
from contextlib import AsyncExitStack
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import ConfigurationError
from gameye_async.cli.exits import Exit, run_to_end

# How much the launch times of the emulator vary: 99 of 100 stay below twice the median.
_SPREAD = 0.3
_STDIN = 0


def emulator(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 8080,
    profile: Literal["current", "legacy"] = "current",
    token: str = "emulator-token",  # noqa: S107  -- it opens nothing but the emulator
    launch_seconds: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0,
    start_rate: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    until_eof: Annotated[bool, Parameter(show_default=False)] = False,
) -> int:
    """Serve the API on loopback, without an account, until Ctrl-C.

    For instance:

        gameye-async emulator --port 8080
        gameye-async emulator --launch-seconds 0.5 --start-rate 10

    Args:
        port: Port to listen on; 0 takes a free one.
        profile: Generation of the API.
        token: Token that it asks for.
        launch_seconds: Median time that a launch takes.
        start_rate: Launches a second that the account may start; more get a 420.
        until_eof: End when standard input does, too, so that no program leaves its emulator behind.
    """
    serving = _serve(
        port=port,
        profile=profile,
        token=token,
        launch_seconds=launch_seconds,
        start_rate=start_rate,
        until_eof=until_eof,
    )
    status = run_to_end(serving)
    return Exit.OK if status == Exit.INTERRUPTED else status


async def _serve(
    *,
    port: int,
    profile: str,
    token: str,
    launch_seconds: float,
    start_rate: float | None,
    until_eof: bool,
) -> int:
    # aiohttp.web takes a while to import, and the other commands do without it.
    from gameye_async.emulator import Emulator, Fault  # noqa: PLC0415  -- see above

    logging.basicConfig()
    slow = Fault(
        "latency",
        operation="session-run",
        seconds=launch_seconds,
        distribution="lognormal",
        spread=_SPREAD,
    )
    server = Emulator(
        port=port,
        profile=profile,
        token=token,
        faults=[slow] if launch_seconds else (),
        start_rate=start_rate,
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on port {port}: {error.strerror}") from None
        _announce(server.url, server.token)
        await (_end_of_input() if until_eof else asyncio.Event()).wait()
    return Exit.OK


def _announce(url: str, token: str) -> None:
    # Plain lines, because programs read the first two, and shells the last two.
    sys.stdout.write(
        f"url    {url}\n"
        f"token  {token}\n\n"
        "Paste into another shell; Ctrl-C ends the emulator:\n"
        f"export GAMEYE_API_URL={url}\n"
        f"export GAMEYE_API_TOKEN={shlex.quote(token)}\n"
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
