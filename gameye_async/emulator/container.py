"""One session's process: started under a warden, read from, told to end, and killed."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from attrs import define, field

from gameye_async.emulator import warden

_CHUNK_BYTES: Final = 2**16


@define(eq=False)
class Container:
    """A process that can be started again, and that ends with this one at the latest.

    `is_stopping` is set once it is to end for good; `is_killed` tells a kill from an end of its own.
    """

    command: tuple[str, ...]
    folder: Path
    env: Mapping[str, str] = field(repr=False)
    is_stopping: asyncio.Event = field(factory=asyncio.Event, init=False)
    is_killed: bool = field(default=False, init=False)
    _process: Process | None = field(default=None, init=False)
    _leash: int | None = field(default=None, init=False)
    _deadline: asyncio.TimerHandle | None = field(default=None, init=False)

    @property
    def is_running(self) -> bool:
        """Whether the process has started and not been seen to end, nor been killed."""
        return self._leash is not None

    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: The system does not let it.
            ValueError: An argument or a variable holds what the system cannot pass on.
        """
        self.is_killed = False
        held_by_warden, leash = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", warden.__file__),
                *self.command,
                cwd=self.folder,
                env=self.env,
                stdin=held_by_warden,
                stdout=PIPE,
                stderr=STDOUT,
                start_new_session=True,
            )
        except BaseException:
            os.close(leash)
            raise
        finally:
            os.close(held_by_warden)
        self._leash = leash
        if self.is_stopping.is_set():
            # It was told to end before there was anybody to tell.
            self.kill()

    async def output(self) -> AsyncIterator[bytes]:
        """What the process writes to stdout and stderr, as it comes."""
        stream = self._process.stdout if self._process else None
        while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
            yield chunk

    async def ended(self) -> int:
        """Wait for the end of the process; its exit code, or 128 and the signal that killed it."""
        assert self._process is not None  # noqa: S101  -- whoever waits has started it
        async for _ in self.output():
            pass  # a process whose output nobody reads is not seen to end
        code = await self._process.wait()
        if self._deadline is not None:
            self._deadline.cancel()
        self._let_go()
        return code if code >= 0 else 128 - code

    def stop(self, grace: float) -> None:
        """Ask the process to end by SIGTERM, and kill it after `grace` seconds."""
        if not self.is_stopping.is_set():
            self.is_stopping.set()
            if self.is_running and self._process is not None and self._process.returncode is None:
                self._process.terminate()
                self._deadline = asyncio.get_running_loop().call_later(grace, self.kill)

    def kill(self) -> None:
        """Kill the process and everything that it has started."""
        if self.is_running:
            self.is_killed = True
            self._let_go()

    def _let_go(self) -> None:
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
