"""Requests generated from the description of the API, and from nothing at all."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from gameye_async.emulator import Emulator, Image, Quirks
from tests.contract import description, operations, validate_answer

# These words make requests meet in one session; without them every read would be of nothing.
SESSIONS = ("m-1", "m-2", "m-3")
WORDS = {
    "id": SESSIONS,
    "session": SESSIONS,
    "location": ("europe",),
    "region": ("europe",),
    "image": ("my-game",),
    "version": ("1.4.0",),
    "ttl": ("1h", "2h30m"),
    "path": ("/", "/replays"),
}
REUSE = Quirks(reuse_ended_id=True)
IMAGES = {"my-game": Image(tags=("1.4.0",)), "ann": Image(tags=())}

# The description forgets the 400 that it has elsewhere for a parameter that is wrong, and does not say what
# artifacts of a running session get.
FORGOTTEN = {("artifacts", 400), ("artifacts", 409), ("session-list", 400)}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def words(name: str) -> st.SearchStrategy[str]:
    """Texts for a field or parameter, most of them such that mean something there."""
    known = st.sampled_from(WORDS.get(name, ("ann", "ben")))
    return st.one_of(known, known, known, known, texts)


def values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """What fits a schema of the description."""
    if "properties" in schema:
        fields = {name: values(field, name) for name, field in schema["properties"].items()}
        required = {name: fields.pop(name) for name in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    return {
        "string": lambda: words(name).filter(lambda text: len(text) >= schema.get("minLength", 0)),
        "integer": lambda: st.integers(-(10**6), 10**6),
        "boolean": st.booleans,
        "array": lambda: st.lists(values(schema["items"]), max_size=3),
        "object": lambda: st.dictionaries(texts, values(schema["additionalProperties"]), max_size=3),
    }[schema["type"]]()


@st.composite
def described_requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], Any]:
    """A request that fits the description: operation, path, query and body."""
    operation = draw(st.sampled_from(operations()))
    shared = description()["paths"][operation.path]
    spec = shared[operation.method.lower()]
    path, query = operation.path, {}
    for parameter in [*shared.get("parameters", ()), *spec.get("parameters", ())]:
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(draw(words(name).filter(bool)), safe=""))
        elif name == "follow":
            # A log that is followed ends with its session only.
            continue
        elif parameter["required"] or draw(st.booleans()):
            value = draw(values(schema, name))
            if isinstance(value, dict):
                # The description allows every key, and means these.
                keys = ("lt", "gt") if name == "playerCount" else value
                query |= {
                    f"{name}[{key}]": str(item) for key, item in zip(keys, value.values(), strict=False)
                }
            else:
                query[name] = str(value).lower() if isinstance(value, bool) else value
    body = None
    if "requestBody" in spec:
        body = draw(values(spec["requestBody"]["content"]["application/json"]["schema"]))
    return operation.operation_id, f"{operation.method} {path}", query, body


@contextmanager
def calling(**options: Any) -> Iterator[Any]:
    """A plain function that calls one emulator, which lives through all examples."""

    async def start() -> tuple[Emulator, aiohttp.ClientSession]:
        emulator = await Emulator(**options).__aenter__()
        return emulator, aiohttp.ClientSession(headers={"Authorization": f"Bearer {emulator.token}"})

    async def end() -> None:
        await http.close()
        await emulator.__aexit__(None, None, None)

    async def call(method: str, target: str, **request: Any) -> tuple[int, str, bytes]:
        url = URL(emulator.url + target, encoded=True)
        async with http.request(method, url, allow_redirects=False, **request) as response:
            return response.status, response.content_type, await response.read()

    with asyncio.Runner() as runner:
        emulator, http = runner.run(start())
        try:
            yield lambda *arguments, **request: runner.run(call(*arguments, **request))
        finally:
            runner.run(end())


def test_every_described_request_gets_a_described_answer():
    description()
    with calling(locations={"europe": 8}, quirks=REUSE, images=IMAGES, seed=1) as call:

        @settings(max_examples=400, deadline=None)
        @given(described_requests())
        def check(request):
            operation, line, query, body = request
            method, path = line.split(" ")
            target = f"{path}?{urlencode(query)}" if query else path
            status, media_type, raw = call(method, target, json=body)
            answer = json.loads(raw) if media_type == "application/json" else None
            if (operation, status) not in FORGOTTEN:
                validate_answer(method, path, status, answer)

        check()


@settings(max_examples=300, deadline=None)
@given(st.data())
def _never_fails(call, data):
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]))
    folders = st.sampled_from(["session", "player", "join", "leave", "logs", "tag", "artifacts", "_emulator"])
    parts = data.draw(st.lists(folders | texts, max_size=4))
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    names = st.sampled_from(["id", "session", "path", "all", "playerCount[lt]", "filter[a]"]) | texts
    query = data.draw(st.dictionaries(names, texts, max_size=3))
    body = data.draw(
        st.none() | st.binary(max_size=50) | anything.map(lambda value: json.dumps(value).encode())
    )
    if "events" in parts:
        return
    status, media_type, raw = call(method, f"{path}?{urlencode(query)}", data=body)
    assert status < 500
    if status >= 400 and method != "HEAD":
        assert media_type == "application/json"
        assert json.loads(raw)


def test_no_request_whatever_makes_it_fail():
    """Every refusal is JSON, and none of them a 5xx."""
    with calling(seed=1) as call:
        _never_fails(call)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /session HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /session HTTP/1.1\r\nContent-Length: 10\r\nContent-Length: 11\r\n\r\n0123456789",
        b"POST /session HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /session HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /_emulator/ HTTP/1.0\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: [\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_no_bytes_whatever_end_it(raw):
    """A client that speaks no HTTP is hung up on or told off, and the next one is served."""
    async with Emulator() as emulator:
        url = URL(emulator.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(raw)
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        answer = await reader.read()
        writer.close()
        assert not answer.startswith(b"HTTP/1.1 5")
        async with aiohttp.request("GET", f"{emulator.url}/health") as response:
            assert response.status == 200
