"""How a matchmaker is tested: the fixtures come with `gameye_async`, and no account is needed.

Run it with `pytest examples/test_matchmaker.py`.
"""

import asyncio

import pytest

from gameye_async import AsyncGameye, CapacityError
from gameye_async.emulator import Emulator, World

PLAYERS = [f"player-{number}" for number in range(80)]


async def pair_up(gameye: AsyncGameye, players: list[str]) -> list[str]:
    """A matchmaker of two lines: one session for every two players, and the ids of these sessions."""
    pairs = zip(players[::2], players[1::2], strict=True)
    sessions = [
        gameye.launch(image="my-game", location="eu-west", labels={"players": f"{a},{b}"}) for a, b in pairs
    ]
    return [session.id for session in await asyncio.gather(*sessions)]


@pytest.mark.asyncio
async def test_every_pair_gets_a_session(gameye: AsyncGameye, gameye_world: World) -> None:
    """Three lines."""
    matches = await pair_up(gameye, PLAYERS)
    assert len(matches) == 40
    assert {session.id for session in gameye_world.live} == set(matches)


@pytest.mark.asyncio
@pytest.mark.gameye(faults=[{"kind": "cut_after_commit", "operation": "session-run", "count": 5}])
async def test_lost_answers_cost_no_session(gameye: AsyncGameye, gameye_emulator: Emulator) -> None:
    """Forty matches, forty sessions and none left over, although five answers never arrive."""
    for match in await pair_up(gameye, PLAYERS):
        await gameye.stop(match)
    counts = gameye_emulator.history.counts
    assert (counts["launched"], counts["stopped"]) == (40, 40)
    assert not gameye_emulator.world.live


@pytest.mark.asyncio
@pytest.mark.gameye(locations={"eu-west": 0})
async def test_players_are_told_when_there_is_no_room(gameye: AsyncGameye) -> None:
    """Players get to know that there is no room."""
    with pytest.raises(CapacityError):
        await gameye.launch(image="my-game", location="eu-west", deadline=0.5)
