"""The server that benchmarks launch on: it answers 201 after a while, and counts its connections.

python -m benchmarks.stub --delay 0.02
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.request import urlopen

from attrs import frozen

from benchmarks.workload import ANSWER


def response(status: bytes, body: bytes) -> bytes:
    """An HTTP answer."""
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


LAUNCHED = response(b"201 Created", ANSWER)
STOPPED = b"HTTP/1.1 204 No Content\r\n\r\n"
NONE_LEFT = response(b"200 OK", b'{"sessions":[]}')


class Server:
    """Answers launches, stops and lists, and any other GET with the number of connections made before."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.connections = 0

    async def serve(self) -> None:
        """Listen on a free port, say which, and answer until killed."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


class Connection(asyncio.Protocol):
    """Parses no more of a request than its method and where it ends."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, rest = self.received.partition(b"\r\n\r\n")
            if head.startswith((b"DELETE", b"GET /session")):
                self.received = rest
                self.transport.write(STOPPED if head.startswith(b"DELETE") else NONE_LEFT)
                continue
            if head.startswith(b"GET"):
                self.received = rest
                self.transport.write(response(b"200 OK", b"%d" % self.server.connections))
                continue
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            if len(rest) < length:
                return
            self.received = rest[length:]
            self.launch()

    def launch(self) -> None:
        """Answer a launch, and count the connection when it is its first."""
        if self.server.delay:
            asyncio.get_running_loop().call_later(self.server.delay, self.transport.write, LAUNCHED)
        else:
            self.transport.write(LAUNCHED)
        self.server.connections += not hasattr(self, "counted")
        self.counted = True


@frozen
class Stub:
    """A server under way.

    Attributes:
        url: Where it is.
    """

    url: str

    def connections(self) -> int:
        """How many connections have carried a launch."""
        with urlopen(self.url) as answer:  # noqa: S310  -- our own server on loopback
            return int(answer.read())


@contextmanager
def stub(delay: float = 0.0) -> Iterator[Stub]:
    """The server in a process of its own, on the last core.

    Args:
        delay: Seconds until it answers.
    """
    command = [sys.executable, "-m", "benchmarks.stub", "--delay", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  -- ourselves
        try:
            assert process.stdout is not None  # noqa: S101  -- a pipe was asked for
            yield Stub(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until it answers (default: 0)")
    server = Server(parser.parse_args().delay)
    if hasattr(os, "sched_setaffinity"):
        # What is inherited is the one core of whoever measures.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    run = __import__("uvloop").run if find_spec("uvloop") else asyncio.run
    run(server.serve())


if __name__ == "__main__":
    main()
