"""One emulator on one core: launches a second, and the time of a list, with many live sessions.

    python benchmarks/emulator.py
    python benchmarks/emulator.py --sessions 5000 --connections 16

The emulator is a process of its own, on a core of its own where the system lets it choose. The client is as
simple as a client can be, so that it is not what is measured.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import time
from multiprocessing.connection import Connection

from yarl import URL

from gameye_async.emulator import Emulator
from gameye_async.emulator.server import collect_garbage_less

BODY = b'{"image":"arena-shooter","location":"eu-west","env":{"MAP":"harbour"},"labels":{"match":"m-1"}}'


def serve(link: Connection) -> None:
    """Serve an emulator until the other end has something to say; tell how much memory it took, in MiB."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    # As the command does.
    collect_garbage_less()

    async def run() -> None:
        async with Emulator(locations={"eu-west": 1_000_000}) as emulator:
            link.send((emulator.url, emulator.token))
            await asyncio.to_thread(link.recv)
            link.send((time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    asyncio.run(run())


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send a request and read its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length))


async def launch(url: URL, token: str, count: int, connections: int) -> float:
    """Launch `count` sessions over several connections; the seconds that it took."""
    request = (
        f"POST /session HTTP/1.1\r\nHost: {url.authority}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    left = iter(range(count))

    async def work() -> None:
        reader, writer = await asyncio.open_connection(url.host, url.port)
        for _ in left:
            answer = await exchange(reader, writer, request)
            if not answer.startswith(b"HTTP/1.1 201"):
                raise RuntimeError(answer.decode())
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return time.perf_counter() - began


async def read(url: URL, token: str, path: str) -> tuple[float, int]:
    """The seconds that a read takes, and the bytes that it brings."""
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=2**20)
    request = f"GET {path} HTTP/1.1\r\nHost: {url.authority}\r\nAuthorization: Bearer {token}\r\n\r\n"
    began = time.perf_counter()
    answer = await exchange(reader, writer, request.encode())
    elapsed = time.perf_counter() - began
    writer.close()
    return elapsed, len(answer)


async def measure(url: URL, token: str, sessions: int, connections: int) -> None:
    """Launch sessions in ten parts, and read in between."""
    print(f"{'live':>8} {'launches/s':>11} {'list':>9} {'of':>9} {'label filter':>13} {'page':>9}")
    for part in range(1, 11):
        seconds = await launch(url, token, sessions // 10, connections)
        whole, size = await read(url, token, "/session")
        chosen, _ = await read(url, token, "/session?filter[match]=none")
        page, _ = await read(url, token, "/_emulator/")
        print(
            f"{part * (sessions // 10):8,} {sessions // 10 / seconds:11,.0f} {whole:7.3f} s "
            f"{size / 2**20:5.1f} MiB {chosen * 1000:10.1f} ms {page * 1000:6.1f} ms"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    link, other = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(other,), daemon=True)
    server.start()
    url, token = link.recv()
    began = time.perf_counter()
    asyncio.run(measure(URL(url), token, options.sessions, options.connections))
    elapsed = time.perf_counter() - began
    link.send("end")
    cpu, memory = link.recv()
    print(f"emulator: {cpu:.1f} s of processor time in {elapsed:.1f} s, {memory:,.0f} MiB at most")
    server.join()


if __name__ == "__main__":
    main()
