"""Counting outcomes."""

import math

import pytest

from gameye_async import (
    Attempt,
    CapacityError,
    LaunchOutcome,
    LaunchOutcomeUnknownError,
    LaunchRequest,
    Session,
)
from gameye_async.cli.exits import Exit
from gameye_async.cli.tally import Tally, percentile

REQUEST = LaunchRequest("my-game", "europe", id="match-1")


def session(**changes):
    fields = {"id": "match-1", "host": "203.0.113.1", "ports": (), "location": "europe", "image": "my-game"}
    return Session(**fields | changes)


def attempt(location, status):
    return Attempt(location, "answered", status, None, 0.1)


def tally_of(*results):
    tally = Tally()
    for result in results:
        key = "session" if isinstance(result, Session) else "error"
        tally.add(LaunchOutcome(request=REQUEST, index=0, elapsed=0.1, **{key: result}))
    return tally


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_percentile_is_the_nearest_rank(percent, expected):
    assert percentile(range(100, 0, -1), percent) == expected


def test_percentile_of_nothing_is_no_number():
    assert math.isnan(percentile([], 50))


def test_refusals_count_for_the_location_that_refused_whatever_came_of_the_launch():
    refused = attempt("eu-west", 420)
    tally = tally_of(
        session(attempts=(refused, attempt("eu-east", 201))), CapacityError(attempts=(refused, refused))
    )
    assert tally.throttled == {"eu-west": 3}


def test_adopted_sessions_are_counted_apart():
    assert tally_of(session(), session(created_by="adopted")).adopted == 1


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((), Exit.OK),
        ((session(),), Exit.OK),
        ((session(), CapacityError()), Exit.FAILED),
        ((CapacityError(), LaunchOutcomeUnknownError(), session()), Exit.UNKNOWN),
    ],
)
def test_the_worst_outcome_decides_the_exit_code(results, code):
    assert tally_of(*results).exit_code is code


def test_only_the_first_errors_are_spelled_out():
    lines = tally_of(*[CapacityError("it is full")] * 12).error_lines()
    assert lines[0].startswith("match-1: CapacityError: ")
    assert lines[10:] == ["and 2 more"]
