"""A download is whole and on the disk, or not there at all."""

import asyncio
import gzip
import io
import tarfile

import pytest

from gameye_async import (
    ApiError,
    BadAnswerError,
    ConfigurationError,
    DeadlineExceededError,
    NoAnswerError,
    NotFoundError,
)
from gameye_async._artifacts import Artifact
from gameye_async.emulator import Fault, Quirks
from tests.after_launch.harness import FIELDS, client_of, emulated
from tests.clients import TOKEN, failure, shown
from tests.faultserver import FaultServer, answer, hang, oversize, partial, slow_drip


def tar_of(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("replay.bin")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = tar_of(b"replay" * 1_000)


@pytest.mark.parametrize(("kind", "suffix"), [("tar", "tar"), ("gzip", "tar.gz")])
async def test_an_archive_is_told_by_its_bytes(tmp_path, kind, suffix):
    async with emulated(quirks=Quirks(artifact_format=kind)) as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.put_file(session.id, "/srv/replay.bin", b"replay")
        await gameye.stop(session.id)
        destination = tmp_path / "replay"
        artifact = await gameye.download_artifact(session.id, "/srv", destination)
    assert artifact == Artifact(destination, suffix, destination.stat().st_size)
    with tarfile.open(destination) as archive:
        assert archive.getnames() == ["srv/replay.bin"]


async def test_progress_is_told_in_bytes(tmp_path):
    told = []
    async with FaultServer(answer(200, ARCHIVE)) as server, client_of(server) as gameye:
        await gameye.download_artifact(
            "match-1", "/srv", tmp_path / "a.tar", on_progress=lambda *now: told.append(now)
        )
    assert told[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert told == sorted(told)


async def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path):
    destination = tmp_path / "a.tar"
    destination.write_bytes(b"older")
    async with FaultServer(answer(200, ARCHIVE)) as server, client_of(server) as gameye:
        await gameye.download_artifact("match-1", "/srv", destination)
    assert destination.read_bytes() == ARCHIVE
    assert [*tmp_path.iterdir()] == [destination]


async def test_a_destination_may_have_as_long_a_name_as_any_file(tmp_path):
    async with FaultServer(answer(200, ARCHIVE)) as server, client_of(server) as gameye:
        artifact = await gameye.download_artifact("match-1", "/srv", tmp_path / ("a" * 255))
        files = await gameye.extract_artifact(artifact.path, tmp_path / ("b" * 255))
    assert all(file.exists() for file in files)


async def test_the_request_asks_for_the_bytes_as_they_are(tmp_path):
    async with FaultServer(answer(200, ARCHIVE)) as server, client_of(server) as gameye:
        await gameye.download_artifact("a&b", "/srv/my file&x=1", tmp_path / "a.tar")
        (request,) = server.requests
    assert request.target == "/artifacts?session=a%26b&path=%2Fsrv%2Fmy%20file%26x%3D1"
    assert request.headers.getall("Accept-Encoding") == ["identity"]


async def test_a_gzip_that_is_called_an_encoding_is_kept_as_it_is(tmp_path):
    packed = gzip.compress(ARCHIVE)
    reply = answer(200, packed, [("Content-Encoding", "gzip")])
    async with FaultServer(reply) as server, client_of(server) as gameye:
        artifact = await gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar.gz")
    assert artifact.format == "tar.gz"
    assert artifact.path.read_bytes() == packed


@pytest.mark.parametrize(
    "reply",
    [
        partial(200, ARCHIVE[:5_000], announced=len(ARCHIVE)),
        partial(200, ARCHIVE[:5_000], announced=len(ARCHIVE), ending="reset"),
    ],
    ids=["closed", "reset"],
)
async def test_a_download_that_is_cut_off_says_where(tmp_path, reply):
    destination = tmp_path / "a.tar"
    destination.write_bytes(b"older")
    async with FaultServer(reply) as server, client_of(server) as gameye:
        with pytest.raises(NoAnswerError, match=r"\d+ bytes of it had come"):
            await gameye.download_artifact("match-1", "/srv", destination)
    assert destination.read_bytes() == b"older"
    assert [*tmp_path.iterdir()] == [destination]


@pytest.mark.parametrize("announced", [101_000_000_000, None], ids=["announced", "endless"])
async def test_a_download_that_is_too_large_is_refused(tmp_path, announced):
    async with FaultServer(oversize(announced)) as server, client_of(server) as gameye:
        with pytest.raises(BadAnswerError, match="larger than 1000000 bytes"):
            await gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar", max_bytes=1_000_000)
        await server.wait_for_hangup()
    assert [*tmp_path.iterdir()] == []


async def test_more_than_a_hundred_mebibytes_are_refused_without_being_read(tmp_path):
    announced = partial(200, b"", announced=101 * 2**20)
    async with FaultServer(announced) as server, client_of(server) as gameye:
        with pytest.raises(BadAnswerError, match="larger than 104857600 bytes"):
            await gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar")


@pytest.mark.parametrize("body", [b"", b"<html>it works</html>", b"\0" * 100, b"x" * 600])
async def test_what_is_no_archive_is_refused(tmp_path, body):
    async with FaultServer(answer(200, body)) as server, client_of(server) as gameye:
        with pytest.raises(BadAnswerError, match="neither a tar"):
            await gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar")
    assert [*tmp_path.iterdir()] == []


async def test_an_empty_tar_is_an_archive(tmp_path):
    async with FaultServer(answer(200, bytes(10_240))) as server, client_of(server) as gameye:
        assert (await gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar")).format == "tar"


@pytest.mark.parametrize("reply", [hang(), slow_drip(200, ARCHIVE)], ids=["no answer", "slow drip"])
async def test_a_download_has_a_deadline(tmp_path, reply):
    async with FaultServer(reply) as server, client_of(server) as gameye:
        error = await failure(gameye.download_artifact("match-1", "/srv", tmp_path / "a.tar", deadline=0.05))
        assert isinstance(error, DeadlineExceededError | NoAnswerError)
        assert TOKEN not in shown(error)
        await server.wait_for_hangup()
    assert [*tmp_path.iterdir()] == []


async def test_a_cancelled_download_leaves_nothing(tmp_path):
    arrived = asyncio.Event()
    async with FaultServer(oversize()) as server, client_of(server) as gameye:
        downloading = asyncio.create_task(
            gameye.download_artifact(
                "match-1", "/srv", tmp_path / "a.tar", on_progress=lambda *_: arrived.set()
            )
        )
        await arrived.wait()
        downloading.cancel()
        assert isinstance(await failure(downloading), asyncio.CancelledError)
        await server.wait_for_hangup()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("kind", ["refuse", "html_502", "cut_before_commit"])
async def test_a_download_that_did_not_begin_is_tried_again(tmp_path, kind):
    async with emulated(Fault(kind, operation="artifacts", count=3)) as (emulator, gameye):
        session = await gameye.launch(**FIELDS)
        emulator.world.put_file(session.id, "/srv/replay.bin", b"replay")
        await gameye.stop(session.id)
        await gameye.download_artifact(session.id, "/srv", tmp_path / "a.tar")


async def test_a_session_that_runs_has_no_artifacts(tmp_path):
    async with emulated() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        with pytest.raises(ApiError) as caught:
            await gameye.download_artifact(session.id, "/srv", tmp_path / "a.tar")
    assert caught.value.status == 409


async def test_a_path_with_nothing_in_it_is_not_found(tmp_path):
    async with emulated() as (_, gameye):
        session = await gameye.launch(**FIELDS)
        await gameye.stop(session.id)
        with pytest.raises(NotFoundError):
            await gameye.download_artifact(session.id, "/nothing", tmp_path / "a.tar")


@pytest.mark.parametrize("path", ["", "srv", "/a\nb", "/\ud800", "/" + "x" * 5_000])
async def test_a_path_that_cannot_be_one_is_refused_before_it_is_sent(tmp_path, path):
    async with FaultServer(hang()) as server, client_of(server) as gameye:
        with pytest.raises(ConfigurationError):
            await gameye.download_artifact("match-1", path, tmp_path / "a.tar")
        assert server.requests == []


async def test_a_destination_that_cannot_be_written_is_said_before_anything_is_sent(tmp_path):
    async with FaultServer(hang()) as server, client_of(server) as gameye:
        with pytest.raises(IsADirectoryError):
            await gameye.download_artifact("match-1", "/srv", tmp_path)
        with pytest.raises(FileNotFoundError):
            await gameye.download_artifact("match-1", "/srv", tmp_path / "missing" / "a.tar")
        assert server.requests == []
