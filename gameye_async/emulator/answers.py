"""Answers on their way out: whole, damaged, or open until a session ends."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiohttp import HttpVersion11, web
from attrs import field, frozen

from gameye_async.emulator.faults import Fault
from gameye_async.emulator.sessions import Session
from gameye_async.emulator.watch import Watch
from gameye_async.emulator.world import World

try:
    import orjson
except ImportError:  # the `speed` extra is not installed
    orjson = None  # type: ignore[assignment]  # a module that is not there

JSON: Final = "application/json; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
TAR: Final = "application/x-tar"
_LOOK_SECONDS: Final = 15.0


@frozen(eq=False)
class Answer:
    """A status, a body and its media type; `follow` is the session whose log is the body instead."""

    status: int
    body: bytes = b""
    media_type: str = ""
    headers: Mapping[str, str] = field(factory=dict[str, str])
    follow: Session | None = None

    def all_headers(self, date: str) -> dict[str, str]:
        """The headers to send; `date` is the world's, which need not be the machine's."""
        typed = {"Content-Type": self.media_type} if self.media_type else {}
        return {"Date": date, **typed, **self.headers}


PROXY_ERROR: Final = Answer(502, b"<html><h1>502 Bad Gateway</h1></html>\n", "text/html")


def _dumps(content: object) -> bytes:
    if orjson is not None:
        # It writes a list of 50,000 sessions several times faster, but no lone surrogates.
        with suppress(TypeError):
            return orjson.dumps(content)
    return json.dumps(content, separators=(",", ":")).encode()


def json_answer(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, _dumps(content), JSON, headers or {})


def cut(request: web.Request) -> web.Response:
    """Reset the connection; aiohttp drops the response that it insists on."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def deliver(
    request: web.Request, answer: Answer, damage: Fault | None, date: str
) -> web.StreamResponse:
    """Send an answer, damaged as the fault says."""
    body, headers = answer.body, answer.all_headers(date)
    if damage is not None and damage.kind in {"truncate", "slow_drip", "close_idle"}:
        return await _deliver_in_parts(request, answer, damage, headers)
    if damage is not None and damage.kind == "oversize":
        body = body.ljust(damage.size)
    elif damage is not None:
        body = b"upstream: OK?"
    response = web.Response(status=answer.status, body=body, headers=headers)
    if request.content.exception() is not None:
        # aiohttp drops a connection whose body did not decode: the client has to know.
        response.force_close()
    return response


async def _deliver_in_parts(
    request: web.Request, answer: Answer, damage: Fault, headers: Mapping[str, str]
) -> web.StreamResponse:
    body = answer.body
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    if damage.kind == "slow_drip":
        for byte in body:
            await asyncio.sleep(damage.seconds)
            await response.write(bytes((byte,)))
        return response
    await response.write(body[: len(body) // 2] if damage.kind == "truncate" else body)
    if damage.kind == "close_idle":
        await response.write_eof()
    if request.transport is not None:
        # Unlike abort(), close() sends what is buffered first.
        request.transport.close()
    return response


async def follow_log(
    request: web.Request, answer: Answer, session: Session, world: World, date: str
) -> web.StreamResponse:
    """Send a session's log as it is written, until the session ends."""
    response = web.StreamResponse(status=answer.status, headers=answer.all_headers(date))
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    sent = 0
    with Watch(world, session.id) as watch:
        await response.prepare(request)
        world.settle()
        while True:
            if output := session.log[sent:]:
                sent += len(output)
                await response.write(bytes(output))
            elif session.is_over:
                await response.write_eof()
                return response
            elif request.transport is None:
                raise ConnectionResetError
            else:
                # aiohttp tells nobody that a client has left, and a quiet session might never end.
                await watch.change(within=_LOOK_SECONDS)
