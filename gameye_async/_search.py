"""Looking for the session of a launch by its id, and taking it over only when it is the launch's own."""

from typing import TYPE_CHECKING

from attrs import define

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
        request: What was launched.
        options: Settings of the call.
        idempotent: Whether any session of the same id and parameters will do.
        first_sent: Loop time of the launch's first attempt.
        events: Those of the launch, if anybody listens.
    """

    caller: Caller
    request: LaunchRequest
    options: Options
    idempotent: bool
    first_sent: float
    events: "CallEvents | None"

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

    async def once(self) -> "SessionDetails | NotFoundError | None":
        """The session if it is there now, the API's word that it is not, or None without one.

        Raises:
            GameyeError: It cannot be taken over (see `_claim`).
        """
        seen, asked = await self.look()
        if isinstance(seen, Sighting):
            return self._claim(seen, asked)
        return seen if isinstance(seen, NotFoundError) else None

    async def look(self) -> tuple[Sighting | GameyeError, float]:
        """What one describe comes to, and the loop time at which it went out.

        Before that it may have waited for a place, and its answer may have been long on its way.
        """
        tried: list[Attempt] = []
        seen = await self.caller.once(_api.look(self.request.id), self.options, self.events, tried)
        return seen, self.caller.clock() - sum(attempt.elapsed for attempt in tried)

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
            SessionIdConflictError: It is somebody else's.
            SessionEndedError: It is ours, and already over.
            LaunchOutcomeUnknownError: Nobody can say whose it is.
        """
        details = sighting.details
        match self.owner(sighting, asked):
            case Ownership.UNPROVEN:
                raise self._unproven()
            case Ownership.FOREIGN:
                raise SessionIdConflictError(
                    f"session {self.request.id} exists with other parameters "
                    f"(image {clip(details.image)}, location {clip(details.location)}).",
                    status=CONFLICT,
                    path="/session",
                )
            case Ownership.OURS if details.status is not None and details.status.is_over:
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
