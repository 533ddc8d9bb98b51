"""Calls per launch and finish time when the API refuses launches (420): adaptive pacing beside fixed delays.

The real client and the emulator talk over a network in memory and in virtual time, so that minutes pass in
a second and a seed decides everything. Run it from the root of a checkout:

    python -m benchmarks.throttling
"""

import argparse
import asyncio
import logging
import statistics
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any

import aiohttp
from aiohttp import web
from attrs import define, field, frozen

from gameye_async import AsyncGameye, LaunchRequest
from gameye_async.emulator import Fault, Faults, World, build_app
from tests.simulation.loop import run
from tests.simulation.network import Network

CLIENTS = 3
LAUNCHES = 200
IN_FLIGHT = 64
DEADLINE = 3600.0

# The target: where fixed delays need six or seven.
MOST_CALLS = 2.0
LATEST = 70.0

HOST = "api.example.net"
TOKEN = "throttled-token"  # noqa: S105  -- it opens nothing but the emulator

# Launches take 0.3 to 0.7 s, refusals as well.
START = Fault("latency", operation="session-run", seconds=0.3, spread=0.4, distribution="uniform")

Event = Callable[[World], Awaitable[None]]


async def _nothing(_world: World) -> None:
    """All stays as it is."""


def _outage(seconds: float) -> Event:
    """The location is full from the start, for so long."""

    async def outage(world: World) -> None:
        world.set_capacity("eu-west", 0)
        await asyncio.sleep(seconds)
        world.set_capacity("eu-west", 10_000)

    return outage


async def _trickle(world: World) -> None:
    """Two places become free each second."""
    for places in range(1, CLIENTS * LAUNCHES + 1):
        await asyncio.sleep(0.5)
        world.set_capacity("eu-west", places)


@frozen(kw_only=True)
class Scenario:
    """What the launches meet with.

    Attributes:
        name: What it is called in the table.
        ideal: When the last launch could be done, in seconds.
        world: Arguments of the emulator's world.
        locations: Where each launch may go, in order of preference.
        event: What happens meanwhile.
    """

    name: str
    ideal: float
    world: Mapping[str, Any]
    locations: Sequence[str] = ("eu-west",)
    event: Event = _nothing


SCENARIOS = (
    Scenario(name="account, 10/s", ideal=58.0, world={"start_rate": 10.0, "start_burst": 20.0}),
    Scenario(
        name="account, two locations",
        ideal=58.0,
        world={"start_rate": 10.0, "start_burst": 20.0},
        locations=("eu-west", "eu-east"),
    ),
    Scenario(
        name="one of two locations full",
        ideal=2.0,
        world={"locations": {"eu-west": 0, "eu-east": 10_000}},
        locations=("eu-west", "eu-east"),
    ),
    *(
        Scenario(
            name=f"outage of {seconds:g} s",
            ideal=seconds + 2.0,
            world={"locations": {"eu-west": 10_000}},
            event=_outage(seconds),
        )
        for seconds in (2.0, 20.0)
    ),
    Scenario(
        name="two places a second",
        ideal=300.0,
        world={"locations": {"eu-west": 0}},
        event=_trickle,
    ),
)


@define
class Run:
    """One run of a scenario: the API, who calls it, and what came of it.

    Attributes:
        scenario: What the launches meet with.
        seed: Decides everything.
        network: Where the API listens.
        calls: How many launches the API was asked for.
        done: When each launch was done, in seconds.
    """

    scenario: Scenario
    seed: int
    network: Network = field(init=False)
    calls: int = field(default=0, init=False)
    done: list[float] = field(factory=list[float], init=False)

    async def serve(self, client: "Client") -> None:
        """Have all clients launch at once, and wait for the last session."""
        loop = asyncio.get_running_loop()
        self.network = Network(self.seed)
        world = World(clock=loop.time, rng=self.rng("world"), epoch=1.7e9, **self.scenario.world)
        app = build_app(world, token=TOKEN, faults=Faults([START]))
        app.on_response_prepare.append(self.count_call)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self.network.listen(HOST, 443, runner.server)
        event = asyncio.ensure_future(self.scenario.event(world))
        await asyncio.gather(*(client(self, number) for number in range(CLIENTS)))
        await event
        await runner.cleanup()

    def rng(self, name: object) -> Random:
        """A source of chance of its own for everybody."""
        return Random(f"{self.seed}/{name}")  # noqa: S311  -- a simulation, not a secret

    async def count_call(self, request: web.Request, _response: web.StreamResponse) -> None:
        """Count the launches that the API is asked for."""
        self.calls += request.method == "POST"

    def count_session(self) -> None:
        """A launch is done."""
        self.done.append(asyncio.get_running_loop().time())

    @property
    def calls_per_launch(self) -> float:
        """How often a launch was sent on average."""
        return self.calls / len(self.done)

    def percentile(self, percent: int) -> float:
        """When this many of a hundred launches were done, in seconds."""
        return sorted(self.done)[len(self.done) * percent // 100 - 1]


Client = Callable[[Run, int], Awaitable[None]]


async def adaptive(run: Run, number: int) -> None:
    """`AsyncGameye` as it is."""
    async with AsyncGameye(
        TOKEN,
        base_url=f"https://{HOST}",
        max_concurrency=IN_FLIGHT,
        connector=run.network.connector(),
        rng=run.rng(number),
    ) as gameye:

        async def launch() -> None:
            await gameye.launch(LaunchRequest("my-game", run.scenario.locations), deadline=DEADLINE)
            run.count_session()

        await asyncio.gather(*(launch() for _ in range(LAUNCHES)))


async def fixed(run: Run, number: int) -> None:
    """Bare aiohttp that tries the next location at once, and again after 2 to 5 seconds."""
    rng, places = run.rng(number), asyncio.Semaphore(IN_FLIGHT)
    async with aiohttp.ClientSession(
        f"https://{HOST}",
        connector=run.network.connector(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as session:

        async def started(location: str) -> bool:
            body = {"image": "my-game", "location": location}
            async with places, session.post("/session", json=body, raise_for_status=False) as response:
                await response.read()
            return response.ok

        async def launch() -> None:
            while True:
                for location in run.scenario.locations:
                    if await started(location):
                        run.count_session()
                        return
                await asyncio.sleep(rng.uniform(2.0, 5.0))

        await asyncio.gather(*(launch() for _ in range(LAUNCHES)))


@frozen
class Result:
    """The mean over all seeds.

    Attributes:
        calls: Calls per launch.
        median: When half of the launches were done, in seconds.
        finish: When all were.
    """

    calls: float
    median: float
    finish: float


def measure(scenario: Scenario, client: Client, seeds: int) -> Result:
    """Run a scenario once for each seed."""
    runs = [Run(scenario, seed) for seed in range(seeds)]
    for one in runs:
        run(lambda one=one: one.serve(client), max_steps=10**8)
    return Result(
        statistics.mean(one.calls_per_launch for one in runs),
        statistics.mean(one.percentile(50) for one in runs),
        statistics.mean(one.percentile(100) for one in runs),
    )


def main() -> int:
    """Print the table; the exit status says whether the first scenario meets its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs to take the mean of (default: 3)")
    seeds = parser.parse_args().seeds
    # What the client logs about sessions it cannot settle would be a bug here, and is an exception too.
    logging.disable()
    print(
        f"{CLIENTS} clients x {LAUNCHES} launches at once, {IN_FLIGHT} in flight each; mean of {seeds} runs"
    )
    print(f"{'':28}{'calls per launch':>28}{'half done, s':>20}{'all done, s':>20}")
    print(f"{'':28}{'fixed  adaptive   ratio':>28}" + f"{'fixed  adaptive':>20}" * 2 + f"{'ideal':>8}")
    verdict = ""
    for scenario in SCENARIOS:
        slow, ours = (measure(scenario, client, seeds) for client in (fixed, adaptive))
        print(
            f"{scenario.name:28}{slow.calls:12.2f}{ours.calls:9.2f}{ours.calls / slow.calls:8.2f}"
            f"{slow.median:11.1f}{ours.median:9.1f}{slow.finish:11.1f}{ours.finish:9.1f}{scenario.ideal:8.0f}"
        )
        if scenario is SCENARIOS[0]:
            verdict = "met" if ours.calls <= MOST_CALLS and ours.finish < LATEST else "MISSED"
    print(f"target (first row: {MOST_CALLS} calls per launch, all done in {LATEST:g} s): {verdict}")
    return int(verdict != "met")


if __name__ == "__main__":
    sys.exit(main())
