"""What the matchmaker does when something happens: it is a process of its own, and so are the games."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

import pytest

from tests.cli.harness import CHECKOUT
from tests.examples.harness import Platform, Player, Server, echo, emulated, serving

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sessions as processes need POSIX")

SILENT = "sleep 600"
# The session exists long before anybody hears of it.
SLOW = {"kind": "latency", "operation": "session-run", "when": "after", "seconds": 1.0, "count": 1}


async def queue(stack: AsyncExitStack, server: Server, *names: str) -> list[Player]:
    return [await stack.enter_async_context(server.player(name)) for name in names]


async def live(platform: Platform) -> set[str]:
    async with platform.client() as gameye:
        return {session.id for session in await gameye.list_sessions()}


async def players(platform: Platform, match: str) -> set[str]:
    """Who is registered in a session."""
    async with platform.client() as gameye:
        return set((await gameye.describe(match)).players)


async def pair(stack: AsyncExitStack, server: Server, *names: str) -> str:
    """Two players in a game; the match."""
    games = [await player.hear("ready") for player in await queue(stack, server, *names)]
    assert games[0] == games[1]
    return games[0]["match"]


async def test_a_late_player_gets_the_seat_of_one_who_left():
    """And nobody gets a seat that there is not."""
    async with (
        emulated() as platform,
        serving(platform, size=2, backfill_after=0.2) as server,
        AsyncExitStack() as stack,
    ):
        ada, grace = await queue(stack, server, "ada", "grace")
        match = (await ada.hear("ready"))["match"]
        await grace.hear("ready")
        await grace.leave()
        (barbara,) = await queue(stack, server, "barbara")
        game = await barbara.hear("ready")
        assert game["match"] == match
        assert await echo(game, "barbara") == "barbara"
        assert await players(platform, match) == {"ada", "barbara"}
        assert len(await platform.history("launched")) == 1


async def test_a_player_of_another_bracket_is_not_seated():
    """A seat is no use to somebody who plays in another league."""
    async with (
        emulated() as platform,
        serving(platform, size=2, backfill_after=0.2) as server,
        AsyncExitStack() as stack,
    ):
        ada, grace = await queue(stack, server, "ada", "grace")
        await ada.hear("ready")
        await grace.hear("ready")
        await grace.leave()
        champion = await stack.enter_async_context(server.player("champion", skill=2900))
        (barbara,) = await queue(stack, server, "barbara")
        await barbara.hear("ready")
        assert (await server.get("/stats"))["queued"] == 1
        assert champion.news.qsize() == 1


async def test_the_seats_of_a_match_in_the_making_are_not_given_away():
    """Its session is there before its players are."""
    async with (
        emulated() as platform,
        serving(platform, size=2, backfill_after=0.1) as server,
        AsyncExitStack() as stack,
    ):
        await platform.inject(SLOW)
        ada, grace, barbara = await queue(stack, server, "ada", "grace", "barbara")
        match = (await ada.hear("ready"))["match"]
        await grace.hear("ready")
        assert await players(platform, match) == {"ada", "grace"}
        assert (await barbara.news.get())["type"] == "queued"
        assert barbara.news.empty()


async def test_those_who_left_the_queue_are_forgotten():
    """By a message or by closing the connection: the name is free again, and matched with nobody."""
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        async with server.player("ada") as ada:
            await ada.hear("queued")
            await ada.leave()
        async with server.player("grace") as grace:
            await grace.hear("queued")
        match = await pair(stack, server, "ada", "grace")
        assert await players(platform, match) == {"ada", "grace"}
        assert len(await platform.history("launched")) == 1


async def test_a_match_goes_on_without_those_who_left_it_in_the_making():
    async with emulated() as platform, serving(platform, size=3) as server, AsyncExitStack() as stack:
        await platform.inject(SLOW)
        ada, grace, barbara = await queue(stack, server, "ada", "grace", "barbara")
        match = (await ada.hear("matched"))["match"]
        await grace.leave()
        await barbara.hear("matched")
        await barbara.vanish()
        await ada.hear("ready")
        assert await players(platform, match) == {"ada"}


async def test_the_seat_of_one_who_left_at_the_last_moment_is_free():
    """The player was registered in the session already, but not told."""
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        await platform.inject(SLOW | {"operation": "join-session"})
        ada, grace = await queue(stack, server, "ada", "grace")
        await platform.seen("joined")
        await grace.leave()
        match = (await ada.hear("ready"))["match"]
        await platform.seen("left")
        assert await players(platform, match) == {"ada"}


async def test_a_match_that_all_have_left_is_stopped():
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        await platform.inject(SLOW)
        ada, grace = await queue(stack, server, "ada", "grace")
        await ada.hear("matched")
        await ada.leave()
        await grace.leave()
        await platform.seen("stopping")
        assert not await live(platform)


@pytest.mark.parametrize("lost", [None, "cut_before_commit", "cut_after_commit"])
async def test_the_players_of_a_failed_launch_are_matched_again(lost):
    """With a new id, whether the launch has failed or nobody can say whether it has."""
    faults = [{"kind": "refuse", "operation": "session-run", "status": 403, "count": 1}]
    if lost:
        faults.insert(0, {"kind": lost, "operation": "session-run", "count": 1})
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        await platform.inject(*faults)
        ada, grace = await queue(stack, server, "ada", "grace")
        first = await ada.hear("matched")
        second = await ada.hear("matched")
        assert first["match"] != second["match"]
        assert (await ada.hear("ready"))["match"] == second["match"]
        await grace.hear("ready")
        if lost == "cut_after_commit":
            await platform.seen("stopping")
        assert await live(platform) == {second["match"]}


async def test_who_waited_before_a_failed_launch_comes_first_after_it():
    """Somebody who came meanwhile does not push in."""
    async with (
        emulated(run=SILENT) as platform,
        serving(platform, size=2, ready_within=1, tries=2) as server,
        AsyncExitStack() as stack,
    ):
        ada, grace = await queue(stack, server, "ada", "grace")
        await ada.hear("matched")
        (barbara,) = await queue(stack, server, "barbara")
        again = await ada.hear("matched")
        await grace.hear("matched")
        assert await grace.hear("matched") == again
        assert (await barbara.news.get())["type"] == "queued"
        assert barbara.news.empty()


async def test_players_are_told_when_no_game_starts():
    """After a few tries, each in a session that is stopped."""
    async with (
        emulated(run=SILENT) as platform,
        serving(platform, size=2, ready_within=0.5, tries=2) as server,
        AsyncExitStack() as stack,
    ):
        ada, _ = await queue(stack, server, "ada", "grace")
        assert "no game" in (await ada.hear("failed"))["reason"]
        assert len(await platform.history("launched")) == 2
        assert await server.end() == 0
        assert not await live(platform)


async def test_a_match_in_the_making_is_delivered_before_the_end():
    """SIGTERM in the middle: who has a match gets the game, who waits is told, and running games go on."""
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        running = await pair(stack, server, "ada", "grace")
        await platform.inject(SLOW)
        makers = await queue(stack, server, "barbara", "hedy")
        await platform.seen("launched", count=2)
        (waiter,) = await queue(stack, server, "radia")
        await waiter.hear("queued")

        ending = asyncio.create_task(server.end())
        assert "stopping" in (await waiter.hear("failed"))["reason"]
        games = [await player.hear("ready") for player in makers]
        assert await echo(games[0], "barbara") == "barbara"
        await makers[0].hear("closed")
        assert await ending == 0
        assert await live(platform) == {running, games[0]["match"]}


async def test_a_match_that_is_not_done_in_time_is_stopped_at_the_end():
    """Its players are told."""
    async with (
        emulated(run=SILENT) as platform,
        serving(platform, size=2, drain=0.2) as server,
        AsyncExitStack() as stack,
    ):
        ada, _ = await queue(stack, server, "ada", "grace")
        await ada.hear("matched")
        await platform.seen("launched")
        assert await server.end() == 0
        await ada.hear("failed")
        assert not await live(platform)


async def test_what_a_killed_matchmaker_left_is_stopped_by_the_next_one():
    """Games with players in them go on."""
    async with emulated() as platform, AsyncExitStack() as stack:
        async with serving(platform, size=2) as server:
            running = await pair(stack, server, "ada", "grace")
            await platform.inject(SLOW | {"seconds": 60.0})
            await queue(stack, server, "barbara", "hedy")
            await platform.seen("launched", count=2)
            assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        assert len(await live(platform)) == 2
        async with serving(platform, size=2, grace=0) as server:
            await platform.seen("stopping")
            assert await live(platform) == {running}
            assert await server.end() == 0
        assert await live(platform) == {running}


async def test_a_player_who_says_something_odd_is_told_so_and_may_go_on():
    async with emulated() as platform, serving(platform) as server, server.connected() as player:
        await player.say("dance")
        assert "send queue" in (await player.hear("error"))["reason"]
        await player.say("queue", player="ada", skill=1200, latencies={"eu-west": 20})
        await player.hear("queued")


async def test_nobody_waits_twice():
    """A second connection of the same name is refused, and the first one keeps its place."""
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        ada, other = await queue(stack, server, "ada", "ada")
        assert "waiting already" in (await other.hear("failed"))["reason"]
        await other.say("queue", player="grace", skill=1200, latencies={"eu-west": 20})
        assert await ada.hear("ready") == await other.hear("ready")


async def test_it_says_how_it_is():
    async with emulated() as platform, serving(platform, size=2) as server, AsyncExitStack() as stack:
        assert await server.get("/health") == "ok"
        await pair(stack, server, "ada", "grace")
        (barbara,) = await queue(stack, server, "barbara")
        await barbara.hear("queued")
        stats = await server.get("/stats")
        assert (stats["queued"], stats["matched"]) == (1, 0)
        assert stats["launches"].startswith("1 launched")


async def test_the_players_of_the_examples_get_to_a_game_and_nothing_is_left():
    """All have left their games at the end, and so the matchmaker stops the sessions when it ends."""
    async with emulated() as platform, serving(platform, size=2) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "examples/players.py", "4"),
            cwd=CHECKOUT,
            env=os.environ | {"MATCHMAKER_URL": f"{server.url}/play"},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        lines = output.decode().splitlines()
        assert all(f"player-{number} hears player-{number}" in lines for number in range(4))
        assert await server.end() == 0
        assert not await live(platform)


@pytest.mark.parametrize("variable", ["MATCHMAKER_SIZE=one", "MATCHMAKER_SIZE=1", "MATCHMAKER_SIZES=2"])
async def test_a_setting_that_makes_no_sense_is_named(variable):
    name, _, value = variable.partition("=")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.matchmaker"),
        cwd=CHECKOUT,
        env=os.environ | {name: value},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert name.removeprefix("MATCHMAKER_").lower() in errors.decode()
    assert "Traceback" not in errors.decode()
