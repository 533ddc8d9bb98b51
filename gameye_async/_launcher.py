"""All launches of a client: what they share, who waits for which, and what happens when nobody does."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from math import inf

from attrs import define, field

from gameye_async import _api
from gameye_async._admission import Admission
from gameye_async._calls import Caller
from gameye_async._flight import Flight
from gameye_async._launch import Launch
from gameye_async._options import Options, Terms
from gameye_async._pacing import Blame
from gameye_async._supervisor import UNCONFIRMED, Supervisor
from gameye_async.errors import (
    Attempt,
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    GameyeError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
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
        admission: Lets them go: when, where, and how many at a time.
        closing: Whether the client is being closed.
    """

    caller: Caller
    supervisor: Supervisor
    admission: Admission
    closing: bool = field(default=False, init=False)
    _refusals: dict[str, CapacityError] = field(factory=dict[str, CapacityError], init=False)
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
        flight = self._join(request, until, terms) or self._start(Launch(self, request, terms, until, now))
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

    async def admit(self, launch: Launch) -> tuple[str, float]:
        """Wait until an attempt may be made; its place must be given back with `Admission.leave`.

        Returns:
            The location of the attempt, and the loop time.

        Raises:
            ClientClosedError: The client is being closed.
        """
        while True:
            if launch.abandoned:
                raise asyncio.CancelledError
            if self.closing:
                raise ClientClosedError("the client was closed while the launch was under way")
            now = self.caller.clock()
            wait = launch.not_before - now
            if wait > 0:
                if launch.events is not None:
                    launch.events.backing_off(wait, launch.last)
                await self.caller.back_off(wait)
                continue
            locations = launch.locations
            location = self.admission.enter_now(locations, now)
            if location is None:
                wait = self.admission.gates.wait(locations, now)
                if launch.events is not None and 0.0 < wait < inf:
                    launch.events.backing_off(wait, launch.last)
                location = await self.admission.enter(locations)
                now = self.caller.clock()
            return location, now

    async def stop(self, session_id: str, options: Options) -> bool:
        """Stop a session; a stop that was begun is finished whoever goes.

        Raises:
            StopUnconfirmedError: No answer came; it is stopped in the background.
            ClientClosedError: No answer came until the client was closed; the session is reported.
        """
        # All of it in a task of its own, so that also a cancelled stop goes on when it is not confirmed.
        task = self.supervisor.spawn(self._stop(session_id, options))
        # When the caller has gone, nobody else looks at what it raised.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await self.supervisor.wait_for(task, f"the stop of session {session_id}")

    async def _stop(self, session_id: str, options: Options) -> bool:
        tried: list[Attempt] = []
        try:
            stopped = await self.caller.call(_api.stop(session_id), options, tried=tried)
        except NotFoundError:
            stopped = False
            if session_id not in self._delivered and not _unanswered(tried):
                raise
        except asyncio.CancelledError:
            self.supervisor.report(session_id, self.caller.clock(), UNCONFIRMED)
            raise
        except (NoAnswerError, NotSentError, ServerError, DeadlineExceededError) as error:
            self.supervisor.stop_later(session_id, options)
            raise StopUnconfirmedError(
                f"the stop of session {session_id} was not confirmed: {error.message}",
                session_id=session_id,
                attempts=error.attempts,
            ) from None
        # When it is over already, an attempt of ours whose answer was lost has stopped it.
        return stopped or _unanswered(tried)

    def accepted(self, location: str, *, first: bool) -> None:
        """A launch was accepted, at its first attempt or a later one."""
        now = self.caller.clock()
        self.admission.accepted(location, now)
        if first:
            self.caller.budget.earn()

    def refused(
        self, error: CapacityError | RateLimitedError, location: str, sent: float, *, elsewhere: bool
    ) -> Blame:
        """A launch sent at `sent` was refused for now: who is to blame, and how fast to go on.

        A launch that can still go elsewhere does so at full speed, for the location may just be full.
        """
        now = self.caller.clock()
        blame = Blame.ACCOUNT
        if isinstance(error, CapacityError):
            self._refusals[location] = error
            blame = self.admission.gates.refused(location, now)
        if blame is Blame.ACCOUNT or (blame is Blame.UNCLEAR and not elsewhere):
            self.admission.rate.refused(now, sent)
        return blame

    def why_closed(self, locations: Sequence[str]) -> CapacityError | None:
        """The error of a launch that was not sent because its locations are full; None if they are not."""
        if self.admission.gates.wait(locations, self.caller.clock()) == 0.0:
            return None
        refusal = self._refusals[locations[0]]
        return CapacityError(
            f"not sent, for {locations[0]} refuses launches: {refusal.message}",
            status=refusal.status,
            code=refusal.code,
            path=refusal.path,
            identifier=refusal.identifier,
        )

    def _remember(self, session: Session) -> None:
        self.caller.counters.count(session)
        self._delivered[session.id] = None
        if len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)

    def close(self) -> None:
        """End the launches that have no attempt in flight, and start no more attempts."""
        self.closing = True
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
        flight = self._flights[launch.request.id] = Flight(launch, self.supervisor, self.caller.sweeper)
        return flight

    def _land(self, flight: Flight) -> None:
        """Forget a launch when it has ended; one that was abandoned may still have an attempt in flight."""
        if flight.task is not None and not flight.task.done():
            flight.task.add_done_callback(lambda _: self._land(flight))
        elif self._flights.get(flight.launch.request.id) is flight:
            del self._flights[flight.launch.request.id]


def _unanswered(attempts: list[Attempt]) -> bool:
    return any(attempt.phase == "sent" for attempt in attempts)
