"""The launch of a job, which an earlier delivery of it may have made already."""

from gameye_async import (
    AsyncGameye,
    GameyeError,
    LaunchOutcomeUnknownError,
    LaunchRequest,
    NotFoundError,
    Session,
    SessionEndedError,
    SessionIdConflictError,
)


async def launch(
    gameye: AsyncGameye, request: LaunchRequest, deadline: float | None
) -> Session | GameyeError:
    """Launch a session, or adopt the one that an earlier delivery launched; an error is a result, too."""
    try:
        return await gameye.launch(request, deadline=deadline, idempotent=True)
    except GameyeError as error:
        return error


async def launched_before(
    gameye: AsyncGameye, request: LaunchRequest, refusal: GameyeError, *, is_first: bool
) -> Session | GameyeError:
    """What there is after a refusal, which says nothing about what an earlier delivery launched.

    Args:
        gameye: Asks for the session.
        request: What was refused.
        refusal: Why.
        is_first: Whether this is the job's first delivery, so that there was hardly an earlier one.

    Returns:
        The session of an earlier delivery, that it has ended, the refusal if there is none, or that nobody
        can say.
    """
    if isinstance(refusal, SessionIdConflictError | SessionEndedError):
        # Somebody has looked already.
        return refusal
    try:
        found = await gameye.describe(request.id)
    except GameyeError as error:
        if is_first or isinstance(error, NotFoundError):
            return refusal
        return LaunchOutcomeUnknownError(
            f"whether an earlier delivery launched session {request.id} is unknown: {error}",
            session_id=request.id,
        )
    if found.image != request.image or found.location not in request.location:
        return refusal
    if found.status is not None and found.status.is_over:
        return SessionEndedError(
            f"session {request.id} was launched and is already {found.status}.", session_id=request.id
        )
    return Session(
        id=request.id,
        host=found.host,
        ports=found.ports,
        location=found.location,
        image=request.image,
        version=request.version,
        created_by="adopted",
    )
