"""Where events are made: by one emitter a client, and one for each call; and the log of them."""

import asyncio
import itertools
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import attrs
from attrs import define, field
from yarl import URL

from gameye_async._exchange import Request
from gameye_async.errors import Attempt, GameyeError, LaunchOutcomeUnknownError
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Session
from gameye_async.telemetry.events import (
    Adopted,
    AttemptAnswered,
    AttemptFailed,
    AttemptStarted,
    BackingOff,
    Call,
    CallEnded,
    CallStarted,
    Event,
    OrphanReported,
    OrphanStopped,
    Outcome,
)

_log = logging.getLogger("gameye_async")
_numbers = itertools.count(1)


@define(eq=False)
class Emitter:
    """Tells listeners what a client does; one that raises harms nobody.

    Attributes:
        listeners: Called with each event, in this order.
        origin: Where the API is.
        clock: The event loop's time, in seconds.
    """

    listeners: tuple[Callable[[Event], object], ...]
    origin: URL
    clock: Callable[[], float]
    _complaints: set[str] = field(factory=set[str], init=False)

    def call(self, request: Request[Any]) -> "CallEvents":
        """Tell that a call is made."""
        return self._started(
            self.clock(), request.operation, request.method, _template(request), request.session_id
        )

    def launch(self, request: LaunchRequest, began: float) -> "CallEvents":
        """Tell that a launch is made, which began at this loop time."""
        session_id, asked = str(request.id), {"image": request.image, "locations": request.location}
        return self._started(began, "launch", "POST", "/session", session_id, **asked)

    def orphan_reported(self, session_id: str, events: "CallEvents | None") -> None:
        """Tell of a session that may be running; `events` are those of its launch, where that is known."""
        call, location = (None, None) if events is None else (events.call, events.location)
        self.tell(OrphanReported(call=call, session_id=session_id, location=location))

    def tell(self, event: Event) -> None:
        """Give an event to everybody who listens."""
        for listener in self.listeners:
            try:
                listener(event)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  -- no launch fails because of who looks on
                self._complain(type(error).__name__)

    def _started(
        self,
        began: float,
        operation: str,
        method: str,
        template: str | None,
        session_id: str | None,
        **launch: Any,
    ) -> "CallEvents":
        call = Call(
            id=next(_numbers),
            operation=operation,
            method=method,
            template=template,
            address=self.origin.host or "",
            port=self.origin.port or 0,
            session_id=session_id,
            **launch,
        )
        events = CallEvents(self, call, began)
        self.tell(CallStarted(call=call))
        return events

    def _complain(self, kind: str) -> None:
        if kind not in self._complaints:
            self._complaints.add(kind)
            # Without the traceback, whose frames may hold anything.
            _log.error("on_event raised %s, which is said only once", kind)


@define(eq=False)
class CallEvents:
    """Tells of one call: it is tried, waits, and ends once, when nobody works on it any more.

    A context manager for whoever waits for the call.

    Attributes:
        emitter: Whom to tell.
        call: The call.
        began: Loop time at which it was made.
        location: Where a launch was last tried.
    """

    emitter: Emitter
    call: Call
    began: float
    location: str | None = field(default=None, init=False)
    _workers: int = field(default=0, init=False)
    _attempts: int = field(default=0, init=False)
    _under_way: dict[str, Any] = field(factory=dict[str, Any], init=False)
    _sent: float = field(default=0.0, init=False)
    _status: int | None = field(default=None, init=False)
    _outcome: Outcome | None = field(default=None, init=False)
    _error: str | None = field(default=None, init=False)
    _elapsed: float = field(default=0.0, init=False)

    def __enter__(self) -> Self:
        self._workers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._outcome is None:
            self.came_to(error)
        self._leave()

    def outlive(self, task: asyncio.Task[Any]) -> None:
        """End no sooner than a task that works on the call."""
        self._workers += 1
        task.add_done_callback(lambda _: self._leave())

    def came_to(self, result: object) -> None:
        """Note what a caller gets, a model or an error; of several callers, one with a session counts."""
        if self._outcome in ("succeeded", "adopted"):
            return
        self._outcome = _outcome(result)
        self._error = type(result).__name__ if isinstance(result, BaseException) else None
        self._elapsed = self.emitter.clock() - self.began
        if isinstance(result, Session):
            self.location = result.location

    def attempt_started(self, request: Request[Any], location: str | None = None) -> None:
        """A request goes out."""
        self._give_up_attempt()
        self._attempts += 1
        self._sent = self.emitter.clock()
        self.location = location or self.location
        self._under_way = {
            "call": self.call,
            "number": self._attempts,
            "method": request.method,
            "template": _template(request),
            "location": location,
        }
        self.emitter.tell(AttemptStarted(**self._under_way))

    def attempt_ended(self, attempt: Attempt, result: object) -> None:
        """What became of the request that went out."""
        request, self._under_way = self._under_way, {}
        error = type(result).__name__ if isinstance(result, GameyeError) else None
        if attempt.status is None:
            self.emitter.tell(
                AttemptFailed(
                    **request,
                    phase=attempt.phase,
                    reason=attempt.reason,
                    error=error or "CancelledError",
                    elapsed=attempt.elapsed,
                )
            )
            return
        if (request["method"], request["template"]) == (self.call.method, self.call.template):
            self._status = attempt.status
        self.emitter.tell(
            AttemptAnswered(
                **request,
                status=attempt.status,
                identifier=attempt.identifier,
                error=error,
                elapsed=attempt.elapsed,
            )
        )

    def backing_off(self, delay: float, error: BaseException | None) -> None:
        """The call waits for so many seconds."""
        kind = None if error is None else type(error).__name__
        self.emitter.tell(BackingOff(call=self.call, delay=delay, error=kind))

    def adopted(self, location: str) -> None:
        """A launch found its session."""
        self.emitter.tell(Adopted(call=self.call, location=location))

    def orphan_stopped(self, session_id: str) -> None:
        """The session of a launch that nobody waits for was stopped."""
        self.emitter.tell(OrphanStopped(call=self.call, session_id=session_id, location=self.location))

    def _give_up_attempt(self) -> None:
        """End an attempt that was cancelled."""
        if self._under_way:
            elapsed = self.emitter.clock() - self._sent
            given_up = Attempt(None, "sent", None, None, elapsed, "it was given up")
            self.attempt_ended(given_up, None)

    def _leave(self) -> None:
        self._workers -= 1
        if self._workers:
            return
        self._give_up_attempt()
        self.emitter.tell(
            CallEnded(
                call=self.call,
                outcome=self._outcome or "cancelled",
                error=self._error,
                location=self.location,
                status=self._status,
                attempts=self._attempts,
                elapsed=self._elapsed,
            )
        )


def _template(request: Request[Any]) -> str | None:
    # The path of `AsyncGameye.request` may hold anything.
    return None if request.operation == "request" else request.template


def _outcome(result: object) -> Outcome:
    match result:
        case LaunchOutcomeUnknownError():
            return "unknown"
        case Exception():
            return "failed"
        case BaseException():
            return "cancelled"
        case Session(created_by="adopted"):
            return "adopted"
        case _:
            return "succeeded"


def log_event(event: Event) -> None:
    """Write an event to the logger `gameye_async`: INFO for what became of launches, DEBUG for the rest."""
    match event:
        case OrphanReported():
            # Warned of where it happens, because nobody may be listening.
            return
        case OrphanStopped() | CallEnded(call=Call(operation="launch")):
            level = logging.INFO
        case _:
            level = logging.DEBUG
    if _log.isEnabledFor(level):
        _log.log(level, "%s %s", type(event).__name__, _fields(event))


def _fields(event: Event) -> str:
    fields = attrs.asdict(event, recurse=False)
    call: Call = fields.pop("call")
    if isinstance(event, CallStarted):
        about = attrs.asdict(call)
    else:
        about = {"id": call.id, "operation": call.operation, "session_id": call.session_id}
    return " ".join(
        f"{name}={_shown(value)}" for name, value in (about | fields).items() if value is not None
    )


def _shown(value: object) -> str:
    # Quoted, because a location may come from a player and hold a line break.
    return f"{value:.3f}" if isinstance(value, float) else repr(value)
