"""Refusals: what the API says no with, as plain data."""

from typing import Final

from attrs import define

Violation = dict[str, str]

MEANINGS: Final[dict[int, tuple[str, str]]] = {
    400: ("BAD_REQUEST", "The request is malformed."),
    401: ("UNAUTHORIZED", "Authentication failed."),
    402: ("QUOTA_EXCEEDED", "The quota of this account is exhausted."),
    403: ("FORBIDDEN", "The API token lacks the required permission."),
    404: ("NOT_FOUND", "The requested resource does not exist."),
    405: ("METHOD_NOT_ALLOWED", "The method is not allowed on this path."),
    409: ("CONFLICT", "The request conflicts with the state of the resource."),
    413: ("PAYLOAD_TOO_LARGE", "The request body is too large."),
    420: ("CAPACITY_UNAVAILABLE", "The session can currently not be started in this region."),
    422: ("INVALID_REQUEST", "The request has invalid syntax."),
    429: ("TOO_MANY_REQUESTS", "Too many requests in a short time."),
    500: ("INTERNAL_ERROR", "An internal error occurred."),
    502: ("BAD_GATEWAY", "The gateway got no usable answer."),
    503: ("SERVICE_UNAVAILABLE", "The service is unavailable."),
    504: ("GATEWAY_TIMEOUT", "The gateway got no answer in time."),
}


@define(eq=False)
class Refusal(Exception):  # noqa: N818  -- the API's vocabulary: a launch is refused
    """The API refuses a request.

    Args:
        status: HTTP status; 420 included.
        details: What exactly is wrong with this request.
        code: Machine-readable code; the usual one of the status when empty.
        message: Sentence of the code; the usual one of the status when empty.
        violations: `{"field", "description"}` entries of a 422.
        retry_after: Seconds for a `Retry-After` header, or None for no header.
    """

    status: int
    details: str = ""
    code: str = ""
    message: str = ""
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None

    def __attrs_post_init__(self) -> None:
        code, message = MEANINGS.get(self.status, ("ERROR", "The request failed."))
        self.code = self.code or code
        self.message = self.message or message
        self.details = self.details or self.message

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.details}"
