"""Five hundred players, fifty game servers, and an API that fails all the time."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from attrs import define, field

from tests.examples.harness import Platform, Player, Server, echo, emulated_apart, serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sessions as processes need POSIX")

PLAYERS, SIZE = 500, 10
PLACES = ("eu-west", "eu-east", "na-east")
CALLS = (
    "session-run",
    "describe-session",
    "get-available-locations",
    "join-session",
    "leave-session",
    "session-list",
)
# Five of each call, so that even one that meets them all succeeds the sixth and last time.
LOST_CONNECTIONS = [
    {"kind": kind, "operation": call, "count": count}
    for call in CALLS
    for kind, count in (("cut_before_commit", 3), ("cut_after_commit", 2))
]
REFUSALS = [
    {"kind": "refuse", "operation": "session-run", "status": 420, "location": "eu-east", "count": 5},
    {"kind": "refuse", "operation": "session-run", "status": 429, "count": 5},
]


@define
class Crowd:
    """People with different ideas of how long to stay."""

    server: Server
    tasks: asyncio.TaskGroup
    announced: set[str] = field(factory=set)
    rng: Random = field(factory=lambda: Random(11))
    # The test waits for them, too.
    first_half: asyncio.Barrier = field(factory=lambda: asyncio.Barrier(PLAYERS // 2 + 1))
    all_seated: asyncio.Barrier = field(factory=lambda: asyncio.Barrier(PLAYERS))

    def send(self, count: int, action: Callable[..., Coroutine[Any, Any, Any]], **options: Any) -> list[Any]:
        """Have so many people do something."""
        prefix = f"{action.__name__}-{len(asyncio.all_tasks())}"
        return [self.tasks.create_task(action(f"{prefix}-{each}", **options)) for each in range(count)]

    @asynccontextmanager
    async def player(self, name: str) -> AsyncGenerator[Player]:
        """Somebody who would play in any of the locations."""
        latencies = {place: self.rng.uniform(10, 90) for place in PLACES}
        skill = self.rng.uniform(1000, 1499)
        async with self.server.player(name, skill=skill, latencies=latencies) as player:
            yield player
            self.announced |= player.matches

    async def play(self, name: str, *, early: bool) -> tuple[str, str]:
        """Play until everybody has a game; name and match."""
        async with self.player(name) as me:
            game = await me.hear("ready")
            assert await echo(game, name) == name
            if early:
                await self.first_half.wait()
            await self.all_seated.wait()
            await me.leave()
            return name, game["match"]

    async def desert(self, name: str) -> None:
        """Leave as soon as a match is in the making."""
        async with self.player(name) as me:
            await me.hear("matched", "ready")
            await me.leave()

    async def vanish(self, name: str) -> None:
        """Be cut off as soon as a match is in the making."""
        async with self.player(name) as me:
            news = await me.hear("matched", "ready")
            await (me.vanish() if news["type"] == "matched" else me.leave())

    async def give_up(self, name: str) -> None:
        """Leave the queue."""
        async with self.player(name) as me:
            await me.hear("queued")
            await me.leave()


async def play_all(platform: Platform, server: Server) -> tuple[dict[str, str], set[str]]:
    """Bring everybody into a game and out again; the match of each player, and all matches there were."""
    async with asyncio.TaskGroup() as tasks:
        crowd = Crowd(server, tasks)
        await platform.inject(*LOST_CONNECTIONS)
        for action in (crowd.desert, crowd.vanish, crowd.give_up):
            crowd.send(10, action)
        playing = crowd.send(PLAYERS // 2, crowd.play, early=True)
        await crowd.first_half.wait()

        # A rate that was never good would be lowered to next to nothing.
        await platform.fill("eu-west")
        await platform.inject(*REFUSALS)
        for action in (crowd.desert, crowd.vanish, crowd.give_up):
            crowd.send(10, action)
        playing += crowd.send(PLAYERS // 2, crowd.play, early=False)
    return dict(task.result() for task in playing), crowd.announced


async def test_everybody_gets_to_a_game_server_and_no_session_is_doubled_or_left():
    """What each has said stands in the log of the one session of the match."""
    async with (
        emulated_apart() as platform,
        serving(platform, size=SIZE, backfill_after=1, widening=200) as server,
    ):
        matches, announced = await play_all(platform, server)
        assert (await server.get("/stats"))["queued"] == 0
        assert await server.end() == 0

        launched = [event["session"] for event in await platform.history("launched")]
        assert sorted(launched) == sorted(announced)
        statuses = Counter(request["status"] for request in await platform.history("request"))
        assert statuses[None] == 5 * len(CALLS)
        # After three, the client leaves the location alone for a while.
        assert statuses[420] >= 3
        assert statuses[429] == 5
        async with platform.client() as gameye:
            for session in await gameye.list_sessions():
                # Whoever is cut off while `ready` is on its way is expected in the game.
                expected = (await gameye.describe(session.id)).players
                assert expected
                assert all(name.startswith("vanish-") for name in expected)
            for match in launched:
                async with gameye.logs(match) as lines:
                    heard = "".join([line async for line in lines])
                players = [name for name, own in matches.items() if own == match]
                assert len(players) <= SIZE
                assert all(repr(name.encode()) in heard for name in players)
