"""Sessions as processes of this machine, each in a folder of its own."""

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, Self

from gameye_async.emulator.archive import Folder
from gameye_async.emulator.container import Container
from gameye_async.emulator.fleet import Fleet
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.sessions import Session
from gameye_async.emulator.timeline import Event
from gameye_async.emulator.watch import keep_time

GRACE_SECONDS: Final = 5.0
LOG_LIMIT: Final = 64 * 2**20

# A process that fails again and again is started less and less often, as container engines do.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 60.0
_PROVEN_SECONDS: Final = 10.0

# After these nobody reads an earlier session of that id any more.
_UNREADABLE: Final = frozenset({"launched", "claimed", "forgotten"})


def parse_command(command: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a command, given as a line of a shell or as words, that can run in any folder.

    Words that name something in the current folder become absolute.

    Raises:
        ValueError: There is no such program, or no program at all.
    """
    program, *arguments = (shlex.split(command) if isinstance(command, str) else command) or [""]
    found = shutil.which(program)
    if found is None:
        raise ValueError(f"there is no program {program!r} to run sessions with")
    return os.path.abspath(found), *(  # noqa: PTH100  -- resolving its link would leave a virtual environment
        str(Path(word).absolute()) if os.path.exists(word) else word  # noqa: PTH110  -- words need not be paths
        for word in arguments
    )


class Processes:
    """Runs a process for every session of a world, as an async context manager.

    The arguments of a session follow those of the command, its environment and the `GAMEYE_*` variables come
    on top of this process's own, what it prints is the session's log, and its working directory the root of
    its artifacts. SIGTERM comes first and SIGKILL after the grace. An exit with 0 ends the session; any other
    is a failure, after which it is started again when its launch asked for that.

    Args:
        world: The world whose containers these are; its machines should be `placement.loopback`.
        command: What to run; see `parse_command`.
        grace: Seconds between SIGTERM and SIGKILL.

    Raises:
        ValueError: The command cannot run, or this is no POSIX system.
    """

    def __init__(self, world: Fleet, command: str | Sequence[str], *, grace: float = GRACE_SECONDS) -> None:
        if os.name != "posix":
            raise ValueError("sessions as processes need process groups and signals: Linux or macOS")
        self._world = world
        self._command = parse_command(command)
        self._grace = grace
        self._played: dict[int, tuple[Session, Container]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = AsyncExitStack()
        self._root = Path()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._root = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="gameye-", ignore_cleanup_errors=True))
            )
            timekeeper = asyncio.create_task(keep_time(self._world), name="emulator-time")
            stack.push_async_callback(self._end_all, timekeeper)
            stack.callback(self._world.subscribe(self._hear))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, session: Session) -> None:
        """Start the process of a session that is reserved: the `start_container` of an application.

        Raises:
            Refusal: 420, it does not start.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"{session.serial}-", dir=self._root))
        container = Container((*self._command, *session.args), folder, _environment(session))
        try:
            await container.start()
        except (OSError, ValueError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise Refusal(420, f"The process of the session did not start: {error}") from None
        if not self._world.holds(session):
            # The platform was restarted meanwhile: nobody will commit this launch.
            container.kill()
            await container.ended()
            shutil.rmtree(folder, ignore_errors=True)
            return
        session.files = Folder(folder)
        self._played[session.serial] = session, container
        task = asyncio.create_task(self._play(session, container), name=f"emulator-{session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hear(self, event: Event) -> None:
        if event.kind == "output":
            return
        # Two sessions can have one id, by a quirk: what counts is how each of them is now.
        for session, container in tuple(self._played.values()):
            if session.id != event.session_id:
                continue
            if session.is_over or session.status == "shuttingdown":
                container.stop(self._grace)
            elif event.kind == session.status == "restarting":
                container.kill()
            if session.is_over and event.kind in _UNREADABLE:
                del self._played[session.serial]
                shutil.rmtree(container.folder, ignore_errors=True)

    async def _play(self, session: Session, container: Container) -> None:
        """Follow a session's process, and those that come after it, to the end of the session."""
        clock = self._world.clock
        pause, began = _FIRST_PAUSE, clock()
        while await self._fails(session, container):
            pause = min(2 * pause, _LONGEST_PAUSE) if clock() - began < _PROVEN_SECONDS else _FIRST_PAUSE
            # One that was killed has been let fail by somebody else.
            if not container.is_killed and not session.is_over:
                self._world.crash(session.id, down=pause)
            if session.is_over:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(container.is_stopping.wait(), pause)
            began = clock()
        if not session.is_over:
            self._world.end_session(session.id)

    async def _fails(self, session: Session, container: Container) -> bool:
        """Whether a session's process, started if it does not run, ends otherwise than it should."""
        try:
            if not container.is_running and not container.is_stopping.is_set():
                await container.start()
            async for chunk in container.output():
                self._log(session, chunk)
            return bool(await container.ended()) and not container.is_stopping.is_set()
        except OSError as error:
            self._log(session, f"The process did not start again: {error}\n".encode())
            return True

    def _log(self, session: Session, output: bytes) -> None:
        if not session.is_over and len(session.log) < LOG_LIMIT:
            self._world.write_log(session.id, output)

    async def _end_all(self, timekeeper: asyncio.Task[None]) -> None:
        timekeeper.cancel()
        for _, container in self._played.values():
            container.stop(self._grace)
        await asyncio.wait((timekeeper, *self._tasks))


def _environment(session: Session) -> Mapping[str, str]:
    """This process's own variables without its account, and the session's on top."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GAMEYE_")}
    # Else the log of a game server written in Python would come in large late pieces.
    return {"PYTHONUNBUFFERED": "1", **inherited, **session.environment()}
