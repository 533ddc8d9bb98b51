"""From players who wait to games that they are in: rounds of matching, backfill, and an end without loss."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import define

from gameye_async import GameyeError, Session, SessionSummary

from .games import Games
from .matching import Ticket, form_groups
from .settings import Settings

SWEEP_EVERY = 60.0

log = logging.getLogger(__name__)


@define(eq=False)
class Player:
    """Somebody who wants to play.

    Attributes:
        ticket: What was asked for.
        send: Sends a message; a `ConnectionError` means that nobody hears it.
        is_here: False once the player has left, was sent away, or cannot be reached.
        tries: Matches that got no game.
        session_id: The game, once its address was sent.
    """

    ticket: Ticket
    send: Callable[[dict[str, object]], Awaitable[None]]
    is_here: bool = True
    tries: int = 0
    session_id: str | None = None

    @property
    def name(self) -> str:
        """What the ticket is made out to."""
        return self.ticket.player

    @property
    def is_waiting(self) -> bool:
        """Whether there will be news."""
        return self.is_here and self.session_id is None

    async def tell(self, kind: str, **content: object) -> None:
        """Send a message, if there still is somebody to hear it."""
        if self.is_here:
            try:
                await self.send({"type": kind, **content})
            except ConnectionError:
                self.is_here = False


class Matchmaker:
    """Makes matches of the players in its queue, each in a session of its own."""

    def __init__(self, games: Games, settings: Settings) -> None:
        self.games = games
        self.settings = settings
        self.players: dict[str, Player] = {}  # all who have no game yet, by name
        self.queue: dict[str, Player] = {}  # those of them whose match is not being made
        self._closing = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._matches: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin; the first sweep stops what a killed process has left."""
        self._loops = [
            asyncio.create_task(self._repeat(self._match, self.settings.round_every)),
            asyncio.create_task(self._repeat(self._backfill, self.settings.backfill_after)),
            asyncio.create_task(self._repeat(self.games.sweep, SWEEP_EVERY)),
        ]

    async def close(self) -> None:
        """Make no new matches, finish and deliver those in the making, and leave no session behind."""
        self._closing.set()
        for player in [*self.queue.values()]:
            await self._put_in_queue(player)
        _, late = await asyncio.wait([*self._loops, *self._matches], timeout=self.settings.drain)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for player in [*self.players.values()]:
            await self._put_in_queue(player)
        await self.games.sweep(closing=True)

    @property
    def is_healthy(self) -> bool:
        """Whether matches are being made."""
        return not any(loop.done() for loop in self._loops)

    async def enter(self, player: Player) -> None:
        """Take in a player; one at a time of each name."""
        if player.name in self.players:
            await self._send_away(player, "a player of this name is waiting already")
        else:
            self.players[player.name] = player
            await self._put_in_queue(player)
            await player.tell("queued")

    async def leave(self, player: Player) -> None:
        """Take a player out of the queue, the match in the making or the running game."""
        if player.session_id is not None:
            await self.games.leave(player.session_id, [player.name])
        await player.tell("left")
        self.drop(player)

    def drop(self, player: Player) -> None:
        """Forget a player; a match in the making goes on without."""
        player.is_here = False
        if self.players.get(player.name) is player:
            del self.players[player.name]
            self.queue.pop(player.name, None)

    async def _match(self) -> None:
        """Make matches of those who wait, each in a task of its own."""
        tickets = [player.ticket for player in self.queue.values()]
        for group in form_groups(tickets, self.settings, time.monotonic()):
            players = [self.queue.pop(ticket.player) for ticket in group]
            match = asyncio.create_task(self._make_match(players))
            self._matches.add(match)
            match.add_done_callback(self._matches.discard)

    async def _make_match(self, players: list[Player]) -> None:
        """Bring a group of players into a game, or back into the queue."""
        try:
            request = await self.games.plan([player.ticket for player in players])
            for player in players:
                await player.tell("matched", match=request.id)
            async with self.games.launched(request) as session:
                players = [player for player in players if player.is_here]
                await self.games.join(session.id, [player.name for player in players])
        except (GameyeError, LookupError) as error:
            log.warning("a match got no game: %s", error)
            for player in players:
                player.tries += 1
                await self._put_in_queue(player)
                await player.tell("queued")
        else:
            await self._deliver(players, session)

    async def _backfill(self) -> None:
        """Seat those who have waited for a while in running games that have lost players."""
        for player in [*self.queue.values()]:
            waited = time.monotonic() - player.ticket.since
            if waited < self.settings.backfill_after or self.queue.get(player.name) is not player:
                continue
            # No round may match a player for whom a seat is being looked for.
            del self.queue[player.name]
            try:
                seat = await self.games.find_seat(player.ticket)
            except (GameyeError, LookupError) as error:
                log.warning("no seat was found: %s", error)
                seat = None
            if seat is None:
                await self._put_in_queue(player)
            else:
                await self._deliver([player], seat)

    async def _deliver(self, players: list[Player], game: Session | SessionSummary) -> None:
        """Send players the address of their game, and free the seats of those who have gone meanwhile."""
        host, port = game.address(self.settings.game_port, "udp")
        for player in players:
            await player.tell("ready", match=game.id, host=host, port=port)
            if player.is_here:
                player.session_id = game.id
                del self.players[player.name]
        if gone := [player.name for player in players if not player.is_here]:
            await self.games.leave(game.id, gone)

    async def _put_in_queue(self, player: Player) -> None:
        """Let a player wait, ahead of all who came later, or say that there is no point in it."""
        if self._closing.is_set():
            await self._send_away(player, "the matchmaker is stopping; queue again")
        elif player.tries >= self.settings.tries:
            await self._send_away(player, "no game could be started; queue again later")
        elif player.is_here:
            self.queue[player.name] = player

    async def _send_away(self, player: Player, reason: str) -> None:
        await player.tell("failed", reason=reason)
        self.drop(player)

    async def _repeat(self, action: Callable[[], Awaitable[None]], seconds: float) -> None:
        while not self._closing.is_set():
            await action()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)
