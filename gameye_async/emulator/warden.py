"""The first process of a session's container, run as a script: nothing of a session outlives its warden.

It starts the command that it is given, passes SIGTERM on to it, and ends with its exit code, or 128 and the
signal that killed it. Its standard input is a leash that the emulator holds: when the leash ends, because the
emulator cut it or was killed, everything is killed at once. As in a container, the end of the command is the
end of whatever it has started; on Linux also of what has left its process group.

It imports nothing but the standard library, because a start of it is part of the start of every session.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import Final

LEASH: Final = 0
KILLED: Final = 128 + signal.SIGKILL

# From <sys/prctl.h>, which the standard library does not wrap.
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_IS_LINUX: Final = sys.platform == "linux"


def main(command: list[str]) -> int:
    """Run a command to its end, or to that of the leash."""
    wakeups, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, _wake)
    if _IS_LINUX:
        # Whatever loses its parent becomes a child of the warden and cannot hide.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    game = _start(command)
    try:
        return _guard(game, wakeups)
    finally:
        _kill_everything(game)


def _wake(_number: int, _frame: object) -> None:
    """Let the signal be written to the wake-up pipe instead of doing its worst."""


def _guard(game: int, wakeups: int) -> int:
    while True:
        ready, _, _ = select.select([LEASH, wakeups], (), ())
        if LEASH in ready:
            return KILLED
        if signal.SIGTERM in os.read(wakeups, 512):
            os.kill(game, signal.SIGTERM)
        for child, status in _ended():
            if child == game:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _ended() -> Iterator[tuple[int, int]]:
    """The children that have ended, the adopted ones among them."""
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not child:
            return
        yield child, status


def _start(command: list[str]) -> int:
    warden = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), LEASH)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if _IS_LINUX:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # A warden that died before the call above sends no signal any more.
        if os.getppid() == warden:
            os.execvp(command[0], command)  # noqa: S606  -- to run the command is what it is for
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
    os._exit(127)


def _kill_everything(game: int) -> None:
    """Kill what is left, however often it forks meanwhile; elsewhere than on Linux, the process group."""
    while True:
        for kill, target in [(os.kill, child) for child in _children()] if _IS_LINUX else [(os.killpg, game)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(target, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> Iterator[int]:
    warden = os.getpid()
    # pathlib would double the time that a start takes.
    for name in os.listdir("/proc"):  # noqa: PTH208  -- see above
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  -- see above
                # pid (name) state parent ...; the name may hold anything, parentheses included.
                parent = file.read().rpartition(b")")[2].split()[1]
        except (OSError, IndexError):
            continue
        if name.isdecimal() and int(parent) == warden:
            yield int(name)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
