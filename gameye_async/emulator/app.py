"""The world over HTTP: an `aiohttp.web` application."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final, Literal

from aiohttp import web
from attrs import define, field, frozen

from gameye_async.emulator.answers import PROXY_ERROR, Answer, cut, deliver, follow_log, json_answer
from gameye_async.emulator.calls import Call, Keyring, read_call
from gameye_async.emulator.faults import Fault, Faults
from gameye_async.emulator.operations import Operation, location_of, operations
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.sessions import Session
from gameye_async.emulator.world import World

logger: Final = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 2**20
REQUESTS_KEPT: Final = 10_000

StartContainer = Callable[[Session], Awaitable[None]]


@frozen
class RequestRecord:
    """A request that was served.

    Args:
        method: HTTP method.
        path: Path and query as they came.
        operation: `operationId`, or empty when none was found.
        status: Status of the answer; None when the connection was cut instead.
        elapsed: Seconds of the world's clock.
    """

    method: str
    path: str
    operation: str
    status: int | None
    elapsed: float


class _Struck(Exception):  # noqa: N818  -- no error: the fault that was asked for
    """A fault strikes instead of an answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def build_app(
    world: World,
    *,
    token: str,
    scoped_tokens: Mapping[str, frozenset[str]] | None = None,
    faults: Faults | None = None,
    requests: deque[RequestRecord] | None = None,
    start_container: StartContainer | None = None,
) -> web.Application:
    """Serve a world.

    Args:
        world: The world to serve; its clock should be that of the event loop.
        token: Bearer token with every scope.
        scoped_tokens: Further tokens, each with the scopes that it has.
        faults: Rules for what goes wrong.
        requests: Where to record what was served.
        start_container: Awaited for every launch between its reservation and its commit. A `Refusal` that it
            raises becomes the answer of the launch, whose reservation is given back.

    Returns:
        An application for `aiohttp.web.AppRunner`; switch its access log off where speed matters.
    """
    service = _Service(
        world=world,
        keyring=Keyring({token: None, **(scoped_tokens or {})}, world.quirks.missing_scope_status),
        faults=Faults() if faults is None else faults,
        requests=deque[RequestRecord](maxlen=REQUESTS_KEPT) if requests is None else requests,
        start_container=start_container,
        operations=operations(world),
    )
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", r"/{path:[\s\S]*}", service.handle)
    app.on_shutdown.append(service.shut_down)
    return app


@define(eq=False, kw_only=True)
class _Service:
    world: World
    keyring: Keyring
    faults: Faults
    requests: deque[RequestRecord]
    start_container: StartContainer | None
    operations: Mapping[str, Operation]
    _in_flight: set[asyncio.Task[Any]] = field(factory=set[asyncio.Task[Any]], init=False)
    _date: tuple[int, str] = field(default=(-1, ""), init=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request; whatever it holds, the answer is an envelope and the server lives on."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  -- aiohttp runs every handler in a task
        self._in_flight.add(task)
        began = self.world.clock()
        operation, status = "", None
        try:
            call = await read_call(request, self.keyring)
            operation = call.operation
            struck = self._pick_faults(call)
            answer = await self._answer(call, struck, request.rel_url.raw_path)
            if answer is None:
                return cut(request)
            status = answer.status
            date = self._date_now()
            if answer.follow is not None:
                return await follow_log(request, answer, answer.follow, self.world, date)
            damage = next((fault for fault in struck if fault.moment == "delivery"), None)
            return await deliver(request, answer, damage, date)
        finally:
            self._in_flight.discard(task)
            self.requests.append(
                RequestRecord(request.method, request.raw_path, operation, status, self.world.clock() - began)
            )

    async def shut_down(self, _app: web.Application) -> None:
        """Stop serving at once: slow answers and followed logs are given up."""
        tasks = tuple(self._in_flight)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _pick_faults(self, call: Call) -> tuple[Fault, ...]:
        if not self.faults:
            return ()
        return self.faults.pick(call.operation, location_of(self.world, call), self.world.rng)

    async def _answer(self, call: Call, struck: tuple[Fault, ...], path: str) -> Answer | None:
        """The answer of a call, or None when its connection is to be cut."""
        try:
            try:
                answer = await self._perform(call, struck)
            except Refusal as refusal:
                answer = self._refused(refusal, path)
            await self._strike(struck, "after")
        except _Struck as instead:
            match instead.fault.kind:
                case "refuse":
                    return self._refused(instead.fault.refusal(), path)
                case "html_502":
                    return PROXY_ERROR
                case _:
                    return None
        except Exception:
            logger.exception("The emulator failed to serve %s", path)
            return self._refused(Refusal(500), path)
        return answer

    async def _perform(self, call: Call, struck: tuple[Fault, ...]) -> Answer:
        if call.operation == "session-run":
            return await self._launch(call, struck)
        await self._strike(struck, "before")
        if call.refusal is not None:
            raise call.refusal
        return self.operations[call.operation](call)

    async def _launch(self, call: Call, struck: tuple[Fault, ...]) -> Answer:
        try:
            reservation = self.world.reserve(call.body, denied=call.refusal)
        except Refusal:
            await self._strike(struck, "before")
            raise
        try:
            await self._strike(struck, "before")
            if self.start_container is not None:
                await self.start_container(reservation.session)
            return json_answer(self.world.profile.launched, self.world.commit(reservation))
        finally:
            # Once it is committed there is nothing to give back.
            self.world.release(reservation)

    async def _strike(self, struck: tuple[Fault, ...], moment: Literal["before", "after"]) -> None:
        for fault in struck:
            if fault.moment == moment and fault.kind == "latency":
                await asyncio.sleep(fault.delay(self.world.rng))
        for fault in struck:
            if fault.moment == moment and fault.kind != "latency":
                raise _Struck(fault)

    def _refused(self, refusal: Refusal, path: str) -> Answer:
        envelope: dict[str, Any] = {
            "statusCode": refusal.status,
            "code": refusal.code,
            "message": refusal.message,
            "details": refusal.details,
            "path": path,
            "identifier": f"{self.world.rng.getrandbits(128):032x}",
            "timestamp": datetime.fromtimestamp(self.world.unix_time(), UTC).isoformat(),
        }
        if refusal.violations:
            envelope["violations"] = refusal.violations
        retry = refusal.retry_after
        return json_answer(refusal.status, envelope, None if retry is None else {"Retry-After": f"{retry:g}"})

    def _date_now(self) -> str:
        second = int(self.world.unix_time())
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True)
        return self._date[1]
