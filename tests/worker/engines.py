"""NATS and Redis as processes of a test: on loopback, with a port and a storage of their own."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field

TIME_LIMIT = 20.0


@define(eq=False)
class Engine:
    """A server that can be killed, and started again where it was."""

    command: tuple[str, ...]
    url: str
    ready: bytes
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _reader: asyncio.Task[None] | None = field(default=None, init=False)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        said = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(self._process, said))
        async with asyncio.timeout(TIME_LIMIT):
            await said

    async def _read(self, process: asyncio.subprocess.Process, said: asyncio.Future[None]) -> None:
        assert process.stdout is not None
        output = b""
        async for line in process.stdout:
            if not said.done():
                output += line
                if self.ready in line:
                    said.set_result(None)
        if not said.done():
            said.set_exception(RuntimeError(output.decode(errors="replace")))

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it; SIGKILL leaves it no time to put anything in order."""
        assert self._process is not None
        assert self._reader is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        await self._reader


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(name: str, package: str) -> str:
    """Where the command of an engine is; skips the test where it is not installed, and fails it in CI."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        reason = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """An engine from here on."""
    try:
        await engine.start()
        yield engine
    finally:
        await engine.kill()


def nats_server(folder: Path) -> Engine:
    """NATS with JetStream that keeps its streams in a folder."""
    port = free_port()
    options = ("-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder))
    return Engine(
        (command("nats-server", "nats-server"), *options), f"nats://127.0.0.1:{port}", b"Server is ready"
    )


def redis_server(folder: Path) -> Engine:
    """Redis without storage."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder))
    return Engine(
        (command("redis-server", "redis-server"), *options),
        f"redis://127.0.0.1:{port}",
        b"Ready to accept connections",
    )
