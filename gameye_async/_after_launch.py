"""`AfterLaunch`: what `AsyncGameye` offers between a launch and the post-mortem."""

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from gameye_async._options import (
    MAX_DOWNLOAD,
    MAX_MEMBERS,
    MAX_UNPACKED,
    OnAbandon,
    Options,
    Terms,
)
from gameye_async.errors import ConfigurationError
from gameye_async.launch_request import LaunchFields, LaunchRequest
from gameye_async.models import Session

if TYPE_CHECKING:
    from gameye_async._artifacts import Artifact
    from gameye_async._collect import Collected
    from gameye_async._core import Core
    from gameye_async._rollout import Rollout
    from gameye_async.probes import Probe
    from gameye_async.records import SessionDetails, SessionSummary

AnyPath = str | os.PathLike[str]


class AfterLaunch(ABC):
    """Readiness, players, logs, artifacts and rollouts; a base of `AsyncGameye`."""

    _options: Options

    @abstractmethod
    def _core(self) -> "Core":
        """The parts of the client, when it is open."""

    @abstractmethod
    def _terms(self, deadline: float | None, *, idempotent: bool, on_abandon: OnAbandon | None) -> Terms:
        """How a launch is made with these arguments."""

    @abstractmethod
    def _with_ttl(self, request: LaunchRequest) -> LaunchRequest:
        """The request with the client's time to live, if it has none."""

    @overload
    def running(
        self,
        request: LaunchRequest,
        /,
        *,
        probe: "Probe | None" = None,
        ready_within: float | None = None,
        deadline: float | None = None,
    ) -> AbstractAsyncContextManager[Session]: ...

    @overload
    def running(
        self,
        request: None = None,
        /,
        *,
        probe: "Probe | None" = None,
        ready_within: float | None = None,
        deadline: float | None = None,
        **fields: Unpack[LaunchFields],
    ) -> AbstractAsyncContextManager[Session]: ...

    def running(
        self,
        request: LaunchRequest | None = None,
        /,
        *,
        probe: "Probe | None" = None,
        ready_within: float | None = None,
        deadline: float | None = None,
        **fields: Any,
    ) -> AbstractAsyncContextManager[Session]:
        """Launch a session for as long as a block lasts: an async context manager that always stops it.

        Cancelled, the block is left at once and the session stopped in the background; so it is when
        its stop is not confirmed.

        Args:
            request: What to launch; or give its fields by keyword, as to `launch`.
            probe: Says when the game itself is ready; then the block begins no sooner.
            ready_within: Seconds to wait until the session is ready, as `wait_until_ready` does; None does
                not wait, unless there is a probe, which gets 30.
            deadline: Seconds for the launch; `timeouts.deadline` when None.
            **fields: The fields of a `LaunchRequest`.

        Raises:
            ConfigurationError: The request cannot be sent.
            SessionEndedError: The session ended before it was ready.
            StopUnconfirmedError: The block ended well, and the stop was not confirmed.
            GameyeError: There is no session.
        """
        from gameye_async._readiness import running

        core = self._core()
        if request is None:
            request = LaunchRequest(**fields)
        elif fields:
            raise ConfigurationError("give a LaunchRequest or its fields, not both")
        if ready_within is None and probe is not None:
            ready_within = 30.0
        terms = self._terms(deadline, idempotent=False, on_abandon=None)
        return running(core.launcher, self._with_ttl(request), terms, probe, ready_within)

    async def wait_until_ready(
        self,
        session: Session,
        *,
        probe: "Probe | None" = None,
        timeout: float = 30.0,  # noqa: ASYNC109  -- the time until players give up, which raises our own error
        on_progress: "Callable[[SessionDetails], object] | None" = None,
    ) -> "SessionDetails":
        """Wait until a session runs and, if there is a probe, until the game itself answers.

        Args:
            session: A session that was launched.
            probe: An async callable that takes the session and says whether it is ready, where an `OSError`
                means not yet; `tcp_probe`, `udp_probe` and `http_probe` make one.
            timeout: Seconds to wait.
            on_progress: Called with each description of the session on the way.

        Returns:
            The session as it was last described; a warm pool may have given another version or labels than
            were asked for.

        Raises:
            SessionEndedError: The session is over already; `log_tail` holds the last lines of its log.
            DeadlineExceededError: It was not ready in time; the text says what was missing.
            LookupError: The session does not have the port that is probed.
        """
        from gameye_async._readiness import Readiness

        core = self._core()
        return await Readiness(core.caller, self._options, session, probe, on_progress).wait(timeout)

    async def find_seat(
        self,
        image: str,
        players: Iterable[str],
        capacity: int,
        *,
        location: str | None = None,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        players_above: int | None = None,
    ) -> "SessionSummary | None":
        """Join players to the fullest running session that has room for all of them.

        Several matchmakers may do this at once: whoever joins and finds the session above its capacity leaves
        again and tries the next, so that no session stays above it. When it is cancelled, the players leave.

        Args:
            image: Application name.
            players: Ids of players who are in no session; they stay together.
            capacity: Most players of a session, which the API does not know.
            location: Only sessions there.
            version: Only sessions of this tag.
            labels: Only sessions with these labels of yours.
            players_above: Only sessions with more players than this. With 0, a session that was launched for
                a group is left alone until the group has joined it.

        Returns:
            The session, with `player_count` as of the join; None when there is no room, and then it is time
            to launch one.

        Raises:
            ConfigurationError: There are no players, or more than fit into a session.
            NoAnswerError: Nobody can say whether the players are registered in the session it names.
            GameyeError: The sessions cannot be listed or joined.
        """
        from gameye_async._players import Seats

        core = self._core()
        seats = Seats(core.caller, core.supervisor, self._options, players, capacity)
        return await seats.find(
            image, location=location, version=version, labels=labels, players_above=players_above
        )

    async def wait_for_tag(
        self,
        locations: str | Iterable[str],
        image: str,
        version: str,
        *,
        timeout: float = 900.0,  # noqa: ASYNC109  -- the length of a rollout, which raises our own error
        on_progress: "Callable[[Rollout], object] | None" = None,
    ) -> None:
        """Wait until all these locations have an image's tag; pulling a large image takes minutes.

        Args:
            locations: One location or several.
            image: Application name. An unknown one cannot be told from an unknown tag.
            version: The tag.
            timeout: Seconds to wait.
            on_progress: Called after each round with the locations that have it and those that do not.

        Raises:
            DeadlineExceededError: It is still missing somewhere; the text says where.
            GameyeError: The API refuses to answer.
        """
        from gameye_async._rollout import wait_for_tag

        await wait_for_tag(
            self._core().caller,
            self._options,
            locations,
            image,
            version,
            seconds=timeout,
            on_progress=on_progress,
        )

    def logs(
        self, session_id: str, *, follow: bool = False, sanitize: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """What a session prints (`GET /logs`): an async context manager over an async iterator of lines.

        A dropped connection is made again; each line is given once and none is lost. Leaving early closes the
        connection. A line of more than 65,536 characters is given in pieces of that length, each like a line
        of its own. Bytes that are not UTF-8 become U+FFFD.

        Args:
            session_id: The session.
            follow: Go on until the session ends; else until what it has printed so far.
            sanitize: Take out what could fool a terminal or forge another line: control sequences, control
                characters but tab, and bidirectional overrides.

        Raises:
            NotFoundError: There is no such session, or its log is gone.
            NoAnswerError: The log broke off and could not be had again; the text says after how many bytes.
            BadAnswerError: After a dropped connection, the log no longer began as before.
        """
        from gameye_async._logs import Log

        return Log(self._core().caller, self._options, session_id, follow, sanitize)

    async def download_artifact(
        self,
        session_id: str,
        path: str,
        destination: AnyPath,
        *,
        max_bytes: int = MAX_DOWNLOAD,
        deadline: float = 300.0,
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> "Artifact":
        """Fetch a file or folder of a session that is over, as an archive (`GET /artifacts`).

        The archive shows up at its destination when it is whole and on the disk, and not before.

        Args:
            session_id: The session.
            path: Absolute path in the container.
            destination: File to write; an older one is replaced.
            max_bytes: Most bytes of the archive; the API's own limit is about 100 MB.
            deadline: Seconds for the whole download.
            on_progress: Called with the bytes that have come, and their number in all or None.

        Returns:
            Where it is, and whether it is a tar or a tar.gz.

        Raises:
            NotFoundError: There is no such session or path, or its container is gone.
            BadAnswerError: It is too large, or no archive.
            NoAnswerError: It was cut off; the text says after how many bytes.
            DeadlineExceededError: It took too long.
            OSError: It cannot be written.
        """
        from gameye_async._artifacts import download

        return await download(
            self._core().caller,
            self._options,
            session_id,
            path,
            Path(destination),
            max_bytes=max_bytes,
            seconds=deadline,
            on_progress=on_progress,
        )

    async def extract_artifact(
        self,
        archive: AnyPath,
        directory: AnyPath,
        *,
        max_members: int = MAX_MEMBERS,
        max_bytes: int = MAX_UNPACKED,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> list[Path]:
        """Unpack an archive without trust, as `gameye_async.extract_artifact` does, which needs no client."""
        from gameye_async._extract import extract_artifact

        return await extract_artifact(
            archive, directory, max_members=max_members, max_bytes=max_bytes, on_progress=on_progress
        )

    async def collect(
        self,
        session_id: str,
        paths: Iterable[str],
        directory: AnyPath,
        *,
        deadline: float = 300.0,
        on_progress: Callable[[str, int], object] | None = None,
    ) -> "Collected":
        """Stop a session and fetch its log and files before its container is gone.

        Args:
            session_id: The session; one that is over already will do.
            paths: Absolute paths in the container, of files or folders; may be none.
            directory: Where `log.txt` and an archive for each path go; it is made when it is missing.
            deadline: Seconds for everything.
            on_progress: Called with what is being done ("stop", "wait", "log", or a path), and its bytes so
                far.

        Returns:
            The files; what could not be had is named with its error.

        Raises:
            NotFoundError: There is no such session.
            GameyeError: It must not be stopped, say with this token.
            OSError: The directory cannot be written.
        """
        from gameye_async._collect import Collection

        core = self._core()
        collection = Collection(
            core.launcher, self._options, session_id, Path(directory), deadline, on_progress
        )
        return await collection.run(paths)
