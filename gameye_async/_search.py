"""Looking for the session of a launch by its id, and taking it over only when it is the launch's own.

Imported when a launch comes to that.
"""

from typing import TYPE_CHECKING

from attrs import define

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._exchange import CONFLICT, clip
from gameye_async._options import Options
from gameye_async._ownership import Ownership, Sighting, ownership
from gameye_async._reaper import Abandoned
from gameye_async.errors import (
    ApiError,
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
            asked = self.caller.clock()
            seen = await self.caller.once(_api.look(self.request.id), self.options, self.events)
            match seen:
                case Sighting() if (claimed := self._claim(seen, asked)) is not None:
                    return claimed
                case Sighting() | NotFoundError() if asked >= until:
                    return None
                case ApiError() if not isinstance(seen, NotFoundError | ServerError | RateLimitedError):
                    raise seen
                case _:
                    tries += 1
                    await self.caller.back_off(_policy.poll_delay(tries, self.caller.rng))

    async def once(self) -> "SessionDetails | NotFoundError | None":
        """The session if it is there now, the API's word that it is not, or None without one.

        Raises:
            GameyeError: It cannot be taken over (see `_claim`).
        """
        asked = self.caller.clock()
        seen = await self.caller.once(_api.look(self.request.id), self.options, self.events)
        if isinstance(seen, Sighting):
            return self._claim(seen, asked)
        return seen if isinstance(seen, NotFoundError) else None

    def abandoned(self, sent: float) -> Abandoned:
        """What the reaper needs to know of the launch, which was last sent at this loop time."""
        return Abandoned(self.request.id, sent, self.owner, self.options, self.events)

    def owner(self, sighting: Sighting, asked: float) -> Ownership:
        """Whose session was found by a question asked at this loop time, and answered just now."""
        return ownership(
            self.request,
            sighting,
            locations=self.request.location,
            asked=asked - self.first_sent,
            answered=self.caller.clock() - self.first_sent,
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
                raise LaunchOutcomeUnknownError(
                    f"session {self.request.id} exists, and cannot be told from somebody else's.",
                    session_id=str(self.request.id),
                )
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
