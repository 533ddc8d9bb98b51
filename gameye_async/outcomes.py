"""What comes of one of many launches or stops, as frozen value types."""

from attrs import frozen

from gameye_async.errors import GameyeError
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Session


@frozen(kw_only=True)
class LaunchOutcome:
    """What came of one request of `launch_many`: a session, or an error.

    Attributes:
        request: The request; the item of the source itself when it was none.
        session: The session; None when there is an error.
        error: Why there is none, or (`LaunchOutcomeUnknownError`) why nobody can say.
        index: Position in the source, from 0.
        elapsed: Seconds from taking the request out of the source.
    """

    request: LaunchRequest
    session: Session | None = None
    error: GameyeError | None = None
    index: int
    elapsed: float

    @property
    def ok(self) -> bool:
        """Whether there is a session."""
        return self.session is not None


@frozen(kw_only=True)
class StopOutcome:
    """What came of one id of `stop_many`.

    Attributes:
        session_id: The session's id.
        stopped: True when it was stopped now, False when it was over already, None when there is an error.
        error: Why it could not be stopped, or not be confirmed to be.
        index: Position in the source, from 0.
        elapsed: Seconds from taking the id out of the source.
    """

    session_id: str
    stopped: bool | None = None
    error: GameyeError | None = None
    index: int
    elapsed: float

    @property
    def ok(self) -> bool:
        """Whether the session is certainly over."""
        return self.stopped is not None
