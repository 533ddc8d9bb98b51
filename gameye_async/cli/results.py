"""Results of launches in a file, from which a later run goes on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import define, field

from gameye_async import ConfigurationError, LaunchOutcome
from gameye_async.cli.exits import complain_of_session
from gameye_async.cli.lines import json_line


@define(eq=False)
class Results:
    """A file to which each result is added as it comes; a context manager that closes it.

    Attributes:
        path: Where it is.
        launched: Ids of the sessions that it says were launched.
    """

    path: Path
    launched: frozenset[str]
    _file: int = field(alias="file")

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> Self:
        """Begin a file, or go on with one if it is there and `resume` says so.

        Raises:
            ConfigurationError: It exists and is not to be gone on with, holds something else, or cannot be
                written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (0 if resume else os.O_EXCL)
        try:
            file = os.open(path, flags, 0o666)
        except FileExistsError:
            raise ConfigurationError(
                f"{path} exists: --resume launches what is missing in it, another name begins anew"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
        try:
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            launched = _launched(path, whole)
            # A run that was killed may have left the beginning of a line.
            os.ftruncate(file, len(whole))
        except BaseException:
            os.close(file)
            raise
        return cls(path, launched, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def add(self, outcome: LaunchOutcome) -> None:
        """Add one; what is written survives a kill of this process.

        Raises:
            OSError: It cannot be written.
        """
        left = f"{json_line(outcome)}\n".encode()
        try:
            # A disk that is nearly full takes the beginning of a line, and only then complains.
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            complain_of_session(outcome.request.id, "its result could not be written")
            raise


def _launched(path: Path, content: bytes) -> frozenset[str]:
    """The ids whose last result is a session."""
    states = dict(_states(path, content))
    return frozenset(session_id for session_id, is_launched in states.items() if is_launched)


def _states(path: Path, content: bytes) -> Iterator[tuple[str, bool]]:
    for number, line in enumerate(content.splitlines(), 1):
        try:
            result = json.loads(line)
            yield str(result["id"]), bool(result["ok"])
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{path}:{number}: not the result of a launch") from None
