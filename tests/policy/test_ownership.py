"""Whose session was found under a launch's id: nobody else's is ever taken for ours."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import LaunchRequest, SessionDetails
from gameye_async._ownership import Ownership, Sighting, ownership

OURS, FOREIGN, UNPROVEN = Ownership.OURS, Ownership.FOREIGN, Ownership.UNPROVEN
UNCLEAR = Ownership.UNCLEAR

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SINCE_SENT = 10.0
FIRST_SENT = NOW - timedelta(seconds=SINCE_SENT)

CHOSEN = LaunchRequest("my-game", "eu-west", id="match-1", labels={"match": "1"}, version="1.4.0")
GENERATED = LaunchRequest("my-game", "eu-west", labels={"match": "1"}, version="1.4.0")

FOUND = SessionDetails(
    id="match-1",
    image="my-game",
    location="eu-west",
    host="203.0.113.7",
    created=FIRST_SENT + timedelta(seconds=1),
    ports=(),
    version="1.4.0",
    labels={"match": "1"},
)


def whose(
    request: LaunchRequest,
    found: SessionDetails,
    *,
    locations: tuple[str, ...] | None = None,
    server_time: datetime | None = NOW,
    idempotent: bool = False,
    took: float = 0.0,
) -> Ownership:
    """By an answer that was made at once, and took so many seconds to come."""
    return ownership(
        request,
        Sighting(found, server_time),
        locations=request.location if locations is None else locations,
        asked_after=SINCE_SENT,
        answered_after=SINCE_SENT + took,
        idempotent=idempotent,
    )


@pytest.mark.parametrize(
    ("change", "generated", "chosen", "idempotent"),
    [
        ({}, OURS, OURS, OURS),
        ({"image": "other-game"}, FOREIGN, FOREIGN, FOREIGN),
        ({"location": "eu-east"}, FOREIGN, FOREIGN, FOREIGN),
        ({"labels": {"match": "2"}}, FOREIGN, FOREIGN, FOREIGN),
        ({"labels": {"match": "1", "mode": "duel"}}, OURS, OURS, OURS),
        ({"labels": {"match": "2"}, "version": "1.3.0"}, FOREIGN, FOREIGN, FOREIGN),
        ({"version": "1.3.0"}, FOREIGN, FOREIGN, FOREIGN),
        ({"version": None}, OURS, OURS, OURS),
        ({"created": FIRST_SENT - timedelta(seconds=1.9)}, OURS, OURS, OURS),
        ({"created": FIRST_SENT - timedelta(seconds=2.1)}, OURS, UNPROVEN, OURS),
    ],
)
def test_whose_session_it_is(change, generated, chosen, idempotent):
    found = evolve(FOUND, **change)
    assert whose(GENERATED, found) is generated
    assert whose(CHOSEN, found) is chosen
    assert whose(CHOSEN, found, idempotent=True) is idempotent


@pytest.mark.parametrize(
    ("seconds_before", "verdict"), [(1.9, OURS), (2.1, UNCLEAR), (16.9, UNCLEAR), (17.1, UNPROVEN)]
)
def test_an_answer_that_took_long_does_not_make_an_older_session_ours(seconds_before, verdict):
    """Nobody knows when in those 15 seconds the API read its clock."""
    found = evolve(FOUND, created=FIRST_SENT - timedelta(seconds=seconds_before))
    assert whose(CHOSEN, found, took=15.0) is verdict


def test_a_warm_pool_ignores_labels_and_version():
    """When none of the labels came back, neither they nor the version tell anything."""
    found = evolve(FOUND, labels={"pool": "warm"}, version="1.3.0")
    assert whose(CHOSEN, found) is OURS


def test_without_labels_the_version_alone_must_fit():
    request = evolve(CHOSEN, labels={})
    assert whose(request, evolve(FOUND, version="1.3.0")) is FOREIGN


def test_any_location_that_was_tried_will_do():
    assert whose(CHOSEN, evolve(FOUND, location="eu-east"), locations=("eu-west", "eu-east")) is OURS


@pytest.mark.parametrize(("idempotent", "verdict"), [(False, UNPROVEN), (True, OURS)])
def test_without_the_clock_of_the_api_a_chosen_id_proves_nothing(idempotent, verdict):
    assert whose(CHOSEN, FOUND, server_time=None, idempotent=idempotent) is verdict


NAMES = st.sampled_from(["a", "b"])
LABELS = st.dictionaries(NAMES, NAMES, max_size=2)


REQUESTS = st.builds(
    LaunchRequest,
    image=NAMES,
    location=st.lists(NAMES, min_size=1, max_size=2, unique=True),
    id=st.sampled_from([None, "match-1"]),
    labels=LABELS,
    version=st.none() | NAMES,
)
SESSIONS = st.builds(
    partial(evolve, FOUND),
    image=NAMES,
    location=NAMES,
    labels=LABELS,
    version=st.none() | NAMES,
    created=st.floats(0.0, 1000.0).map(lambda age: NOW - timedelta(seconds=age)),
)


@given(REQUESTS, SESSIONS, st.sampled_from([None, NOW]), st.booleans())
def test_a_session_that_is_ours_matches_what_was_launched(launch, found, server_time, idempotent):
    if whose(launch, found, server_time=server_time, idempotent=idempotent) is not OURS:
        return
    assert found.image == launch.image
    assert found.location in launch.location
    assert all(found.labels.get(name, value) == value for name, value in launch.labels.items())
    if launch.id == "match-1" and not idempotent:
        assert server_time is not None
        assert found.created >= FIRST_SENT - timedelta(seconds=2)
