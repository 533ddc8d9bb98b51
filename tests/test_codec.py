"""JSON in and out: with orjson and without, what is promised and what is not."""

import contextlib
import importlib.util
import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import (
    BadAnswerError,
    ConfigurationError,
    LaunchRequest,
    Location,
    Port,
    Roster,
    SessionStatus,
    SessionSummary,
    _api,
    _codec,
    _structure,
)
from gameye_async._exchange import Answered, interpret
from tests.clients import DETAILS, LAUNCHED

MATCHES = (Path(__file__).parents[1] / "examples/matches.jsonl").read_text("utf-8").splitlines()
SUMMARY = {name: value for name, value in DETAILS.items() if name != "players"} | {"playerCount": 2}
PORTS = (Port("udp", 7777, 20001), Port("tcp", 80, 20000))


@pytest.fixture(scope="module", params=["orjson", "json"])
def codec(request: pytest.FixtureRequest) -> SimpleNamespace:
    """The codec, with orjson and as it is where the `speed` extra is not installed."""
    if request.param == "orjson":
        pytest.importorskip("orjson", reason="the speed extra is not installed")
        return SimpleNamespace(**{**vars(_structure), **vars(_codec)})
    # Second copies of the modules, which nobody else gets to see.
    with mock.patch.dict(sys.modules, {"orjson": None}):
        plain = copy_of("gameye_async._codec")
        sys.modules["gameye_async._codec"] = plain
        structure = copy_of("gameye_async._structure")
    assert plain.loads is not _codec.loads
    return SimpleNamespace(**{**vars(structure), **vars(plain)})


def copy_of(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def body_of(codec: SimpleNamespace, **fields: Any) -> dict[str, Any]:
    request = LaunchRequest(**{"image": "my-game", "location": "eu-west", "id": "match-1"} | fields)
    return json.loads(codec.launch_body(request, "eu-west"))


def test_a_launch_sends_six_fields_always_and_no_other(codec):
    """The founding page requires the six, and later descriptions refuse what they do not know."""
    assert body_of(codec) == {
        "id": "match-1",
        "location": "eu-west",
        "image": "my-game",
        "env": {},
        "args": [],
        "restart": False,
    }


@pytest.mark.parametrize(
    ("field", "value", "name", "sent"),
    [
        ("labels", {"match": "7"}, "labels", {"match": "7"}),
        ("version", "1.4.0", "version", "1.4.0"),
        ("ttl", "2h30m", "ttl", "2h30m"),
        ("external_id", "ticket-7", "external_id", "ticket-7"),
        ("enable_metrics", True, "enableMetrics", "true"),
    ],
)
def test_an_optional_field_is_sent_when_it_is_set(codec, field, value, name, sent):
    assert body_of(codec, **{field: value}) == body_of(codec) | {name: sent}


def test_one_of_several_locations_is_sent(codec):
    request = LaunchRequest("my-game", ["eu-west", "eu-east"])
    assert json.loads(codec.launch_body(request, "eu-east"))["location"] == "eu-east"


def test_a_body_is_utf_8_without_spaces(codec):
    body = codec.launch_body(
        LaunchRequest("sp\xe4ti", "eu-west", id="m", args=["\u2603", '"\\\n']), "eu-west"
    )
    assert "sp\xe4ti".encode() in body
    assert b": " not in body
    assert json.loads(body)["args"] == ["\u2603", '"\\\n']


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"nul", b"[" * 100_000, b'{"a": ' * 100_000])
def test_text_that_is_no_json_is_a_value_error(codec, text):
    """A hostile answer must not end in a RecursionError that no caller expects."""
    with pytest.raises(ValueError):  # noqa: PT011  -- the text is the JSON library's own
        codec.loads(text)


@pytest.mark.parametrize("line", MATCHES[:: len(MATCHES) // 100])
def test_a_match_survives_the_way_to_a_request_and_back(codec, line):
    payload = json.loads(line)
    request = _codec.parse_launch_request(payload)
    sent = json.loads(codec.launch_body(request, *request.location))
    assert sent == {"env": {}, "args": [], "restart": False} | payload


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ([], "a list"),
        (None, "null"),
        ({"location": "eu-west"}, "'image'"),
        ({"image": "my-game"}, "'location'"),
        ({"image": "my-game", "location": "eu-west", "colour": "red"}, "'colour'"),
        ({"image": "my-game", "location": "eu-west", "enable_metrics": "true"}, "'enable_metrics'"),
        ({"image": "my-game", "location": "eu-west", "env": []}, "env must be an object, not a list"),
        ({"image": "my-game", "location": "eu-west", "args": "x"}, "args must be a list, not text"),
        ({"image": "my-game", "location": "eu-west", "labels": 7}, "labels must be an object, not a number"),
        ({"image": "my-game", "location": "eu-west", "args": [7]}, r"args\[0\]"),
        ({"image": 7, "location": "eu-west"}, "image"),
        ({"image": "my-game", "location": 7}, "location"),
        ({"image": "my-game", "location": "eu-west", "restart": "no"}, "restart"),
        ({"image": "my-game", "location": "eu-west", "ttl": 3600}, "ttl"),
    ],
)
def test_json_that_is_no_launch_request_is_refused_by_name(payload, said):
    with pytest.raises(ConfigurationError, match=said):
        _codec.parse_launch_request(payload)


def test_json_that_somebody_wrote_is_read():
    assert _codec.parse_json(b'{"id": "match-1"}') == {"id": "match-1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"id": }', "^not JSON: Expecting value at column 8$"),
        (b'{"id": "\xff"}', "neither text"),
        (b"[" * 100_000, "neither text nor data of any sane depth"),
    ],
)
def test_what_is_not_json_is_refused_with_the_place_of_the_fault_where_there_is_one(text, said):
    with pytest.raises(ConfigurationError, match=said):
        _codec.parse_json(text)


def test_the_answer_of_a_launch_may_lack_its_id(codec):
    with_id = codec.launch_answer(LAUNCHED | {"id": "match-1"})
    without = codec.launch_answer(LAUNCHED)
    assert (with_id.id, without.id) == ("match-1", None)
    assert (without.host, without.ports) == ("203.0.113.7", PORTS)


def test_a_repeated_port_is_one_port(codec):
    """The description's own example repeats an entry."""
    answer = LAUNCHED | {"ports": LAUNCHED["ports"] * 2}
    assert codec.launch_answer(answer).ports == PORTS


SCALARS = st.sampled_from(
    (
        None,
        True,
        0,
        1,
        80,
        80.0,
        80.5,
        65_535,
        65_536,
        -1,
        math.inf,
        "",
        "tcp",
        "udp",
        "a b",
        "203.0.113.7",
        [],
        {},
    )
)
JUST_AS_PROMISED = {"type": "tcp", "container": 80, "host": 20000}
PORT_ENTRIES = st.one_of(
    SCALARS,
    st.builds(
        lambda changes: JUST_AS_PROMISED | changes,
        st.dictionaries(st.sampled_from(sorted(JUST_AS_PROMISED)), SCALARS),
    ),
    st.dictionaries(st.sampled_from(sorted(JUST_AS_PROMISED)), SCALARS),
)
LAUNCH_ANSWERS = st.one_of(
    SCALARS,
    st.fixed_dictionaries(
        {},
        optional={
            "host": SCALARS | st.just("203.0.113.7"),
            "ports": SCALARS | st.lists(PORT_ENTRIES, max_size=3),
            "id": SCALARS,
        },
    ),
)


@given(LAUNCH_ANSWERS)
def test_a_launchs_answer_is_read_by_hand_as_the_converter_reads_it(payload):
    """Whatever is not read by hand is left to the converter."""
    by_hand = _codec.launch_answer(payload)
    assert by_hand is None or by_hand == _structure.structure(payload, _codec.LaunchAnswer)


@pytest.mark.parametrize("status", [200, 201])
def test_both_statuses_of_success_are_success(status):
    launch = _api.launch(LaunchRequest("my-game", "eu-west"), "eu-west")
    assert interpret(launch, Answered(status, {}, json.dumps(LAUNCHED).encode())).host == "203.0.113.7"


def test_a_port_map_and_a_port_array_are_the_same_ports(codec):
    assert codec.details(DETAILS).ports == codec.launch_answer(LAUNCHED).ports == PORTS


def test_a_port_may_be_a_float_because_the_description_says_number(codec):
    assert codec.details(DETAILS | {"port": {"80/tcp": 20000.0}}).ports == (Port("tcp", 80, 20000),)


def test_a_described_session_is_decoded(codec):
    session = codec.details(DETAILS)
    assert (session.id, session.image, session.version) == ("match-1", "my-game", "1.4.0")
    assert (session.host, session.location, session.status) == (
        "203.0.113.7",
        "eu-west",
        SessionStatus.RUNNING,
    )
    assert session.created == datetime(2022, 3, 28, 13, 8, 15, 123_000, UTC)
    assert session.labels == {"match": "1"}
    assert session.env == {"MAP": "harbour", "GAMEYE_HOST": "203.0.113.7"}
    assert (session.players, session.player_count) == (("ann", "ben"), 2)


def test_the_raw_answer_keeps_what_no_field_knows(codec):
    answer = DETAILS | {"future": {"field": 1}}
    assert codec.details(answer).raw == answer
    (listed,) = codec.summaries({"sessions": [SUMMARY | {"future": 1}]})
    assert listed.raw["future"] == 1


def test_labels_that_lie_flat_beside_the_apis_own_are_the_users(codec):
    session = codec.details(DETAILS | {"labels": {"match": "1", "env": "{}", "gameye": "{}"}})
    assert session.labels == {"match": "1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "\ud800", "[" * 5_000, None, 7, [], {}])
@pytest.mark.parametrize("name", ["env", "tags"])
def test_embedded_json_that_does_not_decode_is_left_out(codec, name, text):
    session = codec.details(DETAILS | {"labels": {"match": "1", name: text}})
    assert session.env == {}
    assert session.labels["match"] == "1"


def test_env_of_an_answer_is_not_shown(codec):
    (listed,) = codec.summaries({"sessions": [SUMMARY]})
    for session in (codec.details(DETAILS), listed):
        assert "MAP" in repr(session)
        assert "harbour" not in f"{session!r} {session}"


def test_an_unknown_status_is_kept(codec):
    session = codec.details(DETAILS | {"status": "hibernating"})
    assert (session.status, type(session.status)) == ("hibernating", SessionStatus)


def test_a_listed_session_may_lack_all_that_is_optional(codec):
    required = ("id", "image", "location", "host", "created", "port")
    (session,) = codec.summaries({"sessions": [{name: SUMMARY[name] for name in required}]})
    assert isinstance(session, SessionSummary)
    assert (session.version, session.status, session.player_count, session.labels) == (None, None, None, {})


def test_a_list_may_come_without_its_wrapper(codec):
    assert codec.summaries([SUMMARY]) == codec.summaries({"sessions": [SUMMARY]})


def test_a_roster_is_decoded(codec):
    assert codec.roster("match-1", {"count": 1, "players": ["ann"]}) == Roster("match-1", ("ann",), 1)


def test_locations_are_decoded(codec):
    payload = {"locations": [{"id": "eu-west", "ips": ["203.0.113.1"]}]}
    assert codec.member(payload, "locations", list[Location]) == [Location("eu-west", ("203.0.113.1",))]


LAUNCH = _api.launch(LaunchRequest("my-game", "eu-west", id="match-1"), "eu-west")
REQUESTS = {
    request.operation: request
    for request in (
        LAUNCH,
        _api.describe("match-1"),
        _api.list_sessions(),
        _api.stop("match-1"),
        _api.join("match-1", ["ann"]),
        _api.leave("match-1", ["ann"]),
        _api.available_locations("my-game"),
        _api.tag_exists("eu-west", "my-game", "1"),
        _api.regions(),
        _api.health(),
        _api.metrics(),
    )
}


def _with_port(**changed: Any) -> dict[str, Any]:
    return LAUNCHED | {"ports": [LAUNCHED["ports"][0], LAUNCHED["ports"][1] | changed]}


@pytest.mark.parametrize(
    ("operation", "answer", "path"),
    [
        ("launch", [], "$"),
        ("launch", {"ports": []}, "$.host"),
        ("launch", {"host": "203.0.113.7"}, "$.ports"),
        ("launch", LAUNCHED | {"host": 7}, "$.host"),
        ("launch", LAUNCHED | {"host": "203.0.113.7\nevil"}, "$.host"),
        ("launch", LAUNCHED | {"host": ""}, "$.host"),
        ("launch", LAUNCHED | {"id": 7}, "$.id"),
        ("launch", LAUNCHED | {"ports": {"80/tcp": 20000}}, "$.ports"),
        ("launch", _with_port(type="sctp"), "$.ports[1].type"),
        ("launch", _with_port(container=0), "$.ports[1].container"),
        ("launch", _with_port(host=65536), "$.ports[1].host"),
        ("launch", _with_port(host="20000"), "$.ports[1].host"),
        ("launch", _with_port(host=True), "$.ports[1].host"),
        ("launch", _with_port(host=20000.5), "$.ports[1].host"),
        ("describe", DETAILS | {"port": []}, "$.port"),
        ("describe", DETAILS | {"port": {"80": 20000}}, "$.port"),
        ("describe", DETAILS | {"port": {"tcp/80": 20000}}, "$.port"),
        ("describe", DETAILS | {"port": {"80/tcp": "20000"}}, "$.port"),
        ("describe", DETAILS | {"created": "today"}, "$.created"),
        ("describe", DETAILS | {"created": 1e300}, "$.created"),
        ("describe", DETAILS | {"tag": 7}, "$.tag"),
        ("describe", DETAILS | {"status": 7}, "$.status"),
        ("describe", DETAILS | {"labels": []}, "$.labels"),
        ("describe", DETAILS | {"players": {"joined": [7], "joinedCount": 1}}, "$.players"),
        ("describe", DETAILS | {"players": {"joined": "ann", "joinedCount": 1}}, "$.players"),
        ("describe", DETAILS | {"players": {"joined": [], "joinedCount": "1"}}, "$.players.joinedCount"),
        ("list_sessions", {}, "$.sessions"),
        ("list_sessions", {"sessions": {}}, "$.sessions"),
        ("list_sessions", {"sessions": [SUMMARY, 7]}, "$.sessions[1]"),
        ("list_sessions", {"sessions": [SUMMARY, SUMMARY | {"host": 7}]}, "$.sessions[1].host"),
        ("list_sessions", {"sessions": [SUMMARY | {"playerCount": "2"}]}, "$.sessions[0].playerCount"),
        ("join", {"count": "1", "players": []}, "$.count"),
        ("join", {"count": 1, "players": "ann"}, "$.players"),
        ("join", {"count": 1, "players": [7]}, "$.players[0]"),
        ("leave", 7, "$"),
        (
            "available_locations",
            {"locations": [{"id": "eu-west", "ips": "203.0.113.1"}]},
            "$.locations[0].ips",
        ),
        ("tag_exists", {"exists": "no"}, "$.exists"),
        ("regions", {"regions": ["eu-west", 7]}, "$.regions[1]"),
        ("regions", ["eu-west"], "$.regions"),
        ("regions", {"regions": "eu-west"}, "$.regions"),
    ],
)
def test_an_answer_of_the_wrong_shape_says_where(operation, answer, path):
    with pytest.raises(BadAnswerError) as caught:
        interpret(REQUESTS[operation], Answered(200, {}, json.dumps(answer).encode()))
    assert (caught.value.path, caught.value.status) == (path, 200)
    assert path.rpartition(".")[2] in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b'"\xff"', b'{"id": NaN}', b"[" * 100_000])
def test_an_answer_that_is_no_json_says_how_it_starts(body):
    with pytest.raises(BadAnswerError, match=r"200.*not JSON"):
        interpret(REQUESTS["describe"], Answered(200, {}, body))


KNOWN = [*DETAILS, *LAUNCHED, "playerCount", "sessions", "locations", "ips", "regions", "exists", "count"]
KNOWN += ["joined", "joinedCount", "type", "container", "tags", "80/tcp"]
leaves = st.one_of(
    st.sampled_from(["80/tcp", "udp", "203.0.113.7", '{"a": 1}', "running", 20000, 1648472895123, math.pi]),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=20,
)
# Nearly right answers reach further into the hooks than wild ones.
damaged = st.builds(
    lambda base, change: base | change,
    st.sampled_from([DETAILS, SUMMARY, LAUNCHED]),
    st.dictionaries(st.sampled_from(KNOWN), anything, max_size=3),
)
wrapped = st.builds(
    lambda name, entries: {name: entries}, st.sampled_from(KNOWN), st.lists(damaged | anything)
)


@pytest.mark.parametrize("operation", REQUESTS)
@given(answer=anything | damaged | wrapped, status=st.sampled_from([200, 201, 204]))
def test_any_json_is_a_model_or_a_bad_answer(operation, answer, status):
    """Nothing that the API may ever send raises anything else."""
    with contextlib.suppress(BadAnswerError):
        interpret(REQUESTS[operation], Answered(status, {}, json.dumps(answer).encode()))


@pytest.mark.parametrize("operation", REQUESTS)
@given(body=st.binary(max_size=64))
def test_any_bytes_are_a_model_or_a_bad_answer(operation, body):
    with contextlib.suppress(BadAnswerError):
        interpret(REQUESTS[operation], Answered(200, {}, body))
