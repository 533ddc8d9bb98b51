"""One way to launch in a process of its own, from whatever environment it lives in.

    python -m benchmarks.worker httpx http://127.0.0.1:8080 10

Each line of its input is a number of launches; it makes them, and prints the CPU microseconds of each.
"""

import asyncio
import gc
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from benchmarks.workload import TOKEN, WANTED

Drive = Callable[[int], Awaitable[None]]

HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def body() -> dict[str, Any]:
    """What is sent, as a dict."""
    return {"id": str(uuid.uuid4()), "restart": False, **WANTED}


def driver(launch: Callable[[], Awaitable[object]], concurrency: int) -> Drive:
    """Launches so many times, so many at once."""

    async def drive(launches: int) -> None:
        numbers = iter(range(launches))

        async def worker() -> None:
            for _ in numbers:
                await launch()

        await asyncio.gather(*(worker() for _ in range(concurrency)))

    return drive


@asynccontextmanager
async def gameye_async(url: str, concurrency: int) -> AsyncIterator[Drive]:
    """This library."""
    from gameye_async import AsyncGameye, LaunchRequest  # noqa: PLC0415  -- others have none

    async with AsyncGameye(TOKEN, base_url=url, max_concurrency=concurrency) as gameye:
        yield driver(lambda: gameye.launch(LaunchRequest(**WANTED)), concurrency)


@asynccontextmanager
async def aiohttp(url: str, concurrency: int) -> AsyncIterator[Drive]:
    """Bare aiohttp."""
    import aiohttp  # noqa: PLC0415  -- others have none

    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def launch() -> object:
            async with session.post(f"{url}/session", json=body()) as response:
                return await response.json()

        yield driver(launch, concurrency)


@asynccontextmanager
async def requests(url: str, concurrency: int) -> AsyncIterator[Drive]:
    """A session of requests, in threads."""
    import requests  # noqa: PLC0415  -- others have none
    from requests.adapters import HTTPAdapter  # noqa: PLC0415  -- likewise

    with requests.Session() as session, ThreadPoolExecutor(concurrency) as threads:
        session.headers.update(HEADERS)
        session.mount("http://", HTTPAdapter(pool_maxsize=concurrency))

        def launch(_: int) -> object:
            return session.post(f"{url}/session", json=body(), timeout=30).json()

        async def drive(launches: int) -> None:
            for _ in threads.map(launch, range(launches)):
                pass

        yield drive


@asynccontextmanager
async def httpx(url: str, concurrency: int) -> AsyncIterator[Drive]:
    """httpx, with a pool as large as it takes."""
    import httpx  # noqa: PLC0415  -- others have none

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(headers=HEADERS, limits=limits, timeout=60) as client:

        async def launch() -> object:
            response = await client.post(f"{url}/session", json=body())
            return response.json()

        yield driver(launch, concurrency)


@asynccontextmanager
async def generated(url: str, concurrency: int) -> AsyncIterator[Drive]:
    """The SDK that openapi-generator makes for asyncio."""
    import gameye_sdk  # noqa: PLC0415  -- others have none

    settings = gameye_sdk.Configuration(host=url, access_token=TOKEN)
    async with gameye_sdk.ApiClient(settings) as client:
        api = gameye_sdk.DefaultApi(client)

        async def launch() -> object:
            return await api.session_run(gameye_sdk.SessionRun.from_dict(body()))

        yield driver(launch, concurrency)


CLIENTS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Drive]]] = {
    "AsyncGameye": gameye_async,
    "AsyncGameye again": gameye_async,
    "bare aiohttp": aiohttp,
    "requests in threads": requests,
    "httpx": httpx,
    "openapi-generator": generated,
}


async def serve(name: str, url: str, concurrency: int) -> None:
    """Measure a block for each line of input."""
    async with CLIENTS[name](url, concurrency) as drive:
        print("ready", flush=True)
        for line in sys.stdin:
            # Connections that idled too long while others had their turn are opened again.
            await drive(concurrency)
            gc.collect()
            began = time.process_time()
            await drive(int(line))
            print((time.process_time() - began) / int(line) * 1e6, flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
