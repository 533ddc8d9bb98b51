"""Answers that come in pieces: the opening of their streams."""

from typing import TYPE_CHECKING, Any

from gameye_async import _policy
from gameye_async._calls import Caller, record
from gameye_async._exchange import Request, Streaming
from gameye_async._options import Options
from gameye_async.errors import Attempt, BadAnswerError, GameyeError, NotSentError

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents


async def open_stream(
    caller: Caller, request: Request[Any], options: Options, until: float, *, again: bool = False
) -> Streaming:
    """Open a stream, and try again while that may help, until a loop time.

    Unlike a call, it has no number of tries: a log is followed through a restart of the API.

    Args:
        caller: What all calls share.
        request: What to ask for.
        options: Settings of the call.
        until: Loop time at which to give up.
        again: Whether it goes on with a stream that was cut. That takes nothing from the budget of retries,
            which a hundred followed logs would use up in the first second of an outage.

    Raises:
        GameyeError: What the last attempt came to.
    """
    tried: list[Attempt] = []
    with caller.telling(request, tried) as events:
        while True:
            result = await _attempt(caller, request, options, until, tried, events)
            if isinstance(result, Streaming):
                return result
            tries = len(tried) if isinstance(result, BadAnswerError) else 1
            cost = _policy.retry_cost(options.retry, request, result, tries)
            delay = _policy.retry_delay(options.retry, result, len(tried), caller.rng)
            is_late = caller.clock() + delay >= until
            if cost is None or is_late or not (again or caller.budget.spend(cost)):
                raise result
            await caller.retry(delay, result, events)


async def _attempt(  # noqa: PLR0917  -- as for an attempt of a call
    caller: Caller,
    request: Request[Any],
    options: Options,
    until: float,
    tried: list[Attempt],
    events: "CallEvents | None",
) -> Streaming | GameyeError:
    # A place is held for the opening only: followed logs must not be in the way of a stop.
    credential = await caller.admit(request, until)
    if isinstance(credential, NotSentError):
        return credential  # pragma: no cover  -- it runs; coverage loses sight of who is cancelled within
    started = caller.clock()
    try:
        caller.check(credential)
        if events is not None:
            events.attempt_started(request)
        opened = await caller.transport.stream(
            request, credential, min(until, started + options.timeouts.attempt), options.headers
        )
    finally:
        caller.control.release()
    head = opened.head if isinstance(opened, Streaming) else opened
    now = caller.clock()
    result = caller.judge(request, head, credential, now)
    tried.append(record(head, result, now - started))
    if events is not None:
        events.attempt_ended(tried[-1], result)
    if isinstance(result, GameyeError):
        if isinstance(opened, Streaming):
            opened.close()
        return result
    assert isinstance(opened, Streaming)  # noqa: S101  -- only the head of one is judged to be good
    return opened
