"""The one cattrs converter: the API's answers to models.

They are structured by a fast converter. Only when it refuses one is the detailed converter asked as well,
because just that one can say where in the JSON the fault lies.

Imported with the first answer that needs it, because that takes 30 ms, which a program that only launches
and stops does not pay.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast, get_origin

from cattrs import Converter, transform_error
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, override

from gameye_async._codec import LaunchAnswer, loads
from gameye_async._values import (
    read_host,
    read_list,
    read_object,
    read_port,
    read_port_map,
    read_protocol,
    read_text,
    read_unix_ms,
    strict,
)
from gameye_async.errors import BadAnswerError
from gameye_async.models import Port
from gameye_async.records import Location, Roster, SessionDetails, SessionStatus, SessionSummary

T = TypeVar("T")


def _status(value: Any, _: Any) -> SessionStatus:
    return SessionStatus(read_text(value, str))


def _embedded(labels: Any, name: str) -> dict[str, str] | None:
    """A map that the API keeps as JSON text under one of its own labels; None when it is not there."""
    try:
        decoded = loads(labels[name].encode())
    except (KeyError, AttributeError, ValueError):
        return None
    if not isinstance(decoded, dict):
        return None
    return {key: str(value) for key, value in cast("dict[str, Any]", decoded).items()}


_API_LABELS = frozenset({"env", "tags", "gameye"})


def _labels(value: Any, _: Any) -> dict[str, str]:
    """The user's labels: JSON text under `tags` today, flat beside the API's own in other versions."""
    labels = read_object(value)
    tags = _embedded(labels, "tags")
    if tags is not None:
        return tags
    return {name: str(text) for name, text in labels.items() if name not in _API_LABELS}


def _env(value: Any, _: Any) -> dict[str, str]:
    return _embedded(value, "env") or {}


def _joined(value: Any, _: Any) -> tuple[str, ...]:
    return tuple([read_text(player, str) for player in read_list(value["joined"])])


def _joined_count(value: Any, _: Any) -> int:
    return strict(int)(value["joinedCount"], int)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


@cache
def _converter(*, detailed: bool) -> Converter:
    """The converter; it takes a while to make."""
    converter = Converter(detailed_validation=detailed)
    for primitive in (str, int, bool):
        converter.register_structure_hook(primitive, strict(primitive))
    converter.register_structure_hook(SessionStatus, _status)

    @converter.register_structure_hook_factory(_is_list)
    def strict_list(kind: Any) -> Callable[[Any, Any], list[Any]]:
        # cattrs would take a text for a list of letters.
        entries = list_structure_factory(kind, converter)
        return lambda value, kind: entries(read_list(value), kind)

    def distinct(kind: Any) -> Any:
        # The description's own example repeats a port.
        entries = converter.get_structure_hook(list[kind])
        return override(struct_hook=lambda value, _: tuple(dict.fromkeys(entries(value, list[kind]))))

    def fields(cls: type[Any], **overrides: Any) -> None:
        structure: Callable[..., Any] = make_dict_structure_fn(
            cls, converter, _cattrs_detailed_validation=detailed, **overrides
        )
        converter.register_structure_hook(cls, lambda payload, kind: structure(read_object(payload), kind))

    fields(
        Port,
        protocol=override(rename="type", struct_hook=read_protocol),
        container=override(struct_hook=read_port),
        host=override(struct_hook=read_port),
    )
    fields(LaunchAnswer, host=override(struct_hook=read_host), ports=distinct(Port))
    fields(Location, ips=distinct(str))
    fields(Roster, players=distinct(str))
    summary = {
        "host": override(struct_hook=read_host),
        "created": override(struct_hook=read_unix_ms),
        "ports": override(rename="port", struct_hook=read_port_map),
        "version": override(rename="tag"),
        "labels": override(struct_hook=_labels),
        "env": override(rename="labels", struct_hook=_env),
        "raw": override(struct_hook=lambda value, _: value),
    }
    fields(SessionSummary, **summary, player_count=override(rename="playerCount"))
    fields(
        SessionDetails,
        **summary,
        players=override(struct_hook=_joined),
        player_count=override(rename="players", struct_hook=_joined_count),
    )
    return converter


def _explain(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return f"required field {error.args[0]!r} is missing"
    return str(error) if isinstance(error, ValueError) else "not of the promised shape"


# cattrs names a place by our attribute where the JSON has another name.
_WIRE_NAMES: dict[type, dict[str, str]] = {
    LaunchAnswer: {".protocol": ".type"},
    SessionSummary: {".ports": ".port", ".version": ".tag", ".player_count": ".playerCount"},
    SessionDetails: {".ports": ".port", ".version": ".tag", ".player_count": ".players.joinedCount"},
}


def structure(payload: object, kind: type[T], path: str = "$") -> T:
    """Make a model of an answer's decoded JSON.

    Raises:
        BadAnswerError: The shape is not the promised one; the error names the place in the JSON.
    """
    try:
        return _converter(detailed=False).structure(payload, kind)
    except Exception:  # noqa: BLE001, S110  -- the hooks may raise anything; the next lines say what is wrong
        pass
    try:
        return _converter(detailed=True).structure(payload, kind)
    except Exception as error:  # noqa: BLE001  -- as above
        reason, _, where = transform_error(error, path, _explain)[0].rpartition(" @ ")
    for ours, theirs in _WIRE_NAMES.get(kind, {}).items():
        where = where.replace(ours, theirs)
    raise BadAnswerError(f"the answer is not what the API promises: at {where}, {reason}", path=where)


def member(payload: object, name: str, kind: type[T]) -> T:
    """Structure the one member of an answer that wraps a value, such as `{"regions": [...]}`."""
    if not isinstance(payload, dict) or name not in payload:
        raise BadAnswerError(f"the answer is not what the API promises: no {name!r} in it", path=f"$.{name}")
    return structure(cast("dict[str, Any]", payload)[name], kind, f"$.{name}")


def summaries(payload: object) -> list[SessionSummary]:
    """The sessions of `GET /session`: under `sessions`, or a bare list as one integration met it."""
    entries = (
        cast("list[Any]", payload) if isinstance(payload, list) else member(payload, "sessions", list[Any])
    )
    return [
        structure(_extended(entry, raw=entry), SessionSummary, f"$.sessions[{index}]")
        for index, entry in enumerate(entries)
    ]


def details(payload: object) -> SessionDetails:
    """The session of `GET /session/{id}`."""
    return structure(_extended(payload, raw=payload), SessionDetails)


def roster(session_id: str, payload: object) -> Roster:
    """The answer to a join or leave."""
    return structure(_extended(payload, session_id=str(session_id)), Roster)


def locations(payload: object) -> list[Location]:
    """The locations of `GET /available-location/{image}`."""
    return member(payload, "locations", list[Location])


def _extended(payload: object, **extra: object) -> object:
    return {**cast("dict[str, Any]", payload), **extra} if isinstance(payload, dict) else payload
