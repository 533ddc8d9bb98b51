"""Launching and stopping all of a list, and telling of each as it comes."""

from collections.abc import Callable, Collection, Iterable

from gameye_async import AsyncGameye, LaunchOutcome, LaunchRequest, StopUnconfirmedError


async def launch_all(
    gameye: AsyncGameye,
    requests: Iterable[LaunchRequest],
    report: Callable[[LaunchOutcome], object],
    *,
    concurrency: int,
    deadline: float | None,
    idempotent: bool = False,
) -> None:
    """Launch everything and call `report` with each outcome as it comes.

    When this is cancelled, the client stops the sessions that were not reported; if `idempotent`, it leaves
    them to whoever launches their ids again.
    """
    async with gameye.launch_many(
        requests, concurrency=concurrency, deadline=deadline, idempotent=idempotent
    ) as outcomes:
        async for outcome in outcomes:
            report(outcome)


async def stop_all(
    gameye: AsyncGameye, session_ids: Collection[str], unsettled: dict[str, str], *, concurrency: int
) -> None:
    """Stop sessions; those that may still be running afterwards are in `unsettled`, each with the reason."""
    unsettled |= dict.fromkeys(session_ids, "its stop was not answered")
    async with gameye.stop_many(list(unsettled), concurrency=concurrency) as outcomes:
        async for outcome in outcomes:
            # Of an unconfirmed stop the client keeps trying, and tells `on_orphan` when it gives up.
            if outcome.ok or isinstance(outcome.error, StopUnconfirmedError):
                del unsettled[outcome.session_id]
            else:
                unsettled[outcome.session_id] = str(outcome.error)
