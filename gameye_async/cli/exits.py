"""How a command ends: exit codes, signals, and what goes to standard error."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine
from enum import IntEnum
from typing import Any, TypeVar

from gameye_async import GameyeError, LaunchOutcomeUnknownError, StopUnconfirmedError

T = TypeVar("T")


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    INTERRUPTED = 130

    @classmethod
    def of(cls, *errors: GameyeError) -> "Exit":
        """What these errors, the worst of them, make of a command."""
        if any(isinstance(error, LaunchOutcomeUnknownError | StopUnconfirmedError) for error in errors):
            return cls.UNKNOWN
        return cls.FAILED if errors else cls.OK


def complain(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def complain_of_session(session_id: str, reason: str) -> None:
    """Name a session that may have been left behind."""
    complain(f"session {session_id} may be running: {reason}")


def discard_output() -> None:
    """Have what is still to be printed go nowhere, because nobody reads it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_to_end(command: Coroutine[Any, Any, int]) -> int:
    """Run a command on an event loop of its own; SIGINT and SIGTERM cancel it.

    Returns:
        The command's exit code, or 130 when it was cancelled.
    """
    try:
        return run_to_result(command)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def run_to_result(work: Coroutine[Any, Any, T]) -> T:
    """The same for a part of a command, which gives its result.

    Raises:
        KeyboardInterrupt: It was cancelled.
    """
    try:
        return asyncio.run(_until_terminated(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_terminated(work: Coroutine[Any, Any, T]) -> T:
    # asyncio.run cancels at SIGINT only, and a container or a service manager sends SIGTERM.
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current_task().cancel)
    return await work


def current_task() -> asyncio.Task[Any]:
    """The running task, which a coroutine always has."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  -- only a callback has none
    return task
