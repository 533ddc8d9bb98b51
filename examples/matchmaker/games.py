"""Games for matches: every call of the Gameye API that the matchmaker makes."""

import json
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from gameye_async import (
    AsyncGameye,
    GameyeError,
    LaunchRequest,
    Session,
    SessionSummary,
    rank_locations,
    udp_probe,
)

from .matching import Ticket
from .settings import Settings

log = logging.getLogger(__name__)


class Games:
    """The sessions of a matchmaker, which are found again by their labels."""

    def __init__(self, gameye: AsyncGameye, settings: Settings) -> None:
        self.gameye = gameye
        self._settings = settings
        self._ours = {"matchmaker": settings.name}
        self._of_this_run = {**self._ours, "run": str(uuid4())}
        # Whatever the game answers to as soon as players can join.
        self._probe = udp_probe(b"ready?", port=settings.game_port)

    async def plan(self, group: Sequence[Ticket]) -> LaunchRequest:
        """What to launch for a group: in the locations that all of them share, the fairest first."""
        latencies = {ticket.player: ticket.latencies for ticket in group}
        places = await self.gameye.available_locations(self._settings.image)
        return LaunchRequest(
            self._settings.image,
            # Places that are full are left out by the API; if all are, the launch waits for room in one.
            rank_locations(places, latencies) or rank_locations(group[0].latencies, latencies),
            env={"MATCH_PLAYERS": json.dumps([*latencies])},
            labels={**self._of_this_run, "bracket": self._bracket(group[0])},
            ttl=self._settings.ttl,
        )

    @asynccontextmanager
    async def launched(self, request: LaunchRequest) -> AsyncGenerator[Session, None]:
        """A session whose game answers; it is stopped when the block fails."""
        session = await self.gameye.launch(request)
        try:
            await self.gameye.wait_until_ready(
                session, probe=self._probe, timeout=self._settings.ready_within
            )
            yield session
        except BaseException:
            await self.stop(session.id)
            raise

    async def join(self, session_id: str, players: Sequence[str]) -> None:
        """Give players their seats, and stop a session that nobody is left for."""
        if players:
            await self.gameye.join(session_id, players)
        else:
            await self.stop(session_id)

    async def find_seat(self, ticket: Ticket) -> SessionSummary | None:
        """Seat a player in a running match that has lost somebody, as near as can be."""
        for location in ticket.latencies:
            seat = await self.gameye.find_seat(
                self._settings.image,
                [ticket.player],
                self._settings.size,
                location=location,
                labels={**self._ours, "bracket": self._bracket(ticket)},
                players_above=0,  # one without players waits for its own group
            )
            if seat is not None:
                return seat
        return None

    async def leave(self, session_id: str, players: Iterable[str]) -> None:
        """Free the seats of players."""
        try:
            await self.gameye.leave(session_id, players)
        except GameyeError as error:
            log.warning("players were not taken out of session %s: %s", session_id, error)

    async def stop(self, session_id: str) -> None:
        """Stop a session that nobody will play in."""
        try:
            await self.gameye.stop(session_id)
        except GameyeError as error:
            log.warning("session %s was not stopped: %s", session_id, error)

    async def sweep(self, *, closing: bool = False) -> None:
        """Stop sessions without players: those that a killed process left, and those that all have left.

        Younger ones may belong to a match in the making, here or in another process; when this one is
        `closing`, none of its own does.
        """
        labels, grace = (self._of_this_run, 0.0) if closing else (self._ours, self._settings.grace)
        try:
            # A count that the API does not tell is not zero.
            strays = await self.gameye.reconcile(
                lambda session: session.player_count != 0, grace, labels=labels
            )
        except GameyeError as error:
            log.warning("sessions were not swept: %s", error)
            return
        async with self.gameye.stop_many(session.id for session in strays) as outcomes:
            async for outcome in outcomes:
                log.info("session %s had no players: %s", outcome.session_id, outcome.error or "stopped")

    def _bracket(self, ticket: Ticket) -> str:
        return str(int(ticket.skill // self._settings.bracket))
