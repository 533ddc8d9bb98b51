"""What a session leaves is fetched in one call, before its container is gone."""

import asyncio
import tarfile
from pathlib import Path

import pytest

from gameye_async import (
    AsyncGameye,
    ClientClosedError,
    DeadlineExceededError,
    NotFoundError,
    PermissionDeniedError,
)
from gameye_async.emulator import Fault, Quirks
from tests.after_launch.harness import FIELDS, Stage, stage
from tests.clients import failure
from tests.reliability.stage import in_virtual_time


async def launch(place: Stage, gameye: AsyncGameye) -> str:
    session = await gameye.launch(**FIELDS)
    place.world.write_log(session.id, "ready\n\x1b[31mpanic\x1b[0m\n")
    place.world.put_file(session.id, "/srv/replays/1.bin", b"replay")
    place.world.put_file(session.id, "/var/crash/core.txt", b"core")
    return session.id


def names_in(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


@pytest.mark.parametrize(("kind", "suffix"), [("tar", "tar"), ("gzip", "tar.gz")])
@in_virtual_time
async def test_a_session_is_stopped_and_its_log_and_files_are_fetched(tmp_path, kind, suffix):
    told = []
    async with stage(stop_seconds=8.0, quirks=Quirks(artifact_format=kind)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(
            session_id,
            ["/srv/replays", "/var/crash/core.txt"],
            tmp_path / "new" / "folder",
            on_progress=lambda *now: told.append(now),
        )
        assert place.world.live == []
        assert 8 <= place.now < 15
    folder = tmp_path / "new" / "folder"
    assert collected.session_id == session_id
    assert collected.errors == {}
    assert collected.log == folder / "log.txt"
    assert collected.log.read_text() == "ready\npanic\n"
    assert collected.artifacts == {
        "/srv/replays": folder / f"srv-replays.{suffix}",
        "/var/crash/core.txt": folder / f"var-crash-core.txt.{suffix}",
    }
    assert names_in(collected.artifacts["/srv/replays"]) == ["replays/1.bin"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "log.txt",
        f"srv-replays.{suffix}",
        f"var-crash-core.txt.{suffix}",
    ]
    steps = list(dict.fromkeys(step for step, _ in told))
    assert steps == ["stop", "wait", "log", "/srv/replays", "/var/crash/core.txt"]


@in_virtual_time
async def test_what_the_log_ends_with_while_the_session_stops_is_there(tmp_path):
    async with stage(stop_seconds=5.0) as (place, gameye):
        session_id = await launch(place, gameye)
        place.network.loop.call_later(3.0, place.world.write_log, session_id, "saved\n")
        collected = await gameye.collect(session_id, [], tmp_path)
    assert collected.log is not None
    assert collected.log.read_text().endswith("saved\n")


@pytest.mark.parametrize("status", [404, 409, 503])
@in_virtual_time
async def test_a_container_that_is_still_going_away_is_asked_again(tmp_path, status):
    """What the API answers meanwhile is not documented."""
    async with stage(Fault("refuse", operation="artifacts", status=status, count=3)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert collected.errors == {}
    assert names_in(collected.artifacts["/srv"]) == ["srv/replays/1.bin"]


@in_virtual_time
async def test_a_download_that_is_cut_off_is_begun_again(tmp_path):
    async with stage(Fault("truncate", operation="artifacts", count=2)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert names_in(collected.artifacts["/srv"]) == ["srv/replays/1.bin"]


@in_virtual_time
async def test_what_is_missing_is_named_and_the_rest_is_there(tmp_path):
    async with stage() as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/nothing", "/srv"], tmp_path)
        assert place.now < 15
    assert isinstance(collected.errors["/nothing"], NotFoundError)
    assert [*collected.artifacts] == ["/srv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "srv.tar"]


@in_virtual_time
async def test_a_log_that_cannot_be_had_does_not_keep_the_files_back(tmp_path):
    async with stage(Fault("refuse", operation="stream-logs", status=403)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert collected.log is None
    assert isinstance(collected.errors["log"], PermissionDeniedError)
    assert [path.name for path in tmp_path.iterdir()] == ["srv.tar"]


@in_virtual_time
async def test_a_session_that_is_over_already_is_collected(tmp_path):
    async with stage() as (place, gameye):
        session_id = await launch(place, gameye)
        place.world.end_session(session_id, "dead")
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert collected.errors == {}


@in_virtual_time
async def test_a_session_that_never_was_is_not_found(tmp_path):
    async with stage() as (_, gameye):
        assert isinstance(await failure(gameye.collect("nobody", ["/srv"], tmp_path)), NotFoundError)


@in_virtual_time
async def test_a_stop_that_is_not_confirmed_does_not_keep_anything_back(tmp_path):
    async with stage(Fault("refuse", operation="session-stop", count=8)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert collected.errors == {}


@in_virtual_time
async def test_there_is_one_deadline(tmp_path):
    async with stage(Fault("refuse", operation="artifacts", status=409)) as (place, gameye):
        session_id = await launch(place, gameye)
        before = place.now
        collected = await gameye.collect(session_id, ["/srv", "/var"], tmp_path, deadline=20.0)
        assert place.now - before < 21
    assert collected.log is not None
    assert collected.errors.keys() == {"/srv", "/var"}


@in_virtual_time
async def test_a_log_that_takes_too_long_is_given_up_at_the_deadline(tmp_path):
    async with stage(Fault("latency", operation="stream-logs", seconds=14.0)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, [], tmp_path, deadline=5.0)
        assert place.now < 6
    assert isinstance(collected.errors["log"], DeadlineExceededError)
    assert [*tmp_path.iterdir()] == []


@in_virtual_time
async def test_a_session_that_does_not_end_is_given_up_at_the_deadline(tmp_path):
    async with stage(stop_seconds=1_000.0) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path, deadline=20.0)
        assert 20 <= place.now < 26
    assert collected.errors.keys() == {"log", "/srv"}


@in_virtual_time
async def test_a_session_that_is_forgotten_at_its_end_is_not_waited_for(tmp_path):
    async with stage(stop_seconds=1.0, retention_seconds=0.0) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, [], tmp_path)
        assert place.now < 5
    assert isinstance(collected.errors["log"], NotFoundError)


@in_virtual_time
async def test_what_the_token_may_not_fetch_is_asked_for_once(tmp_path):
    async with stage(Fault("refuse", operation="artifacts", status=403)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
        assert place.now < 5
    assert isinstance(collected.errors["/srv"], PermissionDeniedError)


@in_virtual_time
async def test_paths_of_one_name_get_files_of_their_own(tmp_path):
    async with stage() as (place, gameye):
        session_id = await launch(place, gameye)
        for path in ("/srv/log", "/srv-log", "/srv:log", "/"):
            place.world.put_file(session_id, path if path != "/" else "/top", path.encode())
        collected = await gameye.collect(session_id, ["/srv/log", "/srv-log", "/srv:log"], tmp_path)
    assert sorted(path.name for path in collected.artifacts.values()) == [
        "srv-log-2.tar",
        "srv-log-3.tar",
        "srv-log.tar",
    ]


@in_virtual_time
async def test_no_file_takes_the_place_of_another(tmp_path):
    """Without its suffix, an archive could have the name of the log, or of another archive."""
    async with stage() as (place, gameye):
        session_id = await launch(place, gameye)
        for path in ("/log.txt", "/srv.tar"):
            place.world.put_file(session_id, path, path.encode())
        collected = await gameye.collect(session_id, ["/log.txt", "/srv", "/srv.tar"], tmp_path)
    assert collected.errors == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log.txt",
        "log.txt.tar",
        "srv.tar",
        "srv.tar.tar",
    ]
    assert (tmp_path / "log.txt").read_text() == "ready\npanic\n"
    assert names_in(tmp_path / "srv.tar") == ["srv/replays/1.bin"]


@in_virtual_time
async def test_a_folder_of_the_name_of_an_archive_is_not_in_the_way(tmp_path):
    """The archive of an earlier collection was unpacked beside it, say."""
    (tmp_path / "srv").mkdir()
    async with stage() as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
    assert collected.artifacts == {"/srv": tmp_path / "srv.tar"}


@in_virtual_time
async def test_a_stop_that_gets_no_answer_is_given_up_at_the_deadline(tmp_path):
    """It goes on in the background."""
    async with stage(Fault("latency", operation="session-stop", seconds=14.0)) as (place, gameye):
        session_id = await launch(place, gameye)
        before = place.now
        collected = await gameye.collect(session_id, ["/srv"], tmp_path, deadline=5.0)
        assert place.now - before < 6
        await asyncio.sleep(20.0)
        assert place.world.live == []
    assert collected.errors.keys() == {"log", "/srv"}


@in_virtual_time
async def test_a_session_that_may_not_be_looked_at_is_collected_all_the_same(tmp_path):
    """A token need not have the scope of reading sessions."""
    async with stage(Fault("refuse", operation="describe-session", status=403)) as (place, gameye):
        session_id = await launch(place, gameye)
        collected = await gameye.collect(session_id, ["/srv"], tmp_path)
        assert place.now < 15
    assert collected.errors == {}


@in_virtual_time
async def test_a_collection_that_the_client_does_not_outlive_ends(tmp_path):
    async with stage(stop_seconds=100.0) as (place, gameye):
        session_id = await launch(place, gameye)
        collecting = asyncio.create_task(gameye.collect(session_id, ["/srv"], tmp_path))
        await asyncio.sleep(3.0)
        before = place.now
        await gameye.aclose()
        collected = await collecting
        assert place.now - before < 5
    assert {type(error) for error in collected.errors.values()} == {ClientClosedError}


@in_virtual_time
async def test_a_cancelled_collection_leaves_no_half_files(tmp_path):
    async with stage(Fault("latency", operation="artifacts", seconds=5.0)) as (place, gameye):
        session_id = await launch(place, gameye)
        collecting = asyncio.create_task(gameye.collect(session_id, ["/srv"], tmp_path))
        await asyncio.sleep(3.0)
        collecting.cancel()
        assert isinstance(await failure(collecting), asyncio.CancelledError)
        assert place.world.live == []
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
