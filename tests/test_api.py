"""Each operation as it goes out: what the vendor's description asks for, and nothing a log must not hold."""

import json
from functools import partial

import pytest

from gameye_async import ConfigurationError, LaunchRequest, _api
from gameye_async._exchange import MIB, Answered, Repeat
from gameye_async.errors import BadAnswerError

ID = "a b/7"
LAUNCH = LaunchRequest("my-game", "eu-west", id="7")
BODY = {"id": "7", "location": "eu-west", "image": "my-game", "env": {}, "args": [], "restart": False}
FILTERS = {
    "location": "eu-west",
    "image": "my-game",
    "version": "v2",
    "host": "203.0.113.7",
    "labels": {"match": "7"},
    "players_below": 8,
    "players_above": 0,
    "include_ended": True,
}
FILTERED = (
    "location=eu-west&image=my-game&tag=v2&host=203.0.113.7&playerCount%5Blt%5D=8&playerCount%5Bgt%5D=0&all=true"
    "&filter%5Bmatch%5D=7"
)
NOTHING = "no body at all"
LISTED = ("list_sessions", "GET", "/session", "/session", NOTHING, 8 * MIB, ())
DESCRIBED = ("describe", "GET", "/session/a%20b%2F7", "/session/{id}", NOTHING, MIB, ())
ROSTER = {"session": ID, "players": ["ada", "grace"]}
JOIN, LEAVE = "/session/player/join", "/session/player/leave"
LOCATIONS = "/available-location/"

# Operation, method, target, template, body, most bytes of the answer, statuses that are no error.
REPEATED = {
    partial(_api.describe, ID): DESCRIBED,
    partial(_api.look, ID): DESCRIBED,
    partial(_api.survey, {}): LISTED,
    partial(_api.survey, {"a": "b"}): (*LISTED[:2], "/session?filter%5Ba%5D=b", *LISTED[3:]),
    partial(_api.list_sessions): LISTED,
    partial(_api.list_sessions, **FILTERS): (*LISTED[:2], f"/session?{FILTERED}", *LISTED[3:]),
    partial(_api.stop, ID): ("stop", "DELETE", "/session/a%20b%2F7", "/session/{id}", NOTHING, MIB, (409,)),
    partial(_api.join, ID, ["ada", "grace"]): ("join", "PUT", JOIN, JOIN, ROSTER, MIB, ()),
    partial(_api.leave, ID, ["ada", "grace"]): ("leave", "DELETE", LEAVE, LEAVE, ROSTER, MIB, ()),
    partial(_api.available_locations, "a/b"): (
        *("available_locations", "GET", "/available-location/a%2Fb", "/available-location/{image}"),
        *(NOTHING, MIB, ()),
    ),
    partial(_api.tag_exists, "eu", "a/b", "v"): (
        *("tag_exists", "GET", "/tag/eu/a%2Fb/v", "/tag/{region}/{image}/{version}", NOTHING, MIB, (404,)),
    ),
    partial(_api.logs, ID, follow=True): (
        *("logs", "GET", "/logs?id=a%20b%2F7&follow=true", "/logs", NOTHING, MIB, ()),
    ),
    partial(_api.logs, ID, follow=False): (
        *("logs", "GET", "/logs?id=a%20b%2F7&follow=false", "/logs", NOTHING, MIB, ()),
    ),
    partial(_api.artifact, ID, "/game/a&b"): (
        *("download_artifact", "GET", "/artifacts?session=a%20b%2F7&path=%2Fgame%2Fa%26b", "/artifacts"),
        *(NOTHING, MIB, ()),
    ),
    _api.regions: ("regions", "GET", "/region", "/region", NOTHING, MIB, ()),
    _api.health: ("health", "GET", "/health", "/health", NOTHING, MIB, ()),
    _api.metrics: ("metrics", "GET", "/metrics", "/metrics", NOTHING, 8 * MIB, ()),
    **{
        partial(_api.other, method.lower(), "/application/a b%2F"): (
            *("request", method, "/application/a%20b%2F", "/application/a b%2F", NOTHING, 8 * MIB, ()),
        )
        for method in ("GET", "HEAD", "PUT", "DELETE")
    },
    partial(_api.other, "PUT", "/application", json=[1], query={"page": 2, "size": None}): (
        *("request", "PUT", "/application?page=2", "/application", [1], 8 * MIB, ()),
    ),
}
SENT_ONCE = {
    partial(_api.launch, LAUNCH, "eu-west"): ("launch", "POST", "/session", "/session", BODY, MIB, ()),
    partial(_api.other, "POST", "/application", json={"name": "my-game"}): (
        *("request", "POST", "/application", "/application", {"name": "my-game"}, 8 * MIB, ()),
    ),
    partial(_api.other, "PATCH", "/application"): (
        *("request", "PATCH", "/application", "/application", NOTHING, 8 * MIB, ()),
    ),
}


def shown(make) -> tuple:
    request = make()
    body = NOTHING if request.body is None else json.loads(request.body)
    return (
        *(request.operation, request.method, request.target, request.template, body),
        *(request.limit, tuple(request.accepts)),
    )


@pytest.mark.parametrize("make", [*REPEATED, *SENT_ONCE])
def test_an_operation_is_sent_as_it_is_described(make):
    assert shown(make) == (REPEATED | SENT_ONCE)[make]


@pytest.mark.parametrize("make", REPEATED)
def test_what_changes_nothing_when_done_twice_may_be_sent_again(make):
    assert make().repeat is Repeat.ALWAYS


@pytest.mark.parametrize("make", SENT_ONCE)
def test_what_may_do_its_work_twice_is_not_sent_again(make):
    assert make().repeat is Repeat.UNSENT


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (partial(_api.describe, ""), "the session id must be text"),
        (partial(_api.look, ""), "the session id must be text"),
        (partial(_api.stop, ".."), "the session id must be text"),
        (partial(_api.join, "", ["ada"]), "the session id must be text"),
        (partial(_api.join, ID, [""]), "player ids must be texts that are not empty"),
        (partial(_api.leave, ID, [7]), "player ids must be texts that are not empty"),
        (partial(_api.available_locations, ""), "the image must be text"),
        (partial(_api.tag_exists, "", "my-game", "v2"), "the location must be text"),
        (partial(_api.tag_exists, "eu-west", "", "v2"), "the image must be text"),
        (partial(_api.tag_exists, "eu-west", "my-game", ""), "the version must be text"),
        (partial(_api.logs, "", follow=False), "the session id must be text"),
        (partial(_api.artifact, "", "/game"), "the session id must be text"),
        (partial(_api.artifact, ID, "game"), "the path must be an absolute path in the container, one line"),
        (partial(_api.artifact, ID, "/a\nb"), "the path must be an absolute path in the container, one line"),
        (partial(_api.artifact, ID, b"/game"), "the path must be an absolute path in the container"),
        (partial(_api.artifact, ID, "/" + "é" * 2048), "the path must be at most 4096 bytes"),
        (partial(_api.other, "GE T", "/region"), "'GE T' is not an HTTP method"),
        (partial(_api.other, "GÉT", "/region"), "'GÉT' is not an HTTP method"),
        (partial(_api.other, "GET", "region"), "the path must start with one slash and hold no control"),
        (partial(_api.other, "GET", "//host"), "the path must start with one slash and hold no control"),
        (partial(_api.other, "GET", "/a\r"), "the path must start with one slash and hold no control"),
        (partial(_api.other, "GET", "/a/../b"), "the path must have no dot segments, query or fragment"),
        (partial(_api.other, "GET", "/a/./b"), "the path must have no dot segments, query or fragment"),
        (partial(_api.other, "GET", "/a?b"), "the path must have no dot segments, query or fragment"),
        (partial(_api.other, "GET", "/a#b"), "the path must have no dot segments, query or fragment"),
        (partial(_api.other, "PUT", "/a", json={1, 2}), "json= cannot be written as JSON"),
        (partial(_api.survey, {"match": "\ud800"}), "a filter or query value holds a lone surrogate"),
    ],
)
def test_what_cannot_be_sent_is_named(make, complaint):
    """The text says which argument, and what would do."""
    with pytest.raises(ConfigurationError) as raised:
        make()
    assert str(raised.value).startswith(complaint)


def test_a_path_of_just_4096_bytes_is_sent():
    assert _api.artifact(ID, "/" + "x" * 4095).target.endswith("x")


def test_a_log_that_is_compressed_is_refused():
    """Its bytes are given as they come, and a dropped stream goes on at a byte."""
    request = _api.logs(ID, follow=False)
    assert request.parse(Answered(200, {"Content-Type": "text/plain"}, b"")) is None
    assert request.parse(Answered(200, {"Content-Encoding": "Identity"}, b"")) is None
    with pytest.raises(BadAnswerError, match=r"^200: the log came compressed, which was not asked for$"):
        request.parse(Answered(200, {"Content-Encoding": "gzip"}, b""))


@pytest.mark.parametrize(("answer", "exists"), [("true", True), ("false", False)])
def test_a_tag_exists_when_the_answer_says_so(answer, exists):
    parse = _api.tag_exists("eu-west", "my-game", "v2").parse
    assert parse(Answered(200, {}, f'{{"exists": {answer}}}'.encode())) is exists
    assert parse(Answered(404, {}, b'{"exists": true}')) is False


def test_an_answer_that_says_something_else_of_a_tag_is_not_believed():
    with pytest.raises(BadAnswerError):
        _api.tag_exists("eu-west", "my-game", "v2").parse(Answered(200, {}, b'{"exists": "yes"}'))
