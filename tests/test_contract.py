"""The oracle finds what does not fit the description."""

import pytest

from tests.contract import operations, validate_answer, validate_request

LAUNCHED = {"id": "m-1", "host": "203.0.113.1", "ports": [{"type": "udp", "container": 7777, "host": 20000}]}


def test_every_operation_is_listed_once():
    listed = operations()
    assert len({operation.operation_id for operation in listed}) == len(listed) == 10


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/session", [], {"location": "europe", "image": "my-game", "args": ["--x"]}),
        ("GET", "/session", [("all", "true"), ("playerCount[lt]", "3"), ("filter[k]", "v")], None),
        ("GET", "/session/a%2Fb", [], None),
        ("PUT", "/session/player/join", [], {"session": "m-1", "players": ["p"]}),
        ("GET", "/logs", [("id", "m-1"), ("follow", "true")], None),
    ],
)
def test_good_requests_pass(method, path, query, body):
    validate_request(method, path, query, body)


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("POST", "/session", [], {"location": "europe"}),
        ("POST", "/session", [], {"location": "europe", "image": "my-game", "restart": "no"}),
        ("POST", "/session", [], {"location": "europe", "image": "my-game", "colour": "red"}),
        ("POST", "/session", [], None),
        ("GET", "/session", [("playerCount[lt]", "few")], None),
        ("GET", "/session", [("filter", "v")], None),
        ("GET", "/session", [("page", "2")], None),
        ("GET", "/logs", [], None),
        ("GET", "/session/a/b", [], None),
        ("PATCH", "/session", [], None),
        ("GET", "/session/m-1", [], {}),
    ],
)
def test_bad_requests_fail(method, path, query, body):
    with pytest.raises(AssertionError):
        validate_request(method, path, query, body)


def test_good_answers_pass():
    validate_answer("POST", "/session", 201, LAUNCHED)
    validate_answer("DELETE", "/session/m-1", 204)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("POST", "/session", 200, LAUNCHED),
        ("POST", "/session", 201, {"id": "m-1", "ports": []}),
        ("POST", "/session", 201, LAUNCHED | {"region": "europe"}),
        ("POST", "/session", 420, {"error": "full"}),
        ("DELETE", "/session/m-1", 204, {"ok": True}),
    ],
)
def test_bad_answers_fail(method, path, status, body):
    with pytest.raises(AssertionError):
        validate_answer(method, path, status, body)
