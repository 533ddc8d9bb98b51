"""What a launch request lets in, and what the value types promise."""

import pickle
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import (
    Attempt,
    ConfigurationError,
    LaunchRequest,
    Location,
    OrphanRecord,
    Port,
    Roster,
    Session,
    SessionDetails,
    SessionStatus,
    SessionSummary,
)

SURROGATE = "\ud800"
SECRET = "canary-env-value"
PORTS = (Port("udp", 7777, 20001), Port("tcp", 7777, 20002), Port("tcp", 80, 20000))
SUMMARY: Mapping[str, Any] = {
    "id": "match-1",
    "image": "my-game",
    "location": "eu-west",
    "host": "203.0.113.7",
    "created": datetime(2026, 10, 1, tzinfo=UTC),
    "ports": PORTS,
    "env": {"PASSWORD": SECRET},
    "raw": {"env": SECRET},
}


def request(**fields: Any) -> LaunchRequest:
    return LaunchRequest(**{"image": "my-game", "location": "eu-west"} | fields)


def session(*ports: Port) -> Session:
    return Session(id="match-1", host="203.0.113.7", ports=ports, location="eu-west", image="my-game")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image": ""}, "image"),
        ({"image": 7}, "image"),
        ({"image": SURROGATE}, "image"),
        ({"location": ""}, "location"),
        ({"location": []}, "location"),
        ({"location": ["eu-west", ""]}, "location"),
        ({"location": ["eu-west", 7]}, "location"),
        ({"location": SURROGATE}, "location"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"env": {"MAP": ""}}, "env['MAP']"),
        ({"env": {"MAP": 7}}, "env['MAP']"),
        ({"env": {"MAP": SURROGATE}}, "env['MAP']"),
        ({"env": {"": "harbour"}}, "env name"),
        ({"env": {7: "harbour"}}, "env name"),
        ({"args": [""]}, "args[0]"),
        ({"args": ["--map", 7]}, "args[1]"),
        ({"args": [SURROGATE]}, "args[0]"),
        ({"args": "--map"}, "args"),
        ({"labels": {"match": 7}}, "labels['match']"),
        ({"labels": {"match": SURROGATE}}, "labels['match']"),
        ({"labels": {SURROGATE: "7"}}, "label name"),
        ({"labels": {"": "7"}}, "label name"),
        ({"restart": "no"}, "restart"),
        ({"restart": 1}, "restart"),
        ({"version": ""}, "version"),
        ({"version": 3}, "version"),
        ({"external_id": 3}, "external_id"),
        ({"enable_metrics": 3}, "enable_metrics"),
    ],
)
def test_what_the_api_would_refuse_is_refused_when_it_is_made(fields, named):
    """The error names the field, so that nobody has to ask the API which one it was."""
    with pytest.raises(ConfigurationError, match=re.escape(named)):
        request(**fields)


@pytest.mark.parametrize("field", ["location", "env", "args", "labels"])
@pytest.mark.parametrize("value", [None, 7])
def test_a_field_that_is_no_collection_is_a_configuration_error(field, value):
    with pytest.raises(ConfigurationError, match=field):
        request(**{field: value})


@pytest.mark.parametrize("field", ["env", "labels"])
def test_a_list_where_a_mapping_belongs_is_a_configuration_error(field):
    with pytest.raises(ConfigurationError, match=field):
        request(**{field: ["MAP=harbour"]})


@pytest.mark.parametrize("session_id", [".", "..", "a\r\nb", "a\x00b", "x" * 300])
def test_an_id_that_no_path_could_hold_is_refused_before_it_is_launched(session_id):
    """A session that cannot be described or stopped would be an orphan from the start."""
    with pytest.raises(ConfigurationError, match="id"):
        request(id=session_id)


class Region(StrEnum):
    EU_WEST = "eu-west"


class OldRegion(str, Enum):  # noqa: UP042  -- what was written before there was a StrEnum
    EU_WEST = "eu-west"


@pytest.mark.parametrize("region", [Region.EU_WEST, OldRegion.EU_WEST])
def test_text_of_an_enum_is_its_value(region):
    made = request(
        image=region, location=region, args=[region], env={region: region}, labels={region: region}
    )
    assert (made.image, made.location, made.args) == ("eu-west", ("eu-west",), ("eu-west",))
    exact = [made.image, *made.location, *made.args, *made.env, *made.env.values(), *made.labels]
    assert {type(text) for text in exact} == {str}


@pytest.mark.parametrize(
    "ttl", ["30s", "90", "1h30s", "0m", "0h0m", "", "h", "-1h", "1m1h", "1 h", "\u0663h"]
)
def test_a_ttl_that_not_every_platform_reads_is_refused(ttl):
    with pytest.raises(ConfigurationError, match="hours and minutes"):
        request(ttl=ttl)


@pytest.mark.parametrize(
    "ttl", [timedelta(0), timedelta(seconds=30), timedelta(hours=-1), timedelta(seconds=90)]
)
def test_a_duration_that_is_no_whole_number_of_minutes_is_refused(ttl):
    with pytest.raises(ConfigurationError, match="ttl"):
        request(ttl=ttl)


@pytest.mark.parametrize("ttl", [3600, 90.0, True])
def test_a_bare_number_is_no_ttl_because_its_unit_is_anyones_guess(ttl):
    with pytest.raises(ConfigurationError, match="ttl"):
        request(ttl=ttl)


@pytest.mark.parametrize(
    ("ttl", "sent"),
    [
        (timedelta(hours=2, minutes=30), "2h30m"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(hours=24), "24h"),
        (timedelta(minutes=1), "1m"),
        ("90m", "90m"),
        ("2h30m", "2h30m"),
        (None, None),
    ],
)
def test_a_ttl_is_sent_in_hours_and_minutes(ttl, sent):
    assert request(ttl=ttl).ttl == sent


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=365 * 200)))
def test_every_ttl_that_is_accepted_can_be_copied(ttl):
    made = request(ttl=ttl - ttl % timedelta(minutes=1))
    assert attrs.evolve(made).ttl == made.ttl


def test_an_absent_id_is_a_new_random_uuid():
    ids = {request().id for _ in range(10)}
    assert len(ids) == 10
    assert {UUID(made).version for made in ids} == {4}


def test_an_id_may_be_a_uuid_or_any_text():
    assert request(id=UUID(int=7)).id == "00000000-0000-0000-0000-000000000007"
    assert request(id="eu/match #7").id == "eu/match #7"


@pytest.mark.parametrize(
    "location", ["eu-west", ["eu-west", "eu-east"], ("eu-west",), (name for name in ["eu-west", "eu-east"])]
)
def test_a_location_is_one_name_or_several_in_order(location):
    assert request(location=location).location in {("eu-west",), ("eu-west", "eu-east")}


@pytest.mark.parametrize(("given", "sent"), [(True, "true"), (False, "false"), ("yes", "yes"), (None, None)])
def test_enable_metrics_is_the_text_that_is_documented(given, sent):
    assert request(enable_metrics=given).enable_metrics == sent


def test_a_request_does_not_follow_its_arguments_when_they_change():
    env, labels = {"MAP": "harbour"}, {"match": "7"}
    made = request(env=env, labels=labels)
    env["MAP"] = labels["match"] = "changed"
    assert (made.env, made.labels) == ({"MAP": "harbour"}, {"match": "7"})


@pytest.mark.parametrize(
    "model", [request(env={"PASSWORD": SECRET}), SessionSummary(**SUMMARY), SessionDetails(**SUMMARY)]
)
def test_a_repr_names_the_variables_and_hides_their_values(model):
    assert "PASSWORD" in repr(model)
    assert SECRET not in f"{model!r} {model}"


@pytest.mark.parametrize(
    "model",
    [
        request(env={"A": "1"}, labels={"b": "2"}, ttl="1h"),
        session(*PORTS),
        SessionSummary(**SUMMARY),
        SessionDetails(**SUMMARY, players=("ann",), status=SessionStatus("paused")),
        Location("eu-west", ("203.0.113.1",)),
        Roster("match-1", ("ann",), 1),
        OrphanRecord(session_id="match-1", reason="closed", last_sent=datetime(2026, 1, 1, tzinfo=UTC)),
        Attempt("eu-west", "answered", 420, "trace-1", 0.1),
    ],
)
def test_a_model_pickles_and_hashes_as_itself(model):
    copy = pickle.loads(pickle.dumps(model))
    assert copy == model
    assert hash(copy) == hash(model)
    assert attrs.fields(type(model))
    assert not hasattr(model, "__dict__")


def test_requests_with_the_same_fields_are_equal():
    assert request(id="match-1", env={"A": "1"}) == request(id="match-1", env={"A": "1"})
    assert request(id="match-1", env={"A": "1"}) != request(id="match-1", env={"A": "2"})


@pytest.mark.parametrize("status", list(SessionStatus))
def test_a_status_is_live_or_over_or_neither_for_an_unreachable_host(status):
    live = {"created", "running", "restarting", "draining", "shuttingdown"}
    assert status.is_live == (status in live)
    assert status.is_over == (status in {"exited", "dead"})


def test_an_unknown_status_survives_as_itself():
    status = SessionStatus("paused")
    assert isinstance(status, SessionStatus)
    assert (status, status.value, str(status), f"{status}") == ("paused",) * 4
    assert (status.is_live, status.is_over) == (False, False)
    assert pickle.loads(pickle.dumps(status)) == status
    assert {status, SessionStatus("paused"), "paused"} == {status}
    assert "paused" not in [*SessionStatus]


def test_a_known_status_is_one_object_wherever_it_comes_from():
    assert SessionStatus("running") is SessionStatus.RUNNING
    assert pickle.loads(pickle.dumps(SessionStatus.RUNNING)) is SessionStatus.RUNNING


def test_a_status_that_is_no_text_is_refused():
    with pytest.raises(ValueError, match="7"):
        SessionStatus(7)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), Port("tcp", 80, 20000)),
        ((7777,), Port("tcp", 7777, 20002)),
        ((7777, "udp"), Port("udp", 7777, 20001)),
        ((None, "udp"), Port("udp", 7777, 20001)),
    ],
)
def test_a_port_is_chosen_by_container_port_and_protocol(arguments, expected):
    """Of several matches it is the lowest container port, and tcp before udp."""
    assert session(*PORTS).port(*arguments) == expected
    assert session(*reversed(PORTS)).address(*arguments) == ("203.0.113.7", expected.host)


@pytest.mark.parametrize(
    ("ports", "arguments", "text"),
    [
        (PORTS, (80, "udp"), "no port 80/udp; the session has: 7777/udp, 7777/tcp, 80/tcp"),
        (PORTS, (8080,), "no port 8080/any; the session has"),
        ((), (None, "tcp"), "no port any/tcp; the session has: none"),
    ],
)
def test_a_missing_port_says_which_ones_there_are(ports, arguments, text):
    with pytest.raises(LookupError, match=re.escape(text)):
        session(*ports).port(*arguments)
