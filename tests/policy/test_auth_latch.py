"""A token that the API refuses is not tried again and again."""

import pytest

from gameye_async._policy import AuthLatch
from gameye_async.errors import AuthenticationError, NotFoundError
from gameye_async.settings import Credential

OLD, NEW = Credential("Bearer old-token"), Credential("Bearer new-token")
REFUSAL = AuthenticationError(
    "The token is unknown.", status=401, code="UNAUTHORIZED", path="/session", identifier="trace-1"
)


@pytest.fixture
def latch():
    """A latch that has seen the old token refused at second 100."""
    latch = AuthLatch()
    latch.answered(OLD, REFUSAL, 100.0)
    return latch


def test_nothing_is_held_back_before_a_refusal():
    assert AuthLatch().refusal(OLD, 0.0) is None


def test_a_refused_token_fails_without_being_sent(latch):
    error = latch.refusal(OLD, 104.9)
    assert isinstance(error, AuthenticationError)
    assert "not sent" in error.message
    assert (error.status, error.code, error.path, error.identifier) == (
        401,
        "UNAUTHORIZED",
        "/session",
        "trace-1",
    )


def test_each_call_gets_an_error_of_its_own(latch):
    """Errors collect attempts and tracebacks; a shared one would mix them up."""
    assert latch.refusal(OLD, 101.0) is not latch.refusal(OLD, 101.0)


def test_one_call_every_five_seconds_tries_a_refused_token(latch):
    sent = [second for second in range(100, 120) if latch.refusal(OLD, float(second)) is None]
    assert sent == [105, 110, 115]


def test_another_token_is_tried_at_once(latch):
    assert latch.refusal(NEW, 100.0) is None


def test_any_other_answer_to_the_token_opens_the_latch(latch):
    latch.answered(OLD, NotFoundError(status=404), 105.0)
    assert latch.refusal(OLD, 105.0) is None


def test_an_answer_to_another_token_says_nothing_about_the_refused_one(latch):
    latch.answered(NEW, object(), 101.0)
    assert latch.refusal(OLD, 101.0) is not None


def test_a_second_refusal_holds_the_token_back_for_longer(latch):
    assert latch.refusal(OLD, 105.0) is None
    latch.answered(OLD, REFUSAL, 107.0)
    assert latch.refusal(OLD, 111.9) is not None
    assert latch.refusal(OLD, 112.0) is None
