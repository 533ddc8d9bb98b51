"""A game server small enough to read: it answers whatever it hears, over UDP and TCP, until SIGTERM.

Gameye starts it in a container; `gameye-async emulator --run "python examples/echo_server.py"` on a laptop.
Either way its ports are in variables like GAMEYE_PORT_UDP_7777.
"""

import asyncio
import os
import signal


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket to answer on."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        print(f"{addr[0]}:{addr[1]} says {data!r}", flush=True)
        self.transport.sendto(data, addr)


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line of a connection with itself."""
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()


def ports(protocol: str) -> list[int]:
    """The ports that Gameye has mapped for a protocol."""
    prefix = f"GAMEYE_PORT_{protocol}_"
    return [int(value) for name, value in os.environ.items() if name.startswith(prefix)]


async def main() -> None:
    """Serve every mapped port until the session is to end."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    for port in ports("UDP"):
        await loop.create_datagram_endpoint(Echo, ("0.0.0.0", port))  # noqa: S104  -- players come from outside
    for port in ports("TCP"):
        await asyncio.start_server(echo_lines, "0.0.0.0", port)  # noqa: S104  -- see above
    print(f"session {os.environ.get('GAMEYE_SESSION_ID')} is ready", flush=True)
    await stopping.wait()
    print("good bye", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
