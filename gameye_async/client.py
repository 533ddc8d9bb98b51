"""`AsyncGameye`: the API's operations as methods."""

import copy
import re
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
)
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

import attrs

from gameye_async import _api
from gameye_async._after_launch import AfterLaunch
from gameye_async._exchange import Request
from gameye_async._options import OnAbandon, Options, Setup, Terms
from gameye_async._ownership import strays
from gameye_async._stats import ClientStats, Counters
from gameye_async._version import __version__
from gameye_async.errors import ClientClosedError, ConfigurationError, NotFoundError
from gameye_async.launch_request import LaunchRequest, format_ttl
from gameye_async.models import LaunchOutcome, OrphanRecord, Session, StopOutcome
from gameye_async.settings import (
    Environment,
    Pacing,
    RetryPolicy,
    Timeouts,
    check_proxy,
    find_base_url,
    find_token,
)

if TYPE_CHECKING:
    import ssl as tls

    import aiohttp
    from yarl import URL

    from gameye_async._core import Core
    from gameye_async._fields import LaunchFields
    from gameye_async.records import Location, Roster, SessionDetails, SessionSummary
    from gameye_async.telemetry import Event

T = TypeVar("T")


class AsyncGameye(AfterLaunch):
    """A client of the Gameye Session API, for one event loop; use it with `async with`.

    Args:
        token: API token, or an async callable that gives the one to use now; else `GAMEYE_API_TOKEN`.
        base_url: Where the API is; else `environment`, else `GAMEYE_API_URL`, else production.
        environment: `Environment.PRODUCTION` or `Environment.SANDBOX`.
        max_concurrency: Most launches in flight at once, and so most connections they use.
        control_concurrency: Most reads and stops in flight at once, on connections of their own, so that
            they never wait behind launches.
        timeouts: How long to wait.
        retry: When to try again.
        pacing: How launches are slowed down when the API refuses them.
        default_ttl: Time to live of launches that have none of their own. Without one, a session whose
            client process was killed runs until someone stops it.
        session: An `aiohttp.ClientSession` to borrow; it is not closed.
        connector: An `aiohttp.BaseConnector` to build our own session on; it is closed with it.
        ssl: TLS settings, for a private certificate authority, say.
        proxy: URL of a proxy; the environment's proxies are not looked at.
        user_agent: Put before the library's own name in `User-Agent`.
        on_event: Called with each event of `gameye_async.telemetry`, in the event loop.
        on_orphan: Called with each session that may be running and could not be settled.
        rng: Source of jitter.

    Raises:
        ConfigurationError: No token was found, or an argument is not usable.
    """

    def __init__(
        self,
        token: str | Callable[[], Awaitable[str]] | None = None,
        *,
        base_url: "str | URL | None" = None,
        environment: Environment | None = None,
        max_concurrency: int = 64,
        control_concurrency: int = 8,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  -- frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  -- frozen
        pacing: Pacing = Pacing(),  # noqa: B008  -- frozen
        default_ttl: timedelta | str | None = None,
        session: "aiohttp.ClientSession | None" = None,
        connector: "aiohttp.BaseConnector | None" = None,
        ssl: "tls.SSLContext | None" = None,
        proxy: str | None = None,
        user_agent: str | None = None,
        on_event: "Callable[[Event], object] | None" = None,
        on_orphan: Callable[[OrphanRecord], object] | None = None,
        rng: Random | None = None,
    ) -> None:
        # A list, so that the copies of `with_options` see the same one.
        self._cores: list[Core] = []
        # The token leaves this frame first: a crash reporter would send its local variables along.
        secret, token = find_token(token), None
        for name, places in (
            ("max_concurrency", max_concurrency),
            ("control_concurrency", control_concurrency),
        ):
            if places < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {places!r}")
        if session is not None and (connector is not None or ssl is not None):
            raise ConfigurationError("a borrowed session brings its own connector and TLS settings")
        if ssl is not None and not hasattr(ssl, "verify_mode"):
            raise ConfigurationError("ssl must be an ssl.SSLContext; verification cannot be turned off")
        if user_agent is not None and not user_agent.isprintable():
            raise ConfigurationError("user_agent must be one line of text")
        if proxy is not None:
            check_proxy(proxy)
        self._options = Options(timeouts, retry, {})
        self._default_ttl = None if default_ttl is None else format_ttl(default_ttl)
        self._setup = Setup(
            token=secret,
            base_url=find_base_url(base_url, environment),
            max_concurrency=max_concurrency,
            control_concurrency=control_concurrency,
            timeouts=timeouts,
            retry=retry,
            pacing=pacing,
            on_event=on_event,
            on_orphan=on_orphan,
            rng=rng or Random(),  # noqa: S311  -- jitter is no secret
            transport={
                "user_agent": f"{user_agent or ''} gameye-async/{__version__}".strip(),
                "session": session,
                "connector": connector,
                "tls": ssl,
                "proxy": proxy,
            },
        )

    def __repr__(self) -> str:
        state = self._cores[0].state if self._cores else "not entered"
        # Crash reporters ask one that could not be made, too.
        return f"<AsyncGameye {self._setup.base_url} {state}>" if hasattr(self, "_setup") else "<AsyncGameye>"

    async def __aenter__(self) -> Self:
        if self._cores:
            raise ClientClosedError("the client was entered before; make a new one")
        # asyncio, aiohttp and what needs them take 200 ms to import, which only a client that is used costs.
        from gameye_async._core import Core  # noqa: PLC0415  -- see above

        self._cores.append(Core.open(self._setup))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client: finish what is in flight, stop abandoned sessions, close the pool.

        Takes at most `timeouts.close` seconds, give or take an answer; what is not settled by then is
        reported through `on_orphan`. Launches that wait for a place or a retry end with
        `ClientClosedError`. A second call does nothing.
        """
        for core in self._cores:
            await core.close(self._options.timeouts.close)

    def with_options(
        self,
        *,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A copy with other settings that shares the connection pool, the limits and the statistics.

        Args:
            timeouts: How long to wait; those of `connect` and `close` stay.
            retry: When to try again; the budget is shared and stays.
            headers: Headers to add to each request, on top of those added before.

        Raises:
            ConfigurationError: A header is the client's own, or not one line of text.
        """
        changes: dict[str, Any] = {}
        if timeouts is not None:
            changes["timeouts"] = timeouts
        if retry is not None:
            changes["retry"] = retry
        if headers is not None:
            changes["headers"] = {**self._options.headers, **_checked_headers(headers)}
        other = copy.copy(self)
        other._options = attrs.evolve(self._options, **changes)  # noqa: SLF001  -- a copy of ourselves
        return other

    @property
    def stats(self) -> ClientStats:
        """What the client has done and is doing."""
        return self._cores[0].stats if self._cores else Counters().snapshot(queued=0, in_flight=0)

    @overload
    async def launch(
        self,
        request: LaunchRequest,
        /,
        *,
        deadline: float | None = None,
        idempotent: bool = False,
        on_abandon: OnAbandon | None = None,
    ) -> Session: ...

    @overload
    async def launch(
        self,
        request: None = None,
        /,
        *,
        deadline: float | None = None,
        idempotent: bool = False,
        on_abandon: OnAbandon | None = None,
        **fields: Unpack["LaunchFields"],
    ) -> Session: ...

    async def launch(
        self,
        request: LaunchRequest | None = None,
        /,
        *,
        deadline: float | None = None,
        idempotent: bool = False,
        on_abandon: OnAbandon | None = None,
        **fields: Any,
    ) -> Session:
        """Launch a session (`POST /session`) and return it as soon as its container has started.

        Args:
            request: What to launch; or give its fields by keyword.
            deadline: Seconds for everything: queueing, attempts, backing off, finding out;
                `timeouts.deadline` when None.
            idempotent: Take over a session of the same id and parameters, for queues that redeliver.
            on_abandon: What becomes of the session when this call is cancelled or overdue: "stop" it
                (the default), or "leave" it for whoever repeats the id (with `idempotent` the default).
            **fields: The fields of a `LaunchRequest`.

        Raises:
            ConfigurationError: The request cannot be sent, or its id is in use in this client.
            LaunchOutcomeUnknownError: Nobody can say whether the session exists.
            GameyeError: Anything else; then no session of this launch is running or will run.
        """
        core = self._core()
        if request is None:
            try:
                request = LaunchRequest(**fields)
            except ConfigurationError as error:
                # The frames that refused a field hold the others, env among them.
                raise error.with_traceback(None) from None
            finally:
                fields.clear()
        elif fields:
            raise ConfigurationError("give a LaunchRequest or its fields, not both")
        return await core.launcher.launch(
            self._with_ttl(request), self._terms(deadline, idempotent=idempotent, on_abandon=on_abandon)
        )

    def launch_many(
        self,
        requests: Iterable[LaunchRequest] | AsyncIterable[LaunchRequest],
        *,
        concurrency: int | None = None,
        on_progress: Callable[[ClientStats], object] | None = None,
        ordered: bool = False,
        deadline: float | None = None,
        idempotent: bool = False,
        on_abandon: OnAbandon | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[LaunchOutcome]]:
        """Launch many sessions; an async context manager over an async iterator of outcomes.

        Requests are taken from the source only as launches end and outcomes are consumed, so that memory does
        not grow with their number. A launch that fails is an outcome. Leaving early ends what is under way,
        and stops each session that was launched and not delivered.

        Args:
            requests: Any sync or async iterable. An exception of it is raised after the outcomes of the
                requests before it.
            concurrency: Most launches at once; the client's `max_concurrency` when None.
            on_progress: Called with the client's statistics ten times a second, and at the end.
            ordered: Give the outcomes in the order of the requests instead of that of completion.
            deadline: Seconds for each launch, from taking its request; `timeouts.deadline` when None.
            idempotent: As for `launch`.
            on_abandon: As for `launch`; "leave" also keeps sessions that were not delivered.

        Raises:
            ConfigurationError: `concurrency` is less than 1.
        """
        core = self._core()
        terms = self._terms(deadline, idempotent=idempotent, on_abandon=on_abandon)

        async def work(index: int, request: LaunchRequest) -> LaunchOutcome:
            return await core.launcher.launch_outcome(index, self._with_ttl(request), terms)

        def discard(outcome: LaunchOutcome) -> None:
            core.launcher.discard(outcome, terms)

        lane = core.caller.launches
        return core.bulk(requests, work, discard, concurrency, on_progress, lane=lane, ordered=ordered)

    def stop_many(
        self,
        session_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int | None = None,
        on_progress: Callable[[ClientStats], object] | None = None,
        ordered: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[StopOutcome]]:
        """Stop many sessions; like `launch_many`, with one outcome an id.

        Args:
            session_ids: Any sync or async iterable.
            concurrency: Most stops at once; the client's `control_concurrency` when None, and more than that
                wait for a place.
            on_progress: Called with the client's statistics ten times a second, and at the end.
            ordered: Give the outcomes in the order of the ids instead of that of completion.
        """
        core = self._core()

        async def work(index: int, session_id: str) -> StopOutcome:
            return await core.launcher.stop_outcome(index, session_id, self._options)

        return core.bulk(
            session_ids,
            work,
            lambda _: None,
            concurrency,
            on_progress,
            lane=core.caller.control,
            ordered=ordered,
        )

    async def describe(self, session_id: str) -> "SessionDetails":
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
    ) -> "list[SessionSummary]":
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

    async def reconcile(
        self,
        expected: "Collection[str] | Callable[[SessionSummary], bool]",
        grace: float = 60.0,
        *,
        id_prefix: str | None = None,
        labels: Mapping[str, str] | None = None,
        stop: bool = False,
    ) -> "list[SessionSummary]":
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

    async def join(self, session_id: str, players: Iterable[str]) -> "Roster":
        """Register players as having joined (`PUT /session/player/join`); twice is as good as once."""
        return await self._call(_api.join(session_id, players))

    async def leave(self, session_id: str, players: Iterable[str]) -> "Roster":
        """Take players out of a session (`DELETE /session/player/leave`); twice is as good as once."""
        return await self._call(_api.leave(session_id, players))

    async def available_locations(self, image: str) -> "list[Location]":
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

    def _terms(self, deadline: float | None, *, idempotent: bool, on_abandon: OnAbandon | None) -> Terms:
        if on_abandon not in (None, "stop", "leave"):
            raise ConfigurationError(f'on_abandon must be "stop" or "leave", not {on_abandon!r}')
        return Terms(
            self._options,
            self._options.timeouts.deadline if deadline is None else deadline,
            idempotent,
            on_abandon or ("leave" if idempotent else "stop"),
        )

    def _with_ttl(self, request: LaunchRequest) -> LaunchRequest:
        if self._default_ttl is None or not isinstance(request, LaunchRequest) or request.ttl is not None:
            return request
        return attrs.evolve(request, ttl=self._default_ttl)

    def _core(self) -> "Core":
        if not self._cores:
            raise ClientClosedError(
                "the client is not open; use it inside `async with AsyncGameye() as gameye:`"
            )
        core = self._cores[0]
        core.check()
        return core


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset({"authorization", "host", "content-length", "content-type", "transfer-encoding"})


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if name.lower().strip() in _OWN_HEADERS:
            raise ConfigurationError(f"the header {name} is the client's own")
        if not _HEADER.fullmatch(name) or not isinstance(value, str) or not value.isprintable():
            raise ConfigurationError(f"the header {name!r} must be one line of text")
    return headers
