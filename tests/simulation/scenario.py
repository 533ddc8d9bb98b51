"""One world: clients, an API and a network that fail in every way they can, all a function of one seed."""

import asyncio
import uuid
from random import Random
from typing import Any

from aiohttp import web
from attrs import define, field

from gameye_async import AsyncGameye, LaunchRequest, RetryPolicy, Timeouts
from gameye_async.emulator import Fault, Faults, Quirks, Refusal, WarmPool, World, build_app
from gameye_async.launch_request import GeneratedId
from tests.simulation.faults import RandomFaults
from tests.simulation.history import Call, Closing, History
from tests.simulation.loop import run
from tests.simulation.network import Network

_HOST, _PORT = "127.0.0.1", 80
_TOKEN = "simulated-token"
_LOCATIONS = ("eu-west-1", "eu-central-1", "us-east-1")
_IMAGES = ("arena", "rally")
# Longer than the reaper's quiet window and the longest wait between two of its looks.
_SETTLING = 60.0
# 2030-01-01, so that nothing depends on today.
_EPOCH = 1_893_456_000.0


def simulate(seed: int) -> History:
    """Run the world of a seed to its end."""
    return run(_World(seed).live, max_time=3_600.0)


@define(eq=False)
class _World:
    seed: int
    rng: Random = field(init=False)
    heals: float = field(init=False)
    history: History = field(init=False)
    faults: Faults = field(factory=Faults, init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.heals = self.rng.uniform(5.0, 40.0)

    async def live(self) -> History:
        loop = asyncio.get_running_loop()
        rng = self.rng
        world = World(
            clock=loop.time,
            rng=Random(rng.random()),
            epoch=_EPOCH,
            quirks=Quirks(
                read_lag=rng.choice((0.0, 0.0, 0.5, 2.0)),
                omit_launch_id=rng.random() < 0.3,
                duplicate_port=rng.random() < 0.3,
                check_order=rng.choice(
                    ((401, 403, 422, 404, 409, 402, 420), (401, 403, 422, 404, 402, 420, 409))
                ),
            ),
            locations={name: rng.choice((1, 3, 100)) for name in _LOCATIONS},
            pools=[
                WarmPool(image=image, location=location, size=2)
                for image in _IMAGES
                for location in _LOCATIONS
                if rng.random() < 0.3
            ],
            start_rate=rng.choice((None, None, 2.0)),
            start_burst=2.0,
            stop_seconds=rng.choice((0.0, 1.0)),
        )
        self.history = History(world)
        self.faults.add(*self._api_faults())
        app = build_app(world, token=_TOKEN, faults=self.faults)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=rng.choice((5.0, 75.0)))
        await runner.setup()
        network = Network(
            rng.randrange(2**32),
            RandomFaults(Random(rng.random()), rng.choice((0.0, 0.05, 0.2, 0.4)), self.heals),
        )
        network.listen(_HOST, _PORT, runner.server)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heal())
            if rng.random() < 0.3:
                group.create_task(self._restart(world, network, rng.uniform(1.0, self.heals)))
            derived = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(2)]
            for number in range(rng.choice((1, 2))):
                group.create_task(self._client(f"client {number}", network, derived))
        # What the API was still at when the last client went.
        await asyncio.sleep(_SETTLING)
        world.settle()
        await runner.cleanup()
        return self.history

    def _api_faults(self) -> list[Fault]:
        rng = self.rng
        kinds: tuple[dict[str, Any], ...] = (
            # Together with a slow network, a launch takes less than the quiet window of 30 s.
            {"kind": "latency", "when": "before", "seconds": 0.1, "distribution": "lognormal", "spread": 0.8},
            {"kind": "latency", "when": "before", "seconds": 5.0, "distribution": "uniform", "spread": 15.0},
            {"kind": "latency", "when": "after", "seconds": 0.5, "distribution": "uniform", "spread": 20.0},
            {"kind": "refuse", "when": "before", "status": 500},
            {"kind": "refuse", "when": "after", "status": 504},
            {"kind": "refuse", "when": "before", "status": 420},
            {"kind": "refuse", "when": "before", "status": 429, "retry_after": 2.0},
            {"kind": "html_502", "when": "after"},
            {"kind": "cut_before_commit"},
            {"kind": "cut_after_commit"},
            {"kind": "truncate"},
            {"kind": "not_json"},
            {"kind": "close_idle"},
        )
        # A session takes about half a second to start.
        usual = Fault("latency", operation="session-run", seconds=0.4, distribution="lognormal", spread=0.5)
        return [usual] + [
            Fault(probability=rng.uniform(0.02, 0.3), operation=rng.choice((None, "session-run")), **kind)
            for kind in kinds
            if rng.random() < 0.3
        ]

    async def _heal(self) -> None:
        await asyncio.sleep(self.heals)
        self.faults.clear()

    async def _restart(self, world: World, network: Network, after: float) -> None:
        await asyncio.sleep(after)
        world.restart(keep_memory=True)
        network.break_all()

    async def _client(self, name: str, network: Network, derived: list[str]) -> None:
        rng = self.rng
        loop = asyncio.get_running_loop()
        closes_early = rng.random() < 0.3
        gameye = AsyncGameye(
            _TOKEN,
            base_url=f"http://{_HOST}:{_PORT}",
            max_concurrency=rng.choice((1, 4, 64)),
            timeouts=Timeouts(close=rng.choice((0.0, 3.0, 10.0))),
            retry=RetryPolicy(attempts=rng.choice((3, 6))),
            connector=network.connector(),
            on_event=self.history.events.append,
            on_orphan=self.history.orphans.append,
            rng=Random(rng.random()),
        )
        await gameye.__aenter__()
        launches = [self._launch(name, gameye, derived) for _ in range(rng.randint(1, 6))]
        tasks = [loop.create_task(launch) for launch in launches]
        if closes_early:
            await asyncio.sleep(rng.uniform(5.0, 40.0))
        else:
            await asyncio.wait(tasks)
            await asyncio.sleep(max(self.heals - loop.time(), 0.0) + _SETTLING)
            left = len(gameye._cores[0].supervisor._tasks)  # noqa: SLF001  -- L2 is about them
            if left:
                self.history.unsettled[name] = left
        began = loop.time()
        await gameye.aclose()
        self.history.closings.append(Closing(name, loop.time() - began, gameye._options.timeouts.close))  # noqa: SLF001  -- L4 likewise
        await asyncio.wait(tasks)

    async def _launch(self, client: str, gameye: AsyncGameye, derived: list[str]) -> None:
        """One user: launches at some time, in some way, and may go away before it is done."""
        rng = self.rng
        loop = asyncio.get_running_loop()
        image = rng.choice(_IMAGES)
        idempotent = rng.random() < 0.3
        if idempotent:
            session_id, image = rng.choice(derived), _IMAGES[0]
        elif rng.random() < 0.5:
            session_id = GeneratedId(uuid.UUID(int=rng.getrandbits(128)))
        else:
            session_id = f"match-{rng.getrandbits(32):08x}"
        request = LaunchRequest(
            image,
            # A redelivery repeats the request as it was, so these always name the same locations.
            _LOCATIONS if idempotent else rng.sample(_LOCATIONS, rng.randint(1, 3)),
            id=session_id,
            labels={"match": str(session_id)},
        )
        if rng.random() < 0.3 and not isinstance(session_id, GeneratedId) and session_id not in derived:
            self._occupy(request)
        await asyncio.sleep(rng.uniform(0.0, 30.0))
        call = Call(
            client=client,
            session_id=str(session_id),
            began=loop.time(),
            deadline=rng.choice((1.0, 5.0, 30.0, 90.0)),
            idempotent=idempotent,
            on_abandon=rng.choice(("stop", "leave")) if not idempotent else "leave",
            attempts_cap=gameye._options.retry.attempts,  # noqa: SLF001  -- I7 is about it
        )
        self.history.calls.append(call)
        task = loop.create_task(
            gameye.launch(request, deadline=call.deadline, idempotent=idempotent, on_abandon=call.on_abandon)
        )
        if rng.random() < 0.4:
            await asyncio.wait([task], timeout=rng.choice((0.0, 0.05, 0.2, 0.5, 1.0, 3.0, 20.0)))
            if not task.done():
                call.cancelled = loop.time()
                task.cancel()
        try:
            call.session = await task
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  -- the checker judges it
            call.error = error
        call.ended = loop.time()

    def _occupy(self, request: LaunchRequest) -> None:
        """Somebody else of the account already runs a session under our id."""
        try:
            self.history.world.add_foreign_session(
                request.id,
                image=self.rng.choice(_IMAGES),
                location=self.rng.choice(_LOCATIONS),
                age=self.rng.uniform(3.0, 600.0),
            )
        except Refusal:
            return
        self.history.foreign.add(request.id)
