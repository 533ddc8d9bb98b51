"""`AsyncGameye`: a client, how it is opened and closed, and its launches."""

import copy
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import attrs

from gameye_async._after_launch import AfterLaunch
from gameye_async._operations import Operations
from gameye_async._options import OnAbandon, Options, Setup, Terms
from gameye_async._stats import ClientStats, Counters
from gameye_async._version import __version__
from gameye_async.errors import ClientClosedError, ConfigurationError
from gameye_async.launch_request import LaunchFields, LaunchRequest, format_ttl
from gameye_async.models import OrphanRecord, Session
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
    from contextlib import AbstractAsyncContextManager

    import aiohttp
    from yarl import URL

    from gameye_async._core import Core
    from gameye_async.outcomes import LaunchOutcome
    from gameye_async.telemetry import Event


class AsyncGameye(Operations, AfterLaunch):
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
        **fields: Unpack[LaunchFields],
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
    ) -> "AbstractAsyncContextManager[AsyncIterator[LaunchOutcome]]":
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
        # A program that launches one at a time does not pay for it.
        from gameye_async import _many  # noqa: PLC0415  -- see above

        terms = self._terms(deadline, idempotent=idempotent, on_abandon=on_abandon)
        return _many.launch_many(
            self._core(),
            requests,
            terms,
            self._with_ttl,
            concurrency=concurrency,
            on_progress=on_progress,
            ordered=ordered,
        )

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
