"""When the next launch of a client may go out, and where: what its answers say about that is kept here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define, field

from gameye_async._calls import Caller
from gameye_async._limiter import Pace
from gameye_async._next_attempt import NextAttempt
from gameye_async._pacing import Blame, LocationGates
from gameye_async.errors import CapacityError, ClientClosedError, RateLimitedError

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents


@define(eq=False, repr=False)
class Admission:
    """Lets the launches of a client out.

    Attributes:
        caller: What all calls share; its lane has the places.
        gates: Which locations are worth asking.
        pace: How fast.
        closed: Whether the client is being closed, and lets no more out.
    """

    caller: Caller
    gates: LocationGates
    pace: Pace
    closed: bool = field(default=False, init=False)

    async def admit(
        self, locations: Sequence[str], again: NextAttempt | None, events: "CallEvents | None"
    ) -> tuple[str, float]:
        """Wait for the time, the pace, a place and an open location, in this order; take the place.

        Args:
            locations: Where the attempt may be made, in order of preference.
            again: When it may be made, if it is not the first of its launch.
            events: Those of the launch, if anybody listens.

        Returns:
            The location of the attempt, to be given to `leave` when it has ended, and the loop time.

        Raises:
            ClientClosedError: The client is being closed.
        """
        caller, gates, pace = self.caller, self.gates, self.pace
        while True:
            if self.closed:
                raise ClientClosedError("the client was closed while the launch was under way")
            now = caller.clock()
            wait = gates.wait(locations, now)
            if again is not None:
                wait = max(wait, again.not_before - now)
            if wait > 0:
                if events is not None:
                    events.backing_off(wait, None if again is None else again.last)
                await caller.back_off(wait)
                continue
            if not pace.turn_now(now):
                await pace.turn()
                now = caller.clock()
            had_turn = now
            if not caller.launches.enter_now():
                await caller.launches.enter()
                now = caller.clock()
            # A turn from before the rate was lowered does not count, or those that queued for a place
            # while it was unlimited would all go out at once.
            if had_turn >= pace.rate.lowered:
                location = gates.take(locations, now)
                if location is not None:
                    pace.rate.placed(now)
                    return location, now
            caller.launches.leave()

    def leave(self, location: str) -> None:
        """An attempt has ended, whatever came of it: its place is free."""
        self.caller.launches.leave()
        self.gates.unanswered(location)

    def accepted(self, location: str, *, first: bool) -> None:
        """A launch was accepted, at its first attempt or a later one."""
        now = self.caller.clock()
        self.gates.accepted(location, now)
        self.pace.rate.accepted(now)
        if first:
            self.caller.budget.earn()

    def refused(
        self, error: CapacityError | RateLimitedError, location: str, sent: float, *, elsewhere: bool
    ) -> bool:
        """A launch sent at `sent` was refused for now: whether another location may take it.

        A launch that can still go elsewhere does so at full speed, for the location may just be full.
        """
        now = self.caller.clock()
        capacity = isinstance(error, CapacityError)
        blame = self.gates.refused(location, now) if capacity else Blame.ACCOUNT
        if blame is Blame.ACCOUNT or (blame is Blame.UNCLEAR and not elsewhere):
            self.pace.rate.refused(now, sent)
        return blame is not Blame.ACCOUNT
