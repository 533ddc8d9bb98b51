"""Everything that can go wrong, as plain data that pickles and prints without a secret.

One rule holds for `AsyncGameye.launch`: whatever it raises, except `LaunchOutcomeUnknownError`,
means that no session of that launch is running or will run.
"""

from typing import ClassVar, Literal

from attrs import frozen

Phase = Literal["not sent", "sent", "answered"]


@frozen
class Attempt:
    """One try of a call: what was asked of whom, how far it got, and how long it took.

    Attributes:
        location: The location a launch was tried in; None for other calls.
        phase: "not sent" (nothing reached the API), "sent" (it may have), or "answered".
        status: The HTTP status of the answer, None without one.
        identifier: The trace id of an error answer, to quote to Gameye's support.
        elapsed: Seconds from taking a slot to the outcome.
        reason: Why there was no usable answer; empty when there was one.
    """

    location: str | None
    phase: Phase
    status: int | None
    identifier: str | None
    elapsed: float
    reason: str = ""


@frozen
class Violation:
    """One field that the API refused, and why (`violations` of a 422 answer)."""

    field: str
    description: str


class GameyeError(Exception):
    """Base of every error this package raises.

    Attributes:
        attempts: What was tried, oldest first.
    """

    hint: ClassVar[str] = ""

    def __init__(self, message: str = "", *, attempts: tuple[Attempt, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.attempts = attempts

    def __str__(self) -> str:
        sentences = [text for text in (*self._sentences(), self.hint) if text]
        told = " ".join([*map(_closed, sentences[:-1]), *sentences[-1:]])
        notes = "; ".join(self._notes())
        return f"{told} ({notes})" if notes else told

    def _sentences(self) -> list[str]:
        """What happened; an empty one is left out."""
        return [self.message]

    def _notes(self) -> list[str]:
        """What stands in brackets at the end, behind the advice."""
        return [f"{len(self.attempts)} attempts"] if len(self.attempts) > 1 else []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"


def _closed(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


class ConfigurationError(GameyeError, ValueError):
    """A bad token, URL, setting or request field; nothing was sent."""


class ClientClosedError(GameyeError, RuntimeError):
    """The client was used before it was entered, after it was closed, or from another event loop."""


class ApiError(GameyeError):
    """The API answered with an error status; subclasses name the documented ones.

    Attributes:
        status: HTTP status.
        code: The API's own error code, such as `CAPACITY_UNAVAILABLE`; may be empty.
        details: Longer text of the API; may be empty. Clipped to 512 characters, like `message`.
        path: Path template of the operation, such as `/session/{id}`.
        identifier: Trace id to quote to Gameye's support; may be empty.
        timestamp: When the API says it happened; may be empty.
        violations: The fields a 422 answer complains about.
        retry_after: Seconds the API asked to wait (`Retry-After`), None when it did not.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        code: str = "",
        details: str = "",
        path: str = "",
        identifier: str = "",
        timestamp: str = "",
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.status = status
        self.code = code
        self.details = details
        self.path = path
        self.identifier = identifier
        self.timestamp = timestamp
        self.violations = violations
        self.retry_after = retry_after

    def _sentences(self) -> list[str]:
        violations = [f"{each.field}: {each.description.removesuffix('.')}" for each in self.violations]
        return [
            f"{self.status} {self.code}".strip() + f": {self.message}",
            self.details if self.details != self.message else "",
            "; ".join(violations),
        ]

    def _notes(self) -> list[str]:
        return [*super()._notes(), *([f"identifier: {self.identifier}"] if self.identifier else [])]


class BadRequestError(ApiError):
    """400: the API could not read the request."""


class AuthenticationError(ApiError):
    """401: the token is missing, wrong, disabled, or belongs to another environment."""

    hint = "Check GAMEYE_API_TOKEN, and that it was made for this environment (sandbox or production)."


class QuotaExceededError(ApiError):
    """402: the account's quota is used up."""

    hint = "Retrying does not help; raise the quota in the admin panel."


class PermissionDeniedError(ApiError):
    """403: the token lacks the scope of this operation (older platforms: the quota is used up)."""

    hint = "Check the token's scopes in the admin panel."


class NotFoundError(ApiError):
    """404: no such session, image, location or tag."""


class SessionIdConflictError(ApiError):
    """409: the session id is taken by a session that is not this launch's; it was not touched."""

    hint = "Use another id, or idempotent=True to adopt a session of the same id and parameters."


class CapacityError(ApiError):
    """420: the location is full, or too many sessions were started in a short time."""

    hint = "Try another location, or again later."


class RateLimitedError(ApiError):
    """429: too many requests."""

    hint = "Slow down and try again later."


class InvalidRequestError(ApiError):
    """422: the request is not valid; `violations` names the fields."""


class ServerError(ApiError):
    """5xx: the API or a proxy in front of it failed."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    420: CapacityError,
    422: InvalidRequestError,
    429: RateLimitedError,
}


def api_error_class(status: int) -> type[ApiError]:
    """The class for an error status; 409 depends on the operation and is chosen by the caller."""
    return ServerError if status >= 500 else _BY_STATUS.get(status, ApiError)  # noqa: PLR2004  -- 5xx


class NotSentError(GameyeError):
    """No connection could be made, so nothing happened at the API."""

    hint = "Nothing was sent; it is safe to try again."


class NoAnswerError(GameyeError):
    """The request was sent and no usable answer came back.

    Attributes:
        timed_out: Whether the client gave up waiting, so that the API may still be at it.
    """

    hint = "The API may have acted on it."

    def __init__(
        self, message: str = "", *, timed_out: bool = False, attempts: tuple[Attempt, ...] = ()
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.timed_out = timed_out


class BadAnswerError(GameyeError):
    """An answer that is not what the API promises: wrong JSON, wrong shape, too large, a redirect.

    Attributes:
        path: Where in the JSON, such as `$.ports[0].host`; empty when there is no such place.
        status: HTTP status of the answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        status: int | None = None,
        attempts: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.path = path
        self.status = status


class _SessionError(GameyeError):
    """An error about one session.

    Attributes:
        session_id: The session's id.
    """

    def __init__(
        self, message: str = "", *, session_id: str = "", attempts: tuple[Attempt, ...] = ()
    ) -> None:
        super().__init__(message, attempts=attempts)
        self.session_id = session_id


class SessionEndedError(_SessionError):
    """The session was launched and is already over.

    Attributes:
        log_tail: The last lines of its log, when they were fetched.
    """

    log_tail: tuple[str, ...] = ()


class LaunchOutcomeUnknownError(_SessionError):
    """A launch was sent and nobody can say yet whether its session exists.

    The client goes on in the background: it looks for the session and stops it, unless the launch
    was made with `on_abandon="leave"`. What it cannot settle is reported through `on_orphan`.
    """


class StopUnconfirmedError(_SessionError):
    """A stop was sent and not confirmed; the client keeps trying in the background."""

    hint = "The session may still be running."


class DeadlineExceededError(GameyeError, TimeoutError):
    """The call's deadline passed."""
