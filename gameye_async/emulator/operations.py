"""What each operation answers."""

from collections.abc import Callable, Mapping
from typing import Any

from gameye_async.emulator.answers import TAR, TEXT, Answer, json_answer
from gameye_async.emulator.calls import Call
from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.selection import parse_bool
from gameye_async.emulator.world import World

Operation = Callable[[Call], Answer]


def operations(world: World) -> Mapping[str, Operation]:
    """Every operation but `session-run`, which takes time between its reservation and its commit."""
    return {
        "session-list": lambda call: json_answer(200, world.list_sessions(call.query)),
        "describe-session": lambda call: json_answer(200, world.describe(*call.parameters)),
        "session-stop": lambda call: _stop(world, call),
        "join-session": lambda call: json_answer(200, world.join(call.body)),
        "leave-session": lambda call: json_answer(200, world.leave(call.body)),
        "artifacts": lambda call: _artifact(world, call),
        "get-available-locations": lambda call: json_answer(200, world.available_locations(*call.parameters)),
        "tag-exists": lambda call: json_answer(200, world.tag_exists(*call.parameters)),
        "stream-logs": lambda call: _logs(world, call),
        "list-regions": lambda _: json_answer(200, world.regions()),
        "metrics": lambda _: Answer(200, world.metrics().encode(), TEXT),
        "health": lambda _: json_answer(200, world.health()),
    }


def location_of(world: World, call: Call) -> str | None:
    """The location that a request is about, for the faults of single locations."""
    body: Any = call.body
    try:
        match call.operation:
            case "session-run":
                location = body["location"]
                return location if isinstance(location, str) else None
            case "tag-exists":
                return call.parameters[0]
            case "describe-session" | "session-stop":
                session_id = call.parameters[0]
            case "join-session" | "leave-session":
                session_id = body["session"]
            case "stream-logs":
                session_id = call.required("id")
            case "artifacts":
                session_id = call.required("session")
            case _:
                return None
        return world.session(session_id).location
    except (Refusal, TypeError, LookupError):
        return None


def _stop(world: World, call: Call) -> Answer:
    world.stop(*call.parameters)
    return Answer(world.profile.stopped)


def _artifact(world: World, call: Call) -> Answer:
    return Answer(200, world.artifact(call.required("session"), call.required("path")), TAR)


def _logs(world: World, call: Call) -> Answer:
    session_id = call.required("id")
    output = world.logs(session_id)
    if parse_bool("follow", dict(call.query).get("follow", "false")):
        return Answer(200, media_type=TEXT, follow=world.session(session_id))
    return Answer(200, output, TEXT)
