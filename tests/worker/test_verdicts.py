"""What follows for a job from what came of its launch."""

from random import Random

import pytest

from gameye_async import (
    AuthenticationError,
    BadAnswerError,
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidRequestError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    Session,
    SessionEndedError,
    SessionIdConflictError,
)
from gameye_async.worker.verdicts import Verdict, delay, judge

FOR_NOW = (CapacityError, RateLimitedError, NotSentError, DeadlineExceededError, ClientClosedError)
FOR_GOOD = (
    *(QuotaExceededError, NotFoundError, InvalidRequestError, ConfigurationError, BadAnswerError),
    *(SessionIdConflictError, SessionEndedError),
)


@pytest.mark.parametrize("created_by", ["launch", "adopted"])
def test_a_session_is_published_whoever_launched_it(created_by):
    session = Session(
        id="s", host="203.0.113.7", ports=(), location="eu", image="my-game", created_by=created_by
    )
    assert judge(session) is Verdict.LAUNCHED


@pytest.mark.parametrize("kind", FOR_NOW)
def test_what_is_refused_for_now_is_put_back(kind):
    assert judge(kind("no")) is Verdict.LATER


@pytest.mark.parametrize("kind", FOR_NOW)
def test_what_was_refused_for_too_long_is_a_dead_letter(kind):
    assert judge(kind("no"), is_overdue=True) is Verdict.REFUSED


@pytest.mark.parametrize("kind", FOR_GOOD)
def test_what_is_refused_for_good_is_a_dead_letter(kind):
    assert judge(kind("no")) is Verdict.REFUSED


@pytest.mark.parametrize("overdue", [False, True])
@pytest.mark.parametrize("kind", [AuthenticationError, PermissionDeniedError])
def test_a_refused_token_says_nothing_about_the_job(kind, overdue):
    """However long it has waited: a worker with a good token launches it."""
    assert judge(kind("no"), is_overdue=overdue) is Verdict.RETURNED


@pytest.mark.parametrize("overdue", [False, True])
def test_what_is_unknown_is_never_given_up(overdue):
    """There may be a session, and a dead letter would say that there is none."""
    assert judge(LaunchOutcomeUnknownError("who knows"), is_overdue=overdue) is Verdict.UNKNOWN


def test_jobs_that_are_put_back_come_again_at_different_times():
    delays = {delay(CapacityError("full"), Random(seed)) for seed in range(100)}
    assert len(delays) == 100
    assert min(delays) >= 2.0
    assert max(delays) <= 5.0


def test_a_job_comes_again_no_sooner_than_the_api_asks_for():
    assert delay(RateLimitedError("slower", retry_after=30.0), Random(0)) >= 30.0
