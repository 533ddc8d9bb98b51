"""`Operations`: the API's operations but the launch, each as a method of `AsyncGameye`."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager  # noqa: TC003  -- as `gameye_async`
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import gameye_async  # for annotations, whose names are imported when they are evaluated
from gameye_async import _api
from gameye_async._exchange import Request
from gameye_async._options import Options
from gameye_async._stats import ClientStats
from gameye_async.errors import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from gameye_async._core import Core

T = TypeVar("T")


class Operations(ABC):
    """Reads, stops and players, and `request` for what is left; a base of `AsyncGameye`."""

    _options: Options

    @abstractmethod
    def _core(self) -> "Core":
        """The parts of the client, when it is open."""

    async def describe(self, session_id: str) -> "gameye_async.SessionDetails":
        """One session (`GET /session/{id}`).

        Raises:
            NotFoundError: There is none of this id, or it is forgotten already.
        """
        return await self._call(_api.describe(session_id))

    async def list_sessions(
        self,
        *,
        location: str | None = None,
        image: str | None = None,
        version: str | None = None,
        host: str | None = None,
        labels: Mapping[str, str] | None = None,
        players_below: int | None = None,
        players_above: int | None = None,
        include_ended: bool = False,
    ) -> "list[gameye_async.SessionSummary]":
        """All sessions that match every filter (`GET /session`); the API has no pages and no order.

        Args:
            location: Where they run.
            image: Application name.
            version: Tag of the image.
            host: IP address of the machine.
            labels: Your own labels, equal in name and value.
            players_below: Fewer players than this.
            players_above: More players than this.
            include_ended: Also those that are not running.
        """
        return await self._call(
            _api.list_sessions(
                location=location,
                image=image,
                version=version,
                host=host,
                labels=labels,
                players_below=players_below,
                players_above=players_above,
                include_ended=include_ended,
            )
        )

    async def stop(self, session_id: str) -> bool:
        """Stop a session (`DELETE /session/{id}`); its process gets SIGTERM.

        A stop that was begun is finished even when this call is cancelled.

        Returns:
            True when it was stopped now, False when it was over already.

        Raises:
            NotFoundError: There is none of this id, and this client did not launch it.
            StopUnconfirmedError: No answer came; the client keeps trying in the background.
        """
        core = self._core()
        return await core.launcher.stop(session_id, self._options)

    def stop_many(
        self,
        session_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int | None = None,
        on_progress: Callable[[ClientStats], object] | None = None,
        ordered: bool = False,
    ) -> "AbstractAsyncContextManager[AsyncIterator[gameye_async.StopOutcome]]":
        """Stop many sessions; like `launch_many`, with one outcome an id.

        Args:
            session_ids: Any sync or async iterable.
            concurrency: Most stops at once; the client's `control_concurrency` when None, and more than that
                wait for a place.
            on_progress: Called with the client's statistics ten times a second, and at the end.
            ordered: Give the outcomes in the order of the ids instead of that of completion.
        """
        # As for `launch_many`.
        from gameye_async import _many  # noqa: PLC0415  -- see above

        return _many.stop_many(
            self._core(),
            [session_ids] if isinstance(session_ids, str) else session_ids,
            self._options,
            concurrency=concurrency,
            on_progress=on_progress,
            ordered=ordered,
        )

    async def reconcile(
        self,
        expected: "Collection[str] | Callable[[gameye_async.SessionSummary], bool]",
        grace: float = 60.0,
        *,
        id_prefix: str | None = None,
        labels: Mapping[str, str] | None = None,
        stop: bool = False,
    ) -> "list[gameye_async.SessionSummary]":
        """Find running sessions that are ours and that nobody expects, such as those of a killed process.

        Run it now and then, from one place. It never touches a session that is not provably ours.

        Args:
            expected: Ids of the sessions that should run, or a function that says so of each.
            grace: Seconds that a session must be old, so that none is taken that was just launched and is
                not expected yet; 0 takes all.
            id_prefix: Ours are those whose id starts with this.
            labels: Ours are those that carry these labels; with `id_prefix`, both must hold.
            stop: Also stop them.

        Returns:
            The sessions that were found; with `stop`, they are stopped.

        Raises:
            ConfigurationError: Neither `id_prefix` nor `labels` says which sessions are ours.
            StopUnconfirmedError: A stop was not confirmed, after all others were tried; run it again.
        """
        # As for `launch_many`.
        from gameye_async._ownership import strays  # noqa: PLC0415  -- see above

        if not id_prefix and not labels:
            raise ConfigurationError("say which sessions are yours: by id_prefix, by labels, or both")
        found = strays(
            await self._call(_api.survey(labels or {})),
            expected=expected,
            grace=timedelta(seconds=grace),
            id_prefix=id_prefix or "",
            labels=labels or {},
        )
        if stop:
            async with self.stop_many(session.id for session in found) as outcomes:
                errors = [outcome.error async for outcome in outcomes]
            # One that is gone already need not be stopped.
            unconfirmed = [error for error in errors if error and not isinstance(error, NotFoundError)]
            if unconfirmed:
                raise unconfirmed[0]
        return found

    async def join(self, session_id: str, players: Iterable[str]) -> "gameye_async.Roster":
        """Register players as having joined (`PUT /session/player/join`); twice is as good as once."""
        return await self._call(_api.join(session_id, players))

    async def leave(self, session_id: str, players: Iterable[str]) -> "gameye_async.Roster":
        """Take players out of a session (`DELETE /session/player/leave`); twice is as good as once."""
        return await self._call(_api.leave(session_id, players))

    async def available_locations(self, image: str) -> "list[gameye_async.Location]":
        """Where an image can be hosted now (`GET /available-location/{image}`); not to be cached.

        Raises:
            NotFoundError: The image is unknown, or not yours.
        """
        return await self._call(_api.available_locations(image))

    async def tag_exists(self, location: str, image: str, version: str) -> bool:
        """Whether a location has an image's tag (`GET /tag/{region}/{image}/{version}`).

        False also for an unknown image: some platforms answer 404 for an unknown tag as well.
        """
        return await self._call(_api.tag_exists(location, image, version))

    async def regions(self) -> list[str]:
        """The names of all regions (`GET /region`)."""
        return await self._call(_api.regions())

    async def health(self) -> Any:
        """The API's health (`GET /health`), which is not described: decoded JSON, or text."""
        return await self._call(_api.health())

    async def metrics(self) -> Any:
        """Metrics of the sessions (`GET /metrics`, older platforms): decoded JSON, or text."""
        return await self._call(_api.metrics())

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        query: Mapping[str, str | int | None] | None = None,
    ) -> Any:
        """Any other operation of the API, with the same token, limits, retries and errors.

        Args:
            method: HTTP method. GET, HEAD, PUT and DELETE are repeated after any failure, others only
                when they certainly were not sent.
            path: Path, such as `/application`.
            json: What to send as JSON; None for no body.
            query: Query parameters; those that are None are left out.

        Returns:
            Decoded JSON, text where the answer is none, or None where it is empty.
        """
        return await self._call(_api.other(method, path, json=json, query=query))

    async def _call(self, request: Request[T]) -> T:
        return await self._core().caller.call(request, self._options)
