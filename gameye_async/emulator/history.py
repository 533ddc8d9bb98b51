"""What has happened to an emulator: every request and every change of its world, numbered."""

import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Any, Final

from aiohttp import web
from attrs import define, field, frozen

from gameye_async.emulator.timeline import Event
from gameye_async.emulator.world import World

ENTRIES_KEPT: Final = 100_000
REQUESTS_KEPT: Final = 10_000


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


@frozen
class Entry:
    """A request or a change, its number from 1 on, and when it was recorded in Unix seconds."""

    seq: int
    at: float
    what: Event | RequestRecord

    @property
    def kind(self) -> str:
        """`request`, or the kind of the change."""
        return self.what.kind if isinstance(self.what, Event) else "request"

    def to_dict(self) -> dict[str, Any]:
        """The plain data of a line of the history."""
        line: dict[str, Any] = {"seq": self.seq, "at": round(self.at, 6), "kind": self.kind}
        match self.what:
            case Event(session_id=session_id, detail=detail):
                return line | {"session": session_id, "detail": detail}
            case RequestRecord(method, path, operation, status, elapsed):
                return line | {
                    "method": method,
                    "path": path,
                    "operation": operation,
                    "status": status,
                    "seconds": round(elapsed, 6),
                }

    def to_json(self) -> str:
        """A line of the history."""
        return json.dumps(self.to_dict(), separators=(",", ":"))


@define(eq=False)
class History:
    """The last entries, oldest first, and how many there have been of each kind.

    Args:
        world: The world whose changes are recorded while its application runs.
    """

    world: World
    entries: deque[Entry] = field(factory=lambda: deque[Entry](maxlen=ENTRIES_KEPT), init=False, repr=False)
    requests: deque[RequestRecord] = field(
        factory=lambda: deque[RequestRecord](maxlen=REQUESTS_KEPT), init=False, repr=False
    )
    counts: Counter[str] = field(factory=Counter[str], init=False)
    last: int = field(default=0, init=False)
    _listeners: set[Callable[[], None]] = field(factory=set[Callable[[], None]], init=False, repr=False)

    async def recording(self, _app: web.Application) -> AsyncIterator[None]:
        """Record the changes of the world while an application runs."""
        unsubscribe = self.world.subscribe(self._hear)
        yield
        unsubscribe()

    def served(self, request: RequestRecord) -> None:
        """Record a request."""
        self.requests.append(request)
        self._add(self.world.unix_time(), request, "request")

    def changed(self, kind: str, detail: str) -> None:
        """Record what somebody changed about the emulator itself: its `faults` or a `location`."""
        self._hear(Event(self.world.clock(), kind, "", detail))

    def since(self, seq: int) -> list[Entry]:
        """The entries after number `seq`, as far as they are still kept."""
        fresh = max(0, min(self.last - seq, len(self.entries)))
        return list(islice(reversed(self.entries), fresh))[::-1]

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each entry; the answer unsubscribes."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _hear(self, event: Event) -> None:
        if event.kind != "output":
            self._add(self.world.epoch + event.at, event, event.kind)

    def _add(self, at: float, what: Event | RequestRecord, kind: str) -> None:
        self.last += 1
        self.entries.append(Entry(self.last, at, what))
        self.counts[kind] += 1
        for listener in tuple(self._listeners):
            listener()
