"""What a session leaves behind: its log and its files, before its container is gone."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from attrs import define, field, frozen

from gameye_async import _api, _policy
from gameye_async._artifacts import NewFile, download
from gameye_async._launcher import Launcher
from gameye_async._logs import Log
from gameye_async._options import MAX_DOWNLOAD, Options
from gameye_async.errors import (
    AuthenticationError,
    BadAnswerError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    GameyeError,
    NotFoundError,
    PermissionDeniedError,
    StopUnconfirmedError,
)

# These do not get better by waiting for the container to go away.
_FINAL = (
    AuthenticationError,
    BadAnswerError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    PermissionDeniedError,
)
OnCollect = Callable[[str, int], object]


@frozen(kw_only=True)
class Collected:
    """What was fetched of a session that was stopped.

    Attributes:
        session_id: The session.
        log: File with its log, control characters removed; None when it could not be had.
        artifacts: Archives, by the path in the container that was asked for.
        errors: Why something is missing: by path, and under "log" for the log.
    """

    session_id: str
    log: Path | None
    artifacts: Mapping[str, Path]
    errors: Mapping[str, GameyeError]


@define(eq=False)
class Collection:
    """Stops one session and fetches what it leaves.

    Attributes:
        launcher: Stops it.
        options: Settings of the calls.
        session_id: The session.
        directory: Where everything goes.
        seconds: How long it may take.
        on_progress: Called with what is being done, and with the bytes of it so far.
    """

    launcher: Launcher
    options: Options
    session_id: str
    directory: Path
    seconds: float
    on_progress: OnCollect | None
    _until: float = field(init=False)

    async def run(self, paths: Iterable[str]) -> Collected:
        """Stop the session, wait until it is over, and fetch its log and these paths."""
        self._until = self.launcher.caller.clock() + self.seconds
        names = _file_names(paths)
        _make(self.directory)
        self._tell("stop")
        with self.launcher.caller.sweeper.until(self._until):
            # An unconfirmed stop goes on in the background, and may have worked.
            with suppress(StopUnconfirmedError):
                await self.launcher.stop(self.session_id, self.options)
            await self._wait_for_end()
        log: Path | None = None
        artifacts: dict[str, Path] = {}
        errors: dict[str, GameyeError] = {}
        try:
            log = await self._save_log(self.directory / "log.txt")
        except GameyeError as error:
            errors["log"] = error
        for path, name in names.items():
            try:
                artifacts[path] = await self._save_artifact(path, name)
            except GameyeError as error:
                errors[path] = error
        return Collected(session_id=self.session_id, log=log, artifacts=artifacts, errors=errors)

    async def _wait_for_end(self) -> None:
        caller = self.launcher.caller
        tries = 0
        while True:
            self._tell("wait")
            seen = await caller.once(_api.describe(self.session_id), self.options)
            if isinstance(seen, GameyeError):
                # Also when it may not be looked at: its files may still be had.
                is_final = not isinstance(seen, _policy.PASSING)
            else:
                is_final = seen.status is not None and seen.status.is_over
            if is_final:
                return
            tries += 1
            await asyncio.sleep(_policy.poll_delay(tries, caller.rng))

    async def _save_log(self, destination: Path) -> Path:
        caller = self.launcher.caller
        file = NewFile.beside(destination)
        size = 0
        try:
            with caller.sweeper.until(self._until) as limit:
                async with Log(caller, self.options, self.session_id, follow=False, sanitize=True) as lines:
                    async for line in lines:
                        data = f"{line}\n".encode()
                        file.write(data)
                        size += len(data)
                        self._tell("log", size)
            if limit.expired:
                raise DeadlineExceededError(f"the log did not come within {self.seconds:g} s")
            await asyncio.to_thread(file.finish, destination)
        finally:
            file.discard()
        return destination

    async def _save_artifact(self, path: str, name: str) -> Path:
        """Download, and try again while the container may still be going away."""
        caller = self.launcher.caller
        settled = caller.clock() + self.options.retry.consistency
        tries = 0
        while True:
            try:
                return await self._download(path, name)
            except _FINAL:
                raise
            except GameyeError as error:
                tries += 1
                delay = _policy.poll_delay(tries, caller.rng)
                # A container that is gone, and a path that never was, stay missing.
                last = settled if isinstance(error, NotFoundError) else self._until
                if caller.clock() + delay >= last:
                    raise
            await asyncio.sleep(delay)

    async def _download(self, path: str, name: str) -> Path:
        artifact = await download(
            self.launcher.caller,
            self.options,
            self.session_id,
            path,
            self.directory / name,
            max_bytes=MAX_DOWNLOAD,
            seconds=max(self._until - self.launcher.caller.clock(), 0.0),
            on_progress=lambda size, _: self._tell(path, size),
            with_suffix=True,
        )
        return artifact.path

    def _tell(self, step: str, size: int = 0) -> None:
        if self.on_progress is not None:
            self.on_progress(step, size)


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)


def _file_names(paths: Iterable[str]) -> dict[str, str]:
    """A file name for each path, without suffix; two paths never share one."""
    names: dict[str, str] = {}
    # Some file systems do not tell Log from log.
    taken: set[str] = set()
    for path in dict.fromkeys([paths] if isinstance(paths, str) else paths):
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path).strip("-.")[-100:] or "root"
        candidates = chain([name], (f"{name}-{number}" for number in count(2)))
        names[path] = next(unused for unused in candidates if unused.lower() not in taken)
        taken.add(names[path].lower())
    return names
