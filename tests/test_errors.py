"""What an error tells its reader, and that it travels between processes whole."""

import inspect
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from gameye_async import LaunchRequest, _api, errors
from gameye_async._exchange import Answered, interpret
from gameye_async.errors import (
    ApiError,
    Attempt,
    AuthenticationError,
    BadRequestError,
    CapacityError,
    GameyeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    SessionIdConflictError,
    Violation,
    api_error_class,
)

ATTEMPTS = (
    Attempt("eu-west", "answered", 420, "trace-1", 0.25),
    Attempt("eu-east", "sent", None, None, 15.0, "no answer came in time"),
)
VALUES: dict[str, Any] = {
    "attempts": ATTEMPTS,
    "status": 418,
    "code": "TEAPOT",
    "details": "short and stout",
    "path": "/session",
    "identifier": "trace-1",
    "timestamp": "2026-10-01T00:00:00Z",
    "violations": (Violation("image", "unknown"),),
    "retry_after": 2.5,
    "timed_out": True,
    "session_id": "match-1",
}
ENVELOPE: dict[str, Any] = {
    "statusCode": 422,
    "code": "INVALID_REQUEST",
    "message": "The request is not valid.",
    "details": "See the violations.",
    "path": "/session",
    "identifier": "trace-1",
    "timestamp": "2026-10-01T00:00:00Z",
    "violations": [{"field": "image", "description": "must not be empty"}],
}


def family(kind: type[GameyeError]) -> Iterator[type[GameyeError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def made(kind: type[GameyeError]) -> GameyeError:
    wanted = inspect.signature(kind).parameters
    return kind("it did not work", **{name: value for name, value in VALUES.items() if name in wanted})


def api_error(
    status: int, body: object = b"", headers: dict[str, str] | None = None, request: Any = None
) -> ApiError:
    text = body if isinstance(body, bytes) else _api._codec.dumps(body)  # noqa: SLF001  -- the client's own JSON
    with pytest.raises(ApiError) as caught:
        interpret(request or _api.describe("match-1"), Answered(status, headers or {}, text))
    return caught.value


@pytest.mark.parametrize("kind", [*family(GameyeError)], ids=lambda kind: kind.__name__)
def test_an_error_pickles_with_all_it_knows(kind):
    error = made(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (vars(copy), str(copy), copy.args) == (vars(error), str(error), error.args)
    assert copy.attempts == ATTEMPTS


def test_what_was_added_to_an_error_later_pickles_too():
    error = errors.SessionEndedError("over", session_id="match-1")
    error.log_tail = ("panic: no map",)
    assert pickle.loads(pickle.dumps(error)).log_tail == ("panic: no map",)


@pytest.mark.parametrize("kind", [*family(GameyeError)], ids=lambda kind: kind.__name__)
def test_an_error_can_be_made_of_a_message_alone(kind):
    assert "it did not work" in str(kind("it did not work"))
    assert repr(kind("it did not work")) == f"{kind.__name__}('it did not work')"


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (AuthenticationError, "GAMEYE_API_TOKEN"),
        (QuotaExceededError, "quota"),
        (PermissionDeniedError, "scopes"),
        (SessionIdConflictError, "another id"),
        (CapacityError, "another location"),
        (RateLimitedError, "Slow down"),
        (errors.NotSentError, "safe to try again"),
        (errors.NoAnswerError, "may have acted"),
        (errors.StopUnconfirmedError, "may still be running"),
    ],
)
def test_an_error_says_what_to_do_next(kind, advice):
    assert advice in str(made(kind))


def test_an_error_says_how_often_it_was_tried():
    assert "(2 attempts)" in str(made(errors.NotSentError))
    assert "attempts" not in str(errors.NotSentError("no", attempts=ATTEMPTS[:1]))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotSentError("no way"), "no way. Nothing was sent; it is safe to try again."),
        (errors.ConfigurationError("no token: set one"), "no token: set one"),
        (errors.ClientClosedError("closed", attempts=ATTEMPTS), "closed (2 attempts)"),
        (NotFoundError("Gone!", status=404, details="Look there."), "404: Gone! Look there."),
        (NotFoundError("Gone.", status=404, details="Gone."), "404: Gone."),
        (
            CapacityError(
                "Full.", status=420, code="FULL", details="No room", identifier="7f", attempts=ATTEMPTS
            ),
            "420 FULL: Full. No room. Try another location, or again later. (2 attempts; identifier: 7f)",
        ),
        (
            InvalidRequestError(
                "Wrong",
                status=422,
                violations=(errors.Violation("env.MAP", "is empty."), errors.Violation("ttl", "is short.")),
            ),
            "422: Wrong. env.MAP: is empty; ttl: is short",
        ),
    ],
)
def test_an_error_is_told_in_sentences(error, text):
    """What happened and what to do, however the API ends its own; what is to be quoted stands at the end."""
    assert str(error) == text


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.ClientClosedError, RuntimeError),
        (errors.DeadlineExceededError, TimeoutError),
    ],
)
def test_an_error_is_also_the_standard_one_that_callers_expect(kind, standard):
    assert issubclass(kind, standard)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, QuotaExceededError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ApiError),
        (418, ApiError),
        (420, CapacityError),
        (422, InvalidRequestError),
        (429, RateLimitedError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
def test_a_status_has_its_class(status, kind):
    assert api_error_class(status) is kind
    assert type(api_error(status)) is kind


def test_a_conflict_of_a_launch_is_about_its_id():
    launch = _api.launch(LaunchRequest("my-game", "eu-west"), "eu-west")
    assert type(api_error(409, request=launch)) is SessionIdConflictError


def test_the_envelope_of_an_error_is_read():
    error = api_error(422, ENVELOPE)
    assert (error.status, error.code, error.message) == (422, "INVALID_REQUEST", "The request is not valid.")
    assert (error.details, error.identifier) == ("See the violations.", "trace-1")
    assert error.timestamp == "2026-10-01T00:00:00Z"
    assert error.violations == (Violation("image", "must not be empty"),)
    for part in ("422", "INVALID_REQUEST", "See the violations.", "image: must not be empty", "trace-1"):
        assert part in str(error)


def test_the_path_of_an_error_is_the_template_because_ids_may_be_private():
    assert api_error(404, {"path": "/session/match-1"}).path == "/session/{id}"


@pytest.mark.parametrize("field", ENVELOPE)
def test_a_field_that_an_envelope_lacks_is_empty(field):
    error = api_error(422, {name: value for name, value in ENVELOPE.items() if name != field})
    assert error.status == 422
    assert str(error)


@pytest.mark.parametrize("value", [None, 7, 1.5, True, [], {}, [[1], {"a": 2}], {"a": {"b": 1}}])
@pytest.mark.parametrize("field", ENVELOPE)
def test_a_field_of_the_wrong_type_does_no_harm(field, value):
    error = api_error(422, ENVELOPE | {field: value})
    assert isinstance(error, InvalidRequestError)
    assert isinstance(error.message, str)
    assert str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><h1>502 Bad Gateway</h1></html>",
        b"\xff\xfe\x00",
        b"null",
        b"7",
        b'"text"',
        b"[]",
        b"{",
        b'{"violations": 7}',
        b'{"violations": [7, null, {}]}',
        b'{"message": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda body: body[:24],
)
def test_a_body_that_is_no_envelope_leaves_the_status_to_speak(body):
    error = api_error(502, body)
    assert isinstance(error, ServerError)
    assert (error.status, error.code) == (502, "")
    assert str(error)


def test_a_message_of_the_api_is_one_harmless_line():
    """Nobody's terminal or log is to be written to by an answer."""
    evil = "line\r\nline\x1b[31mred\x00\x85\u202eevil\u2066\u2028end\u2029\x7f"
    error = api_error(400, dict.fromkeys(("message", "code", "details", "identifier", "timestamp"), evil))
    for text in (error.message, error.code, error.details, error.identifier, error.timestamp, str(error)):
        assert text.isprintable()
        assert "red" in text


def test_the_fields_of_a_violation_are_harmless_too():
    (violation,) = api_error(422, {"violations": [{"field": "a\nb", "description": "c\x1bd"}]}).violations
    assert (violation.field, violation.description) == ("a b", "c d")


def test_a_message_of_the_api_is_clipped():
    error = api_error(400, {"message": "m" * 5_000, "details": "d" * 5_000})
    assert (error.message, error.details) == ("m" * 512, "d" * 512)


def test_a_hundred_thousand_violations_do_not_make_a_gigantic_error():
    entries = [{"field": "f" * 100, "description": "d" * 100}] * 4_000
    assert len(str(api_error(422, {"violations": entries}))) < 100_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:07 GMT", "Date": "Thu, 01 Oct 2026 00:00:00 GMT"}, 7.0),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:00 GMT", "Date": "Thu, 01 Oct 2026 00:00:09 GMT"}, 0.0),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:07 GMT"}, None),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:07 -0000", "Date": "Thu, 01 Oct 2026 00:00:00 GMT"}, 7.0),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:07 GMT", "Date": "yesterday"}, None),
        ({"Retry-After": "Thu, 01 Oct 2026 00:00:07 +99999999999999", "Date": "x"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_clock_of_the_api(headers, seconds):
    assert api_error(429, headers=headers).retry_after == seconds
