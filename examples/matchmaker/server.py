"""The WebSocket protocol, and the life of the server.

A player says `{"type": "queue", "player": "ada", "skill": 1500, "latencies": {"eu-west": 20, "us-east": 90}}`
and hears, by type: `queued`; `matched`, with the id of the match, and `queued` again if nothing comes of it;
`ready`, with the host and port of the game; or `failed`, with a reason. `{"type": "leave"}` is answered by
`left`. To close the connection before `ready` is to leave; after it, the player is expected in the game.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from weakref import WeakSet

from aiohttp import WSCloseCode, WSMsgType, web

from gameye_async import AsyncGameye, OrphanRecord

from .games import Games
from .matching import Rules, Ticket
from .matchmaker import Matchmaker, Player
from .settings import Settings

MATCHMAKER = web.AppKey("matchmaker", Matchmaker)
SOCKETS = web.AppKey("sockets", WeakSet[web.WebSocketResponse])

# A connection that died without a word is noticed after two of these.
HEARTBEAT = 10.0

log = logging.getLogger(__name__)


def build_app(settings: Settings) -> web.Application:
    """The server as an application, which finds the API by GAMEYE_API_URL and GAMEYE_API_TOKEN."""
    app = web.Application()
    app[SOCKETS] = WeakSet()
    app.add_routes([web.get("/play", play), web.get("/health", health), web.get("/stats", stats)])
    app.cleanup_ctx.append(partial(run_matchmaker, settings=settings))
    app.on_shutdown.append(end_matches)
    return app


async def run_matchmaker(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    """The client and the matchmaker, for as long as the server runs."""
    async with AsyncGameye(on_orphan=report) as gameye:
        app[MATCHMAKER] = Matchmaker(Games(gameye, settings), settings)
        app[MATCHMAKER].start()
        yield


async def end_matches(app: web.Application) -> None:
    """On SIGTERM or Ctrl-C: nobody new is let in by now, and everybody else is seen off."""
    await app[MATCHMAKER].close()
    await asyncio.gather(*(socket.close(code=WSCloseCode.GOING_AWAY) for socket in [*app[SOCKETS]]))


def report(orphan: OrphanRecord) -> None:
    """Say which session may be running for nobody; the sweep or its ttl will end it."""
    log.error("session %s may be running: %s", orphan.session_id, orphan.reason)


async def health(request: web.Request) -> web.Response:
    """200 while matches are being made."""
    is_healthy = request.app[MATCHMAKER].is_healthy
    return web.Response(text="ok" if is_healthy else "broken", status=200 if is_healthy else 503)


async def stats(request: web.Request) -> web.Response:
    """How many wait, and one line about the launches."""
    matchmaker = request.app[MATCHMAKER]
    return web.json_response(
        {
            "queued": len(matchmaker.queue),
            "matched": len(matchmaker.players) - len(matchmaker.queue),
            "launches": str(matchmaker.games.gameye.stats),
        }
    )


async def play(request: web.Request) -> web.WebSocketResponse:
    """One player's connection. Names are taken on trust here: check a token of your own."""
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=4096)
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    matchmaker = request.app[MATCHMAKER]
    player: Player | None = None
    try:
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
            try:
                ticket = parse(message.data, matchmaker.settings)
            except ValueError as error:
                await socket.send_json({"type": "error", "reason": str(error)})
                continue
            if ticket is None and player is not None:
                await matchmaker.leave(player)
            elif ticket is not None and (player is None or not player.is_waiting):
                player = Player(ticket, socket.send_json)
                await matchmaker.enter(player)
    finally:
        if player is not None:
            matchmaker.drop(player)
    return socket


def parse(text: str | bytes, rules: Rules) -> Ticket | None:
    """What a player wants: a ticket to queue with, or None to leave.

    Raises:
        ValueError: It is neither.
    """
    match json.loads(text):
        case {"type": "leave"}:
            return None
        case {
            "type": "queue",
            "player": str(name),
            "skill": int() | float() as skill,
            "latencies": dict(measured),
        }:
            return Ticket(name, skill, rules.near(measured), since=time.monotonic())
        case _:
            raise ValueError("send queue with a player, a skill and latencies, or leave")
