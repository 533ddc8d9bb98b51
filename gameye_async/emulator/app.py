"""The world over HTTP: an `aiohttp.web` application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from typing import Any, Final, Literal, cast

from aiohttp import web
from attrs import define, field

from gameye_async.emulator.answers import PROXY_ERROR, Answer, cut, deliver, follow_log, json_answer
from gameye_async.emulator.calls import Call, Keyring, read_call
from gameye_async.emulator.control import Control, add_control
from gameye_async.emulator.faults import Fault, Faults
from gameye_async.emulator.history import History, RequestRecord
from gameye_async.emulator.operations import Operation, location_of, operations
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.sessions import Session
from gameye_async.emulator.world import World

logger: Final = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 2**20
StartContainer = Callable[[Session], Awaitable[None]]


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
    history: History | None = None,
    start_container: StartContainer | None = None,
) -> web.Application:
    """Serve a world.

    Args:
        world: The world to serve; its clock should be that of the event loop.
        token: Bearer token with every scope.
        scoped_tokens: Further tokens, each with the scopes that it has.
        faults: Rules for what goes wrong.
        history: Where to record what happens.
        start_container: Awaited for every launch between its reservation and its commit. A `Refusal` that it
            raises becomes the answer of the launch, whose reservation is given back.

    Returns:
        An application for `aiohttp.web.AppRunner`; switch its access log off where speed matters.
    """
    faults = Faults() if faults is None else faults
    history = History(world) if history is None else history
    keyring = Keyring({token: None, **(scoped_tokens or {})}, world.quirks.missing_scope_status)
    in_flight: set[asyncio.Task[Any]] = set()
    service = _Service(
        world=world,
        keyring=keyring,
        faults=faults,
        history=history,
        start_container=start_container,
        operations=operations(world),
        in_flight=in_flight,
    )
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.cleanup_ctx.append(history.recording)
    add_control(app, Control(world, faults, history, keyring, in_flight))
    app.router.add_route("*", r"/{path:[\s\S]*}", service.handle)
    app.on_shutdown.append(partial(_give_up, in_flight))
    return app


async def _give_up(in_flight: set[asyncio.Task[Any]], _app: web.Application) -> None:
    """Stop serving at once: slow answers, followed logs and streams of events."""
    for task in in_flight:
        task.cancel()
    await asyncio.gather(*in_flight, return_exceptions=True)


@define(eq=False, kw_only=True)
class _Service:
    world: World
    keyring: Keyring
    faults: Faults
    history: History
    start_container: StartContainer | None
    operations: Mapping[str, Operation]
    in_flight: set[asyncio.Task[Any]]
    _date: tuple[int, str] = field(default=(-1, ""), init=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request; whatever it holds, the answer is an envelope and the server lives on."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.in_flight.add(task)
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
        except ConnectionResetError:
            # The client has left in the middle of a long answer, and nobody needs to know.
            return cut(request)
        finally:
            self.in_flight.discard(task)
            self.history.served(
                RequestRecord(request.method, request.raw_path, operation, status, self.world.clock() - began)
            )

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
            fault = instead.fault
            if fault.kind == "refuse":
                return self._refused(fault.refusal(), path)
            if fault.kind == "html_502":
                return PROXY_ERROR
            if fault.kind == "restart":
                self.world.restart(keep_memory=fault.keep_memory)
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
        headers = {} if retry is None else {"Retry-After": f"{retry:.15g}"}
        return json_answer(refusal.status, envelope, headers)

    def _date_now(self) -> str:
        second = int(self.world.unix_time())
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True)
        return self._date[1]
