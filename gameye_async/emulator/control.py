"""The emulator's own API below `/_emulator/`: faults, locations, history and state, for any client."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, cast

from aiohttp import web
from attrs import define, evolve, field, frozen
from attrs.validators import ge, optional

from gameye_async.emulator.calls import Keyring, is_own
from gameye_async.emulator.faults import Fault, Faults
from gameye_async.emulator.history import Entry, History
from gameye_async.emulator.page import page_routes
from gameye_async.emulator.placement import is_loopback
from gameye_async.emulator.state import state_of
from gameye_async.emulator.structure import structured
from gameye_async.emulator.timeline import Event
from gameye_async.emulator.watch import Watch
from gameye_async.emulator.world import World

PREFIX: Final = "/_emulator"

_LINES_AT_ONCE: Final = 1_000
_EVENTS_AT_ONCE: Final = 500
_PAUSE_SECONDS: Final = 0.1
_HEARTBEAT_SECONDS: Final = 15.0


@frozen
class LocationChange:
    """What to change about a location: see `Location.capacity` and `Location.is_full`."""

    capacity: int | None = field(default=None, validator=optional(ge(0)))
    full: bool | None = None


def add_control(app: web.Application, control: "Control") -> None:
    """Serve the control API and the page from an application."""
    inner = web.Application(middlewares=[control.guard])
    inner.add_routes(
        (
            web.get("/faults", control.show_faults),
            web.post("/faults", control.add_faults),
            web.delete("/faults", control.drop_faults),
            web.post("/locations/{name:.+}", control.change_location),
            web.get("/history", control.show_history),
            web.get("/state", control.show_state),
            web.get("/events", control.stream_events),
            *page_routes(control.look),
        )
    )

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{PREFIX}/")

    app.router.add_get(PREFIX, redirect)
    app.add_subapp(PREFIX, inner)


@define(eq=False)
class Control:
    """Handlers of the control API; tasks that they put into `in_flight` are cancelled at the end."""

    world: World
    faults: Faults
    history: History
    keyring: Keyring
    in_flight: set[asyncio.Task[Any]]

    def look(self) -> dict[str, Any]:
        """What it looks like now."""
        return state_of(self.world, self.faults, self.history)

    @web.middleware
    async def guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Keep the pages of other sites and other machines out, and answer every error with JSON.

        There is no token on this machine, where a browser would carry the requests of any site: by that
        site's own name (`Origin`), or by one that it points to us (`Host`).
        """
        if not (is_own(request) and self._is_trusted(request)):
            return _json({"error": "this is for the emulator's own page and for local programs"}, status=403)
        try:
            return await handler(request)
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        except web.HTTPException as error:
            return _json({"error": error.text}, status=error.status)

    def _is_trusted(self, request: web.Request) -> bool:
        authorization = request.headers.get("Authorization", "")
        return is_loopback(request.remote or "") or self.keyring.refusal(authorization, "metrics") is None

    async def show_faults(self, _request: web.Request) -> web.Response:
        """The faults in force, each with the count that is left."""
        return _json({"faults": self.faults.to_dicts()})

    def _changed_faults(self, status: int) -> web.Response:
        self.history.changed("faults", f"{len(self.faults)} in force")
        return _json({"faults": self.faults.to_dicts()}, status)

    async def add_faults(self, request: web.Request) -> web.Response:
        """Put a fault, or an array of them, into force."""
        self.faults.add(*await _read_faults(request))
        return self._changed_faults(201)

    async def drop_faults(self, request: web.Request) -> web.Response:
        """Heal: everything without a body, else the faults in it, whatever their count."""
        if request.can_read_body:
            uncounted = {evolve(fault, count=None) for fault in await _read_faults(request)}
            for fault in self.faults:
                if evolve(fault, count=None) in uncounted:
                    self.faults.discard(fault)
        else:
            self.faults.clear()
        return self._changed_faults(200)

    async def change_location(self, request: web.Request) -> web.Response:
        """Change the capacity of a location, fill it, or empty it again."""
        name = request.match_info["name"]
        place = self.world.places.get(name)
        if place is None:
            raise web.HTTPNotFound(text=f"there is no location {name}")
        change = structured(await _read_json(request), LocationChange, "body")
        if change.capacity is not None:
            self.world.set_capacity(name, change.capacity)
        if change.full is not None:
            place.is_full = change.full
        self.history.changed("location", f"{name}: {'full' if place.is_full else place.capacity}")
        return _json({"name": name, "capacity": place.capacity, "used": place.used, "full": place.is_full})

    async def show_history(self, request: web.Request) -> web.StreamResponse:
        """What has happened as JSON lines; `since` is the number of the last line already seen."""
        self.world.settle()
        kinds = frozenset(request.query.getall("kind", ()))
        entries = self.history.since(_number(request.query.get("since", "0")))
        chosen = [entry for entry in entries if not kinds or entry.kind in kinds]
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/x-ndjson",
                "Cache-Control": "no-store",
                "X-Last-Seq": str(self.history.last),
            }
        )
        await response.prepare(request)
        for start in range(0, len(chosen), _LINES_AT_ONCE):
            lines = (f"{entry.to_json()}\n" for entry in chosen[start : start + _LINES_AT_ONCE])
            await response.write("".join(lines).encode())
        return response

    async def show_state(self, _request: web.Request) -> web.Response:
        """What it looks like now."""
        return _json(self.look())

    async def stream_events(self, request: web.Request) -> web.StreamResponse:
        """The lines of the history as server-sent events, as they come, and `output` where a log has grown.

        A burst that is too long to be worth sending becomes one `gap`; the history has its lines.
        """
        given = request.headers.get("Last-Event-ID") or request.query.get("since")
        seen = self.history.last if given is None else _number(given)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        written: set[str] = set()

        def hear(event: Event) -> None:
            if event.kind == "output":
                written.add(event.session_id)

        task = cast("asyncio.Task[Any]", asyncio.current_task())
        with Watch(self.world) as watch:
            self.in_flight.add(task)
            unsubscribe = (self.world.subscribe(hear), self.history.subscribe(watch.notice))
            try:
                while True:
                    entries = self.history.since(seen)
                    seen = self.history.last
                    # The comment tells both sides whether the other one is still there.
                    await response.write("".join(_events(entries, written)).encode() or b":\n\n")
                    written.clear()
                    await asyncio.sleep(_PAUSE_SECONDS)
                    await watch.change(within=_HEARTBEAT_SECONDS)
            except ConnectionResetError:
                return response
            finally:
                self.in_flight.discard(task)
                for leave in unsubscribe:
                    leave()


async def _read_json(request: web.Request) -> object:
    try:
        return json.loads(await request.text())
    except (ValueError, RecursionError, web.RequestPayloadError):
        raise ValueError("the body must be JSON") from None


async def _read_faults(request: web.Request) -> list[Fault]:
    data = await _read_json(request)
    listed = cast("list[object]", data) if isinstance(data, list) else [data]
    return [structured(item, Fault, f"faults[{index}]") for index, item in enumerate(listed)]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"since must be the number of an entry, not {text!r}")
    return int(text)


def _json(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status, headers={"Cache-Control": "no-store"})


def _events(entries: list[Entry], written: set[str]) -> Iterator[str]:
    if len(entries) > _EVENTS_AT_ONCE:
        gap = json.dumps({"kind": "gap", "after": entries[0].seq - 1, "until": entries[-1].seq})
        yield f"id: {entries[-1].seq}\ndata: {gap}\n\n"
    else:
        for entry in entries:
            yield f"id: {entry.seq}\ndata: {entry.to_json()}\n\n"
    for session_id in sorted(written):
        yield f"data: {json.dumps({'kind': 'output', 'session': session_id})}\n\n"
