"""What a client tells its listener: one frozen event for each thing that happens.

The fields below are all there is. None of them holds the token, a value of env, args or labels, a body, or a
path or query with its values in it.
"""

from typing import Literal

from attrs import frozen

from gameye_async.errors import Phase

Outcome = Literal["succeeded", "adopted", "failed", "unknown", "cancelled"]


@frozen(kw_only=True, eq=False)
class Call:
    """One call of the API, which all its events refer to; equal only to itself.

    Attributes:
        id: Its number, unique in this process.
        operation: The client's method, such as "launch" or "describe".
        method: HTTP method.
        template: Path with placeholders, such as `/session/{id}`; None for `AsyncGameye.request`, whose path
            is its user's own.
        address: Host of the API.
        port: Port of the API.
        session_id: The session it is about; None when it is about none or many.
        image: What is launched; None for other calls.
        locations: Where it may be launched, in order of preference; empty for other calls.
    """

    id: int
    operation: str
    method: str
    template: str | None
    address: str
    port: int
    session_id: str | None
    image: str | None = None
    locations: tuple[str, ...] = ()


@frozen(kw_only=True)
class CallStarted:
    """A call was made; told in the task that made it. Two launches of one id that join are one call.

    Attributes:
        call: The call.
    """

    call: Call


@frozen(kw_only=True)
class _AttemptEvent:
    """What the events of an attempt have in common.

    Attributes:
        call: The call that it serves.
        number: Which request of the call it is, from 1.
        method: HTTP method. A launch may also look for its session (GET) and stop it (DELETE).
        template: Path with placeholders; None as for a `Call`.
        location: Where a launch is tried; None for other requests.
    """

    call: Call
    number: int
    method: str
    template: str | None
    location: str | None


@frozen(kw_only=True)
class AttemptStarted(_AttemptEvent):
    """A request goes out."""


@frozen(kw_only=True)
class AttemptAnswered(_AttemptEvent):
    """The API answered a request, with whatever status.

    Attributes:
        status: HTTP status.
        identifier: Trace id of an error answer, to quote to Gameye's support.
        error: Class name of the error it means; None for a success.
        elapsed: Seconds since the request went out.
    """

    status: int
    identifier: str | None
    error: str | None
    elapsed: float


@frozen(kw_only=True)
class AttemptFailed(_AttemptEvent):
    """No answer came to a request, or its call was given up while it was under way.

    Attributes:
        phase: "not sent" when nothing reached the API, "sent" when it may have.
        reason: Why, in the client's words.
        error: Class name of the error it means.
        elapsed: Seconds since the request was to go out.
    """

    phase: Phase
    reason: str
    error: str
    elapsed: float


@frozen(kw_only=True)
class BackingOff:
    """A call waits before its next attempt.

    Attributes:
        call: The call.
        delay: Seconds.
        error: Class name of the last error; None when the location refused others before.
    """

    call: Call
    delay: float
    error: str | None


@frozen(kw_only=True)
class Adopted:
    """A launch found its session: an earlier attempt, or somebody else with the same id, had created it.

    Attributes:
        call: The launch.
        location: Where it runs.
    """

    call: Call
    location: str


@frozen(kw_only=True)
class OrphanStopped:
    """The session of a launch that nobody waits for any more was stopped.

    Attributes:
        call: The launch.
        session_id: Its id.
        location: Where it was launched.
    """

    call: Call
    session_id: str
    location: str | None


@frozen(kw_only=True)
class OrphanReported:
    """A session may be running and could not be settled; `on_orphan` is told why.

    Attributes:
        call: The launch; None when it was delivered before, and a stop was not confirmed.
        session_id: Its id.
        location: Where it was last tried to be launched; None when that is not known.
    """

    call: Call | None
    session_id: str
    location: str | None


@frozen(kw_only=True)
class CallEnded:
    """A call is over, and so is all that was done for it in the background; the last of its events.

    Attributes:
        call: The call.
        outcome: What its caller got: "succeeded", "adopted" (a launch that found its session), "failed",
            "unknown" (`LaunchOutcomeUnknownError`), or "cancelled".
        error: Class name of what was raised; None after a success.
        location: Where it was launched or last tried; None for other calls.
        status: HTTP status of the last answer to the operation itself; None without one.
        attempts: How many requests it took.
        elapsed: Seconds that its caller waited. A launch that was given up ends later than that.
    """

    call: Call
    outcome: Outcome
    error: str | None
    location: str | None
    status: int | None
    attempts: int
    elapsed: float


Event = (
    CallStarted
    | AttemptStarted
    | AttemptAnswered
    | AttemptFailed
    | BackingOff
    | Adopted
    | OrphanStopped
    | OrphanReported
    | CallEnded
)
