"""Fault rules as data, and every kind of fault as a client sees it."""

import asyncio
import random
import statistics

import aiohttp
import pytest

from gameye_async.emulator import Fault, Faults
from gameye_async.emulator.faults import EVERY_KIND
from tests.emulator.harness import LAUNCH, loop_time, new_world, run_virtually, serving

RNG = random.Random(1)


def kinds(faults, operation="session-run", location=None):
    return [fault.kind for fault in faults.pick(operation, location, RNG)]


def test_a_rule_hits_its_operation_and_location_only():
    faults = Faults([Fault("refuse", operation="session-run", location="europe")])
    assert kinds(faults, "session-run", "europe") == ["refuse"]
    assert kinds(faults, "session-run", "us-east") == []
    assert kinds(faults, "session-run", None) == []
    assert kinds(faults, "session-list", "europe") == []


def test_a_rule_counts_down_and_is_gone():
    faults = Faults([Fault("refuse", count=2)])
    assert [kinds(faults) for _ in range(3)] == [["refuse"], ["refuse"], []]
    assert len(faults) == 0


def test_latencies_add_up_and_of_the_others_the_first_strikes():
    faults = Faults(
        [
            Fault("latency"),
            Fault("refuse", count=1),
            Fault("html_502", count=1),
            Fault("latency", when="after"),
        ]
    )
    assert kinds(faults) == ["latency", "refuse", "latency"]
    assert kinds(faults) == ["latency", "html_502", "latency"]


def test_probability_draws_from_the_random_source_it_is_given():
    faults = Faults([Fault("refuse", probability=0.3)])
    rng = random.Random(5)
    hits = sum(bool(faults.pick("session-run", None, rng)) for _ in range(2_000))
    assert 500 < hits < 700


def test_rules_can_be_added_discarded_and_cleared():
    faults = Faults()
    fault = Fault("refuse", count=1)
    faults.add(fault, Fault("html_502"))
    assert list(faults) == [fault, Fault("html_502")]
    faults.discard(fault)
    faults.discard(fault)
    assert kinds(faults) == ["html_502"]
    faults.clear()
    assert kinds(faults) == []


def test_a_rule_that_is_added_again_starts_anew():
    fault = Fault("refuse", count=2)
    faults = Faults([fault])
    kinds(faults)
    faults.add(fault)
    assert [kinds(faults) for _ in range(3)] == [["refuse"], ["refuse"], []]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_rules_survive_a_round_trip_through_plain_data(kind):
    faults = Faults([Fault(kind, operation="session-run", count=3, seconds=0.5)])
    kinds(faults)
    data = faults.to_dicts()
    assert data == [{"kind": kind, "operation": "session-run", "count": 2, "seconds": 0.5}]
    assert Faults.from_dicts(data).to_dicts() == data


@pytest.mark.parametrize(
    "data",
    [{"kind": "gremlin"}, {"kind": "refuse", "probability": 0}, {"kind": "refuse", "colour": "red"}],
)
def test_plain_data_that_is_no_fault_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011  -- the text is that of attrs' validators
        Fault.from_dict(data)


def test_latencies_follow_their_distribution():
    rng = random.Random(3)
    assert Fault("latency", seconds=2).delay(rng) == 2
    uniform = Fault("latency", seconds=2, distribution="uniform", spread=1)
    assert all(2 <= uniform.delay(rng) <= 3 for _ in range(100))
    lognormal = Fault("latency", seconds=2, distribution="lognormal", spread=0.5)
    assert 1.8 < statistics.median(lognormal.delay(rng) for _ in range(2_000)) < 2.2


async def test_a_refusal_before_the_commit_launches_nothing():
    fault = Fault("refuse", operation="session-run", location="europe", status=420, count=1)
    async with serving(faults=[fault]) as (emulator, call):
        reply = await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        assert (reply.status, reply.json["code"]) == (420, "CAPACITY_UNAVAILABLE")
        assert emulator.world.live == []
        assert (await call("POST", "/session", json=LAUNCH | {"id": "m-1"})).status == 201


async def test_a_refusal_after_the_commit_hides_a_session():
    async with serving(faults=[Fault("refuse", status=504, when="after", count=1)]) as (emulator, call):
        assert (await call("POST", "/session", json=LAUNCH)).status == 504
        assert len(emulator.world.live) == 1


@pytest.mark.parametrize(("after", "header"), [(2, "2"), (0.5, "0.5"), (1_234_567, "1234567")])
async def test_a_rate_refusal_can_say_when_to_come_back(after, header):
    async with serving(faults=[Fault("refuse", status=429, retry_after=after)]) as (_, call):
        reply = await call("GET", "/session")
        assert (reply.status, reply.headers["Retry-After"]) == (429, header)


@pytest.mark.parametrize(("when", "sessions"), [("before", 0), ("after", 1)])
async def test_a_proxy_error_is_html(when, sessions):
    async with serving(faults=[Fault("html_502", when=when)]) as (emulator, call):
        reply = await call("POST", "/session", json=LAUNCH)
        assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html")
        assert reply.body.startswith(b"<html>")
        assert len(emulator.world.live) == sessions


@pytest.mark.parametrize("keep_memory", [True, False])
async def test_a_restart_cuts_the_connection_and_keeps_or_forgets_the_sessions(keep_memory):
    restart = Fault("restart", operation="session-run", when="after", keep_memory=keep_memory, count=1)
    async with serving(faults=[restart]) as (_, call):
        with pytest.raises(aiohttp.ClientConnectionError):
            await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        assert (await call("GET", "/session/m-1")).status == (200 if keep_memory else 404)


async def test_a_restart_before_the_commit_loses_the_launch():
    async with serving(faults=[Fault("restart", operation="session-run", count=1)]) as (emulator, call):
        with pytest.raises(aiohttp.ClientConnectionError):
            await call("POST", "/session", json=LAUNCH)
        assert emulator.world.live == []
        assert all(place.used == 0 for place in emulator.world.places.values())


@pytest.mark.parametrize(("kind", "sessions"), [("cut_before_commit", 0), ("cut_after_commit", 1)])
async def test_a_cut_connection_answers_nothing(kind, sessions):
    async with serving(faults=[Fault(kind, count=1)]) as (emulator, call):
        with pytest.raises(aiohttp.ClientConnectionError):
            await call("POST", "/session", json=LAUNCH)
        assert len(emulator.world.live) == sessions
        assert emulator.world.places["europe"].used == sessions
        assert (await call("POST", "/session", json=LAUNCH)).status == 201
        assert [record.status for record in emulator.requests] == [None, 201]


async def test_a_cut_also_swallows_refusals():
    async with serving(faults=[Fault("cut_after_commit", count=1)]) as (_, call):
        with pytest.raises(aiohttp.ClientConnectionError):
            await call("POST", "/session", json={})


async def test_a_truncated_body_ends_before_its_announced_length():
    async with serving(faults=[Fault("truncate", count=1)]) as (emulator, call):
        async with asyncio.timeout(5):
            with pytest.raises(aiohttp.ClientPayloadError):
                await call("POST", "/session", json=LAUNCH)
        assert len(emulator.world.live) == 1


async def test_an_oversize_body_is_padded():
    async with serving(faults=[Fault("oversize", size=300_000)]) as (_, call):
        reply = await call("POST", "/session", json=LAUNCH)
        assert len(reply.body) == 300_000
        assert reply.json["host"] == "203.0.113.1"


async def test_a_body_can_be_no_json():
    async with serving(faults=[Fault("not_json")]) as (_, call):
        reply = await call("POST", "/session", json=LAUNCH)
        assert reply.status == 201
        with pytest.raises(ValueError, match="Expecting value"):
            _ = reply.json


async def test_an_idle_connection_can_close_although_it_was_promised_to_stay():
    async with serving(faults=[Fault("close_idle")]) as (emulator, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(emulator.url.rpartition(":")[2]))
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.endswith(b'{"status":"ok"}')
        assert b"Connection: close" not in answer


def test_latency_before_the_commit_holds_the_seat_and_hides_the_session():
    async def scenario():
        world = new_world(loop_time)
        async with serving(world, faults=[Fault("latency", seconds=30, operation="session-run")]) as (
            _,
            call,
        ):
            launch = asyncio.create_task(call("POST", "/session", json=LAUNCH | {"id": "m-1"}))
            await asyncio.sleep(29)
            assert world.places["europe"].used == 1
            assert (await call("GET", "/session/m-1")).status == 404
            assert (await launch).status == 201
            assert world.session("m-1").visible_at == pytest.approx(30)

    run_virtually(scenario)


def test_latency_after_the_commit_shows_the_session_before_its_answer():
    async def scenario():
        world = new_world(loop_time)
        slow = Fault("latency", seconds=30, operation="session-run", when="after")
        async with serving(world, faults=[slow]) as (emulator, call):
            launch = asyncio.create_task(call("POST", "/session", json=LAUNCH | {"id": "m-1"}))
            await asyncio.sleep(1)
            assert (await call("GET", "/session/m-1")).json["status"] == "running"
            assert not launch.done()
            await launch
            assert emulator.requests[-1].elapsed == pytest.approx(30)

    run_virtually(scenario)


def test_two_launches_with_one_id_meet_at_the_reservation():
    async def scenario():
        world = new_world(loop_time)
        slow = Fault("latency", seconds=5, count=1)
        async with serving(world, faults=[slow]) as (_, call):
            first = asyncio.create_task(call("POST", "/session", json=LAUNCH | {"id": "m-1"}))
            await asyncio.sleep(1)
            second = await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
            assert second.status == 409
            assert (await first).status == 201

    run_virtually(scenario)


def test_a_slow_drip_takes_its_time_for_every_byte():
    async def scenario():
        async with serving(new_world(loop_time), faults=[Fault("slow_drip", seconds=1)]) as (_, call):
            reply = await call("GET", "/health")
            assert reply.json == {"status": "ok"}
            assert loop_time() == pytest.approx(len(reply.body))

    run_virtually(scenario)


def test_a_client_that_gives_up_does_not_stop_its_launch():
    async def scenario():
        world = new_world(loop_time)
        async with serving(world, faults=[Fault("latency", seconds=10)]) as (_, call):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await call("POST", "/session", json=LAUNCH)
            await asyncio.sleep(10)
            assert len(world.live) == 1

    run_virtually(scenario)
