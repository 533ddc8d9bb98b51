"""All launches of a client: what they share, who waits for which, and what happens when nobody does."""

import asyncio
from collections import OrderedDict

from attrs import define, field

from gameye_async import _api
from gameye_async._admission import Admission
from gameye_async._calls import Caller
from gameye_async._flight import Flight
from gameye_async._launch import Launch
from gameye_async._options import Options, Terms
from gameye_async._supervisor import CLOSED, Supervisor
from gameye_async.errors import (
    Attempt,
    ConfigurationError,
    DeadlineExceededError,
    GameyeError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    ServerError,
    StopUnconfirmedError,
)
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Session

# How many of the sessions it launched a client knows, to tell "over already" from "never was".
_REMEMBERED = 4096


@define(eq=False, repr=False)
class Launcher:
    """Starts launches and hands out their sessions.

    Attributes:
        caller: What all calls share.
        supervisor: Owns the tasks that launch, and stops what is abandoned.
        admission: Says when and where.
    """

    caller: Caller
    supervisor: Supervisor
    admission: Admission
    _flights: dict[str, Flight] = field(factory=dict[str, Flight], init=False)
    # Not a plain dict, whose first key is looked for past all that were ever deleted before it.
    _delivered: OrderedDict[str, None] = field(factory=OrderedDict[str, None], init=False)

    async def launch(self, request: LaunchRequest, terms: Terms) -> Session:
        """Launch, or join the launch of the same request that is under way.

        Args:
            request: What to launch.
            terms: How long to wait, and what to do with a session that exists or is not wanted any more.

        Raises:
            GameyeError: There is no session, or (`LaunchOutcomeUnknownError`) nobody can say.
        """
        now = self.caller.clock()
        until = now + terms.deadline
        flight = self._join(request, until, terms) or self._start(
            Launch(self.caller, self.admission, self.supervisor, request, terms, until, now)
        )
        events = flight.launch.events
        try:
            if events is None:
                session = await flight.wait(until)
            else:
                with events:
                    session = await flight.wait(until)
                    events.came_to(session)
        except GameyeError as error:
            self.caller.counters.failed[type(error).__name__] += 1
            raise
        finally:
            if not flight.callers:
                self._land(flight)
        self._remember(session)
        return session

    async def stop(self, session_id: str, options: Options) -> bool:
        """Stop a session; a stop that was begun is finished whoever goes.

        Raises:
            StopUnconfirmedError: No answer came. It is stopped in the background or, when the client closes,
                reported.
        """
        # All of it in a task of its own, so that also a cancelled stop goes on when it is not confirmed.
        task = self.supervisor.spawn(self._stop(session_id, options))
        # When the caller has gone, nobody else looks at what it raised.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _stop(self, session_id: str, options: Options) -> bool:
        tried: list[Attempt] = []
        try:
            stopped = await self.caller.call(_api.stop(session_id), options, tried=tried)
        except NotFoundError:
            stopped = False
            if session_id not in self._delivered and not _unanswered(tried):
                raise
        except (NoAnswerError, NotSentError, ServerError, DeadlineExceededError) as error:
            self.supervisor.stop_later(session_id, options)
            raise _unconfirmed(session_id, error.message, error.attempts) from None
        except asyncio.CancelledError:
            # Whoever asked for it waits behind a shield: it is the client that closes.
            self.supervisor.report(session_id, self.caller.clock(), CLOSED)
            raise _unconfirmed(session_id, "the client was closed", tuple(tried)) from None
        # When it is over already, an attempt of ours whose answer was lost has stopped it.
        return stopped or _unanswered(tried)

    def _remember(self, session: Session) -> None:
        self.caller.counters.count(session)
        self._delivered[session.id] = None
        if len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)

    def close(self) -> None:
        """End the launches that have no attempt in flight, and start no more attempts."""
        self.admission.close()
        for flight in list(self._flights.values()):
            flight.close()

    def _join(self, request: LaunchRequest, until: float, terms: Terms) -> Flight | None:
        flight = self._flights.get(request.id)
        if flight is None:
            if self.supervisor.is_reaping(request.id):
                raise ConfigurationError(
                    f"session {request.id} was abandoned and is being stopped; launch again with a new id"
                )
            return None
        launch = flight.launch
        if not terms.idempotent or launch.request != request or launch.terms.on_abandon == "stop":
            raise ConfigurationError(f"a launch with the id {request.id} is under way in this client already")
        if flight.is_cancelled:
            # It has nothing in flight, and ends in the next turn of the loop.
            return None
        launch.deadline = max(launch.deadline, until)
        launch.abandoned = False
        return flight

    def _start(self, launch: Launch) -> Flight:
        flight = self._flights[launch.request.id] = Flight(launch)
        return flight

    def _land(self, flight: Flight) -> None:
        """Forget a launch when it has ended; one that was abandoned may still have an attempt in flight."""
        if flight.task is not None and not flight.task.done():
            flight.task.add_done_callback(lambda _: self._land(flight))
        elif self._flights.get(flight.launch.request.id) is flight:
            del self._flights[flight.launch.request.id]


def _unanswered(attempts: list[Attempt]) -> bool:
    return any(attempt.phase == "sent" for attempt in attempts)


def _unconfirmed(session_id: str, reason: str, attempts: tuple[Attempt, ...]) -> StopUnconfirmedError:
    return StopUnconfirmedError(
        f"the stop of session {session_id} was not confirmed: {reason}",
        session_id=session_id,
        attempts=attempts,
    )
