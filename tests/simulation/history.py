"""What happened in a run, and whether it keeps the promises of a launch: one checker for every kind of test.

The invariants I1-I10 and L2, L4 are those of the documentation's reliability page; T1 and T2 are about the
events that a listener gets.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import define, field, frozen

from gameye_async import (
    ClientClosedError,
    GameyeError,
    LaunchOutcomeUnknownError,
    OrphanRecord,
    Session,
    SessionEndedError,
)
from gameye_async.emulator import Refusal, World
from gameye_async.telemetry import (
    AttemptAnswered,
    AttemptFailed,
    AttemptStarted,
    CallEnded,
    CallStarted,
    Event,
)
from gameye_async.telemetry import Call as ToldCall

_CREATED = frozenset({"launched", "claimed"})
_ENDED = frozenset({"stopped", "expired", "ended"})
_STOPS = frozenset({"stopping", "stopped"})

# Virtual seconds between the end of a deadline and the error: a grain of the sweeper and a turn of the loop.
_PROMPT = 0.05


@define(kw_only=True)
class Call:
    """One call of `launch`, and what came of it.

    Attributes:
        client: Which client made it.
        session_id: The id it asked for.
        began: When, in seconds of the loop.
        deadline: Seconds it was given.
        on_abandon: What it asked to become of an abandoned session.
        idempotent: Whether it takes over a session of the same id.
        attempts_cap: Most attempts that may fail for other reasons than 420.
        session: What it returned.
        error: What it raised.
        cancelled: When it was cancelled from outside.
        ended: When it returned or raised.
    """

    client: str
    session_id: str
    began: float
    deadline: float
    on_abandon: Literal["stop", "leave"]
    idempotent: bool
    attempts_cap: int
    session: Session | None = None
    error: BaseException | None = None
    cancelled: float | None = None
    ended: float | None = None


@frozen
class Closing:
    """How long a client took to close, in seconds, and the grace it was given."""

    client: str
    took: float
    grace: float


@define
class History:
    """Everything a checker needs to know of a run.

    Attributes:
        world: The emulator's world at the end, which remembers what happened.
        foreign: Ids of sessions that somebody else launched.
        calls: The launches.
        orphans: What `on_orphan` was called with.
        events: What `on_event` was called with.
        closings: How the clients were closed.
        unsettled: Background tasks that were left long after everything had healed, by client.
    """

    world: World
    foreign: set[str] = field(factory=set)
    calls: list[Call] = field(factory=list)
    orphans: list[OrphanRecord] = field(factory=list)
    events: list[Event] = field(factory=list)
    closings: list[Closing] = field(factory=list)
    unsettled: dict[str, int] = field(factory=dict)


def violations(history: History) -> list[str]:
    """The promises that were broken, in words; empty when all were kept."""
    return [*_of_sessions(history), *_of_calls(history), *_of_clients(history), *_of_events(history)]


def _of_sessions(history: History) -> Iterator[str]:
    wanted = {call.session_id for call in history.calls}
    launches = Counter(
        event.session_id
        for event in history.world.history
        if event.kind in _CREATED and event.session_id not in history.foreign
    )
    for session_id, count in launches.items():
        if session_id not in wanted:
            yield f"I1: session {session_id} was launched under an id that nobody asked for"
        elif count > 1:
            yield f"I1: session {session_id} was launched {count} times"
    for event in history.world.history:
        if event.kind in _STOPS and event.session_id in history.foreign:
            yield f"I5: somebody else's session {event.session_id} was stopped"
    settled = history.foreign | {record.session_id for record in history.orphans}
    settled |= {call.session_id for call in history.calls if _accounts_for(call)}
    for session in history.world.live:
        if session.id not in settled:
            yield f"I2: session {session.id} runs, and nobody has it or was told of it"


def _accounts_for(call: Call) -> bool:
    if call.session is not None:
        return True
    gone = call.cancelled is not None or isinstance(call.error, LaunchOutcomeUnknownError)
    return gone and call.on_abandon == "leave"


def _of_calls(history: History) -> Iterator[str]:
    for call in history.calls:
        name = f"launch {call.session_id}"
        if call.ended is None:
            yield f"I7: {name} never ended"
            continue
        late = call.ended - call.began - call.deadline
        if late > _PROMPT:
            yield f"I7: {name} ended {late:.3f} s after its deadline"
        if call.cancelled is not None and call.ended > call.cancelled:
            yield f"I9: {name} was let go {call.ended - call.cancelled:.3f} s after it was cancelled"
        if call.session is not None:
            yield from _of_delivery(history, call, call.session)
        elif isinstance(call.error, GameyeError):
            failed = [attempt for attempt in call.error.attempts if attempt.status not in (420, 429)]
            if len(failed) > call.attempts_cap:
                yield f"I7: {name} was attempted {len(failed)} times"
            if not isinstance(call.error, LaunchOutcomeUnknownError):
                yield from _of_denial(history, call)
        elif call.cancelled is None:
            yield f"I4: {name} raised {call.error!r}, which is none of the client's errors"


def _of_delivery(history: History, call: Call, session: Session) -> Iterator[str]:
    if session.id != call.session_id:
        yield f"I1: launch {call.session_id} delivered session {session.id}"
        return
    if session.id in history.foreign:
        yield f"I5: launch {call.session_id} delivered somebody else's session"
        return
    try:
        record = history.world.session(session.id)
    except Refusal:
        yield f"I6: launch {call.session_id} delivered a session that the API does not know"
        return
    ports = {(port.protocol, port.container, port.host) for port in session.ports}
    if session.host != record.host or ports != set(record.ports):
        yield f"I6: launch {call.session_id} delivered {session.host} {ports}, the API has {record.host}"


def _of_denial(history: History, call: Call) -> Iterator[str]:
    """An error that is not "unknown" says that no session of that launch is running or will run."""
    rivals = [other for other in history.calls if other.session_id == call.session_id and other is not call]
    if call.session_id in history.foreign or rivals or call.ended is None:
        return
    for at in _live_spans(history, call.session_id):
        began, ended = at
        if ended > call.ended:
            when = "was running" if began <= call.ended else f"began {began - call.ended:.3f} s later"
            yield f"I4: launch {call.session_id} raised {type(call.error).__name__}, but its session {when}"
        elif isinstance(call.error, SessionEndedError):
            return


def _live_spans(history: History, session_id: str) -> Iterable[tuple[float, float]]:
    began: float | None = None
    for event in history.world.history:
        if event.session_id != session_id:
            continue
        if event.kind in _CREATED:
            began = event.at
        elif event.kind in _ENDED and began is not None:
            yield began, event.at
            began = None
    if began is not None:
        yield began, float("inf")


def _of_clients(history: History) -> Iterator[str]:
    for closing in history.closings:
        if closing.took > closing.grace + _PROMPT:
            yield f"L4: {closing.client} closed in {closing.took:.3f} s, with a grace of {closing.grace} s"
    for client, tasks in history.unsettled.items():
        yield f"L2: {client} still had {tasks} background tasks long after everything had healed"


def _of_events(history: History) -> Iterator[str]:
    """A call starts once, answers for each attempt, and ends once, with what its caller got."""
    told: dict[ToldCall | None, list[Event]] = {}
    for event in history.events:
        told.setdefault(event.call, []).append(event)
    told.pop(None, None)
    outcomes: dict[str, list[str]] = {}
    for call, events in told.items():
        kinds = Counter(type(event) for event in events)
        first, last = events[0], events[-1]
        if not isinstance(first, CallStarted) or not isinstance(last, CallEnded):
            yield f"T1: {call.operation} {call.session_id} began with {first}, ended with {last}"
        elif kinds[CallStarted] + kinds[CallEnded] != 2:
            yield f"T1: {call.operation} {call.session_id} was told {kinds}"
        elif kinds[AttemptStarted] != kinds[AttemptAnswered] + kinds[AttemptFailed]:
            yield f"T1: attempts of {call.operation} {call.session_id} were told {kinds}"
        elif call.operation == "launch":
            outcomes.setdefault(call.session_id, []).append(last.outcome)
    asked = Counter(call.session_id for call in history.calls)
    for call in history.calls:
        got = outcomes.get(call.session_id, [])
        never_began = not got and isinstance(call.error, ClientClosedError)
        if asked[call.session_id] == 1 and got != [_outcome(call)] and not never_began:
            yield f"T2: launch {call.session_id} came to {_outcome(call)}, and was told as {got}"


def _outcome(call: Call) -> str:
    if call.session is not None:
        return "adopted" if call.session.created_by == "adopted" else "succeeded"
    if isinstance(call.error, LaunchOutcomeUnknownError):
        return "unknown"
    return "failed" if isinstance(call.error, GameyeError) else "cancelled"
