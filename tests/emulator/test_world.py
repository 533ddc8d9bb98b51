"""The calls of a world, without HTTP and in turned time."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async.emulator import Image, Profile, Refusal, WarmPool
from tests.emulator.harness import EPOCH, LAUNCH, Clock, new_world

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("1h"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from([*Profile.CURRENT.launch_fields, "enableMetrics", "unknown"])


def ids(answer):
    return [session["id"] for session in answer["sessions"]]


def refusal_of(call, *arguments):
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    return caught.value


def test_a_launch_answers_id_host_and_ports_of_the_range():
    answer = new_world(Clock()).launch(LAUNCH | {"id": "m-1"})
    assert answer["id"] == "m-1"
    assert answer["host"].startswith("203.0.113.")
    assert [(port["type"], port["container"]) for port in answer["ports"]] == [("udp", 7777), ("tcp", 80)]
    assert all(20_000 <= port["host"] <= 30_000 for port in answer["ports"])


def test_made_up_ids_are_uuid4_and_follow_the_seed():
    first, second = (new_world(Clock()).launch(LAUNCH)["id"] for _ in range(2))
    assert uuid.UUID(first).version == 4
    assert first == second


def test_created_is_unix_milliseconds_of_the_clock():
    world = new_world(Clock(1.5))
    world.launch(LAUNCH | {"id": "m-1"})
    assert world.describe("m-1")["created"] == (EPOCH + 1.5) * 1000


def test_reads_show_a_port_map():
    world = new_world(Clock())
    answer = world.launch(LAUNCH | {"id": "m-1"})
    expected = {f"{port['container']}/{port['type']}": port["host"] for port in answer["ports"]}
    assert world.describe("m-1")["port"] == expected


def test_labels_of_reads_hold_json_texts_beside_the_labels_of_the_image():
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "m-1", "env": {"MODE": 'a "b"'}, "labels": {"match": "7"}, "version": "1.2"})
    labels = world.describe("m-1")["labels"]
    assert labels["maintainer"] == "team@example.com"
    assert json.loads(labels["tags"]) == {"match": "7"}
    env = json.loads(labels["env"])
    assert env["MODE"] == 'a "b"'
    assert env["GAMEYE_SESSION_ID"] == env["GAMEYE_CONTAINER"] == "m-1"
    assert json.loads(labels["gameye"]) == {
        "organization": "example-studio",
        "session": "m-1",
        "image": "my-game",
        "region": "europe",
        "tag": "1.2",
        "enableMetrics": "",
    }


def test_references_in_env_are_expanded_and_unknown_ones_stay():
    world = new_world(Clock())
    world.launch(
        LAUNCH | {"id": "m-1", "env": {"A": "at $GAMEYE_HOST:$GAMEYE_PORT_TCP_80", "B": "$GAMEYE_X"}}
    )
    session = world.session("m-1")
    assert session.environment()["A"] == f"at {session.host}:{session.host_ports[1]}"
    assert session.environment()["B"] == "$GAMEYE_X"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"location": ""}, "location"),
        ({"image": 3}, "image"),
        ({"id": ""}, "id"),
        ({"env": {"A": ""}}, "env.A"),
        ({"env": ["A"]}, "env"),
        ({"args": ["--x", ""]}, "args[1]"),
        ({"args": "--x"}, "args"),
        ({"restart": "no"}, "restart"),
        ({"labels": {"k": 1}}, "labels.k"),
        ({"version": None}, "version"),
        ({"ttl": 3600}, "ttl"),
        ({"ttl": ""}, "ttl"),
        ({"ttl": "30s"}, "ttl"),
        ({"ttl": "1h30s"}, "ttl"),
        ({"ttl": "30m1h"}, "ttl"),
        ({"ttl": "90"}, "ttl"),
        ({"external_id": 1}, "external_id"),
        ({"enableMetrics": "true"}, "enableMetrics"),
        ({"locations": ["europe"]}, "locations"),
    ],
)
def test_a_launch_that_breaks_the_schema_names_the_field(change, field):
    refusal = refusal_of(new_world(Clock()).launch, LAUNCH | change)
    assert refusal.status == 422
    assert [violation["field"] for violation in refusal.violations] == [field]


def test_every_violation_is_reported():
    refusal = refusal_of(new_world(Clock()).launch, {"image": "", "restart": 1})
    assert {violation["field"] for violation in refusal.violations} == {"location", "image", "restart"}


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_a_launch_must_be_an_object(body):
    assert refusal_of(new_world(Clock()).launch, body).status == 422


@pytest.mark.parametrize("profile", [Profile.CURRENT, Profile.LEGACY])
@given(body=VALUES | st.dictionaries(FIELDS, VALUES).map(lambda fields: LAUNCH | fields))
def test_whatever_a_launch_holds_it_is_launched_or_refused(profile, body):
    world = new_world(Clock(), profile=profile)
    try:
        world.launch(body)
        json.dumps(world.list_sessions())
    except Refusal as refusal:
        assert refusal.status in {404, 422}  # noqa: PT017  -- a launch that succeeds is fine as well


def test_unknown_location_image_and_tag_are_not_found():
    world = new_world(Clock(), images={"my-game": Image(tags=("2.0", "1.9"))})
    assert refusal_of(world.launch, LAUNCH | {"location": "atlantis"}).status == 404
    assert refusal_of(world.launch, LAUNCH | {"image": "other"}).status == 404
    assert refusal_of(world.launch, LAUNCH | {"version": "1.0"}).status == 404


def test_without_a_version_the_tag_with_the_highest_priority_runs():
    world = new_world(Clock(), images={"my-game": Image(tags=("2.0", "1.9"))})
    world.launch(LAUNCH | {"id": "m-1"})
    assert world.describe("m-1")["tag"] == "2.0"


def test_an_id_is_used_once_even_after_its_session_ended():
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "m-1"})
    assert refusal_of(world.launch, LAUNCH | {"id": "m-1"}).status == 409
    world.stop("m-1")
    assert refusal_of(world.launch, LAUNCH | {"id": "m-1"}).status == 409


def test_a_full_location_refuses_until_a_session_ends():
    world = new_world(Clock(), locations={"europe": 1, "us-east": 1})
    world.launch(LAUNCH | {"id": "m-1"})
    assert refusal_of(world.launch, LAUNCH).status == 420
    world.launch(LAUNCH | {"location": "us-east"})
    world.stop("m-1")
    world.launch(LAUNCH)


def test_an_outage_refuses_launches_and_leaves_sessions_running():
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "m-1"})
    world.set_capacity("europe", 0)
    assert refusal_of(world.launch, LAUNCH).code == "CAPACITY_UNAVAILABLE"
    assert world.describe("m-1")["status"] == "running"


def test_the_start_rate_refuses_what_is_beyond_the_burst_and_recovers():
    clock = Clock()
    world = new_world(clock, start_rate=2, start_burst=3)
    for _ in range(3):
        world.launch(LAUNCH)
    assert refusal_of(world.launch, LAUNCH).status == 420
    clock.now += 0.5
    world.launch(LAUNCH)
    assert refusal_of(world.launch, LAUNCH).status == 420


def test_refused_launches_cost_no_start():
    world = new_world(Clock(), start_rate=1, start_burst=1)
    for _ in range(5):
        refusal_of(world.launch, LAUNCH | {"location": "atlantis"})
    world.launch(LAUNCH)


def test_a_quota_of_starts_ends():
    world = new_world(Clock(), quota_starts=1)
    world.launch(LAUNCH)
    assert refusal_of(world.launch, LAUNCH).status == 402


def test_a_quota_of_seconds_counts_ended_and_running_sessions():
    clock = Clock(10)
    world = new_world(clock, quota_seconds=100)
    world.launch(LAUNCH | {"id": "m-1"})
    clock.now = 50
    world.stop("m-1")
    world.launch(LAUNCH)
    clock.now = 109
    world.launch(LAUNCH)
    clock.now = 110
    assert refusal_of(world.launch, LAUNCH).code == "QUOTA_EXCEEDED"


def test_a_claimed_session_ignores_what_the_request_says_about_the_container():
    pool = WarmPool("my-game", "europe", 1, env={"P": "1"}, labels={"pool": "yes"}, version="9")
    world = new_world(Clock(), pools=[pool])
    world.launch(
        LAUNCH
        | {
            "id": "m-1",
            "env": {"R": "1"},
            "labels": {"r": "1"},
            "version": "1",
            "args": ["--x"],
            "restart": True,
        }
    )
    session = world.session("m-1")
    assert (session.tag, session.args, session.restart) == ("9", (), False)
    assert "R" not in session.environment()
    assert ids(world.list_sessions([("filter[pool]", "yes")])) == ["m-1"]
    assert world.history[-1].kind == "claimed"


def test_an_empty_pool_means_a_cold_start_until_it_is_refilled():
    clock = Clock()
    pool = WarmPool("my-game", "europe", 1, refill_seconds=5, labels={"pool": "yes"})
    world = new_world(clock, pools=[pool])
    for session_id in ("warm-1", "cold"):
        world.launch(LAUNCH | {"id": session_id})
    clock.now = 5
    world.launch(LAUNCH | {"id": "warm-2"})
    assert ids(world.list_sessions([("filter[pool]", "yes")])) == ["warm-1", "warm-2"]


def test_a_claimed_session_is_running_at_once():
    world = new_world(Clock(), start_seconds=10, pools=[WarmPool("my-game", "europe", 1)])
    world.launch(LAUNCH | {"id": "warm"})
    world.launch(LAUNCH | {"id": "cold"})
    assert [world.describe(name)["status"] for name in ("warm", "cold")] == ["running", "created"]


def test_lists_hide_what_is_not_running_unless_all_are_asked_for():
    world = new_world(Clock())
    for session_id in ("m-1", "m-2"):
        world.launch(LAUNCH | {"id": session_id})
    world.stop("m-1")
    world.set_status("m-2", "draining")
    assert ids(world.list_sessions()) == []
    assert ids(world.list_sessions([("all", "true")])) == ["m-1", "m-2"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([("location", "us-east")], ["b"]),
        ([("image", "other")], ["c"]),
        ([("tag", "2")], ["b"]),
        ([("host", "203.0.113.250")], []),
        ([("filter[mode]", "duel")], ["a", "b"]),
        ([("filter[mode]", "duel"), ("filter[map]", "x")], ["a"]),
        ([("filter[mode]", "Duel")], []),
        ([("filter[location]", "europe")], []),
        ([("filterNot[mode]", "duel")], ["c"]),
        ([("playerCount[lt]", "2")], ["b", "c"]),
        ([("playerCount[gt]", "0")], ["a"]),
        ([("playerCount[gt]", "2")], []),
        ([("unknown", "x")], ["a", "b", "c"]),
    ],
)
def test_filters_of_a_list(query, expected):
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "a", "labels": {"mode": "duel", "map": "x"}})
    world.launch(LAUNCH | {"id": "b", "labels": {"mode": "duel"}, "location": "us-east", "version": "2"})
    world.launch(LAUNCH | {"id": "c", "image": "other"})
    world.join({"session": "a", "players": ["p", "q"]})
    assert ids(world.list_sessions(query)) == expected


@pytest.mark.parametrize("query", [("all", "maybe"), ("playerCount[lt]", "few"), ("playerCount[le]", "1")])
def test_filters_of_the_wrong_type_are_refused(query):
    assert refusal_of(new_world(Clock()).list_sessions, [query]).status == 400


def test_join_and_leave_change_nothing_the_second_time():
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "m-1"})
    for _ in range(2):
        answer = world.join({"session": "m-1", "players": ["p", "q"]})
        assert answer == {"count": 2, "players": ["p", "q"]}
    for _ in range(2):
        assert world.leave({"session": "m-1", "players": ["p"]}) == {"count": 1, "players": ["q"]}
    assert world.describe("m-1")["players"] == {"joined": ["q"], "joinedCount": 1}


def test_nobody_joins_a_session_that_is_over_or_unknown():
    world = new_world(Clock())
    world.launch(LAUNCH | {"id": "m-1"})
    world.stop("m-1")
    for session_id in ("m-1", "m-2"):
        assert refusal_of(world.join, {"session": session_id, "players": []}).status == 404


def test_available_locations_leave_out_the_full_ones():
    world = new_world(Clock(), locations={"europe": 1, "us-east": 1})
    world.launch(LAUNCH)
    [location] = world.available_locations("my-game")["locations"]
    assert location["id"] == "us-east"
    assert len(location["ips"]) == 1


def test_tags_can_differ_between_locations_during_a_rollout():
    images = {"my-game": Image(tags=("2", "1"), tags_in={"us-east": ("1",)})}
    world = new_world(Clock(), images=images)
    assert world.tag_exists("europe", "my-game", "2") == {"exists": True}
    assert world.tag_exists("us-east", "my-game", "2") == {"exists": False}


def test_metrics_quote_the_names_of_locations():
    world = new_world(Clock(), locations=['say "hi"\\\n'])
    assert 'gameye_sessions{location="say \\"hi\\"\\\\\\n"} 0\n' in world.metrics()


def test_regions_health_and_metrics_answer():
    world = new_world(Clock(), locations=("europe", "us-east"))
    world.launch(LAUNCH)
    assert world.regions() == {"regions": ["europe", "us-east"]}
    assert world.health() == {"status": "ok"}
    assert 'gameye_sessions{location="europe"} 1\n' in world.metrics()


def test_ports_are_distinct_and_a_further_machine_opens_when_they_run_out():
    world = new_world(Clock(), images={"my-game": Image(ports=(("udp", 1), ("tcp", 2)))}, capacity=10_000)
    answers = [world.launch(LAUNCH) for _ in range(5_001)]
    addresses = {(answer["host"], port["host"]) for answer in answers for port in answer["ports"]}
    assert len(addresses) == 2 * 5_001
    assert len({answer["host"] for answer in answers}) == 2


def test_ports_of_ended_sessions_are_used_again():
    world = new_world(Clock(), images={"my-game": Image(ports=tuple(("udp", n) for n in range(1, 5_002)))})
    for number in range(5):
        world.launch(LAUNCH | {"id": f"m-{number}"})
        world.stop(f"m-{number}")
    assert {session["host"] for session in world.list_sessions([("all", "true")])["sessions"]} == {
        "203.0.113.1"
    }


def test_refusals_and_changes_are_in_the_history():
    world = new_world(Clock(2.0))
    refusal_of(world.launch, {"id": "m-1"})
    world.launch(LAUNCH | {"id": "m-1"})
    world.join({"session": "m-1", "players": ["p"]})
    world.leave({"session": "m-1", "players": ["p"]})
    world.stop("m-1")
    kinds = [(event.at, event.kind, event.session_id) for event in world.history]
    assert kinds == [(2.0, kind, "m-1") for kind in ("refused", "launched", "joined", "left", "stopped")]


def test_legacy_maps_ports_of_the_older_range():
    world = new_world(Clock(), profile=Profile.LEGACY)
    answer = world.launch(LAUNCH | {"id": "m-1", "env": {}, "args": [], "restart": False})
    assert all(32_768 <= port["host"] <= 60_999 for port in answer["ports"])


def test_profiles_have_names():
    assert Profile.named("legacy") is Profile.LEGACY
    with pytest.raises(ValueError, match="'future'"):
        Profile.named("future")
