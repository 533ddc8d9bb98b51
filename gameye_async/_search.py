"""What was sent of a launch, and the search for its session, which is taken over only when it is its own."""

from math import inf
from typing import TYPE_CHECKING

from attrs import define, field

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._exchange import CONFLICT, clip
from gameye_async._options import Options
from gameye_async._ownership import Ownership, Sighting, ownership
from gameye_async.errors import (
    ApiError,
    Attempt,
    GameyeError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    SessionEndedError,
    SessionIdConflictError,
)
from gameye_async.launch_request import LaunchRequest

if TYPE_CHECKING:
    from gameye_async.records import SessionDetails
    from gameye_async.telemetry.emitter import CallEvents


@define(eq=False, repr=False)
class Search:
    """The search for one launch's session.

    Attributes:
        caller: Sends the describes.
        request: What is launched.
        options: Settings of the call.
        idempotent: Whether any session of the same id and parameters will do.
        events: Those of the launch, if anybody listens.
        attempts: What became of each attempt, oldest first.
        first_sent: Loop time at which an attempt went out first.
        last_sent: Loop time at which one went out last.
        in_doubt_since: When the last one went out that may have created the session; `-inf` when none may
            have, or it is settled what became of it.
    """

    caller: Caller
    request: LaunchRequest
    options: Options
    idempotent: bool
    events: "CallEvents | None"
    attempts: list[Attempt] = field(factory=list[Attempt])
    first_sent: float = inf
    last_sent: float = -inf
    in_doubt_since: float = -inf

    @property
    def in_doubt(self) -> bool:
        """Whether an attempt may have created the session."""
        return self.in_doubt_since > -inf

    def sent(self) -> None:
        """An attempt has a connection and goes out: from now on it may work."""
        self.last_sent = self.caller.clock()
        if self.first_sent == inf:
            self.first_sent = self.last_sent

    def may_have_worked(self) -> None:
        """Of the attempt that went out last, nobody knows what it came to."""
        self.in_doubt_since = self.last_sent

    async def within(self, seconds: float) -> "SessionDetails | None":
        """The session as soon as it shows up; None when it has not after so many seconds.

        Raises:
            GameyeError: It cannot be taken over (see `_claim`), or the API refuses to describe it.
        """
        until = self.caller.clock() + seconds
        tries = 0
        while True:
            seen, asked = await self.look()
            if isinstance(seen, Sighting):
                details = self._claim(seen, asked)
                if details is not None:
                    return details
                if asked >= until:
                    raise self._unproven()
            elif isinstance(seen, NotFoundError):
                if asked >= until:
                    return None
            elif isinstance(seen, ApiError) and not isinstance(seen, ServerError | RateLimitedError):
                raise seen
            tries += 1
            await self.caller.back_off(_policy.poll_delay(tries, self.caller.rng))

    async def once(self) -> "SessionDetails | None":
        """The session if it is there now; when it is not after a long silence, it was never created.

        Raises:
            GameyeError: It cannot be taken over (see `_claim`).
        """
        seen, asked = await self.look()
        if isinstance(seen, Sighting):
            return self._claim(seen, asked)
        if self.proves_absence(seen, asked, self.in_doubt_since):
            self.in_doubt_since = -inf
        return None

    async def look(self) -> tuple[Sighting | GameyeError, float]:
        """What one describe comes to, and the loop time at which it went out.

        Before that it may have waited for a place, and its answer may have been long on its way.
        """
        tried: list[Attempt] = []
        seen = await self.caller.once(_api.look(self.request.id), self.options, self.events, tried)
        return seen, self.caller.clock() - sum(attempt.elapsed for attempt in tried)

    def proves_absence(self, seen: object, asked: float, sent: float) -> bool:
        """Whether what a look saw means that nothing came, or will come, of what was sent until then."""
        # What counts is when the question was asked: a 404 may have been long on its way.
        return isinstance(seen, NotFoundError) and asked >= sent + self.options.retry.quiet

    def owner(self, sighting: Sighting, asked: float) -> Ownership:
        """Whose session was found by a look that went out at this loop time, and was answered just now."""
        return ownership(
            self.request,
            sighting,
            locations=self.request.location,
            asked_after=asked - self.first_sent,
            answered_after=self.caller.clock() - self.first_sent,
            idempotent=self.idempotent,
        )

    def _claim(self, sighting: Sighting, asked: float) -> "SessionDetails | None":
        """Take over the session that was found; None when another look may tell whose it is.

        Raises:
            SessionIdConflictError: It is somebody else's, which settles the launch.
            SessionEndedError: It is ours, and already over, which does so as well.
            LaunchOutcomeUnknownError: Nobody can say whose it is.
        """
        details = sighting.details
        match self.owner(sighting, asked):
            case Ownership.UNPROVEN:
                raise self._unproven()
            case Ownership.FOREIGN:
                self.in_doubt_since = -inf
                raise SessionIdConflictError(
                    f"session {self.request.id} exists with other parameters "
                    f"(image {clip(details.image)}, location {clip(details.location)}).",
                    status=CONFLICT,
                    path="/session",
                )
            case Ownership.OURS if details.status is not None and details.status.is_over:
                self.in_doubt_since = -inf
                raise SessionEndedError(
                    f"session {self.request.id} was launched and is already {details.status}.",
                    session_id=str(self.request.id),
                )
            case Ownership.OURS:
                return details
            case Ownership.UNCLEAR:  # pragma: no branch  -- there is no fifth one
                return None

    def _unproven(self) -> LaunchOutcomeUnknownError:
        return LaunchOutcomeUnknownError(
            f"session {self.request.id} exists, and cannot be told from somebody else's.",
            session_id=str(self.request.id),
        )
