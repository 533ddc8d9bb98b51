"""Every quirk, each against a world of its own."""

import gzip

import pytest

from gameye_async.emulator import Image, Quirks, Refusal, WarmPool
from tests.emulator.harness import LAUNCH, Clock, new_world

PLAYERS = {"players": ["p"]}


def quirky(clock=None, **quirks):
    world = new_world(clock or Clock(), quirks=Quirks(**quirks))
    world.launch(LAUNCH | {"id": "m-1", "labels": {"a": "1"}})
    world.join({"session": "m-1", "players": ["p", "q"]})
    return world


@pytest.mark.parametrize(("choice", "status"), [("not_found", 404), ("rejected", 422)])
def test_leave_without_session_is_refused(choice, status):
    world = quirky(leave_without_session=choice)
    with pytest.raises(Refusal, match=str(status)):
        world.leave(PLAYERS)
    assert world.leave(PLAYERS | {"session": "m-1"})["count"] == 1


def test_leave_without_session_can_find_the_session_of_the_players():
    world = quirky(leave_without_session="ok")
    assert world.leave(PLAYERS) == {"count": 1, "players": ["q"]}
    with pytest.raises(Refusal, match="404"):
        world.leave({"players": ["stranger"]})


def test_leave_can_forbid_the_session_as_described():
    world = quirky(leave_accepts_session=False)
    with pytest.raises(Refusal) as caught:
        world.leave(PLAYERS | {"session": "m-1"})
    assert caught.value.violations[0]["field"] == "session"


def test_rosters_can_be_an_echo():
    world = quirky(roster="echo")
    assert world.join({"session": "m-1", "players": ["r"]}) == {"count": 3, "players": ["r"]}


def test_a_missing_tag_can_be_not_found():
    world = new_world(Clock(), images={"my-game": Image(tags=("1",))}, quirks=Quirks(missing_tag="not_found"))
    with pytest.raises(Refusal, match="RESOURCE_NOT_FOUND"):
        world.tag_exists("europe", "my-game", "2")


@pytest.mark.parametrize("choice", ["tar", "gzip"])
def test_artifacts_are_tar_or_gzip(choice):
    world = quirky(artifact_format=choice)
    world.put_file("m-1", "/a", b"a")
    world.stop("m-1")
    archive = world.artifact("m-1", "/a")
    assert archive.startswith(b"\x1f\x8b") == (choice == "gzip")
    assert b"ustar" in (gzip.decompress(archive) if choice == "gzip" else archive)


def test_the_launch_answer_can_lack_its_id():
    world = new_world(Clock(), quirks=Quirks(omit_launch_id=True))
    assert set(world.launch(LAUNCH)) == {"host", "ports"}


def test_the_first_port_can_come_twice():
    world = new_world(Clock(), quirks=Quirks(duplicate_port=True))
    ports = world.launch(LAUNCH)["ports"]
    assert ports[0] == ports[-1]
    assert len(ports) == 3


def test_list_entries_can_lack_their_optional_fields():
    world = quirky(omit_list_fields=["tag", "status", "labels", "playerCount"])
    [entry] = world.list_sessions()["sessions"]
    assert set(entry) == {"id", "image", "location", "host", "created", "port"}


def test_a_list_can_be_bare():
    assert [entry["id"] for entry in quirky(bare_list=True).list_sessions()] == ["m-1"]


def test_the_id_of_an_ended_session_can_be_free():
    world = quirky(reuse_ended_id=True)
    with pytest.raises(Refusal, match="409"):
        world.launch(LAUNCH | {"id": "m-1"})
    world.stop("m-1")
    world.launch(LAUNCH | {"id": "m-1"})
    assert world.describe("m-1")["status"] == "running"


def test_a_reused_id_outlives_the_retention_of_its_first_session():
    clock = Clock()
    world = new_world(clock, quirks=Quirks(reuse_ended_id=True), retention_seconds=10)
    world.launch(LAUNCH | {"id": "m-1"})
    world.stop("m-1")
    world.launch(LAUNCH | {"id": "m-1"})
    clock.now = 10
    assert world.describe("m-1")["status"] == "running"


def test_ids_that_are_not_reserved_early_can_start_twice():
    world = new_world(Clock(), quirks=Quirks(ids_reserved_early=False))
    reservations = [world.reserve(LAUNCH | {"id": "m-1"}) for _ in range(2)]
    for reservation in reservations:
        world.commit(reservation)
    assert [session.id for session in world.live] == ["m-1", "m-1"]
    assert world.places["europe"].used == 2


@pytest.mark.parametrize(("honoured", "status"), [(True, "exited"), (False, "running")])
def test_a_pool_can_ignore_the_ttl(honoured, status):
    clock = Clock()
    world = new_world(
        clock, quirks=Quirks(pool_honours_ttl=honoured), pools=[WarmPool("my-game", "europe", 1)]
    )
    world.launch(LAUNCH | {"id": "m-1", "ttl": "1m"})
    clock.now = 60
    assert world.describe("m-1")["status"] == status


def test_reads_can_lag_behind():
    clock = Clock()
    world = new_world(clock, quirks=Quirks(read_lag=2))
    world.launch(LAUNCH | {"id": "m-1"})
    with pytest.raises(Refusal, match="404"):
        world.describe("m-1")
    with pytest.raises(Refusal, match="404"):
        world.logs("m-1")
    assert world.list_sessions([("all", "true")]) == {"sessions": []}
    clock.now = 2
    assert world.describe("m-1")["id"] == "m-1"
    assert len(world.list_sessions()["sessions"]) == 1


def test_a_stop_does_not_wait_for_reads_that_lag():
    world = new_world(Clock(), quirks=Quirks(read_lag=2))
    world.launch(LAUNCH | {"id": "m-1"})
    world.stop("m-1")


@pytest.mark.parametrize("status", [402, 403])
def test_a_quota_has_two_statuses(status):
    world = new_world(Clock(), quota_starts=0, quirks=Quirks(quota_status=status))
    with pytest.raises(Refusal, match=f"{status} QUOTA_EXCEEDED"):
        world.launch(LAUNCH)


@pytest.mark.parametrize(
    "order",
    [
        (401, 403, 422, 404, 409, 402, 420),
        (420, 402, 409, 404, 422, 403, 401),
        (422, 409, 420, 401, 404, 402, 403),
    ],
)
def test_the_first_check_of_the_order_decides(order):
    images = {"my-game": Image(tags=())}
    world = new_world(
        Clock(), images=images, locations={"europe": 1}, quota_starts=1, quirks=Quirks(check_order=order)
    )
    images["my-game"] = Image()
    world.launch(LAUNCH | {"id": "m-1"})
    images["my-game"] = Image(tags=())
    first = next(status for status in order if status not in {422, 403})
    with pytest.raises(Refusal, match=str(first)):
        world.reserve(LAUNCH | {"id": "m-1"}, denied=Refusal(401))


@pytest.mark.parametrize(("order", "status"), [((401, 422), 401), ((422, 401), 422)])
def test_a_malformed_launch_is_judged_by_its_form_and_its_sender_only(order, status):
    whole = (404, 409, 402, 420, *order, 403)
    world = new_world(Clock(), quirks=Quirks(check_order=whole))
    with pytest.raises(Refusal, match=str(status)):
        world.reserve({}, denied=Refusal(401))


@pytest.mark.parametrize(
    "wrong",
    [
        {"leave_without_session": "maybe"},
        {"omit_list_fields": ["id"]},
        {"check_order": (401, 403)},
        {"quota_status": 429},
        {"read_lag": -1},
    ],
)
def test_quirks_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011  -- the text is that of attrs' validators
        Quirks(**wrong)
