"""Jobs and outcomes as JSON."""

import json
from uuid import UUID

import pytest

from gameye_async import ConfigurationError, LaunchRequest, NotFoundError, Port, Session
from gameye_async.worker import MatchOutcome, session_id
from gameye_async.worker.messages import job_request, job_text, read_job

SESSION = Session(
    id=session_id("4711"),
    host="203.0.113.7",
    ports=(Port("udp", 7777, 20000),),
    location="eu-west",
    image="my-game",
    version="1.4.0",
    created_by="adopted",
    elapsed=0.5,
)


def test_the_session_id_of_a_match_never_changes():
    """An id that another version made differently would launch a second session."""
    assert session_id("4711") == "07c778bd-054e-5c23-8e06-41a4a03afcb5"
    assert session_id("4711", "other-game") != session_id("4711") != session_id("4712")
    assert UUID(session_id("4711")).version == 5


def test_a_job_carries_a_whole_request():
    request = LaunchRequest(
        "my-game",
        ["eu-west", "eu-east"],
        env={"MODE": "duel"},
        args=["--max-players=8"],
        labels={"match": "4711"},
        version="1.4.0",
        ttl="2h",
        restart=True,
        external_id="x-1",
        enable_metrics=True,
    )
    match, fields = read_job(job_text("4711", request))
    copy = job_request(match, fields, "launches")
    assert match == "4711"
    assert copy.id == session_id("4711")
    for name in LaunchRequest.__attrs_attrs__:
        assert name.name == "id" or getattr(copy, name.name) == getattr(request, name.name)


def test_a_job_may_be_written_by_hand():
    """By a matchmaker in another language: the fields of the API, a location or several, and the match."""
    match, fields = read_job(b'{"match": "4711", "image": "my-game", "location": "eu-west"}')
    assert job_request(match, fields, "launches").location == ("eu-west",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a job is a JSON object"),
        (b"{}", "needs 'match'"),
        (b'{"match": 4711}', "needs 'match'"),
        (b'{"match": ""}', "needs 'match'"),
    ],
)
def test_what_is_no_job_is_told(text, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        read_job(text)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"image": "my-game"}, "location"),
        ({"image": "my-game", "location": "eu-west", "regoin": "x"}, "regoin"),
        ({"image": "my-game", "location": "eu-west", "ttl": "7s"}, "ttl"),
        ({"image": "my-game", "location": "eu-west", "id": "mine"}, "has no 'id'"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        job_request("4711", fields, "launches")


def test_a_request_with_an_id_of_its_own_is_no_job():
    with pytest.raises(ConfigurationError, match="leave the id out"):
        job_text("4711", LaunchRequest("my-game", "eu-west", id="mine"))


@pytest.mark.parametrize("match", ["", None, 4711])
def test_a_job_needs_a_match(match):
    with pytest.raises(ConfigurationError, match="match"):
        job_text(match, LaunchRequest("my-game", "eu-west"))


def test_a_session_survives_the_way_to_the_matchmaker():
    outcome = MatchOutcome.of("4711", SESSION)
    assert MatchOutcome.from_json(outcome.to_json()) == outcome
    assert outcome.ok


def test_a_session_is_told_in_the_words_of_the_api():
    """For readers in other languages."""
    assert json.loads(MatchOutcome.of("4711", SESSION).to_json()) == {
        "match": "4711",
        "ok": True,
        "id": session_id("4711"),
        "host": "203.0.113.7",
        "ports": [{"type": "udp", "container": 7777, "host": 20000}],
        "location": "eu-west",
        "image": "my-game",
        "version": "1.4.0",
        "created_by": "adopted",
        "elapsed": 0.5,
    }


def test_a_dead_letter_has_a_reason():
    outcome = MatchOutcome.of("4711", NotFoundError("no such image", status=404))
    assert MatchOutcome.from_json(outcome.to_json()) == outcome
    assert (outcome.ok, outcome.error, outcome.message) == (False, "NotFoundError", "404: no such image")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"match": "4711", "ok": true}', b"null"])
def test_what_is_no_outcome_is_told(text):
    with pytest.raises(ValueError, match="not an outcome"):
        MatchOutcome.from_json(text)
