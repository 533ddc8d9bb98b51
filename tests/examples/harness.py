"""The matchmaker and the emulator as processes, and players over real WebSockets."""

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import define, field

from gameye_async import AsyncGameye
from gameye_async.emulator import Emulator
from tests.cli.harness import CHECKOUT, running

TIME_LIMIT = 60.0
ECHO = shlex.join([sys.executable, str(CHECKOUT / "examples/echo_server.py")])
NEAR = {"eu-west": 20, "eu-east": 40, "na-east": 60}


@define
class Platform:
    """An emulator, as other programs see it."""

    url: str
    http: aiohttp.ClientSession

    @property
    def account(self) -> dict[str, str]:
        return {"GAMEYE_API_URL": self.url, "GAMEYE_API_TOKEN": "emulator-token"}

    def client(self) -> AsyncGameye:
        return AsyncGameye("emulator-token", base_url=self.url)

    async def inject(self, *faults: Mapping[str, Any]) -> None:
        async with self.http.post(f"{self.url}/_emulator/faults", json=faults) as answer:
            assert answer.status == 201, await answer.text()

    async def fill(self, location: str) -> None:
        """Let others take all the room that is left in a location."""
        async with self.http.post(
            f"{self.url}/_emulator/locations/{location}", json={"full": True}
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def history(self, *kinds: str) -> list[dict[str, Any]]:
        query = [("kind", kind) for kind in kinds]
        async with self.http.get(f"{self.url}/_emulator/history", params=query) as answer:
            return [json.loads(line) for line in (await answer.text()).splitlines()]

    async def seen(self, *kinds: str, count: int = 1) -> None:
        """Wait until so many things of these kinds have happened."""
        async with self.http.get(f"{self.url}/_emulator/events?since=0") as events:
            async for line in events.content:
                if line.startswith(b"data: ") and json.loads(line[6:])["kind"] in kinds:
                    count -= 1
                    if not count:
                        return


@asynccontextmanager
async def emulated(run: str = ECHO) -> AsyncGenerator[Platform]:
    """An emulator that runs a command for each session."""
    async with Emulator(run=run) as emulator, aiohttp.ClientSession() as http:
        yield Platform(emulator.url, http)


@asynccontextmanager
async def emulated_apart() -> AsyncGenerator[Platform]:
    """The same in a process of its own, for a test that is busy itself."""
    async with running("emulator", "--port=0", f"--run={ECHO}", "--until-eof") as process:
        url = (await process.stdout.readline()).decode().split()[1]
        async with aiohttp.ClientSession() as http:
            yield Platform(url, http)


@define
class Player:
    """Somebody with a game client, which reads all the time, for else no heartbeat is answered."""

    http: aiohttp.ClientSession
    socket: aiohttp.ClientWebSocketResponse
    news: asyncio.Queue[dict[str, Any]] = field(factory=asyncio.Queue)
    matches: set[str] = field(factory=set)

    async def listen(self) -> None:
        async for message in self.socket:
            news = message.json()
            self.matches |= {news["match"]} if "match" in news else set()
            self.news.put_nowait(news)
        self.news.put_nowait({"type": "closed"})

    async def say(self, kind: str, **content: object) -> None:
        await self.socket.send_json({"type": kind, **content})

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these kinds; others are passed over, but for the end of all hopes."""
        while (message := await self.news.get())["type"] not in kinds:
            assert message["type"] in {"queued", "matched", "ready"}, message
        return message

    async def leave(self) -> None:
        await self.say("leave")
        await self.hear("left")

    async def vanish(self) -> None:
        """Lose the connection without a word."""
        await self.http.connector.close()


@define
class Server:
    """The matchmaker in a process of its own."""

    url: str
    process: asyncio.subprocess.Process

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            assert answer.status == 200
            return await (answer.json if answer.content_type == "application/json" else answer.text)()

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return await self.process.wait()

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[Player]:
        """Somebody who has said nothing yet."""
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{self.url}/play") as socket:
            player = Player(http, socket)
            listening = asyncio.create_task(player.listen())
            try:
                yield player
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    @asynccontextmanager
    async def player(self, name: str, **wishes: Any) -> AsyncGenerator[Player]:
        """Somebody who queues."""
        async with self.connected() as player:
            await player.say("queue", **{"player": name, "skill": 1200, "latencies": NEAR} | wishes)
            yield player


@asynccontextmanager
async def serving(platform: Platform, **settings: Any) -> AsyncGenerator[Server]:
    """The matchmaker, as a user starts it; `settings` become variables."""
    variables = {f"MATCHMAKER_{name.upper()}": str(value) for name, value in {"port": 0, **settings}.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "examples.matchmaker"),
        cwd=CHECKOUT,
        env=os.environ | platform.account | variables | {"PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            greeting = (await process.stdout.readline()).decode()
            yield Server(greeting.split()[3], process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.data: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.data.done():
            self.data.set_result(data)


async def echo(address: Mapping[str, Any], text: str) -> str:
    """What a game server answers to a text."""
    transport, answer = await asyncio.get_running_loop().create_datagram_endpoint(
        _Answer, remote_addr=(address["host"], address["port"])
    )
    try:
        transport.sendto(text.encode())
        return (await answer.data).decode()
    finally:
        transport.close()
