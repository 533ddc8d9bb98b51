"""Values of the API's JSON, read strictly: nothing is converted, and a `ValueError` says what is wrong."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from gameye_async.models import Port

T = TypeVar("T")

JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def kind_of(value: object) -> str:
    """What JSON calls the type of a value."""
    return JSON_NAMES.get(type(value), type(value).__name__)


def strict(expected: type[T]) -> Callable[[Any, Any], T]:
    """A hook that takes just this JSON type, because cattrs would turn 7 into "7" and "no" into True."""

    def structure(value: Any, _: Any) -> T:
        if type(value) is not expected:
            raise ValueError(f"expected {JSON_NAMES[expected]}, got {kind_of(value)}")
        return value

    return structure


read_text = strict(str)


def read_object(value: Any) -> dict[str, Any]:
    """An object of JSON."""
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {kind_of(value)}")  # noqa: TRY004  -- a fault of the data
    return cast("dict[str, Any]", value)


# A poisoned answer must not make a matchmaker send players to `host="a b\n"`.
HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
PROTOCOLS = ("tcp", "udp")
MAX_PORT = 65_535


def read_host(value: Any, _: Any) -> str:
    """An IP address or host name."""
    if not HOST.fullmatch(read_text(value, str)):
        raise ValueError("expected an IP address or host name")
    return cast("str", value)


def read_protocol(value: Any, _: Any) -> str:
    """A protocol of a port."""
    if value not in PROTOCOLS:
        raise ValueError("expected tcp or udp")
    return cast("str", value)


def read_port(value: Any, _: Any) -> int:
    """The number of a port."""
    # The descriptions say "number", so 49160.0 is as good as 49160; True is not.
    if type(value) not in (int, float) or not 1 <= value <= MAX_PORT or value != int(value):
        raise ValueError(f"expected a port from 1 to {MAX_PORT}")
    return int(value)


def read_port_map(value: Any, _: Any) -> tuple[Port, ...]:
    """`{"80/tcp": 49160}`, which list and describe answer where a launch answers an array."""
    ports: list[Port] = []
    for name, host in read_object(value).items():
        container, _, protocol = name.partition("/")
        if not container.isdecimal():
            raise ValueError("expected names such as 80/tcp")
        ports.append(
            Port(
                cast("Any", read_protocol(protocol, str)),
                read_port(int(container), int),
                read_port(host, int),
            )
        )
    return tuple(ports)


def read_unix_ms(value: Any, _: Any) -> datetime:
    """Unix milliseconds; the description says just "timestamp", its example says which."""
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {kind_of(value)}")
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueError("expected Unix milliseconds") from None


def read_list(value: Any) -> list[Any]:
    """A list of JSON."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {kind_of(value)}")  # noqa: TRY004  -- a fault of the data
    return cast("list[Any]", value)
