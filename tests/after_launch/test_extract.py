"""An archive is unpacked as a whole and into its folder, or refused with nothing left."""

import asyncio
import gzip
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameye_async import AsyncGameye, BadAnswerError
from gameye_async._extract import extract_artifact
from tests.clients import failure

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"content") -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> Member:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


def archive(path: Path, *members: Member, tar_format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=tar_format) as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_files_and_folders_are_unpacked(tmp_path, compressed, tar_format):
    # 1 for names that only an extension of the format can hold.
    long = "/".join(["folder" * 5] * 3) if tar_format == tarfile.USTAR_FORMAT else "x" * 180
    source = archive(
        tmp_path / "a.tar",
        special("srv", tarfile.DIRTYPE),
        file("srv/replay.bin", b"replay" * 50_000),
        file(f"srv/{long}", b""),
        file("2026-01-01T10:00:00 log.txt"),
        tar_format=tar_format,
    )
    if compressed:
        source.write_bytes(gzip.compress(source.read_bytes()))
    files = await extract_artifact(source, tmp_path / "out")
    assert files == [
        tmp_path / "out" / name for name in ("srv/replay.bin", f"srv/{long}", "2026-01-01T10:00:00 log.txt")
    ]
    assert files[0].read_bytes() == b"replay" * 50_000
    assert left_in(tmp_path) == ["a.tar", "out"]


async def test_a_client_unpacks_too(tmp_path):
    source = archive(tmp_path / "a.tar", file("match.log"))
    files = await AsyncGameye("token").extract_artifact(source, tmp_path / "out")
    assert files == [tmp_path / "out" / "match.log"]


async def test_modes_of_the_archive_are_not_kept(tmp_path):
    member, content = file("srv/run.sh")
    member.mode = 0o6777
    (unpacked,) = await extract_artifact(archive(tmp_path / "a.tar", (member, content)), tmp_path / "out")
    assert unpacked.stat().st_mode & 0o7777 == 0o600
    assert unpacked.parent.stat().st_mode & 0o7777 == 0o700


async def test_an_empty_directory_will_do_and_a_full_one_will_not(tmp_path):
    source = archive(tmp_path / "a.tar", file("one"))
    (tmp_path / "out").mkdir()
    await extract_artifact(source, tmp_path / "out")
    with pytest.raises(FileExistsError):
        await extract_artifact(source, tmp_path / "out")
    assert left_in(tmp_path / "out") == ["one"]


HOSTILE: dict[str, tuple[Member, ...]] = {
    "absolute": (file("/etc/passwd"),),
    "parent": (file("../evil"),),
    "parent inside": (file("a/b/../../../evil"),),
    "parent folder": (special("..", tarfile.DIRTYPE),),
    "backslash": (file("..\\evil"),),
    "control character": (file("a\x1b[2Jb"),),
    "symlink": (special("link", tarfile.SYMTYPE, "/etc"),),
    "file through a symlink": (special("link", tarfile.SYMTYPE, "/tmp"), file("link/evil")),
    "hardlink": (special("link", tarfile.LNKTYPE, "/etc/passwd"),),
    "hardlink to a member": (file("one"), special("two", tarfile.LNKTYPE, "one")),
    "fifo": (special("pipe", tarfile.FIFOTYPE),),
    "character device": (special("null", tarfile.CHRTYPE),),
    "block device": (special("disk", tarfile.BLKTYPE),),
    "contiguous": (special("old", tarfile.CONTTYPE),),
    "unknown": (special("new", b"Z"),),
    "duplicate": (file("one", b"1"), file("one", b"2")),
    "duplicate in disguise": (file("a/one"), file("a/./one")),
    "file, then folder": (file("one"), file("one/two")),
    "folder, then file": (file("one/two"), file("one")),
    "root as a file": (file("."),),
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_archive_is_refused_and_nothing_is_left(tmp_path, members):
    source = archive(tmp_path / "a.tar", file("first"), *members)
    with pytest.raises(BadAnswerError):
        await extract_artifact(source, tmp_path / "in" / "out")
    assert left_in(tmp_path) == ["a.tar", "in"]
    assert left_in(tmp_path / "in") == []


async def test_an_absolute_name_is_refused_where_nothing_is_in_its_way(tmp_path):
    source = archive(tmp_path / "a.tar", file(str(tmp_path / "evil")))
    with pytest.raises(BadAnswerError, match="could lead out"):
        await extract_artifact(source, tmp_path / "out")
    assert left_in(tmp_path) == ["a.tar"]


async def test_a_folder_may_be_named_again(tmp_path):
    folder = special("srv", tarfile.DIRTYPE)
    source = archive(tmp_path / "a.tar", file("srv/one"), folder, folder, file("srv/two"))
    assert len(await extract_artifact(source, tmp_path / "out")) == 2


async def test_a_refusal_does_not_repeat_what_could_fool_a_terminal(tmp_path):
    source = archive(tmp_path / "a.tar", file("a\x1b[2J\nb"))
    with pytest.raises(BadAnswerError) as caught:
        await extract_artifact(source, tmp_path / "out")
    assert str(caught.value).isprintable()


async def test_too_many_members_are_refused(tmp_path):
    source = archive(tmp_path / "a.tar", *(file(str(number), b"") for number in range(11)))
    assert len(await extract_artifact(source, tmp_path / "ten", max_members=11)) == 11
    with pytest.raises(BadAnswerError, match="more than 10 files"):
        await extract_artifact(source, tmp_path / "out", max_members=10)


async def test_folders_that_a_name_implies_count(tmp_path):
    source = archive(tmp_path / "a.tar", file("/".join("a" * 30)))
    with pytest.raises(BadAnswerError, match="more than 10 files"):
        await extract_artifact(source, tmp_path / "out", max_members=10)


async def test_too_many_bytes_are_refused(tmp_path):
    source = archive(tmp_path / "a.tar", file("one", bytes(101 * 2**20)))
    with pytest.raises(BadAnswerError, match="more than 104857600 bytes"):
        await extract_artifact(source, tmp_path / "out", max_bytes=100 * 2**20)
    assert left_in(tmp_path) == ["a.tar"]


async def test_a_bomb_is_refused(tmp_path):
    """A gigabyte of zeros in a megabyte, of which no more than 250 times its size is unpacked."""
    source = tmp_path / "bomb.tar.gz"
    member = tarfile.TarInfo("zeros")
    member.size = 2**30
    block = bytes(2**20)
    with gzip.open(source, "wb", compresslevel=6) as packed:
        packed.write(member.tobuf())
        for _ in range(50):
            packed.write(block)
    with pytest.raises(BadAnswerError, match="unpacks to far more"):
        await extract_artifact(source, tmp_path / "out", max_bytes=2**40)
    assert left_in(tmp_path) == ["bomb.tar.gz"]


async def test_a_bomb_after_the_end_is_refused(tmp_path):
    source = archive(tmp_path / "a.tar", file("one"))
    with gzip.open(tmp_path / "b.tar.gz", "wb", compresslevel=1) as packed:
        packed.write(source.read_bytes())
        for _ in range(10):
            packed.write(bytes(2**20))
    with pytest.raises(BadAnswerError, match="unpacks to far more"):
        await extract_artifact(tmp_path / "b.tar.gz", tmp_path / "out")


async def test_a_header_that_is_a_bomb_is_refused(tmp_path):
    """Python would read it into memory as a whole."""
    source = tmp_path / "a.tar.gz"
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 2**30
    with gzip.open(source, "wb", compresslevel=1) as packed:
        packed.write(member.tobuf())
        for _ in range(10):
            packed.write(bytes(2**20))
    with pytest.raises(BadAnswerError, match="header of 1073741824 bytes"):
        await extract_artifact(source, tmp_path / "out")


async def test_a_header_that_takes_python_long_to_read_is_refused(tmp_path):
    """One of 1 MiB stops all threads for minutes, where Python has CVE-2024-6232."""
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 2**16
    source = tmp_path / "a.tar"
    source.write_bytes(header.tobuf() + b"1" * header.size + tarfile.TarInfo("one").tobuf() + bytes(1024))
    with pytest.raises(BadAnswerError, match="header of 65536 bytes"):
        await extract_artifact(source, tmp_path / "out")


async def test_folders_that_are_too_deep_are_refused_and_nothing_is_left(tmp_path):
    """Python would not get down to their ends to remove them."""
    source = archive(tmp_path / "a.tar", file("f/" * 1_500 + "deep"), special("link", tarfile.SYMTYPE))
    with pytest.raises(BadAnswerError, match="too deep"):
        await extract_artifact(source, tmp_path / "out")
    assert left_in(tmp_path) == ["a.tar"]


async def test_headers_that_only_announce_the_next_are_refused(tmp_path):
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    block = header.tobuf() + b"x".ljust(512, b"\0")
    (tmp_path / "a.tar").write_bytes(block * 900)
    with pytest.raises(BadAnswerError):
        await extract_artifact(tmp_path / "a.tar", tmp_path / "out")


def _sparse(path: Path) -> None:
    member, content = file("hole", b"x")
    member.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,1",
        "GNU.sparse.size": "10",
        "GNU.sparse.name": "hole",
    }
    archive(path, (member, content))


def _negative(path: Path) -> None:
    member, _ = file("negative")
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" * 11 + b"\x00"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    path.write_bytes(bytes(block) + bytes(2_048))


def _cut(path: Path) -> None:
    archive(path, file("one", b"x" * 5_000))
    path.write_bytes(path.read_bytes()[:3_000])


def _no_end(path: Path) -> None:
    archive(path, file("one", b"x" * 512))
    path.write_bytes(path.read_bytes()[:1_024])


def _broken_in_the_middle(path: Path) -> None:
    archive(path, file("one", b"x" * 512), file("two"))
    whole = bytearray(path.read_bytes())
    whole[1_024:1_030] = b"broken"
    path.write_bytes(whole)


def _cut_gzip(path: Path) -> None:
    archive(path, file("one", os.urandom(50_000)))
    path.write_bytes(gzip.compress(path.read_bytes())[:30_000])


def _wrong_checksum(path: Path) -> None:
    archive(path, file("one", os.urandom(50_000)))
    packed = bytearray(gzip.compress(path.read_bytes()))
    packed[25_000] ^= 1
    path.write_bytes(packed)


BROKEN: dict[str, Callable[[Path], object]] = {
    "sparse": _sparse,
    "negative size": _negative,
    "cut in a file": _cut,
    "without end": _no_end,
    "broken in the middle": _broken_in_the_middle,
    "cut gzip": _cut_gzip,
    "gzip with an error": _wrong_checksum,
    "empty": lambda path: path.write_bytes(b""),
    "html": lambda path: path.write_bytes(b"<html>".ljust(5_000)),
}


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
async def test_a_broken_archive_is_refused_and_nothing_is_left(tmp_path, make):
    """Python takes some of these for the end of a shorter archive."""
    make(tmp_path / "a.tar")
    with pytest.raises(BadAnswerError):
        await extract_artifact(tmp_path / "a.tar", tmp_path / "out")
    assert left_in(tmp_path) == ["a.tar"]


@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_no_name_leads_out_of_the_folder(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    source = archive(folder / "a.tar", file(name))
    try:
        (unpacked,) = asyncio.run(extract_artifact(source, folder / "out"))
    except (BadAnswerError, OSError):
        assert left_in(folder) == ["a.tar"]
    else:
        assert unpacked.resolve().is_relative_to((folder / "out").resolve())
        assert left_in(folder) == ["a.tar", "out"]


async def test_progress_is_told_after_each_member(tmp_path):
    told = []
    source = archive(tmp_path / "a.tar", file("one", b"12345"), file("two", b"678"))
    await extract_artifact(source, tmp_path / "out", on_progress=lambda *now: told.append(now))
    await asyncio.sleep(0)
    assert told == [(1, 5), (2, 8)]


async def test_a_cancelled_extraction_ends_and_leaves_nothing(tmp_path, monkeypatch):
    """A thread cannot be ended from outside; this one waits after the first member until it is cancelled."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("first", "second"):
            archive.addfile(tarfile.TarInfo(name))
    loop = asyncio.get_running_loop()
    tell, cancelled, told = loop.call_soon_threadsafe, threading.Event(), asyncio.Event()

    def tell_and_wait(*args: Any) -> asyncio.Handle:
        handle = tell(*args)
        cancelled.wait(10.0)
        return handle

    monkeypatch.setattr(loop, "call_soon_threadsafe", tell_and_wait)
    progress: list[int] = []

    def note(files: int, _: int) -> None:
        progress.append(files)
        told.set()

    extracting = asyncio.create_task(extract_artifact(tmp_path / "a.tar", tmp_path / "out", on_progress=note))
    await told.wait()
    extracting.cancel()
    assert isinstance(await failure(extracting), asyncio.CancelledError)
    cancelled.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert progress == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
