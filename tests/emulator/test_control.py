"""The control API: faults, locations, history, state and events, for local programs only."""

import asyncio
import json
import socket

import pytest

from gameye_async.emulator import Emulator, Fault
from tests.emulator.harness import LAUNCH, Caller, serving

TOO_MANY = {"kind": "refuse", "operation": "session-run", "status": 420, "count": 2}


async def lines(call: Caller, query: str = "") -> list[dict]:
    reply = await call("GET", f"/_emulator/history{query}")
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.body.splitlines()]


async def test_a_fault_can_be_injected_read_and_cleared():
    async with serving() as (_, call):
        reply = await call("POST", "/_emulator/faults", json=TOO_MANY)
        assert (reply.status, reply.json) == (201, {"faults": [TOO_MANY]})
        assert (await call("POST", "/session", json=LAUNCH)).status == 420
        assert (await call("GET", "/_emulator/faults")).json == {"faults": [TOO_MANY | {"count": 1}]}
        assert (await call("DELETE", "/_emulator/faults")).json == {"faults": []}
        assert (await call("POST", "/session", json=LAUNCH)).status == 201


async def test_several_faults_can_be_injected_at_once_and_one_of_them_cleared():
    async with serving() as (emulator, call):
        await call("POST", "/_emulator/faults", json=[TOO_MANY, {"kind": "html_502", "probability": 0.5}])
        await call("POST", "/session", json=LAUNCH)
        await call("DELETE", "/_emulator/faults", json=TOO_MANY | {"count": 1})
        assert list(emulator.faults) == [Fault("html_502", probability=0.5)]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"kind": "gremlin"}', "faults[0]: kind: must be one of latency, "),
        (b'[{"kind": "refuse"}, {"kind": "refuse", "knd": 1}]', "faults[1]: unknown knd; known are kind, "),
        (b'{"kind": "refuse", "count": "3"}', "faults[0]: count: must be a whole number, not '3'"),
        (b'{"kind": "refuse", "operation": "lunch"}', "faults[0]: 'operation' must be in ('session-run', "),
        (b'{"kind": "oversize", "size": 1e99}', "faults[0]: size: must be a whole number"),
        (b'{"kind": "latency", "seconds": Infinity}', "faults[0]: seconds: must be a number, not inf"),
        (b"{}", "faults[0]: kind: kind is required"),
        (b"5", "faults[0]: must be a table of names and values"),
        (b"[" * 100_000, "the body must be JSON"),
        (b"\xff", "the body must be JSON"),
    ],
)
async def test_what_is_no_fault_is_refused_with_a_reason_and_changes_nothing(body, complaint):
    async with serving() as (emulator, call):
        reply = await call("POST", "/_emulator/faults", data=body)
        assert reply.status == 400
        assert complaint in reply.json["error"]
        assert not emulator.faults


async def test_a_body_that_does_not_decode_is_refused_with_a_reason():
    async with serving() as (_, call):
        reply = await call("POST", "/_emulator/faults", data=b"none", headers={"Content-Encoding": "gzip"})
        assert (reply.status, reply.json) == (400, {"error": "the body must be JSON"})


async def test_a_location_can_be_filled_and_emptied():
    async with serving(locations={"europe": 5}) as (_, call):
        reply = await call("POST", "/_emulator/locations/europe", json={"full": True})
        assert reply.json == {"name": "europe", "capacity": 5, "used": 0, "full": True}
        assert (await call("POST", "/session", json=LAUNCH)).status == 420
        assert (await call("GET", "/available-location/my-game")).json == {"locations": []}
        await call("POST", "/_emulator/locations/europe", json={"full": False})
        assert (await call("POST", "/session", json=LAUNCH)).status == 201


async def test_the_capacity_of_a_location_can_be_changed():
    async with serving(locations={"a/b c": 5}) as (emulator, call):
        reply = await call("POST", "/_emulator/locations/a%2Fb%20c", json={"capacity": 7})
        assert reply.json["capacity"] == emulator.world.places["a/b c"].capacity == 7


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("nowhere", {"full": True}, 404),
        ("europe", {"capacity": -1}, 400),
        ("europe", {"capacity": "5"}, 400),
        ("europe", {"ful": True}, 400),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(path, body, status):
    async with serving() as (_, call):
        reply = await call("POST", f"/_emulator/locations/{path}", json=body)
        assert reply.status == status
        assert reply.json["error"]


async def test_the_history_has_every_request_and_every_change():
    async with serving() as (_, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        await call("DELETE", "/session/m-1")
        await call("GET", "/nowhere")
        await call("POST", "/_emulator/faults", json=TOO_MANY)
        await call("POST", "/_emulator/locations/europe", json={"full": True})
        found = await lines(call)
        assert [line["seq"] for line in found] == list(range(1, 8))
        kinds = [line["kind"] for line in found]
        assert kinds == ["launched", "request", "stopped", "request", "request", "faults", "location"]
        assert {"kind": "launched", "session": "m-1", "detail": "europe"}.items() <= found[0].items()
        requests = [line for line in found if line["kind"] == "request"]
        assert [(line["method"], line["path"], line["operation"], line["status"]) for line in requests] == [
            ("POST", "/session", "session-run", 201),
            ("DELETE", "/session/m-1", "session-stop", 204),
            ("GET", "/nowhere", "", 404),
        ]
        assert found[-1]["detail"] == "europe: full"


async def test_the_history_can_be_read_from_a_cursor_on_and_by_kind():
    async with serving() as (_, call):
        await call("POST", "/session", json=LAUNCH)
        last = (await call("GET", "/_emulator/history")).headers["X-Last-Seq"]
        await call("POST", "/session", json=LAUNCH)
        assert all(line["seq"] > int(last) for line in await lines(call, f"?since={last}"))
        assert [line["kind"] for line in await lines(call, f"?since={last}&kind=launched")] == ["launched"]
        assert await lines(call, "?since=99999999") == []
        assert (await call("GET", "/_emulator/history?since=-1")).status == 400


async def test_the_history_is_bounded():
    async with serving() as (emulator, _):
        for _ in range(100_010):
            emulator.history.changed("faults", "")
        assert len(emulator.history.since(0)) == 100_000
        assert emulator.history.since(0)[-1].seq == emulator.history.counts["faults"] == 100_010


async def test_forty_matches_are_forty_sessions_and_none_is_left():
    async with serving() as (emulator, call):
        replies = await asyncio.gather(*(call("POST", "/session", json=LAUNCH) for _ in range(40)))
        await asyncio.gather(*(call("DELETE", f"/session/{reply.json['id']}") for reply in replies))
        kinds = [line["kind"] for line in await lines(call)]
        assert (kinds.count("launched"), kinds.count("stopped")) == (40, 40)
        state = (await call("GET", "/_emulator/state")).json
        assert state["totals"]["live"] == 0
        assert emulator.history.counts["launched"] == 40


async def test_the_state_tells_of_locations_sessions_faults_and_requests():
    async with serving(locations={"europe": 10}) as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1", "labels": {"mode": "duel"}})
        await call("PUT", "/session/player/join", json={"session": "m-1", "players": ["ann", "ben"]})
        await call("POST", "/_emulator/faults", json=TOO_MANY)
        emulator.world.write_log("m-1", "one\ntwo\n")
        state = (await call("GET", "/_emulator/state")).json
    (session,) = state["sessions"]
    assert state["locations"] == [{"name": "europe", "capacity": 10, "used": 1, "free": 9, "full": False}]
    assert (session["id"], session["status"], session["players"]) == ("m-1", "running", ["ann", "ben"])
    assert session["labels"] == {"mode": "duel"}
    assert session["log"] == ["one", "two"]
    assert session["age"] >= 0
    assert state["faults"] == [TOO_MANY]
    assert [request["operation"] for request in state["requests"]] == ["join-session", "session-run"]
    assert state["totals"] | {"statuses": None} == {
        "live": 1,
        "statuses": None,
        "free": 9,
        "players": 2,
        "launched": 1,
        "refused": 0,
        "requests": 2,
    }


async def test_the_state_shows_no_environment():
    """Secrets are in there, and the state is for eyes."""
    async with serving() as (_, call):
        await call("POST", "/session", json=LAUNCH | {"env": {"SECRET": "canary"}})
        assert b"canary" not in (await call("GET", "/_emulator/state")).body


async def events(emulator: Emulator, call: Caller, *, since: str | None = None):
    """Read the events of an emulator, each as its id and its data."""
    headers = {} if since is None else {"Last-Event-ID": since}
    async with call.session.get(f"{emulator.url}/_emulator/events", headers=headers) as response:
        assert response.content_type == "text/event-stream"
        number = ""
        async for line in response.content:
            name, _, value = line.decode().rstrip().partition(": ")
            if name == "id":
                number = value
            elif name == "data":
                yield number, json.loads(value)
            elif name == "retry":
                yield "", {"kind": "retry"}


async def test_what_happens_is_told_as_it_happens():
    async with serving() as (emulator, call):
        told = events(emulator, call)
        assert (await anext(told))[1] == {"kind": "retry"}
        emulator.world.launch(LAUNCH | {"id": "m-1"})
        assert (await anext(told))[1].items() >= {"kind": "launched", "session": "m-1"}.items()
        emulator.world.write_log("m-1", "a line\n")
        assert (await anext(told))[1] == {"kind": "output", "session": "m-1"}
        await told.aclose()


async def test_a_listener_that_was_away_is_told_what_it_missed():
    async with serving() as (emulator, call):
        for number in range(3):
            emulator.world.launch(LAUNCH | {"id": f"m-{number}"})
        told = events(emulator, call, since="1")
        await anext(told)
        assert (await anext(told))[0] == "2"
        await told.aclose()


async def test_a_burst_is_told_as_one_gap():
    async with serving() as (emulator, call):
        for _ in range(1_000):
            emulator.world.launch(LAUNCH)
        last = emulator.history.last
        told = events(emulator, call, since="0")
        await anext(told)
        assert await anext(told) == (str(last), {"kind": "gap", "after": 0, "until": last})
        await told.aclose()


async def test_a_listener_that_leaves_is_forgotten_without_a_word(caplog):
    async with serving() as (emulator, call):
        told = events(emulator, call)
        await anext(told)
        await told.aclose()
        emulator.world.launch(LAUNCH)
        async with asyncio.timeout(10):
            while emulator.history._listeners:  # noqa: ASYNC110, SLF001  -- nobody tells
                await asyncio.sleep(0)
    assert caplog.text == ""


async def test_what_comes_due_is_told_although_nobody_asks():
    async with serving(start_seconds=0.01) as (emulator, call):
        told = events(emulator, call)
        await anext(told)
        emulator.world.launch(LAUNCH)
        assert [(await anext(told))[1]["kind"] for _ in range(2)] == ["launched", "running"]
        await told.aclose()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "emulator.evil.example:8080"},
        {"Host": "localhost.evil.example"},
        {"Host": "203.0.113.9"},
        {"Host": "127.0.0.1:port"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=lambda headers: "{}={}".format(*next(iter(headers.items()))),
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/state"), ("GET", "/events"), ("POST", "/faults"), ("DELETE", "/faults")],
)
async def test_other_sites_are_kept_out(method, path, headers):
    """By their own name, or by a name that they point to this machine."""
    async with serving(faults=[Fault("latency")]) as (emulator, call):
        reply = await call(method, f"/_emulator{path}", headers=headers, json={"kind": "html_502"})
        assert reply.status == 403
        assert list(emulator.faults) == [Fault("latency")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Host": "evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
async def test_other_sites_cannot_launch_with_the_token_that_everybody_knows(headers):
    async with serving() as (emulator, call):
        reply = await call("POST", "/session", json=LAUNCH, headers=headers)
        assert (reply.status, reply.json["code"]) == (403, "FORBIDDEN")
        assert not emulator.world.live


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
async def test_its_own_page_is_let_in_by_each_of_its_names(name):
    async with serving() as (emulator, call):
        host = f"{name}:{emulator.url.rpartition(':')[2]}"
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert (await call("GET", "/_emulator/state", headers=headers)).status == 200


async def test_no_token_is_needed():
    async with serving() as (_, call):
        assert (
            await call("GET", "/_emulator/state", headers={"Authorization": "Bearer wrong"})
        ).status == 200


async def test_an_unknown_path_is_no_path_of_the_api_either():
    async with serving() as (_, call):
        assert (await call("GET", "/_emulator/nowhere")).json == {"error": "404: Not Found"}
        assert (await call("PUT", "/_emulator/faults")).status == 405


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "203.0.113.7", "example.com"])
def test_an_address_that_others_can_reach_is_refused_unless_meant(host):
    with pytest.raises(ValueError, match="allow_remote"):
        Emulator(host=host)
    Emulator(host=host, allow_remote=True)


def outside_address() -> str:
    """The address that other machines know this one by."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            # No packet is sent: it only asks the system which way it would go.
            probe.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


async def test_other_machines_need_the_token():
    address = outside_address()
    async with serving(host="0.0.0.0", allow_remote=True) as (emulator, call):
        call.base = f"http://{address}:{emulator.url.rpartition(':')[2]}"
        assert (await call("GET", "/_emulator/state", headers={"Authorization": "Bearer no"})).status == 403
        assert (await call("GET", "/_emulator/state")).status == 200
