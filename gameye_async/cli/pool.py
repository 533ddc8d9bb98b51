"""Many calls at once, a bounded number of them in flight."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from attrs import frozen

from gameye_async import AsyncGameye, GameyeError, LaunchRequest, Session, StopUnconfirmedError

T = TypeVar("T")


@frozen(kw_only=True)
class Outcome:
    """What became of a launch: either a session or an error."""

    request: LaunchRequest
    session: Session | None = None
    error: GameyeError | None = None


async def launch_all(
    gameye: AsyncGameye,
    requests: Collection[LaunchRequest],
    report: Callable[[Outcome], object],
    *,
    concurrency: int,
    deadline: float | None,
) -> None:
    """Launch everything and call `report` with each outcome as it comes.

    When this is cancelled, the client stops the sessions that were not reported.
    """

    async def launch(request: LaunchRequest) -> None:
        try:
            session = await gameye.launch(request, deadline=deadline)
        except GameyeError as error:
            report(Outcome(request=request, error=error))
        else:
            report(Outcome(request=request, session=session))

    await _for_each(requests, launch, concurrency)


async def stop_all(
    gameye: AsyncGameye, session_ids: Collection[str], unsettled: dict[str, str], *, concurrency: int
) -> None:
    """Stop sessions; those that may still be running afterwards are in `unsettled`, each with the reason."""
    unsettled |= dict.fromkeys(session_ids, "its stop was not answered")

    async def stop(session_id: str) -> None:
        try:
            await gameye.stop(session_id)
        except StopUnconfirmedError:
            # The client keeps trying, and tells `on_orphan` when it gives up.
            del unsettled[session_id]
        except GameyeError as error:
            unsettled[session_id] = str(error)
        else:
            del unsettled[session_id]

    await _for_each(list(unsettled), stop, concurrency)


async def _for_each(items: Collection[T], work: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(concurrency, len(items))):
            workers.create_task(worker())
