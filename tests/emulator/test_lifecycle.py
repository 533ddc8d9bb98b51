"""What happens to sessions over time, and by the hooks of whoever plays the platform."""

import io
import tarfile

import pytest

from gameye_async.emulator import Refusal
from tests.emulator.harness import EPOCH, LAUNCH, Clock, new_world


def status_of(world, session_id="m-1"):
    return world.describe(session_id)["status"]


def launched(clock, body=(), **options):
    world = new_world(clock, **options)
    world.launch(LAUNCH | {"id": "m-1"} | dict(body))
    return world


def test_a_session_is_created_until_its_container_runs():
    clock = Clock()
    world = launched(clock, start_seconds=2)
    assert status_of(world) == "created"
    clock.now = 2
    assert status_of(world) == "running"


def test_that_a_container_runs_is_told_also_when_the_launch_took_longer():
    """Else whoever waits for it would wait in vain, now and then."""
    clock = Clock()
    world = new_world(clock, start_seconds=2)
    reservation = world.reserve(LAUNCH)
    clock.now = 3
    world.commit(reservation)
    assert [(event.kind, event.at) for event in world.history] == [("launched", 3), ("running", 3)]


def test_a_stopped_session_can_be_read_and_cannot_be_stopped_again():
    world = launched(Clock())
    world.stop("m-1")
    assert status_of(world) == "exited"
    with pytest.raises(Refusal, match="409"):
        world.stop("m-1")


def test_an_unknown_session_cannot_be_stopped():
    with pytest.raises(Refusal, match="404"):
        new_world(Clock()).stop("m-1")


def test_a_stop_takes_its_time_and_can_be_repeated_meanwhile():
    clock = Clock()
    world = launched(clock, stop_seconds=5)
    world.stop("m-1")
    clock.now = 4
    world.stop("m-1")
    assert status_of(world) == "shuttingdown"
    assert world.places["europe"].used == 1
    clock.now = 5
    assert status_of(world) == "exited"
    assert world.places["europe"].used == 0


@pytest.mark.parametrize(("ttl", "seconds"), [("0m", 60), ("1m", 60), ("2h30m", 9000), ("1h", 3600)])
def test_a_ttl_ends_a_session_when_it_expires(ttl, seconds):
    clock = Clock()
    world = launched(clock, {"ttl": ttl})
    clock.now = seconds - 0.001
    assert status_of(world) == "running"
    clock.now = seconds
    assert status_of(world) == "exited"
    assert (world.history[-1].kind, world.history[-1].at) == ("expired", seconds)


def test_what_is_due_happens_at_its_own_time_however_late_anybody_looks():
    clock = Clock()
    world = launched(clock, {"ttl": "1m"}, start_seconds=3)
    clock.now = 1000
    world.settle()
    assert [(event.kind, event.at) for event in world.history] == [
        ("launched", 0),
        ("running", 3),
        ("expired", 60),
    ]


def test_an_ended_session_is_forgotten_and_its_id_free_after_the_retention():
    clock = Clock()
    world = launched(clock, retention_seconds=100)
    world.stop("m-1")
    clock.now = 100
    with pytest.raises(Refusal, match="404"):
        world.describe("m-1")
    world.launch(LAUNCH | {"id": "m-1"})


def test_a_crash_is_final_unless_restart_was_asked_for():
    world = launched(Clock())
    world.crash("m-1")
    assert status_of(world) == "dead"


def test_a_crashed_session_that_restarts_runs_again_after_a_while():
    clock = Clock()
    world = launched(clock, {"restart": True}, start_seconds=2)
    clock.now = 10
    world.crash("m-1")
    assert status_of(world) == "restarting"
    clock.now = 12
    assert status_of(world) == "running"


def test_a_stopped_session_is_never_restarted():
    world = launched(Clock(), {"restart": True}, stop_seconds=5)
    world.stop("m-1")
    world.crash("m-1")
    assert status_of(world) == "dead"


def test_a_session_can_end_by_itself():
    world = launched(Clock())
    world.end_session("m-1")
    world.end_session("m-1", status="dead")
    assert status_of(world) == "exited"


def test_statuses_nobody_knows_can_be_shown():
    world = launched(Clock())
    world.set_status("m-1", "hibernating")
    assert status_of(world) == "hibernating"


def test_a_reservation_that_is_released_gives_everything_back():
    world = new_world(Clock(), locations={"europe": 1})
    world.release(world.reserve(LAUNCH | {"id": "m-1"}))
    world.launch(LAUNCH | {"id": "m-1"})


def test_a_committed_reservation_has_nothing_to_give_back():
    world = new_world(Clock())
    reservation = world.reserve(LAUNCH)
    world.commit(reservation)
    world.release(reservation)
    assert world.places["europe"].used == 1


def test_a_reservation_holds_its_id_and_seat_and_is_no_session_yet():
    world = new_world(Clock(), locations={"europe": 1, "us-east": 1})
    world.reserve(LAUNCH | {"id": "m-1"})
    with pytest.raises(Refusal, match="409"):
        world.reserve(LAUNCH | {"id": "m-1", "location": "us-east"})
    with pytest.raises(Refusal, match="420"):
        world.reserve(LAUNCH)
    with pytest.raises(Refusal, match="404"):
        world.describe("m-1")


@pytest.mark.parametrize("keep_memory", [True, False])
def test_a_restart_loses_launches_in_flight(keep_memory):
    world = new_world(Clock())
    reservation = world.reserve(LAUNCH | {"id": "m-1"})
    world.restart(keep_memory=keep_memory)
    with pytest.raises(Refusal, match="503"):
        world.commit(reservation)
    world.launch(LAUNCH | {"id": "m-1"})
    assert world.places["europe"].used == 1


def test_a_restart_keeps_sessions_only_with_memory():
    world = launched(Clock())
    world.restart(keep_memory=True)
    assert status_of(world) == "running"
    world.restart(keep_memory=False)
    assert world.list_sessions([("all", "true")]) == {"sessions": []}
    assert world.places["europe"].used == 0


def test_a_foreign_session_takes_an_id_and_looks_older():
    world = new_world(Clock(100))
    world.add_foreign_session("m-1", image="other", location="europe", labels={"x": "1"}, age=30)
    assert world.describe("m-1")["created"] == (EPOCH + 70) * 1000
    with pytest.raises(Refusal, match="409"):
        world.launch(LAUNCH | {"id": "m-1"})


def test_listeners_hear_of_their_session_until_they_unsubscribe():
    world = launched(Clock())
    world.launch(LAUNCH | {"id": "m-2"})
    heard = []
    unsubscribe = world.subscribe(lambda event: heard.append(event.kind), "m-1")
    world.write_log("m-1", "hello\n")
    world.write_log("m-2", "hello\n")
    world.stop("m-1")
    unsubscribe()
    world.restart(keep_memory=True)
    assert heard == ["output", "stopped"]


def test_listeners_without_a_session_hear_everything():
    world = launched(Clock())
    heard = []
    world.subscribe(lambda event: heard.append((event.kind, event.session_id)))
    world.stop("m-1")
    world.restart(keep_memory=True)
    assert heard == [("stopped", "m-1"), ("restarted", "")]


def test_logs_are_what_was_written_so_far():
    world = launched(Clock())
    world.write_log("m-1", "one\n")
    world.write_log("m-1", b"tw\xff")
    assert world.logs("m-1") == b"one\ntw\xff"


def names(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


def test_an_artifact_is_a_file_or_all_below_a_folder():
    world = launched(Clock())
    world.put_file("m-1", "/home/game/logs/a.log", b"a")
    world.put_file("m-1", "/home/game/logs/deep/b.log", b"b")
    world.put_file("m-1", "/home/game/logsmore", b"c")
    world.stop("m-1")
    assert names(world.artifact("m-1", "/home/game/logs")) == ["logs/a.log", "logs/deep/b.log"]
    assert names(world.artifact("m-1", "/home/game/logs/a.log")) == ["a.log"]
    assert len(names(world.artifact("m-1", "/"))) == 3


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("relative", 400)])
def test_artifacts_that_are_not_there_are_refused(path, status):
    world = launched(Clock())
    world.stop("m-1")
    with pytest.raises(Refusal, match=str(status)):
        world.artifact("m-1", path)


def test_artifacts_wait_for_the_end_of_the_session():
    world = launched(Clock())
    world.put_file("m-1", "/a", b"a")
    with pytest.raises(Refusal, match="409"):
        world.artifact("m-1", "/a")


def test_the_next_change_by_itself_is_known():
    clock = Clock()
    world = launched(clock, {"ttl": "1h"}, start_seconds=4)
    assert world.next_due() == 4
    clock.now = 4
    world.settle()
    assert world.next_due() == 3600


def test_a_ttl_counts_from_the_start_of_the_container():
    clock = Clock()
    world = new_world(clock)
    reservation = world.reserve(LAUNCH | {"id": "m-1", "ttl": "1m"})
    clock.now = 30
    world.commit(reservation)
    clock.now = 89
    assert status_of(world) == "running"
    clock.now = 90
    assert status_of(world) == "exited"
