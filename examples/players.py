"""Players to try `examples/matchmaker` with: `python examples/players.py 20`.

Each queues, waits for the address of a game, says its name to the game server, and leaves.
"""

import asyncio
import os
import sys

import aiohttp

URL = os.environ.get("MATCHMAKER_URL", "http://127.0.0.1:8090/play")


class Hearing(asyncio.DatagramProtocol):
    """Waits for the first thing that a game server says."""

    def __init__(self) -> None:
        self.heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hear it."""
        if not self.heard.done():
            self.heard.set_result(data.decode())


async def say(text: str, host: str, port: int) -> str:
    """Say something to a game server; what it answers."""
    loop = asyncio.get_running_loop()
    transport, hearing = await loop.create_datagram_endpoint(Hearing, remote_addr=(host, port))
    try:
        transport.sendto(text.encode())
        return await asyncio.wait_for(hearing.heard, 5)
    finally:
        transport.close()


async def play(http: aiohttp.ClientSession, name: str) -> None:
    """Queue and play, until the matchmaker has nothing more to say."""
    latencies = {"eu-west": 20, "eu-east": 35, "us-east": 90}
    async with http.ws_connect(URL) as socket:
        await socket.send_json({"type": "queue", "player": name, "skill": 1500, "latencies": latencies})
        async for message in socket:
            news = message.json()
            print(name, *news.values())
            if news["type"] == "ready":
                print(name, "hears", await say(name, news["host"], news["port"]))
                await socket.send_json({"type": "leave"})
            elif news["type"] in {"failed", "left"}:
                return


async def main(count: int) -> None:
    """Let so many play at once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(play(http, f"player-{number}") for number in range(count)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
