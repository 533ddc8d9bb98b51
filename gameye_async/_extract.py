"""Archives that come from a container, unpacked without trust.

Python's own extraction filters are not relied on: those of many a Python in use can be got around
(CVE-2025-4138, -4330, -4435 and -4517).
"""

import asyncio
import gzip
import math
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Event
from typing import IO, Protocol, Self, cast

from attrs import define, field

from gameye_async._exchange import MIB, clip
from gameye_async._options import MAX_MEMBERS, MAX_UNPACKED
from gameye_async.errors import BadAnswerError

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]' if os.name == "nt" else r"[\x00-\x1f\x7f\\]")
# What stands between two files: their headers.
_HEADERS = MIB
# One that holds a long name and the like is read as a whole. Some Pythons look for a text in it in quadratic
# time, while no other thread can run (CVE-2024-6232): 40 ms for 8 KiB, ten minutes for 1 MiB.
_LONG_HEADERS = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)
_LONGEST_HEADER = 8 * 1024
# Python removes folders by recursion.
_DEEPEST = 100
# Text of logs shrinks 20 to 100 times; a bomb grows 1,000 times.
_RATIO = 250
_RATIO_FREE = 16 * MIB
_PIECE = 64 * 1024
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_BROKEN = (
    tarfile.TarError,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,  # headers that only announce the next one
)


async def extract_artifact(
    archive: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    max_members: int = MAX_MEMBERS,
    max_bytes: int = MAX_UNPACKED,
    on_progress: Callable[[int, int], object] | None = None,
) -> list[Path]:
    """Unpack a tar or tar.gz that holds nothing but files and folders; all of it or nothing.

    What is refused: absolute names and names with `..` or control characters, files that come twice or lie
    more than 100 folders deep, links, devices, FIFOs and sparse files, too many members, too many bytes, and
    gzip that grows over 250 times. Files get mode 0600 and folders 0700, whatever the archive says. It runs
    in a thread.

    Args:
        archive: What `download_artifact` wrote.
        directory: Where to; it must not exist, or be empty.
        max_members: Most files and folders.
        max_bytes: Most bytes of all files together.
        on_progress: Called after each member with the number of files and of bytes so far.

    Returns:
        The files, in the order of the archive.

    Raises:
        BadAnswerError: The archive is broken, or refused; nothing of it is left in the directory.
        OSError: The archive cannot be read, or the directory not be written.
    """
    loop = asyncio.get_running_loop()
    cancelled = Event()

    def report(files: int, size: int) -> None:
        # A thread cannot be ended from outside; this one looks now and then, and cleans up.
        if cancelled.is_set():
            raise _refused("nobody waits for it any more")
        if on_progress is not None:
            loop.call_soon_threadsafe(on_progress, files, size)

    try:
        return await asyncio.to_thread(
            _extract, Path(archive), Path(directory), max_members, max_bytes, report
        )
    finally:
        cancelled.set()


def _extract(
    archive: Path, directory: Path, max_members: int, max_bytes: int, report: Callable[[int, int], object]
) -> list[Path]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"{directory} exists and is not an empty directory")
    # Everything is made in a folder that nobody else knows, so that no name can lead out of it.
    room = Path(tempfile.mkdtemp(prefix=f".{directory.name[:50]}-", suffix=".part", dir=directory.parent))
    unpacking = _Unpacking(room, max_members, max_bytes, report)
    try:
        with archive.open("rb") as file, _refusing():
            unpacking.run(file)
        if directory.exists():
            directory.rmdir()
        room.replace(directory)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return [directory / name for name in unpacking.names]


@contextmanager
def _refusing() -> Generator[None, None, None]:
    """What a broken archive makes Python raise, as the error it means."""
    try:
        yield
    except _BROKEN as error:
        raise BadAnswerError(f"the archive is broken: {clip(error)}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise BadAnswerError("the archive is refused: it holds two members of one name") from None


class _Member(tarfile.TarInfo):
    """A header that has to be one, and short: Python takes a broken one for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise BadAnswerError("the archive is broken: it ends in the middle") from None
        if member.type in _LONG_HEADERS and member.size > _LONGEST_HEADER:
            raise _refused(f"it has a header of {member.size} bytes")
        return member


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@define(eq=False)
class _Source:
    """The bytes of a tar, of which no more can be read than there is a reason for."""

    _file: _Readable
    _left_in_all: float
    _left: int = _HEADERS

    def allow(self, count: int) -> None:
        """So much may be read from now on, and headers."""
        self._left = count + _HEADERS

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        self._left_in_all -= len(data)
        if self._left < 0 or self._left_in_all < 0:
            raise _refused("it unpacks to far more bytes than it should")
        return data


@define(eq=False)
class _Unpacking:
    room: Path
    max_members: int
    max_bytes: int
    report: Callable[[int, int], object]
    names: list[PurePosixPath] = field(factory=list[PurePosixPath], init=False)
    _members: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)

    def run(self, file: IO[bytes]) -> None:
        is_compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if is_compressed:
            most = os.fstat(file.fileno()).st_size * _RATIO + _RATIO_FREE
            source = _Source(gzip.GzipFile(fileobj=file), most)
        else:
            source = _Source(file, math.inf)
        # Of a stream, nothing but `read` is used.
        with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", tarinfo=_Member) as tar:
            while (member := tar.next()) is not None:
                path = self._path(member.name)
                source.allow(member.size)
                if member.isdir():
                    self._make_folder(path)
                elif member.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not member.issparse():
                    self._write(path, member.size, tar.extractfile(member))
                else:
                    raise _refused(f"{clip(member.name)!r} is neither a file nor a folder")
                source.allow(0)
                self.report(len(self.names), self._bytes)
        # The checksum of a gzip comes last.
        while source.read(_PIECE):
            pass

    def _path(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or _FORBIDDEN.search(name):
            raise _refused(f"{clip(name)!r} could lead out of its folder")
        if len(path.parts) > _DEEPEST:
            raise _refused(f"{clip(name)!r} is too deep")
        return path

    def _make_folder(self, path: PurePosixPath) -> None:
        folder = self.room
        for part in path.parts:
            folder /= part
            if not folder.is_dir():
                self._count()
                folder.mkdir(_PRIVATE_FOLDER)

    def _write(self, path: PurePosixPath, size: int, content: IO[bytes] | None) -> None:
        self._count()
        self._bytes += size
        if size < 0 or self._bytes > self.max_bytes or content is None:
            raise _refused(f"its files have more than {self.max_bytes} bytes")
        self._make_folder(path.parent)
        with os.fdopen(os.open(self.room / path, _NEW, _PRIVATE_FILE), "wb") as file:
            shutil.copyfileobj(content, file, _PIECE)
        self.names.append(path)

    def _count(self) -> None:
        self._members += 1
        if self._members > self.max_members:
            raise _refused(f"it has more than {self.max_members} files and folders")


def _refused(reason: str) -> BadAnswerError:
    return BadAnswerError(f"the archive is refused: {reason}")
