"""Downloads: a session's files as an archive on disk, whole or not at all."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, Self

from attrs import define, frozen

from gameye_async import _api
from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async._streams import open_stream
from gameye_async.errors import BadAnswerError, DeadlineExceededError, NoAnswerError

Format = Literal["tar", "tar.gz"]
OnTransfer = Callable[[int, int | None], object]

_GZIP = b"\x1f\x8b"
_HEADER = 512


@frozen
class Artifact:
    """An archive that was downloaded.

    Attributes:
        path: Where it is.
        format: "tar" or "tar.gz", by its bytes: what the documentation says and what the API sends differ.
        size: Its bytes.
    """

    path: Path
    format: Format
    size: int


@define(eq=False)
class NewFile:
    """A file that shows up at its destination when it is whole, and not before."""

    _part: Path
    _file: IO[bytes]

    @classmethod
    def beside(cls, destination: Path) -> Self:
        """Begin one where it can be moved to its destination in one step.

        Raises:
            OSError: It cannot be written there.
        """
        handle, name = tempfile.mkstemp(
            prefix=f".{destination.name[:50]}-", suffix=".part", dir=destination.parent
        )
        return cls(Path(name), os.fdopen(handle, "wb"))

    def write(self, data: bytes) -> None:
        """Append to it."""
        self._file.write(data)

    def finish(self, destination: Path) -> None:
        """Have it on the disk, and move it to its destination; blocks."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(destination)

    def discard(self) -> None:
        """Remove what was written, unless it is finished."""
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


async def download(
    caller: Caller,
    options: Options,
    session_id: str,
    path: str,
    destination: Path,
    *,
    max_bytes: int,
    seconds: float,
    on_progress: OnTransfer | None,
    with_suffix: bool = False,
) -> Artifact:
    """Fetch a file or folder of a session that is over, as `AsyncGameye.download_artifact` does.

    With `with_suffix`, the archive's format is appended to the destination's name.
    """
    request = _api.artifact(session_id, path)
    if not with_suffix and destination.is_dir():  # noqa: ASYNC240  -- takes no longer than to make the file
        raise IsADirectoryError(f"{destination} is a directory; name the file to write")
    file = NewFile.beside(destination)
    until = caller.clock() + seconds
    size = 0
    head = b""
    try:
        with caller.sweeper.until(until) as limit:
            stream = await open_stream(caller, request, options, until)
            try:
                if (stream.length or 0) > max_bytes:
                    raise _too_large(max_bytes)
                async for chunk in stream.chunks:
                    size += len(chunk)
                    if size > max_bytes:
                        raise _too_large(max_bytes)
                    if len(head) < _HEADER:
                        head += chunk[: _HEADER - len(head)]
                    # Into the page cache, which takes less time than the way to a thread and back.
                    file.write(chunk)
                    if on_progress is not None:
                        on_progress(size, stream.length)
            except NoAnswerError as error:
                raise NoAnswerError(f"{error.message} {size} bytes of it had come.") from None
            finally:
                stream.close()
        if limit.expired:
            raise DeadlineExceededError(
                f"the download of {path} took more than {seconds:g} s; {size} bytes had come"
            )
        kind = _format(head)
        if with_suffix:
            destination = destination.with_name(f"{destination.name}.{kind}")
        await asyncio.to_thread(file.finish, destination)
    finally:
        file.discard()
    return Artifact(destination, kind, size)


def _too_large(limit: int) -> BadAnswerError:
    return BadAnswerError(f"the archive is larger than {limit} bytes; raise max_bytes to have it")


def _format(head: bytes) -> Format:
    """What an archive is, by its first bytes; an empty tar is all zeros."""
    if head.startswith(_GZIP):
        return "tar.gz"
    if head[257:262] == b"ustar" or (len(head) == _HEADER and not any(head)):
        return "tar"
    raise BadAnswerError("what came is neither a tar nor a gzip-compressed one")
