"""Every operation over real sockets, held against the description of the API."""

import asyncio
import io
import json
import tarfile
from urllib.parse import parse_qsl, quote

import pytest

from gameye_async.emulator import Image, Quirks
from gameye_async.emulator.routes import SCOPES
from tests import contract
from tests.emulator.harness import EPOCH, LAUNCH, loop_time, new_world, run_virtually, serving

ENVELOPE = {"statusCode", "code", "message", "details", "path", "identifier", "timestamp"}


async def described(call, method, path, body=None):
    """A call whose request and answer both fit the description."""
    raw_path, _, query = path.partition("?")
    contract.validate_request(method, raw_path, parse_qsl(query, keep_blank_values=True), body)
    reply = await call(method, path, **({} if body is None else {"json": body}))
    is_json = reply.headers.get("Content-Type", "").startswith("application/json")
    contract.validate_answer(method, raw_path, reply.status, reply.json if is_json else None)
    return reply


def test_every_operation_of_the_description_has_a_route():
    assert {operation.operation_id for operation in contract.operations()} <= SCOPES.keys()


async def test_the_life_of_a_session_fits_the_description():
    async with serving() as (_, call):
        body = LAUNCH | {"id": "m-1", "env": {"A": "1"}, "args": ["--x"], "labels": {"k": "v"}, "ttl": "1h"}
        assert (await described(call, "POST", "/session", body)).status == 201
        assert (await described(call, "GET", "/session/m-1")).json["status"] == "running"
        assert len((await described(call, "GET", "/session?filter[k]=v")).json["sessions"]) == 1
        seat = {"session": "m-1", "players": ["p"]}
        assert (await described(call, "PUT", "/session/player/join", seat)).json["count"] == 1
        leave = await call("DELETE", "/session/player/leave", json=seat)
        contract.validate_answer("DELETE", "/session/player/leave", leave.status, leave.json)
        assert leave.json == {"count": 0, "players": []}
        stop = await described(call, "DELETE", "/session/m-1")
        assert (stop.status, stop.body) == (204, b"")
        assert (await described(call, "DELETE", "/session/m-1")).status == 409


async def test_refusals_fit_the_description():
    images = {"my-game": Image(tags=("1",)), "gone": Image(tags=())}
    async with serving(images=images, locations={"europe": 1, "us-east": 1}) as (_, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        for body, status in [
            (LAUNCH | {"id": "m-1"}, 409),
            (LAUNCH, 420),
            (LAUNCH | {"location": "atlantis"}, 404),
            (LAUNCH | {"image": "gone", "location": "us-east"}, 404),
            (LAUNCH | {"version": "2"}, 404),
        ]:
            assert (await described(call, "POST", "/session", body)).status == status
        for method, path in [
            ("GET", "/session/m-2"),
            ("DELETE", "/session/m-2"),
            ("GET", "/available-location/other"),
            ("GET", "/tag/europe/other/1"),
            ("GET", "/logs?id=m-2"),
            ("GET", "/artifacts?session=m-2&path=/a"),
        ]:
            assert (await described(call, method, path)).status == 404
        seat = {"session": "m-2", "players": []}
        assert (await described(call, "PUT", "/session/player/join", seat)).status == 404


async def test_locations_tags_and_regions_answer():
    async with serving(images={"my-game": Image(tags=("1",))}, locations=("europe",)) as (_, call):
        [location] = (await described(call, "GET", "/available-location/my-game")).json["locations"]
        assert location == {"id": "europe", "ips": ["203.0.113.1"]}
        assert (await described(call, "GET", "/tag/europe/my-game/1")).json == {"exists": True}
        assert (await described(call, "GET", "/tag/europe/my-game/2")).json == {"exists": False}
        assert (await call("GET", "/region")).json == {"regions": ["europe"]}


async def test_health_needs_no_token_and_metrics_are_text():
    async with serving() as (_, call):
        assert (await call("GET", "/health", headers={"Authorization": ""})).json == {"status": "ok"}
        metrics = await call("GET", "/metrics")
        assert metrics.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert b"gameye_sessions" in metrics.body


async def test_logs_without_follow_are_what_was_written():
    async with serving() as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.write_log("m-1", "hello\n")
        reply = await described(call, "GET", "/logs?id=m-1&follow=false")
        assert (reply.body, reply.headers["Content-Type"]) == (b"hello\n", "text/plain; charset=utf-8")


async def test_followed_logs_arrive_as_they_are_written_and_end_with_the_session():
    async with serving() as (emulator, call):
        world = emulator.world
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        world.write_log("m-1", "one\n")
        async with call.session.get(f"{emulator.url}/logs?id=m-1&follow=true") as response:
            assert await response.content.readline() == b"one\n"
            world.write_log("m-1", "two\n")
            assert await response.content.readline() == b"two\n"
            world.write_log("m-1", "last")
            world.end_session("m-1")
            assert await response.content.read() == b"last"


async def test_following_the_log_of_an_ended_session_ends_at_once():
    async with serving() as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.write_log("m-1", "bye")
        emulator.world.end_session("m-1")
        assert (await call("GET", "/logs?id=m-1&follow=true")).body == b"bye"


def test_a_followed_log_ends_when_the_ttl_expires_though_nobody_calls():
    async def scenario():
        async with serving(new_world(loop_time)) as (_, call):
            await call("POST", "/session", json=LAUNCH | {"id": "m-1", "ttl": "2m"})
            assert (await call("GET", "/logs?id=m-1&follow=true")).body == b""
            assert loop_time() == pytest.approx(120)

    run_virtually(scenario)


def test_a_follower_of_a_quiet_session_that_has_left_is_given_up():
    async def scenario():
        async with serving(new_world(loop_time)) as (emulator, call):
            await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
            tasks = len(asyncio.all_tasks())
            async with call.session.get(f"{emulator.url}/logs?id=m-1&follow=true"):
                pass
            await asyncio.sleep(60)
            assert len(emulator.requests) == 2
            assert len(asyncio.all_tasks()) <= tasks

    run_virtually(scenario)


async def test_http_1_0_can_follow_too():
    async with serving() as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.write_log("m-1", "bye")
        emulator.world.end_session("m-1")
        port = int(emulator.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /logs?id=m-1&follow=true HTTP/1.0\r\nAuthorization: Bearer emulator-token\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.0 200")
        assert answer.endswith(b"\r\n\r\nbye")


async def test_artifacts_are_a_tar_of_an_ended_session():
    async with serving() as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.put_file("m-1", "/home/game/crash.log", b"boom")
        assert (await call("GET", "/artifacts?session=m-1&path=/home/game")).status == 409
        await call("DELETE", "/session/m-1")
        reply = await described(call, "GET", "/artifacts?session=m-1&path=/home/game")
        assert reply.headers["Content-Type"] == "application/x-tar"
        with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
            assert archive.extractfile("game/crash.log").read() == b"boom"


@pytest.mark.parametrize(
    "session_id",
    ["a/b", "player/join", "player", "50%", "%2F", "{id}", "a?b#c", "ümlaut", ".", "..", "new\nline"],
)
async def test_any_id_is_one_segment_of_the_path(session_id):
    async with serving() as (_, call):
        assert (await call("POST", "/session", json=LAUNCH | {"id": session_id})).json["id"] == session_id
        path = "/session/" + quote(session_id, safe="").replace(".", "%2E")
        assert (await call("GET", path)).json["id"] == session_id
        assert (await call("DELETE", path)).status == 204


@pytest.mark.parametrize("query", ["filter[k]=a%20b", "filter%5Bk%5D=a+b", "playerCount%5Blt%5D=1"])
async def test_brackets_may_be_raw_or_encoded(query):
    async with serving() as (_, call):
        await call("POST", "/session", json=LAUNCH | {"labels": {"k": "a b"}})
        assert len((await call("GET", f"/session?{query}")).json["sessions"]) == 1


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic emulator-token", "emulator-token", "Bearer emulator-token2"],
)
async def test_only_the_token_is_let_in(authorization):
    async with serving() as (_, call):
        headers = {"Authorization": authorization or ""}
        reply = await call("POST", "/session", json=LAUNCH, headers=headers)
        assert (reply.status, reply.json["code"]) == (401, "UNAUTHORIZED")
        contract.validate_answer("POST", "/session", reply.status, reply.json)


@pytest.mark.parametrize("status", [403, 401])
async def test_a_token_can_lack_a_scope(status):
    quirks = Quirks(missing_scope_status=status)
    readers = {"reader": frozenset({"session:read"})}
    async with serving(quirks=quirks, scoped_tokens=readers) as (_, call):
        headers = {"Authorization": "Bearer reader"}
        assert (await call("GET", "/session", headers=headers)).status == 200
        assert (await call("GET", "/region", headers=headers)).status == 200
        assert (await call("POST", "/session", headers=headers, json=LAUNCH)).status == status
        assert (await call("DELETE", "/session/m-1", headers=headers)).status == status


async def test_errors_come_in_the_full_envelope_with_a_fresh_identifier():
    world = new_world(lambda: 61.0)
    async with serving(world) as (_, call):
        first, second = [(await call("POST", "/session", json={})).json for _ in range(2)]
        assert set(first) == ENVELOPE | {"violations"}
        assert (first["statusCode"], first["path"]) == (422, "/session")
        assert first["timestamp"] == "2023-11-14T22:14:21+00:00"
        assert first["identifier"] != second["identifier"]


async def test_the_date_of_an_answer_is_that_of_the_world():
    async with serving(new_world(lambda: 61.0)) as (_, call):
        assert (await call("GET", "/session")).headers["Date"] == "Tue, 14 Nov 2023 22:14:21 GMT"
        assert EPOCH == 1_700_000_000


@pytest.mark.parametrize(
    "body", ["null", "[]", "3", '{"location": "europe"', "[" * 50_000, "\ufeff{}", "1" * 9999]
)
async def test_bodies_that_are_no_object_are_refused(body):
    async with serving() as (_, call):
        for method, path in [
            ("POST", "/session"),
            ("PUT", "/session/player/join"),
            ("DELETE", "/session/player/leave"),
        ]:
            reply = await call(method, path, data=body.encode())
            contract.validate_answer(method, path, reply.status, reply.json)
            assert reply.status == 422


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/session", {"data": b'{"location": "\xff"}'}, 422),
        ("POST", "/session", {"data": io.BytesIO(b" " * (2**20 + 1))}, 413),
        ("POST", "/session", {"data": b"none", "headers": {"Content-Encoding": "gzip"}}, 400),
        ("GET", "/session/%ff", {}, 400),
        ("GET", "/session?filter[a]=%ff", {}, 400),
        ("GET", "/session?all=maybe", {}, 400),
        ("GET", "/logs", {}, 400),
        ("GET", "/logs?id=", {}, 400),
        ("GET", "/artifacts?session=m-1", {}, 400),
        ("GET", "/", {}, 404),
        ("GET", "/session/", {}, 404),
        ("GET", "/session/a/b", {}, 404),
        ("GET", "/no%0Asuch{path}", {}, 404),
        ("GET", "/tag/europe/my-game", {}, 404),
        ("PATCH", "/session", {}, 405),
        ("POST", "/session/m-1", {}, 405),
        ("GET", "/session/player/join", {}, 405),
    ],
)
async def test_malformed_requests_get_an_enveloped_refusal(method, path, options, status):
    async with serving() as (_, call):
        reply = await call(method, path, **options)
        assert (reply.status, reply.json["statusCode"]) == (status, status)
        assert set(reply.json) >= ENVELOPE
        assert (await call("GET", "/session")).status == 200


async def test_surrogates_in_an_id_do_no_harm():
    async with serving() as (_, call):
        raw = json.dumps(LAUNCH | {"id": "\ud800", "env": {"A": "\udfff"}})
        assert (await call("POST", "/session", data=raw)).status == 201
        assert (await call("GET", "/session")).json["sessions"][0]["id"] == "\ud800"


async def test_five_thousand_sessions_are_listed():
    async with serving(capacity=5_000) as (emulator, call):
        for number in range(5_000):
            emulator.world.launch(LAUNCH | {"id": f"m-{number}", "labels": {"n": str(number)}})
        assert len((await call("GET", "/session")).json["sessions"]) == 5_000
        assert len((await call("GET", "/session?filter[n]=4711")).json["sessions"]) == 1
