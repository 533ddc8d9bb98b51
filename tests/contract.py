"""The published description of the API as an oracle for requests and answers."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from attrs import frozen
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

DESCRIPTION = Path(__file__).resolve().parents[2] / "shared" / "api" / "gameye-session-openapi.yml"
_METHODS = ("get", "post", "put", "delete")


@frozen
class Operation:
    """An operation of the description; `path` is its template."""

    operation_id: str
    method: str
    path: str


@cache
def description() -> dict[str, Any]:
    """The description with references resolved and examples dropped; skips the test when it is absent."""
    if not DESCRIPTION.exists():
        pytest.skip("the OpenAPI description of the API does not lie beside this checkout")
    document = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return _resolved(document, document)


def operations() -> list[Operation]:
    """Every operation of the description."""
    return [
        Operation(spec["operationId"], method.upper(), path)
        for path, methods in description()["paths"].items()
        for method, spec in methods.items()
        if method in _METHODS
    ]


def validate_request(method: str, path: str, query: Iterable[tuple[str, str]] = (), body: Any = None) -> None:
    """Check a request against the description.

    Args:
        method: HTTP method.
        path: Raw path, without the query.
        query: Decoded pairs of the query.
        body: Decoded JSON body, or None for none.

    Raises:
        AssertionError: The operation does not exist, or something does not fit it.
    """
    operation, shared = _operation(method, path)
    place = f"{method} {path}"
    parameters = {
        parameter["name"]: parameter
        for parameter in [*shared, *operation.get("parameters", ())]
        if parameter["in"] == "query"
    }
    given = _query_values(query, parameters, place)
    for name, parameter in parameters.items():
        assert name in given or not parameter["required"], f"{place}: query parameter {name} is missing"
        if name in given:
            _check(parameter["schema"], given[name], f"{place} query {name}")
    described = operation.get("requestBody")
    if described is None:
        assert body is None, f"{place}: takes no body"
    else:
        assert body is not None, f"{place}: the body is missing"
        _check(described["content"]["application/json"]["schema"], body, f"{place} body")


def validate_answer(method: str, path: str, status: int, body: Any = None) -> None:
    """Check an answer against the description.

    Args:
        method: HTTP method of the request.
        path: Raw path of the request, without the query.
        status: Status of the answer.
        body: Decoded JSON body; None for an empty one. Bodies that are not JSON are not looked at.

    Raises:
        AssertionError: The operation does not exist, or the answer is not one it describes.
    """
    operation, _ = _operation(method, path)
    place = f"{method} {path} {status}"
    assert status in operation["responses"], f"{place}: the status is not described"
    content = operation["responses"][status].get("content")
    if content is None:
        assert not body, f"{place}: has no body"
    elif "application/json" in content:
        _check(content["application/json"]["schema"], body, place)


def _resolved(node: Any, document: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolved(item, document) for item in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        target: Any = document
        for key in reference.removeprefix("#/").split("/"):
            target = target[key]
        return _resolved(target, document)
    return {
        key: _resolved(value, document)
        for key, value in node.items()
        # Some examples nest their own name once more and would break the schema they illustrate.
        if not (str(key).startswith("x-") or key in {"example", "examples"})
    }


def _operation(method: str, path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    segments = [unquote(segment) for segment in path.split("/")]
    # A literal path comes before one with parameters: /session/player/join is no session.
    for template, methods in sorted(description()["paths"].items(), key=lambda item: "{" in item[0]):
        pattern = template.split("/")
        if len(pattern) == len(segments) and all(
            part == segment or (part.startswith("{") and segment)
            for part, segment in zip(pattern, segments, strict=True)
        ):
            assert method.lower() in methods, f"{method} {path}: the method is not described"
            return methods[method.lower()], methods.get("parameters", [])
    raise AssertionError(f"{method} {path}: the path is not described")


def _query_values(
    query: Iterable[tuple[str, str]], parameters: Mapping[str, Any], place: str
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in query:
        base, bracket, key = name.partition("[")
        assert base in parameters, f"{place}: query parameter {name} is not described"
        schema = parameters[base]["schema"]
        if schema["type"] == "object":
            assert bracket, f"{place}: query parameter {name} takes a key in brackets"
            values.setdefault(base, {})[key.removesuffix("]")] = _typed(text, schema["additionalProperties"])
        else:
            values[base] = _typed(text, schema)
    return values


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    if schema["type"] == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema["type"] == "integer":
        return int(text) if text.lstrip("-").isdigit() else text
    return text


def _check(schema: Mapping[str, Any], value: Any, place: str) -> None:
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is not None:
        raise AssertionError(f"{place}: {error.json_path}: {error.message}")
