"""Many launches or stops of a client, each with an outcome."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gameye_async._bulk import Bulk, Source
from gameye_async._options import Options, Terms
from gameye_async._stats import ClientStats
from gameye_async.errors import ConfigurationError, GameyeError
from gameye_async.launch_request import LaunchRequest
from gameye_async.outcomes import LaunchOutcome, StopOutcome

if TYPE_CHECKING:
    from gameye_async._core import Core
    from gameye_async.models import Session

OnProgress = Callable[[ClientStats], object]


def launch_many(
    core: "Core",
    requests: Source[LaunchRequest],
    terms: Terms,
    prepare: Callable[[LaunchRequest], LaunchRequest],
    *,
    concurrency: int | None,
    on_progress: OnProgress | None,
    ordered: bool,
) -> Bulk[LaunchRequest, LaunchOutcome]:
    """Launch all; `prepare` completes each request.

    Raises:
        ConfigurationError: `concurrency` is less than 1.
    """
    launcher, clock = core.launcher, core.caller.clock

    async def launch(index: int, request: LaunchRequest) -> LaunchOutcome:
        began = clock()
        session: Session | None = None
        error: GameyeError | None = None
        try:
            if not isinstance(request, LaunchRequest):
                raise ConfigurationError(f"item {index} is a {type(request).__name__}, not a LaunchRequest")
            session = await launcher.launch(prepare(request), terms)
        except GameyeError as failure:
            error = failure
        return LaunchOutcome(
            request=request, session=session, error=error, index=index, elapsed=clock() - began
        )

    def discard(outcome: LaunchOutcome) -> None:
        if outcome.session is not None and terms.on_abandon == "stop":
            core.supervisor.stop_later(outcome.session.id, terms.options)

    workers = _workers(concurrency, launcher.admission.queue.limit)
    return Bulk(requests, launch, discard, workers, ordered, _progress(core, on_progress))


def stop_many(
    core: "Core",
    session_ids: Source[str],
    options: Options,
    *,
    concurrency: int | None,
    on_progress: OnProgress | None,
    ordered: bool,
) -> Bulk[str, StopOutcome]:
    """Stop all.

    Raises:
        ConfigurationError: `concurrency` is less than 1.
    """
    launcher, clock = core.launcher, core.caller.clock

    async def stop(index: int, session_id: str) -> StopOutcome:
        began = clock()
        stopped: bool | None = None
        error: GameyeError | None = None
        try:
            stopped = await launcher.stop(session_id, options)
        except GameyeError as failure:
            error = failure
        return StopOutcome(
            session_id=session_id, stopped=stopped, error=error, index=index, elapsed=clock() - began
        )

    workers = _workers(concurrency, core.caller.control_concurrency)
    return Bulk(session_ids, stop, lambda _: None, workers, ordered, _progress(core, on_progress))


def _workers(concurrency: int | None, places: int) -> int:
    """As many as there are places, unless `concurrency` says."""
    if concurrency is not None and concurrency < 1:
        raise ConfigurationError(f"concurrency must be at least 1, not {concurrency!r}")
    return concurrency or places


def _progress(core: "Core", on_progress: OnProgress | None) -> Callable[[], object] | None:
    return None if on_progress is None else lambda: on_progress(core.stats)
