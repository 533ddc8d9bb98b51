"""Seats for players in sessions that run already."""

import asyncio
from collections.abc import Iterable, Mapping
from contextvars import Context

from attrs import define, evolve, field

from gameye_async import _api
from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async._supervisor import Supervisor
from gameye_async.errors import ConfigurationError, GameyeError, NoAnswerError, NotFoundError
from gameye_async.records import Roster, SessionStatus, SessionSummary

# How often the sessions are listed when seats are lost to others, and half the longest first pause (seconds).
_ROUNDS = 6
_PAUSE = 0.1


def _unique(players: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([players] if isinstance(players, str) else players))


@define(eq=False)
class Seats:
    """Looks for room for a group of players, which stays together.

    Nothing at the API reserves a seat or limits a session. So a group joins first and counts afterwards, and
    leaves again when it was one too many: of all groups that stay, the last one to join has seen a count
    that includes the others. Two groups may both give way where one of them would have fitted, so what was
    lost to others is tried again after a pause.

    Attributes:
        caller: What all calls share.
        supervisor: Owns joins, because one that is cancelled has perhaps happened, and is then taken back.
        options: Settings of the calls.
        players: Their ids.
        capacity: Most players of a session.
    """

    caller: Caller
    supervisor: Supervisor
    options: Options
    players: tuple[str, ...] = field(converter=_unique)
    capacity: int

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.players) <= self.capacity:
            raise ConfigurationError(
                f"{len(self.players)} players do not fit into sessions of {self.capacity}; "
                "name at least one, and no more than the capacity"
            )

    async def find(
        self,
        image: str,
        *,
        location: str | None,
        version: str | None,
        labels: Mapping[str, str] | None,
        players_above: int | None,
    ) -> SessionSummary | None:
        """Seat the players in the fullest running session with room; None when there is none.

        Raises:
            GameyeError: The sessions cannot be listed or joined.
        """
        room = self.capacity - len(self.players)
        listing = _api.list_sessions(
            image=image,
            location=location,
            version=version,
            labels=labels,
            players_below=room + 1,
            players_above=players_above,
        )
        for round_ in range(_ROUNDS):
            if round_:
                await asyncio.sleep(_PAUSE * 2**round_ * self.caller.rng.random())
            lost = False
            sessions = await self.caller.call(listing, self.options)
            for session in _fullest(sessions, room):
                roster = await self._seat(session.id)
                if roster is not None and roster.count <= self.capacity:
                    return evolve(session, player_count=roster.count)
                lost = lost or roster is not None
            if not lost:
                return None
        return None

    async def _seat(self, session_id: str) -> Roster | None:
        """Join, and leave again when there was no room; None when the session is over."""
        sitting = self.supervisor.spawn(self._sit(session_id), Context())
        try:
            return await self.supervisor.wait_for(sitting, f"the join of session {session_id}")
        except asyncio.CancelledError:
            self.supervisor.spawn(self._rise(sitting, session_id), Context())
            raise

    async def _sit(self, session_id: str) -> Roster | None:
        try:
            roster = await self.caller.call(_api.join(session_id, self.players), self.options)
        except NotFoundError:
            return None
        except GameyeError as error:
            if any(attempt.phase == "sent" or (attempt.status or 0) >= 500 for attempt in error.attempts):  # noqa: PLR2004  -- 5xx
                await self._leave(session_id)
            raise
        if roster.count > self.capacity:
            await self._leave(session_id)
        return roster

    async def _rise(self, sitting: "asyncio.Task[Roster | None]", session_id: str) -> None:
        """Give up the seats that nobody waits for any more."""
        (roster,) = await asyncio.gather(sitting, return_exceptions=True)
        if isinstance(roster, Roster) and roster.count <= self.capacity:
            await asyncio.gather(self._leave(session_id), return_exceptions=True)

    async def _leave(self, session_id: str) -> None:
        try:
            await self.caller.call(_api.leave(session_id, self.players), self.options)
        except NotFoundError:
            return
        except GameyeError as error:
            raise NoAnswerError(
                f"players may still be registered in session {session_id}, which they have to leave: "
                f"{error.message}",
                attempts=error.attempts,
            ) from None


def _fullest(sessions: Iterable[SessionSummary], room: int) -> list[SessionSummary]:
    """The sessions to try, best first; one that does not tell its count comes last."""
    fitting = [
        session
        for session in sessions
        if session.status in {SessionStatus.RUNNING, None} and (session.player_count or 0) <= room
    ]
    return sorted(fitting, key=lambda session: (-(session.player_count or 0), session.created, session.id))
