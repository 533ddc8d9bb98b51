"""Where reliability is put to the test: real sockets and quick settings, or a network in virtual time."""

import asyncio
import functools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from random import Random
from typing import Any

from aiohttp import web
from attrs import define, field

from gameye_async import AsyncGameye, LaunchRequest, OrphanRecord, Pacing, RetryPolicy, Timeouts
from gameye_async.emulator import Emulator, Fault, Faults, World, build_app
from tests.faultserver import FaultServer, Reply, Request, Wire, json_answer
from tests.simulation.faults import FaultPlan, NoFaults
from tests.simulation.loop import run
from tests.simulation.network import Network

TOKEN = "reliability-token"
IMAGE = "arena"
WEST, EAST = "eu-west", "na-east"
EPOCH = 1_893_456_000.0

QUICK = RetryPolicy(
    base=1e-3, settle=0.0, consistency=0.04, quiet=0.04, throttle_base=1e-3, throttle_floor=1e-3
)
QUICK_TIMEOUTS = Timeouts(deadline=5.0, close=1.0)
# Launches are refused here on purpose, and a second between two of them would be a second of the test.
QUICK_PACING = Pacing(floor=1_000.0, gate_base=1e-3, gate_cap=1e-2)


class Soonest(Random):
    """Draws the lowest number, so that every wait is its shortest."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


def quick_client(url: str, **options: Any) -> AsyncGameye:
    """A client that hardly waits between attempts; to be entered."""
    quick = {"retry": QUICK, "timeouts": QUICK_TIMEOUTS, "pacing": QUICK_PACING, "rng": Soonest()}
    return AsyncGameye(TOKEN, base_url=url, **quick | options)


@asynccontextmanager
async def emulated(
    *faults: Fault, client: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Emulator, AsyncGameye]]:
    """An emulator with faults and a quick client of it, over loopback; options are those of a `World`."""
    options = {"locations": {WEST: 10, EAST: 10}} | options
    async with (
        Emulator(token=TOKEN, seed=7, faults=faults, **options) as emulator,
        quick_client(emulator.url, **client or {}) as gameye,
    ):
        yield emulator, gameye


def operations(emulator: Emulator) -> list[str]:
    """What was asked, in its order."""
    return [record.operation for record in emulator.requests]


def new_request(*locations: str, **fields: Any) -> LaunchRequest:
    return LaunchRequest(IMAGE, locations or WEST, **fields)


def launched(request: LaunchRequest, **changes: Any) -> Reply:
    """The answer of a launch that worked."""
    return json_answer(201, {"id": request.id, "host": "203.0.113.7", "ports": []} | changes)


def described(request: LaunchRequest, *, age: float = 0.0, **changes: Any) -> Reply:
    """The answer of a describe of the session that the request asks for."""
    now = time.time()
    payload = {
        "id": request.id,
        "image": request.image,
        "tag": "latest",
        "location": request.location[0],
        "host": "203.0.113.7",
        "created": round((now - age) * 1000),
        "port": {"7777/udp": 20_001},
        "status": "running",
        "labels": {},
        "players": {"joined": [], "joinedCount": 0},
    }
    return json_answer(200, payload | changes, [("Date", formatdate(now, usegmt=True))])


def refusal(status: int, **headers: str) -> Reply:
    """An error in the API's envelope; headers are spelled with underscores."""
    envelope = {"statusCode": status, "code": "REFUSED", "message": "No.", "identifier": "trace-1"}
    return json_answer(status, envelope, [(name.replace("_", "-"), text) for name, text in headers.items()])


@define(eq=False, init=False)
class Script:
    """Replies by method, each list in its order and its last one repeated.

    Attributes:
        overlapped: Whether two POSTs were ever in progress at once.
    """

    overlapped: bool
    _replies: dict[str, list[Reply]]
    _posting: int

    def __init__(self, **replies: list[Reply]) -> None:
        self._replies = replies
        self._posting, self.overlapped = 0, False

    def __call__(self, request: Request) -> Reply:
        replies = self._replies[request.method]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return Reply(self._counted(reply), reply.arrived) if request.method == "POST" else reply

    def _counted(self, reply: Reply) -> Callable[[Wire], Awaitable[None]]:
        async def play(wire: Wire) -> None:
            self._posting += 1
            self.overlapped = self.overlapped or self._posting > 1
            try:
                await reply.play(wire)
            finally:
                self._posting -= 1

        return play


def methods(server: FaultServer) -> list[str]:
    """The methods that were asked for, in their order."""
    return [request.method for request in server.requests]


def posted(server: FaultServer) -> list[Any]:
    """The bodies of the launches that came in."""
    return [request.json() for request in server.requests if request.method == "POST"]


def in_virtual_time(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a test in a world of its own, whose hours are milliseconds."""

    @functools.wraps(test)
    def run_test(*args: Any, **kwargs: Any) -> None:
        run(lambda: test(*args, **kwargs), max_time=3_600.0)

    return run_test


@define(eq=False)
class Stage:
    """An emulated API and a client of it, on a network in virtual time.

    Attributes:
        world: The emulator's world.
        faults: What goes wrong at the API.
        network: What goes wrong on the way.
        gameye: The client, entered.
        served: The methods of the requests that came in.
        orphans: What `on_orphan` was called with.
        overlaps: Ids of which two launches were in progress at once.
    """

    world: World
    faults: Faults
    network: Network
    gameye: AsyncGameye = field(init=False)
    served: list[str] = field(factory=list)
    orphans: list[OrphanRecord] = field(factory=list)
    overlaps: list[str] = field(factory=list)

    @property
    def now(self) -> float:
        return self.network.loop.time()

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def launches(self) -> list[float]:
        """When sessions were created."""
        return [event.at for event in self.world.history if event.kind == "launched"]


@asynccontextmanager
async def stage(
    *faults: Fault, plan: FaultPlan | None = None, client: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Stage]:
    """Set the stage inside `in_virtual_time`; options are those of a `World`."""
    options = {"locations": {WEST: 10, EAST: 10}} | options
    loop = asyncio.get_running_loop()
    world = World(clock=loop.time, rng=Random(7), epoch=EPOCH, **options)
    place = Stage(world, Faults(faults), Network(faults=plan or NoFaults()))
    app = build_app(world, token=TOKEN, faults=place.faults)
    app.middlewares.append(_watch(place))
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=3_600.0)
    await runner.setup()
    place.network.listen("127.0.0.1", 80, runner.server)
    async with AsyncGameye(
        TOKEN,
        base_url="http://127.0.0.1",
        connector=place.network.connector(),
        on_orphan=place.orphans.append,
        **{"rng": Random(7)} | dict(client or {}),
    ) as place.gameye:
        yield place
    await runner.cleanup()
    assert not place.overlaps


def _watch(place: Stage) -> Any:
    in_progress: Counter[str] = Counter()

    @web.middleware
    async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
        place.served.append(request.method)
        if request.method != "POST":
            return await handler(request)
        session_id = (await request.json())["id"]
        in_progress[session_id] += 1
        if in_progress[session_id] > 1:
            place.overlaps.append(session_id)
        try:
            return await handler(request)
        finally:
            in_progress[session_id] -= 1

    return watch
