"""Servers as processes of a test, on loopback: they can be killed, and started again where they were."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field

TIME_LIMIT = 30.0


@define(eq=False)
class Engine:
    """A server, its address, and what it says once it is ready."""

    command: tuple[str, ...]
    url: str
    ready: str
    env: Mapping[str, str] | None = None
    killed: bool = field(default=False, init=False)
    said: list[str] = field(factory=list, init=False)
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _reader: asyncio.Task[None] | None = field(default=None, init=False)
    _more: asyncio.Event = field(factory=asyncio.Event, init=False)

    async def start(self) -> None:
        self.said.clear()
        self.killed = False
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        if self.ready:
            await self.says(self.ready)

    async def says(self, text: str) -> None:
        """Wait until it has said something since it was started."""
        assert self._reader is not None
        async with asyncio.timeout(TIME_LIMIT):
            while not any(text in line for line in self.said):
                assert not self._reader.done(), f"never said {text!r}: {''.join(self.said)}"
                self._more.clear()
                await self._more.wait()

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(TIME_LIMIT):
            await self._reader
            return await self._process.wait()

    async def kill(self) -> None:
        """End it with no time to put anything in order."""
        self.killed = True
        await self.end(signal.SIGKILL)

    async def end(self, how: signal.Signals) -> int:
        """Send it a signal; its exit code when it has ended."""
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        await self._reader
        assert self._process.returncode is not None
        return self._process.returncode

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.said.append(line.decode(errors="replace"))
            self._more.set()
        self._more.set()


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """An engine from here on."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.kill()


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(name: str) -> str:
    """Where the command of an engine is; skips the test where it is not installed, and fails it in CI."""
    # Debian puts servers where only root looks.
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        reason = f"{name} is not installed; on Debian: apt-get install {name}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def nats_server(folder: Path) -> Engine:
    """NATS with JetStream, which keeps its streams in a folder."""
    port = free_port()
    options = ("-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder))
    return Engine((command("nats-server"), *options), f"nats://127.0.0.1:{port}", "Server is ready")


def redis_server(folder: Path) -> Engine:
    """Redis, which forgets."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    return Engine((command("redis-server"), *options), f"redis://127.0.0.1:{port}", "Ready to accept")
