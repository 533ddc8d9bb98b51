"""Archives that come from a container, unpacked without trust.

Python's own extraction filters are not relied on: those of many a Python in use can be got around
(CVE-2025-4138, -4330, -4435 and -4517).
"""

import asyncio
import gzip
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Event
from typing import IO

from attrs import define, field

from gameye_async._exchange import MIB, clip
from gameye_async.errors import BadAnswerError

MAX_MEMBERS = 10_000
MAX_UNPACKED = 1024 * MIB

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]' if os.name == "nt" else r"[\x00-\x1f\x7f\\]")
# What stands between two files: their headers. Python reads a long one into memory as a whole.
_HEADERS = MIB
# Text of logs shrinks 20 to 100 times; a bomb grows 1,000 times.
_RATIO = 250
_RATIO_FREE = 16 * MIB
_PIECE = 64 * 1024
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700


async def extract_artifact(
    archive: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    max_members: int = MAX_MEMBERS,
    max_bytes: int = MAX_UNPACKED,
) -> list[Path]:
    """Unpack a tar or tar.gz that holds nothing but files and folders; all of it or nothing.

    What is refused: absolute names and names with `..` or control characters, names that come twice, links,
    devices, FIFOs and sparse files, too many members, too many bytes, and gzip that grows more than 250 times.
    Files get mode 0600 and folders 0700, whatever the archive says. It runs in a thread.

    Args:
        archive: What `download_artifact` wrote.
        directory: Where to; it must not exist, or be empty.
        max_members: Most files and folders.
        max_bytes: Most bytes of all files together.

    Returns:
        The files, in the order of the archive.

    Raises:
        BadAnswerError: The archive is broken, or refused; nothing of it is left in the directory.
        OSError: The archive cannot be read, or the directory not be written.
    """
    cancelled = Event()
    try:
        return await asyncio.to_thread(
            _extract, Path(archive), Path(directory), max_members, max_bytes, cancelled
        )
    except asyncio.CancelledError:
        # A thread cannot be ended from outside; this one looks now and then, and cleans up.
        cancelled.set()
        raise


def _extract(archive: Path, directory: Path, max_members: int, max_bytes: int, cancelled: Event) -> list[Path]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"{directory} exists and is not an empty directory")
    # Everything is made in a folder that nobody else knows, so that no name can lead out of it.
    room = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", suffix=".part", dir=directory.parent))
    try:
        with archive.open("rb") as file, _refusing():
            names = _Unpacking(room, max_members, max_bytes, cancelled).run(file)
        if directory.exists():
            directory.rmdir()
        room.replace(directory)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return [directory / name for name in names]


@contextmanager
def _refusing() -> Iterator[None]:
    """What a broken archive makes Python raise, as the error it means."""
    try:
        yield
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, ValueError, OverflowError) as error:
        raise BadAnswerError(f"the archive is broken: {clip(error)}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise BadAnswerError("the archive is refused: it holds two members of one name") from None


@define(eq=False)
class _Source:
    """The bytes of a tar, of which only so many may be read as there is a reason for."""

    _file: IO[bytes]
    _left: int

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadAnswerError("the archive is refused: it unpacks to more bytes than its names account for")
        return data

    def allow(self, count: int) -> None:
        self._left = count


@define(eq=False)
class _Unpacking:
    room: Path
    max_members: int
    max_bytes: int
    cancelled: Event
    _seen: set[PurePosixPath] = field(factory=set[PurePosixPath], init=False)
    _files: list[PurePosixPath] = field(factory=list[PurePosixPath], init=False)
    _bytes: int = field(default=0, init=False)
