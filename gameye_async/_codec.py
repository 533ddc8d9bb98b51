"""JSON, the body of a launch and its answer; what else the API answers is for `_structure`."""

import json
from collections.abc import Mapping
from typing import Any, cast

import attrs
from attrs import define

from gameye_async._values import HOST, JSON_NAMES, MAX_PORT, PROTOCOLS, kind_of
from gameye_async.errors import ConfigurationError
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import Port

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


_REQUEST_FIELDS = {field.name: field.name for field in attrs.fields(LaunchRequest)}
_REQUEST_FIELDS["enableMetrics"] = _REQUEST_FIELDS.pop("enable_metrics")


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


def launch_answer(payload: Any) -> LaunchAnswer | None:
    """The session of `POST /session` when it is just as promised, read by hand in half the time.

    None for whatever else it is, which `_structure` judges.
    """
    try:
        host, entries, name = payload["host"], payload["ports"], payload.get("id")
        if type(entries) is not list or not (name is None or type(name) is str) or not HOST.fullmatch(host):
            return None
        ports = dict.fromkeys([_port(entry) for entry in cast("list[Any]", entries)])
    except (KeyError, TypeError, ValueError):
        return None
    return LaunchAnswer(host, tuple([Port(*port) for port in ports]), name)


def _port(entry: dict[str, Any]) -> tuple[Any, int, int]:
    protocol, container, host = entry["type"], entry["container"], entry["host"]
    if (
        protocol in PROTOCOLS
        and type(container) is type(host) is int
        and 1 <= container <= MAX_PORT
        and 1 <= host <= MAX_PORT
    ):
        return protocol, container, host
    raise ValueError
