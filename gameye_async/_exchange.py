"""One HTTP exchange without I/O: the request, what can come of it, and how an answer is read."""

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Generic, TypeVar, cast

from attrs import define, field, frozen

from gameye_async import _codec
from gameye_async.errors import (
    ApiError,
    BadAnswerError,
    SessionIdConflictError,
    Violation,
    api_error_class,
)

T = TypeVar("T")

MIB = 1024 * 1024
CONFLICT = 409


@define(eq=False, repr=False)
class Answered:
    """An answer came back; `fault` says why its body cannot be used, if so."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    fault: str = ""
    scrub: Callable[[str], str] = field(default=str, repr=False)


@define(eq=False, repr=False, kw_only=True)
class Progress:
    """How far an exchange has got, whatever ends it.

    Attributes:
        hold: Whether an exchange that was started stays open when the wait for its answer is cancelled. With
            the same progress, the wait can be taken up again.
        started: Whether any of the request may have been handed to a connection; for a request with a body,
            any of the body, because without one no launch can have happened.
        answered: The answer, as far as it has come.
        connection: What an exchange that is held open goes on with.
    """

    hold: bool = False
    started: bool = False
    answered: Answered | None = None
    connection: Any = None

    def start(self) -> None:
        """The request is about to be handed to a connection."""
        self.started = True

    def give_up(self) -> None:
        """End an exchange that is held open."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@frozen(eq=False, repr=False)
class NotSent:
    """Nothing reached the API."""

    reason: str


@frozen(eq=False, repr=False)
class Unknown:
    """The request went out, or may have, and no answer came back.

    Attributes:
        reason: What happened.
        timed_out: Whether we gave up waiting, so that the API may still be at it.
    """

    reason: str
    timed_out: bool = False


Outcome = Answered | NotSent | Unknown


@frozen(eq=False, repr=False)
class Streaming:
    """A good answer whose body is still on its way; whoever has it closes it.

    Attributes:
        head: The answer without its body.
        chunks: The bytes of the body as they come. Raises `NoAnswerError` when they are cut off; a read that
            is cancelled loses none of them.
        close: Ends the connection, or gives it back when the body has been read to its end.
    """

    head: Answered
    chunks: AsyncIterator[bytes]
    close: Callable[[], None]

    @property
    def length(self) -> int | None:
        """Bytes of the whole body, None when the API did not say."""
        text = self.head.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() else None


class Repeat(Enum):
    """When a call that failed may be sent again."""

    ALWAYS = "reads, and writes that change nothing when they are done twice"
    UNSENT = "only when it certainly did not reach the API"


# Not frozen: freezing what is made for each launch costs one per cent of it.
@define(eq=False, repr=False)
class Request(Generic[T]):
    """One HTTP request of the API, and how to read its answer.

    Attributes:
        operation: Name of the client's method, for statistics and errors.
        method: HTTP method.
        target: Path and query, percent-encoded.
        template: Path with placeholders, which is safe to log.
        parse: Reads a successful answer.
        body: JSON text; not in repr, because it may hold env.
        repeat: When it may be sent again.
        limit: Most bytes that are read of the answer's body.
        accepts: Error statuses that `parse` understands.
        session_id: The session it is about, for who looks on; the body of a launch has its own.
    """

    operation: str
    method: str
    target: str
    template: str
    parse: Callable[[Answered], T]
    body: bytes | None = field(default=None, repr=False)
    repeat: Repeat = Repeat.ALWAYS
    limit: int = MIB
    accepts: Collection[int] = ()
    session_id: str | None = None


def interpret(request: Request[T], answered: Answered) -> T:
    """The model that an answer holds.

    Raises:
        ApiError: The subclass of its error status.
        BadAnswerError: It is a redirect, or not what the API promises.
    """
    status = answered.status
    if 300 <= status < 400:  # noqa: PLR2004  -- 3xx
        raise BadAnswerError(
            f"{status}: the API redirected {request.method} {request.template}, which it never does; "
            "check the base URL",
            status=status,
        )
    if status >= 400 and status not in request.accepts:  # noqa: PLR2004  -- 4xx and 5xx
        raise _api_error(request, answered)
    try:
        return request.parse(answered)
    except BadAnswerError as error:
        error.status = status
        raise


def _api_error(request: Request[Any], answered: Answered) -> ApiError:
    envelope = _envelope(answered.body)

    def text(value: object) -> str:
        return clip(value, answered.scrub)

    kind = api_error_class(answered.status)
    if answered.status == CONFLICT and request.operation == "launch":
        kind = SessionIdConflictError
    return kind(
        text(envelope.get("message")) or f"{request.method} {request.template} failed",
        status=answered.status,
        code=text(envelope.get("code")),
        details=text(envelope.get("details")),
        path=request.template,
        identifier=text(envelope.get("identifier")),
        timestamp=text(envelope.get("timestamp")),
        retry_after=_retry_after(answered.headers),
        violations=tuple(
            Violation(text(entry.get("field")), text(entry.get("description")))
            for entry in _objects(envelope.get("violations"))[:_VIOLATIONS]
        ),
    )


def _envelope(body: bytes) -> dict[str, Any]:
    """The error envelope, read leniently; empty when the body is none (a proxy's HTML page, say)."""
    try:
        payload: Any = _codec.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    entries = cast("list[Any]", value) if isinstance(value, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


# C0 and C1 controls, line and paragraph separators, bidirectional overrides, lone surrogates.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_CLIP = 512
_VIOLATIONS = 50


def clip(value: object, scrub: Callable[[str], str] = str) -> str:
    """Text of an answer for an error message: one line, no control characters, at most 512 characters."""
    # Before it is cut, because half a token is not recognised any more.
    text = "" if value is None or isinstance(value, list | dict) else scrub(str(value))
    return _UNPRINTABLE.sub(" ", text[:_CLIP])


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After`; its date form is read against the answer's own `Date`."""
    text = headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    until, now = _http_date(text), server_time(headers)
    return max((until - now).total_seconds(), 0.0) if until and now else None


def server_time(headers: Mapping[str, str]) -> datetime | None:
    """The API's clock when it answered, None when it did not say."""
    return _http_date(headers.get("Date", ""))


def _http_date(text: str) -> datetime | None:
    # The package `email` takes 13 ms to import, and few answers are asked for their date.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  -- see above

    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def answered_json(answered: Answered) -> Any:
    """The decoded body of an answer that must be JSON."""
    if answered.fault:
        raise BadAnswerError(f"{answered.status}: {answered.fault}")
    try:
        return _codec.loads(answered.body)
    except ValueError:
        start = clip(answered.body.decode(errors="replace"), answered.scrub)[:60]
        raise BadAnswerError(f"{answered.status}: the answer is not JSON; it starts with {start!r}") from None


def answered_anything(answered: Answered) -> Any:
    """The decoded body where it is JSON, its text where it is not, None where it is empty."""
    if answered.fault:
        raise BadAnswerError(f"{answered.status}: {answered.fault}")
    try:
        return _codec.loads(answered.body) if answered.body else None
    except ValueError:
        return answered.body.decode(errors="replace")
