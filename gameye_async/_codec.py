"""The one cattrs converter: models to the API's JSON, and its answers to models.

The answers are structured by a fast converter. Only when it refuses one is the detailed converter
asked as well, because just that one can say where in the JSON the fault lies.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

from attrs import define

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
        raise ConfigurationError(f"a launch request is a JSON object, not {_kind(payload)}")
    fields: dict[str, Any] = {}
    for name, value in cast("Mapping[str, Any]", payload).items():
        if name not in _REQUEST_FIELDS:
            raise ConfigurationError(f"{name!r} is not a field of a launch request")
        expected = _CONTAINERS.get(name)
        if expected is not None and not isinstance(value, expected):
            raise ConfigurationError(f"{name} must be {_JSON_NAMES[expected]}, not {_kind(value)}")
        fields[_REQUEST_FIELDS[name]] = value
    for name in ("image", "location"):
        if name not in fields:
            raise ConfigurationError(f"a launch request needs {name!r}")
    return LaunchRequest(**fields)


_CONTAINERS: dict[str, type] = {"env": dict, "labels": dict, "args": list}
_JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def _kind(value: object) -> str:
    return _JSON_NAMES.get(type(value), type(value).__name__)


def _strict(expected: type[T]) -> Callable[[Any, Any], T]:
    """A hook that takes just this JSON type, because cattrs would turn 7 into "7" and "no" into True."""

    def structure(value: Any, _: Any) -> T:
        if type(value) is not expected:
            raise ValueError(f"expected {_JSON_NAMES[expected]}, got {_kind(value)}")
        return value

    return structure


_text = _strict(str)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {_kind(value)}")  # noqa: TRY004  -- a fault of the data
    return cast("dict[str, Any]", value)


# A poisoned answer must not make a matchmaker send players to `host="a b\n"`.
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_PROTOCOLS = ("tcp", "udp")
_MAX_PORT = 65_535


def _host(value: Any, _: Any) -> str:
    if not _HOST.fullmatch(_text(value, str)):
        raise ValueError("expected an IP address or host name")
    return cast("str", value)


def _protocol(value: Any, _: Any) -> str:
    if value not in _PROTOCOLS:
        raise ValueError("expected tcp or udp")
    return cast("str", value)


def _port_number(value: Any, _: Any) -> int:
    # The descriptions say "number", so 49160.0 is as good as 49160; True is not.
    if type(value) not in (int, float) or not 1 <= value <= _MAX_PORT or value != int(value):
        raise ValueError(f"expected a port from 1 to {_MAX_PORT}")
    return int(value)


def _port_map(value: Any, _: Any) -> tuple[Port, ...]:
    """`{"80/tcp": 49160}`, which list and describe answer where a launch answers an array."""
    ports: list[Port] = []
    for name, host in _object(value).items():
        container, _, protocol = name.partition("/")
        if not container.isdecimal():
            raise ValueError("expected names such as 80/tcp")
        ports.append(
            Port(
                cast("Any", _protocol(protocol, str)),
                _port_number(int(container), int),
                _port_number(host, int),
            )
        )
    return tuple(ports)


def _created(value: Any, _: Any) -> datetime:
    """Unix milliseconds; the description says just "timestamp", its example says which."""
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {_kind(value)}")
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("expected Unix milliseconds") from None


def _status(value: Any, _: Any) -> SessionStatus:
    return SessionStatus(_text(value, str))


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
    labels = _object(value)
    tags = _embedded(labels, "tags")
    if tags is not None:
        return tags
    return {name: str(text) for name, text in labels.items() if name not in _API_LABELS}


def _env(value: Any, _: Any) -> dict[str, str]:
    return _embedded(value, "env") or {}


def _joined(value: Any, _: Any) -> tuple[str, ...]:
    return tuple([_text(player, str) for player in _list(value["joined"])])


def _joined_count(value: Any, _: Any) -> int:
    return _strict(int)(value["joinedCount"], int)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {_kind(value)}")  # noqa: TRY004  -- a fault of the data
    return cast("list[Any]", value)


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
        converter.register_structure_hook(primitive, _strict(primitive))
    converter.register_structure_hook(SessionStatus, _status)

    @converter.register_structure_hook_factory(_is_list)
    def strict_list(kind: Any) -> Callable[[Any, Any], list[Any]]:
        # cattrs would take a text for a list of letters.
        entries = list_structure_factory(kind, converter)
        return lambda value, kind: entries(_list(value), kind)

    def distinct(kind: Any) -> Any:
        # The description's own example repeats a port.
        entries = converter.get_structure_hook(list[kind])
        return override(struct_hook=lambda value, _: tuple(dict.fromkeys(entries(value, list[kind]))))

    def fields(cls: type[Any], **overrides: Any) -> None:
        structure: Callable[..., Any] = make_dict_structure_fn(
            cls, converter, _cattrs_detailed_validation=detailed, **overrides
        )
        converter.register_structure_hook(cls, lambda payload, kind: structure(_object(payload), kind))

    fields(
        Port,
        protocol=override(rename="type", struct_hook=_protocol),
        container=override(struct_hook=_port_number),
        host=override(struct_hook=_port_number),
    )
    fields(LaunchAnswer, host=override(struct_hook=_host), ports=distinct(Port))
    fields(Location, ips=distinct(str))
    fields(Roster, players=distinct(str))
    summary = {
        "host": override(struct_hook=_host),
        "created": override(struct_hook=_created),
        "ports": override(rename="port", struct_hook=_port_map),
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
    if type(entries) is not list or not (name is None or type(name) is str):
        raise ValueError
    ports = dict.fromkeys([_plain_port(entry) for entry in cast("list[Any]", entries)])
    return LaunchAnswer(_host(host, str), tuple([Port(*port) for port in ports]), name)


def _plain_port(entry: dict[str, Any]) -> tuple[Any, int, int]:
    protocol, container, host = entry["type"], entry["container"], entry["host"]
    if (
        protocol in _PROTOCOLS
        and type(container) is type(host) is int
        and 1 <= container <= _MAX_PORT
        and 1 <= host <= _MAX_PORT
    ):
        return protocol, container, host
    raise ValueError


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
