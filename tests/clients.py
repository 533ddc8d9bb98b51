"""Clients that lose no time over failures, servers in virtual time, and what an error lets others see."""

import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from gameye_async import AsyncGameye, GameyeError, Pacing, RetryPolicy, Timeouts
from tests.faultserver import FaultServer
from tests.simulation.network import Network

TOKEN = "canary-token-4f1d9b27"

# Everything is tried twice, at once, and nothing is waited for when a client closes.
FAST = RetryPolicy(
    attempts=2,
    base=1e-6,
    cap=1e-6,
    settle=0.0,
    consistency=0.0,
    quiet=0.0,
    throttle_base=1e-6,
    throttle_floor=0.0,
    throttle_cap=1e-6,
)
UNPACED = Pacing(adaptive=False, gate_base=1e-6, gate_cap=1e-6)
HASTY = Timeouts(close=0.0)

DETAILS: dict[str, Any] = {
    "id": "match-1",
    "image": "my-game",
    "tag": "1.4.0",
    "location": "eu-west",
    "host": "203.0.113.7",
    "created": 1648472895123,
    "port": {"7777/udp": 20001, "80/tcp": 20000},
    "status": "running",
    "labels": {
        "env": '{"MAP": "harbour", "GAMEYE_HOST": "203.0.113.7"}',
        "tags": '{"match": "1"}',
        "gameye": '{"region": "eu-west"}',
        "maintainer": "team@example.com",
    },
    "players": {"joined": ["ann", "ben"], "joinedCount": 2},
}
LAUNCHED: dict[str, Any] = {
    "host": "203.0.113.7",
    "ports": [
        {"type": "udp", "container": 7777, "host": 20001},
        {"type": "tcp", "container": 80, "host": 20000},
    ],
}


def client_of(server: FaultServer, token: Any = TOKEN, **options: Any) -> AsyncGameye:
    """A client of a fault server, which retries at once; to be entered."""
    return AsyncGameye(
        token, base_url=server.url, **{"retry": FAST, "pacing": UNPACED, "timeouts": HASTY} | options
    )


@asynccontextmanager
async def simulated(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], **options: Any
) -> AsyncIterator[AsyncGameye]:
    """A client of a handler on a network in virtual time; to be used inside `simulation.loop.run`."""
    network = Network()
    app = web.Application()
    app.router.add_route("*", r"/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0)
    await runner.setup()
    network.listen("api.example.net", 443, runner.server)
    async with AsyncGameye(
        TOKEN, base_url="https://api.example.net", connector=network.connector(), **options
    ) as gameye:
        yield gameye
    await runner.cleanup()


async def failure(call: Awaitable[object]) -> BaseException:
    """The error that a call raises, with a traceback that starts here."""
    try:
        await call
    except BaseException as error:  # noqa: BLE001  -- whatever it is, it is what the test asks for
        return error
    raise AssertionError("the call did not fail")


def shown(error: BaseException) -> str:
    """All of an error that a log, a crash reporter or another process may get to see."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [str(error), repr(error), repr(vars(error)), *report.format()]
    if isinstance(error, GameyeError):
        parts.append(repr(pickle.dumps(error)))
    return "\n".join(parts)
