"""Memory while a log is followed and while an artifact is downloaded: it must not grow with their size.

    python benchmarks/streams.py --log 1024 --artifact 100        (MiB)

A server in a process of its own sends; what is printed is how much the resident memory of this one grew at
most. The log is read as a caller does, line by line.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

from gameye_async import AsyncGameye
from gameye_async._after_launch import AfterLaunch

MIB = 2**20
LINE = b"2026-11-23T07:00:00Z player 0123456789 moved to (12.5, 3.25) and picked up an item \xe2\x98\x83\n"
TOKEN = "benchmark"  # noqa: S105  -- it opens nothing
BOUND = 8
SAMPLE = 10_000


class Client(AsyncGameye, AfterLaunch):
    """The client with its streams."""


def serve(ready: Connection, log: int, artifact: int) -> None:
    """Play the API: a log and an artifact of so many MiB, each made as it is sent."""
    asyncio.run(_serve(ready, log, artifact))


async def _serve(ready: Connection, log: int, artifact: int) -> None:
    block = LINE * (64 * 1024 // len(LINE))
    head = b"replay.bin".ljust(257, b"\0") + b"ustar\0" + bytes(249)

    async def send_log(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if request.query["follow"] == "true":
            answer.enable_chunked_encoding()
        else:
            answer.content_length = log * MIB // len(block) * len(block)
        await answer.prepare(request)
        # The client goes when it sees by the length that it has everything already.
        with suppress(ConnectionError):
            for _ in range(log * MIB // len(block)):
                await answer.write(block)
        return answer

    async def send_artifact(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = artifact * MIB
        await answer.prepare(request)
        await answer.write(head)
        for _ in range(artifact * MIB // 512 // 128 - 1):
            await answer.write(bytes(128 * 512))
        await answer.write(bytes(127 * 512))
        return answer

    async def send_over(_: web.Request) -> web.Response:
        details = {"id": "m", "image": "i", "tag": "1", "location": "l", "host": "203.0.113.7", "created": 1}
        more = {"port": {}, "status": "exited", "labels": {}, "players": {"joined": [], "joinedCount": 0}}
        return web.json_response(details | more)

    app = web.Application()
    app.router.add_get("/logs", send_log)
    app.router.add_get("/artifacts", send_artifact)
    app.router.add_get("/session/{id}", send_over)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready.send(runner.addresses[0][1])
    await asyncio.to_thread(ready.poll, None)
    await runner.cleanup()


def resident() -> float:
    """Resident memory of this process in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


class Watch:
    """How much the resident memory has grown since this was made, at most."""

    def __init__(self) -> None:
        self.start = self.peak = resident()
        self.began = time.perf_counter()

    def look(self) -> None:
        """Take a sample."""
        self.peak = max(self.peak, resident())

    def tell(self, what: str, size: int) -> None:
        """Print what was seen."""
        grown = self.peak - self.start
        seconds = time.perf_counter() - self.began
        verdict = "flat" if grown <= BOUND else f"more than {BOUND} MiB"
        speed = size / seconds
        print(f"{what:<10} {size:>6} MiB {seconds:8.1f} s {speed:8.0f} MiB/s {grown:+8.1f} MiB  {verdict}")


async def follow(gameye: Client, size: int) -> None:
    """Follow a log to its end."""
    count = 0
    async with gameye.logs("m", follow=True) as lines:
        async for _ in lines:
            count += 1
            if count == SAMPLE:
                watch = Watch()
            elif count % SAMPLE == 0:
                watch.look()
    watch.tell("log", size)


async def download(gameye: Client, size: int) -> None:
    """Download an artifact."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch()
        await gameye.download_artifact(
            "m", "/replay.bin", Path(folder) / "a.tar", on_progress=lambda *_: watch.look()
        )
        watch.tell("artifact", size)


async def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--log", type=int, default=1024, help="MiB of the log")
    parser.add_argument("--artifact", type=int, default=100, help="MiB of the artifact")
    sizes = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, sizes.log, sizes.artifact), daemon=True
    )
    server.start()
    async with Client(TOKEN, base_url=f"http://127.0.0.1:{here.recv()}") as gameye:
        await follow(gameye, sizes.log)
        await download(gameye, sizes.artifact)
    here.send(None)
    server.join()


if __name__ == "__main__":
    asyncio.run(main())
