"""Plain data, such as a scenario file or a JSON body, into settings: strictly, saying where it is wrong."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from attrs import AttrsInstance, fields, has
from cattrs import Converter, ForbiddenExtraKeysError, transform_error
from cattrs.gen import make_dict_structure_fn
from cattrs.v import format_exception

T = TypeVar("T", bound=AttrsInstance)
Ports = tuple[tuple[str, int], ...]
Locations = Mapping[str, int] | tuple[str, ...]


def structured(data: object, kind: type[T], place: str) -> T:
    """An instance of an attrs class from a mapping with the names of its fields.

    Nothing is converted: a number is no text, and an unknown name an error.

    Raises:
        ValueError: Everything that is wrong, each with its place, which begins with `place`.
    """
    try:
        return _CONVERTER.structure(data, kind)
    except Exception as error:  # noqa: BLE001  -- of whatever kind, it is about the data
        wrongs = transform_error(error, path="", format_exception=_explain)
        raise ValueError("; ".join(_reworded(wrong, place) for wrong in wrongs)) from None


def _reworded(wrong: str, place: str) -> str:
    """`transform_error` names the place last; people look for it first."""
    what, _, where = wrong.rpartition(" @ ")
    return ": ".join(part for part in (place, where.removeprefix("."), what) if part)


def _explain(error: BaseException, kind: type | None) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        known = ", ".join(field.name for field in fields(error.cl) if field.init)
        return f"unknown {', '.join(sorted(error.extra_fields))}; known are {known}"
    if isinstance(error, KeyError):
        return f"{error.args[0]} is required"
    if isinstance(error, AttributeError):
        return "must be a table of names and values"  # what cattrs makes of a mapping that is none
    if isinstance(error, ValueError | TypeError) and error.args:
        # The validators of attrs give the attribute and the value as further arguments.
        return str(error.args[0])
    return format_exception(error, kind)


_NAMES: Final = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "a table of names and values",
}


def _exactly(kind: type, *others: type) -> Callable[..., Any]:
    def check(value: Any, _: Any = None) -> Any:
        if type(value) not in {kind, *others} or (kind is float and not math.isfinite(value)):
            raise TypeError(f"must be {_NAMES[kind]}, not {value!r}")
        return value

    return check


_array: Final = _exactly(list)
_table: Final = _exactly(dict)


def _is_array(kind: Any) -> bool:
    return get_origin(kind) in {tuple, frozenset}


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _ports(value: Any, _: Any) -> Ports:
    found = [re.fullmatch(r"([0-9]{1,5})/(tcp|udp)", port) for port in _array(value) if isinstance(port, str)]
    if len(found) != len(value) or None in found:
        raise ValueError(f"must be ports like '7777/udp', not {value!r}")
    return tuple((match[2], int(match[1])) for match in found if match)


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"must be one of {', '.join(map(str, get_args(kind)))}, not {value!r}")
    return value


def listed(_instance: object, attribute: Any, value: object) -> None:
    """Validate that a field has one of the values of its `Literal`."""
    try:
        _one_of(value, attribute.type)
    except ValueError as error:
        raise ValueError(f"{attribute.name!r} {error}") from None


def _new_converter() -> Converter:
    converter = Converter()

    def table(kind: Any) -> Callable[[Any, Any], Any]:
        structure = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)
        return lambda value, _: structure(_table(value), kind)

    def locations(value: Any, _: Any) -> Any:
        return converter.structure(value, tuple[str, ...] if isinstance(value, list) else Mapping[str, int])

    array = converter.get_structure_hook(tuple[str, ...])
    converter.register_structure_hook_factory(has, table)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _exactly(float, int))
    converter.register_structure_hook_func(_is_array, lambda value, kind: array(_array(value), kind))
    converter.register_structure_hook_func(lambda kind: kind == Ports, _ports)
    converter.register_structure_hook_func(lambda kind: kind == Locations | None, locations)
    converter.register_structure_hook_func(_is_literal, _one_of)
    return converter


_CONVERTER: Final = _new_converter()
