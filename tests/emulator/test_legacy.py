"""The founding document's own calls against the legacy profile."""

import pytest

from tests.emulator.harness import LAUNCH, serving

SESSION_ID = "f7965a22-e327-4541-a30e-8262890d3a29"
FIRST_EXAMPLE = {
    "id": SESSION_ID,
    "location": "europe",
    "image": "my-very-special-game",
    "version": "buildversion",
    "env": {"my-secret": "my-secret-value"},
    "args": ["--max-players=8"],
    "labels": {"my-example-tag": "1", "another-example-tag": "3"},
    "restart": False,
}
OTHER_EXAMPLES = {
    "id": SESSION_ID,
    "location": "europe",
    "image": "nginx",
    "env": {},
    "args": [""],
    "restart": False,
    "labels": {},
}


@pytest.mark.parametrize(
    "body",
    [
        FIRST_EXAMPLE,
        OTHER_EXAMPLES,
        OTHER_EXAMPLES | {"env": "", "args": ""},
        OTHER_EXAMPLES | {"env": None, "args": None},
        OTHER_EXAMPLES | {"args": []},
        OTHER_EXAMPLES | {"args": "--max-players=8"},
        FIRST_EXAMPLE | {"labels": {"my-example-tag": 1, "another-example-tag": 3}},
        FIRST_EXAMPLE | {"enableMetrics": "true"},
    ],
)
async def test_the_examples_of_the_document_succeed_with_200(body):
    async with serving(profile="legacy") as (_, call):
        reply = await call("POST", "/session", json=body)
        assert reply.status == 200
        assert set(reply.json) >= {"host", "ports"}
        assert set(reply.json["ports"][0]) == {"type", "container", "host"}


@pytest.mark.parametrize("field", ["id", "location", "image", "env", "args", "restart"])
async def test_six_fields_are_required(field):
    async with serving(profile="legacy") as (_, call):
        body = {key: value for key, value in FIRST_EXAMPLE.items() if key != field}
        reply = await call("POST", "/session", json=body)
        assert reply.status == 422
        assert reply.json["violations"] == [{"field": field, "description": "is required"}]


@pytest.mark.parametrize("change", [{"ttl": "1h"}, {"external_id": "x"}, {"enableMetrics": True}])
async def test_what_came_later_is_refused(change):
    async with serving(profile="legacy") as (_, call):
        assert (await call("POST", "/session", json=FIRST_EXAMPLE | change)).status == 422


async def test_the_statuses_of_the_document():
    async with serving(profile="legacy", locations={"europe": 1, "us-east": 1}) as (_, call):
        unauthorised = await call("POST", "/session", json=FIRST_EXAMPLE, headers={"Authorization": ""})
        unknown = await call("POST", "/session", json=FIRST_EXAMPLE | {"location": "atlantis"})
        first = await call("POST", "/session", json=FIRST_EXAMPLE)
        again = await call("POST", "/session", json=FIRST_EXAMPLE | {"location": "us-east"})
        full = await call("POST", "/session", json=FIRST_EXAMPLE | {"id": "another"})
        broken = await call("POST", "/session", json=LAUNCH)
        replies = (unauthorised, unknown, first, again, full, broken)
        assert [reply.status for reply in replies] == [401, 404, 200, 409, 420, 422]


async def test_a_session_lives_and_stops_with_200():
    async with serving(profile="legacy") as (_, call):
        await call("POST", "/session", json=FIRST_EXAMPLE | {"enableMetrics": "true"})
        labels = (await call("GET", f"/session/{SESSION_ID}")).json["labels"]
        assert '"enableMetrics":"true"' in labels["gameye"]
        assert len((await call("GET", "/session?filter[my-example-tag]=1")).json["sessions"]) == 1
        seat = {"session": SESSION_ID, "players": ["p"]}
        assert (await call("PUT", "/session/player/join", json=seat)).json["count"] == 1
        assert (await call("DELETE", "/session/player/leave", json=seat)).json["count"] == 0
        stopped = await call("DELETE", f"/session/{SESSION_ID}")
        assert (stopped.status, stopped.body) == (200, b"")
        assert (await call("DELETE", f"/session/{SESSION_ID}")).status == 409


async def test_reads_answer_as_in_the_current_profile():
    async with serving(profile="legacy") as (emulator, call):
        await call("POST", "/session", json=OTHER_EXAMPLES)
        emulator.world.write_log(SESSION_ID, "hello")
        assert (await call("GET", f"/logs?id={SESSION_ID}")).body == b"hello"
        for path in (
            "/available-location/nginx",
            "/tag/europe/nginx/latest",
            "/region",
            "/health",
            "/metrics",
        ):
            assert (await call("GET", path)).status == 200
        emulator.world.put_file(SESSION_ID, "/a", b"a")
        emulator.world.end_session(SESSION_ID)
        assert (await call("GET", f"/artifacts?session={SESSION_ID}&path=/a")).status == 200
