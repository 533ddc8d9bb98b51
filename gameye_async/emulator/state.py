"""What an emulator looks like now, as plain data for its page and for other programs."""

from collections import Counter
from itertools import islice
from typing import Any, Final

from gameye_async.emulator.faults import Faults
from gameye_async.emulator.history import History
from gameye_async.emulator.placement import Location
from gameye_async.emulator.sessions import Session
from gameye_async.emulator.world import World

SESSIONS_SHOWN: Final = 100
REQUESTS_SHOWN: Final = 50
_TAIL_BYTES: Final = 2_000
_TAIL_LINES: Final = 8


def state_of(world: World, faults: Faults, history: History) -> dict[str, Any]:
    """Totals, locations, faults in force, and the newest of the live sessions and of the requests."""
    now = world.settle()
    live = world.live
    counts = history.counts
    places = [_location(place) for place in world.places.values()]
    requests = (entry for entry in reversed(history.entries) if entry.kind == "request")
    return {
        "profile": world.profile.name,
        "at": round(world.unix_time(), 3),
        "seq": history.last,
        "totals": {
            "live": len(live),
            "statuses": dict(Counter(session.status for session in live)),
            "free": sum(place["free"] for place in places),
            "players": sum(len(session.players) for session in live),
            "launched": counts["launched"] + counts["claimed"],
            "refused": counts["refused"],
            "requests": counts["request"],
        },
        "locations": places,
        "sessions": [_session(session, now) for session in islice(reversed(live), SESSIONS_SHOWN)],
        "faults": faults.to_dicts(),
        "requests": [entry.to_dict() for entry in islice(requests, REQUESTS_SHOWN)],
    }


def _location(place: Location) -> dict[str, Any]:
    free = max(0, place.capacity - place.used)
    return {
        "name": place.name,
        "capacity": place.capacity,
        "used": place.used,
        "free": 0 if place.is_full else free,
        "full": place.is_full,
    }


def _session(session: Session, now: float) -> dict[str, Any]:
    tail = session.log[-_TAIL_BYTES:].decode(errors="replace").splitlines()[-_TAIL_LINES:]
    return {
        "id": session.id,
        "image": session.image,
        "tag": session.tag,
        "location": session.location,
        "host": session.host,
        "ports": {f"{container}/{protocol}": host for protocol, container, host in session.ports},
        "status": session.status,
        "players": list(session.players),
        "labels": dict(session.labels),
        "age": round(now - session.created, 3),
        "log": tail,
    }
