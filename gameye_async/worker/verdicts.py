"""What follows for a job from what came of its launch: pure rules."""

from enum import Enum
from random import Random
from typing import assert_never

from gameye_async import (
    ApiError,
    AuthenticationError,
    CapacityError,
    ClientClosedError,
    DeadlineExceededError,
    GameyeError,
    LaunchOutcomeUnknownError,
    NotSentError,
    PermissionDeniedError,
    RateLimitedError,
    Session,
)

# Seconds until a job that was refused for now is tried again; the launch has waited through its deadline.
_LATER = (2.0, 5.0)


class Verdict(Enum):
    """What is done with a job."""

    LAUNCHED = "its session is published, then it is acknowledged"
    LATER = "it is put back, and delivered again after a while"
    REFUSED = "the reason is published as a dead letter, and it is never delivered again"
    RETURNED = "it is put back at once for another worker, and this one ends, for its token is refused"
    UNKNOWN = "it is left alone, so that its next delivery finds the session or launches it"


def judge(result: Session | GameyeError, *, is_overdue: bool = False) -> Verdict:
    """What is done with a job whose launch led to this.

    Args:
        result: The session, or the error of the launch.
        is_overdue: Whether the job has waited too long to be put back once more.
    """
    match result:
        case Session():
            return Verdict.LAUNCHED
        case LaunchOutcomeUnknownError():
            return Verdict.UNKNOWN
        case (
            CapacityError()
            | RateLimitedError()
            | NotSentError()
            | DeadlineExceededError()
            | ClientClosedError()
        ):
            # Nothing was launched, and that was not the job's fault.
            return Verdict.REFUSED if is_overdue else Verdict.LATER
        case AuthenticationError() | PermissionDeniedError():
            # Not the job's fault either, and no job of this worker would fare better. A missing scope is
            # a 403 or, on older platforms, a 401.
            return Verdict.RETURNED
        case GameyeError():
            return Verdict.REFUSED
        case _:
            assert_never(result)


def delay(error: GameyeError, rng: Random) -> float:
    """Seconds until a job is delivered again: spread, and no sooner than the API asks for."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    return rng.uniform(*_LATER) + (asked or 0.0)
