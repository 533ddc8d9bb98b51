"""When the next launch of a client may go out, and where: what its answers say about that is kept here."""

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field

from gameye_async._admission_queue import AdmissionQueue
from gameye_async._calls import Caller
from gameye_async._next_attempt import NextAttempt
from gameye_async._pacing import Blame
from gameye_async.errors import CapacityError, ClientClosedError, RateLimitedError

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents


@define(eq=False, repr=False)
class Admission:
    """Lets the launches of a client out.

    Attributes:
        caller: What all calls share.
        queue: Where they wait, and have their places.
        closed: Whether the client is being closed, and lets no more out.
    """

    caller: Caller
    queue: AdmissionQueue
    closed: bool = field(default=False, init=False)
    _refusals: dict[str, CapacityError] = field(factory=dict[str, CapacityError], init=False)

    async def admit(
        self, locations: Sequence[str], again: NextAttempt | None, events: "CallEvents | None"
    ) -> tuple[str, float]:
        """Wait until an attempt may be made; its place must be given back with `leave`.

        Args:
            locations: Where the attempt may be made, in order of preference.
            again: When it may be made, if it is not the first of its launch.
            events: Those of the launch, if anybody listens.

        Returns:
            The location of the attempt, and the loop time.

        Raises:
            ClientClosedError: The client is being closed.
        """
        caller, queue = self.caller, self.queue
        now = caller.clock()
        last = None if again is None else again.last
        if again is not None and again.not_before > now:
            wait = again.not_before - now
            if events is not None:
                events.backing_off(wait, last)
            await caller.back_off(wait)
            now = caller.clock()
        if self.closed:
            raise ClientClosedError("the client was closed while the launch was under way")
        location = queue.enter_now(locations, now)
        if location is None:
            wait = queue.gates.wait(locations, now)
            if events is not None and 0.0 < wait < inf:
                events.backing_off(wait, last)
            location = await queue.enter(locations)
            now = caller.clock()
        return location, now

    def leave(self, location: str, since: float) -> None:
        """An attempt that was admitted at loop time `since` has ended, whatever came of it."""
        self.queue.leave(location, since)

    def accepted(self, location: str, *, first: bool) -> None:
        """A launch was accepted, at its first attempt or a later one."""
        self.queue.accepted(location, self.caller.clock())
        if first:
            self.caller.budget.earn()

    def refused(
        self, error: CapacityError | RateLimitedError, location: str, sent: float, *, elsewhere: bool
    ) -> bool:
        """A launch sent at `sent` was refused for now: whether another location may take it.

        A launch that can still go elsewhere does so at full speed, for the location may just be full.
        """
        now = self.caller.clock()
        blame = Blame.ACCOUNT
        if isinstance(error, CapacityError):
            self._refusals[location] = error
            blame = self.queue.refused(location, now)
        if blame is Blame.ACCOUNT or (blame is Blame.UNCLEAR and not elsewhere):
            self.queue.rate.refused(now, sent)
        return blame is not Blame.ACCOUNT

    def why_closed(self, locations: Sequence[str]) -> CapacityError | None:
        """The error of a launch that was not sent because its locations are full; None if they are not."""
        if self.queue.gates.wait(locations, self.caller.clock()) == 0.0:
            return None
        refusal = self._refusals[locations[0]]
        return CapacityError(
            f"not sent, for {locations[0]} refuses launches: {refusal.message}",
            status=refusal.status,
            code=refusal.code,
            path=refusal.path,
            identifier=refusal.identifier,
        )

    def close(self) -> None:
        """Let no more out."""
        self.closed = True
        self.queue.close()
