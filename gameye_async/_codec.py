"""The one cattrs converter: models to the API's JSON, and its answers to models.

The answers are structured by a fast converter. Only when it refuses one is the detailed converter
asked as well, because just that one can say where in the JSON the fault lies.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

from attrs import define

from gameye_async._values import (
    HOST,
    JSON_NAMES,
    MAX_PORT,
    PROTOCOLS,
    kind_of,
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
from gameye_async.errors import BadAnswerError, ConfigurationError
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Location, Port, Roster, SessionDetails, SessionStatus, SessionSummary

if TYPE_CHECKING:
    from cattrs import Converter

try:
    import orjson
except ImportError:  # the `speed` extra is not installed

    def dumps(payload: object, /) -> bytes:
        """JSON text of plain data."""
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()

    def loads(text: bytes, /) -> Any:
        """Plain data from JSON text.

        Raises:
            ValueError: It is none, or nested deeper than Python can follow.
        """
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None

else:
    dumps = orjson.dumps
    loads = orjson.loads

T = TypeVar("T")


# Not frozen; see `Request`.
@define
class LaunchAnswer:
    """The answer of `POST /session`; `id` may be missing from it, for the caller knows it."""

    host: str
    ports: tuple[Port, ...]
    id: str | None = None


def launch_body(request: LaunchRequest, location: str) -> bytes:
    """The body of `POST /session`: six fields always, the optional ones only when they are set.

    The founding page requires the six; later descriptions forbid unknown fields, so that a null or an
    unsupported optional field would be refused.
    """
    body: dict[str, Any] = {
        "id": request.id,
        "location": location,
        "image": request.image,
        "env": request.env,
        "args": request.args,
        "restart": request.restart,
    }
    if request.labels:
        body["labels"] = request.labels
    if request.version is not None:
        body["version"] = request.version
    if request.ttl is not None:
        body["ttl"] = request.ttl
    if request.external_id is not None:
        body["external_id"] = request.external_id
    if request.enable_metrics is not None:
        body["enableMetrics"] = request.enable_metrics
    return dumps(body)


_REQUEST_FIELDS = {"enableMetrics": "enable_metrics"} | {
    name: name
    for name in (
        "id",
        "location",
        "image",
        "env",
        "args",
        "restart",
        "labels",
        "version",
        "ttl",
        "external_id",
    )
}


def parse_json(text: bytes) -> object:
    """Plain data from JSON text that somebody wrote; duller than `loads`, but it says where the fault is.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        return cast("object", json.loads(text))
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"not JSON: {error.msg} at column {error.colno}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ConfigurationError("not JSON: neither text nor data of any sane depth") from None


def parse_launch_request(payload: object) -> LaunchRequest:
    """A launch request from the API's own JSON, as `POST /session` takes it.

    Raises:
        ConfigurationError: A field is missing, unknown, of the wrong type, or refused by the model.
    """
    if not isinstance(payload, Mapping):
        raise ConfigurationError(f"a launch request is a JSON object, not {kind_of(payload)}")
    fields: dict[str, Any] = {}
    for name, value in cast("Mapping[str, Any]", payload).items():
        if name not in _REQUEST_FIELDS:
            raise ConfigurationError(f"{name!r} is not a field of a launch request")
        expected = _CONTAINERS.get(name)
        if expected is not None and not isinstance(value, expected):
            raise ConfigurationError(f"{name} must be {JSON_NAMES[expected]}, not {kind_of(value)}")
        fields[_REQUEST_FIELDS[name]] = value
    for name in ("image", "location"):
        if name not in fields:
            raise ConfigurationError(f"a launch request needs {name!r}")
    return LaunchRequest(**fields)


_CONTAINERS: dict[str, type] = {"env": dict, "labels": dict, "args": list}


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
def _converter(*, detailed: bool) -> "Converter":
    """The converter; made and its library imported when first needed, because that takes 30 ms."""
    from cattrs import Converter  # noqa: PLC0415  -- see above
    from cattrs.cols import list_structure_factory  # noqa: PLC0415  -- see above
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415  -- see above

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
    from cattrs import transform_error  # noqa: PLC0415  -- as in the converter

    try:
        return _converter(detailed=True).structure(payload, kind)
    except Exception as error:  # noqa: BLE001  -- as above
        reason, _, where = transform_error(error, path, _explain)[0].rpartition(" @ ")
    for ours, theirs in _WIRE_NAMES.get(kind, {}).items():
        where = where.replace(ours, theirs)
    raise BadAnswerError(f"the answer is not what the API promises: at {where}, {reason}", path=where)


def launch_answer(payload: Any) -> LaunchAnswer:
    """The session of `POST /session`.

    One that is just as promised is read by hand, in half the time; whatever else it is, `structure` judges.
    """
    try:
        return _plain_launch_answer(payload)
    except (KeyError, TypeError, ValueError):
        return structure(payload, LaunchAnswer)


def _plain_launch_answer(payload: dict[str, Any]) -> LaunchAnswer:
    host, entries, name = payload["host"], payload["ports"], payload.get("id")
    if type(entries) is not list or not (name is None or type(name) is str) or not HOST.fullmatch(host):
        raise ValueError
    ports: dict[tuple[Any, int, int], None] = {}
    for entry in cast("list[Any]", entries):
        protocol, inside, outside = entry["type"], entry["container"], entry["host"]
        if protocol not in PROTOCOLS or not (type(inside) is type(outside) is int):
            raise ValueError
        if not (1 <= inside <= MAX_PORT and 1 <= outside <= MAX_PORT):
            raise ValueError
        ports[protocol, inside, outside] = None
    return LaunchAnswer(host, tuple([Port(*port) for port in ports]), name)


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


def _extended(payload: object, **extra: object) -> object:
    return {**cast("dict[str, Any]", payload), **extra} if isinstance(payload, dict) else payload
