"""Sessions as processes of this machine, each in a folder of its own."""

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from attrs import define

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


def parse_command(command: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a command that can run in any folder.

    Args:
        command: A line as for a shell, or its words. Words that name something in the current folder become
            absolute, because every session has a folder of its own.

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


@define(eq=False)
class _Played:
    """A session and its container; `has_failed` when somebody else let it fail."""

    session: Session
    container: Container
    has_failed: bool = False


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
        self._starting: set[_Played] = set()
        self._played: dict[str, _Played] = {}
        self._tasks: dict[asyncio.Task[None], Container] = {}
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

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        if self._world.holds(session):
            session.files = Folder(folder)
            self._starting.add(_Played(session, container))
            return
        # The platform was restarted meanwhile: nobody will commit this launch.
        container.kill()
        async for _ in container.output():
            pass
        await container.ended()
        shutil.rmtree(folder, ignore_errors=True)

    def _hear(self, event: Event) -> None:
        if event.kind in {"launched", "claimed"}:
            for started in [each for each in self._starting if not self._world.holds(each.session)]:
                self._starting.discard(started)
                self._played[started.session.id] = started
                self._play(started)
        elif played := self._played.get(event.session_id):
            match event.kind:
                case "stopping" | "stopped" | "expired" | "ended":
                    played.container.stop(self._grace)
                case "restarting" if played.container.is_running:
                    played.has_failed = True
                    played.container.kill()
                case "forgotten":
                    del self._played[event.session_id]
                    shutil.rmtree(played.container.folder, ignore_errors=True)
                case _:
                    pass

    def _play(self, played: _Played) -> None:
        task = asyncio.create_task(self._live(played), name=f"emulator-{played.session.id}")
        self._tasks[task] = played.container
        task.add_done_callback(self._tasks.pop)

    async def _live(self, played: _Played) -> None:
        """Follow a session's process, and those that come after it, to the end of the session."""
        session, container, clock = played.session, played.container, self._world.clock
        pause, began = _FIRST_PAUSE, clock()
        while await self._fails(played):
            pause = min(2 * pause, _LONGEST_PAUSE) if clock() - began < _PROVEN_SECONDS else _FIRST_PAUSE
            if not played.has_failed and not session.is_over:
                self._world.crash(session.id, down=pause)
            played.has_failed = False
            if session.is_over:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(container.is_stopping.wait(), pause)
            began = clock()
        if not session.is_over:
            self._world.end_session(session.id)

    async def _fails(self, played: _Played) -> bool:
        """Whether a session's process, started if it does not run, ends otherwise than it should."""
        container = played.container
        try:
            if not container.is_running and not container.is_stopping.is_set():
                await container.start()
            async for chunk in container.output():
                self._log(played.session, chunk)
            return bool(await container.ended()) and not container.is_stopping.is_set()
        except OSError as error:
            self._log(played.session, f"The process did not start again: {error}\n".encode())
            return True

    def _log(self, session: Session, output: bytes) -> None:
        if not session.is_over and len(session.log) < LOG_LIMIT:
            self._world.write_log(session.id, output)

    async def _end_all(self, timekeeper: asyncio.Task[None]) -> None:
        timekeeper.cancel()
        for container in self._tasks.values():
            container.stop(self._grace)
        await asyncio.wait((timekeeper, *self._tasks))


def _environment(session: Session) -> Mapping[str, str]:
    """This process's own variables without its account, and the session's on top."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GAMEYE_")}
    # Else the log of a game server written in Python would come in large late pieces.
    return {"PYTHONUNBUFFERED": "1", **inherited, **session.environment()}
