"""How a command ends: exit codes, signals, and what goes to standard error."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    INTERRUPTED = 130


def complain(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def complain_of_session(session_id: str, reason: str) -> None:
    """Name a session that may have been left behind."""
    complain(f"session {session_id} may be running: {reason}")


def run_to_end(command: Coroutine[Any, Any, int]) -> int:
    """Run a command on an event loop of its own; SIGINT and SIGTERM cancel it.

    Returns:
        The command's exit code, or 130 when it was cancelled.
    """
    try:
        return asyncio.run(_until_terminated(command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED


async def _until_terminated(command: Coroutine[Any, Any, int]) -> int:
    # asyncio.run cancels at SIGINT only, and a container or a service manager sends SIGTERM.
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current_task().cancel)
    return await command


def current_task() -> asyncio.Task[Any]:
    """The running task, which a coroutine always has."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  -- only a callback has none
    return task
