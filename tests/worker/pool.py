"""A pool as it runs in production: a platform, NATS, and workers as processes of their own."""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from gameye_async import LaunchRequest
from gameye_async.emulator.server import DEFAULT_TOKEN
from gameye_async.worker import LaunchQueue
from tests.worker.engines import Engine, free_port

ACK_WAIT = 3.0
_AT_ONCE = 50


def platform(history: Path) -> Engine:
    """The platform, which keeps its history in a file."""
    port = free_port()
    command = (sys.executable, "-m", "tests.worker.platform", str(port), str(history))
    return Engine(command, f"http://127.0.0.1:{port}", "Serving")


def worker(nats: str, url: str, *options: str) -> Engine:
    """One process of the pool."""
    command = (sys.executable, "-m", "gameye_async", "worker", "--nats", nats, "--ack-wait", str(ACK_WAIT))
    env = os.environ | {"GAMEYE_API_URL": url, "GAMEYE_API_TOKEN": DEFAULT_TOKEN}
    return Engine((*command, *options), "", "taking jobs", env=env)


async def submit_all(queue: LaunchQueue, jobs: Iterable[tuple[str, LaunchRequest]]) -> None:
    """Submit jobs, some at a time."""
    source = iter(jobs)

    async def submit() -> None:
        for match, request in source:
            await queue.submit(match, request)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(submit())


async def at_rest(queue: LaunchQueue) -> None:
    """Wait until no job waits for a worker, or for its acknowledgement.

    NATS 2.9 may keep a message in its stream whose acknowledgement it remembers, when it was killed in
    between; such a one is never delivered again.
    """
    jetstream = queue._open().jetstream  # noqa: SLF001  -- NATS' own matter, and no API of ours
    while True:
        workers = await jetstream.consumer_info(queue.stream, "workers")
        if not workers.num_pending and not workers.num_ack_pending:
            return
        await asyncio.sleep(0.1)
