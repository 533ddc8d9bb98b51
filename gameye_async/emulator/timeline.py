"""Time of a world: timers applied when somebody looks, and the history of what happened."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator

from attrs import define, field, frozen

HISTORY_LENGTH = 100_000


@frozen
class Event:
    """A change of a world.

    Args:
        at: Seconds of the world's clock.
        kind: `launched`, `claimed` (from a warm pool), `refused`, `running`, `stopping`, `stopped`, `expired`
            (its ttl), `ended` (by itself), `restarting`, `joined`, `left`, `forgotten`, `refilled` (a warm
            pool) or `restarted` (the platform); listeners get `output` besides, which no history keeps.
        session_id: Id of the session, or empty.
        detail: What else there is to say.
    """

    at: float
    kind: str
    session_id: str
    detail: str = ""


Listener = Callable[[Event], None]


@define(eq=False)
class Timeline:
    """A lazily advanced clock, in monotonic seconds, with timers, a bounded history and listeners."""

    clock: Callable[[], float]
    history: deque[Event] = field(factory=lambda: deque[Event](maxlen=HISTORY_LENGTH))
    _timers: list[tuple[float, int, Callable[[float], None]]] = field(
        factory=list[tuple[float, int, Callable[[float], None]]], init=False
    )
    _order: Iterator[int] = field(factory=itertools.count, init=False)
    _listeners: dict[str | None, list[Listener]] = field(factory=dict[str | None, list[Listener]], init=False)

    def advance(self) -> float:
        """Run everything that is due, each at its own time, and answer the time now."""
        now = self.clock()
        while self._timers and self._timers[0][0] <= now:
            due, _, action = heapq.heappop(self._timers)
            action(due)
        return now

    def schedule(self, due: float, action: Callable[[float], None]) -> None:
        """Have `action(due)` run at `due`; it finds out for itself whether it still matters."""
        heapq.heappush(self._timers, (due, next(self._order), action))

    def next_due(self) -> float | None:
        """When the next timer is due, or None."""
        return self._timers[0][0] if self._timers else None

    def record(self, event: Event) -> None:
        """Keep an event and tell the listeners."""
        self.history.append(event)
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Tell the listeners of the event's session, and those of everything."""
        if self._listeners:
            for key in (event.session_id, None):
                for listener in tuple(self._listeners.get(key, ())):
                    listener(event)

    def subscribe(self, listener: Listener, session_id: str | None = None) -> Callable[[], None]:
        """Have `listener` called with every event, or those of one session; the answer unsubscribes."""
        self._listeners.setdefault(session_id, []).append(listener)

        def unsubscribe() -> None:
            listeners = self._listeners.get(session_id, [])
            if listener in listeners:
                listeners.remove(listener)
            if not listeners:
                self._listeners.pop(session_id, None)

        return unsubscribe
