"""The simulated network under aiohttp: its trips, its faults, and that one seed is one world."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import aiohttp
import pytest
from aiohttp import web
from attrs import Factory, define

from tests.simulation import faults
from tests.simulation.faults import Fault, FaultPlan, NoFaults, RandomFaults, ScriptedFaults
from tests.simulation.loop import run
from tests.simulation.network import Network, Trace

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

URL = "https://api.example.net/session"
LOGS = "https://api.example.net/logs"
LIMITS = aiohttp.ClientTimeout(total=None, sock_connect=3.0, sock_read=4.0)


@define
class Site:
    """A server that counts, and a client session, on a network of their own."""

    network: Network
    session: aiohttp.ClientSession
    seen: list[str] = Factory(list)

    async def post(self, number: int = 0) -> int:
        async with self.session.post(URL, json={"number": number}) as response:
            await response.read()
            return response.status


@asynccontextmanager
async def site(
    plan: FaultPlan | None = None,
    *,
    seed: int = 0,
    trace: Trace | None = None,
    handler: Handler | None = None,
    keepalive_timeout: float = 3630.0,
) -> AsyncIterator[Site]:
    """Serve /session, and /logs with the handler, at api.example.net."""
    network = Network(seed, plan or NoFaults(), trace=trace)
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.text()
        seen.append(f"{request.method} {body}")
        return web.json_response({"method": request.method, "body": body}, status=201)

    app = web.Application()
    app.router.add_route("*", "/session", answer)
    app.router.add_get("/logs", handler or answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=keepalive_timeout)
    await runner.setup()
    network.listen("api.example.net", 443, runner.server)
    async with aiohttp.ClientSession(connector=network.connector(), timeout=LIMITS) as session:
        yield Site(network, session, seen)
    await runner.cleanup()


def now() -> float:
    return asyncio.get_running_loop().time()


def chatter(seed: int) -> tuple[Trace, list[str]]:
    """Send 50 requests over at most 5 connections of an unreliable network; return what happened."""
    trace: Trace = []
    outcomes: list[str] = []

    async def world():
        plan = RandomFaults(Random(seed), rate=0.2, until=60.0)
        async with site(plan, seed=seed, trace=trace) as place:
            gate = asyncio.Semaphore(5)

            async def send(number: int) -> None:
                async with gate:
                    try:
                        outcome = str(await place.post(number))
                    except (aiohttp.ClientError, TimeoutError) as exc:
                        outcome = type(exc).__name__
                    outcomes.append(f"{now()} {number} {outcome}")

            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(send(number))

    run(world)
    return trace, outcomes


def test_the_same_seed_is_the_same_world():
    """Every event happens at the same moment and in the same order, faults included."""
    trace, outcomes = chatter(7)
    assert len(trace) > 100
    assert len({outcome.split()[-1] for outcome in outcomes}) > 2
    assert chatter(7) == (trace, outcomes)


def test_another_seed_is_another_world():
    assert chatter(7) != chatter(8)


def test_connections_are_kept_alive_and_used_again():
    async def world():
        async with site() as place:
            gate = asyncio.Semaphore(5)

            async def send(number: int) -> int:
                async with gate:
                    return await place.post(number)

            statuses = await asyncio.gather(*map(send, range(50)))
            assert statuses == [201] * 50
            assert place.network.stats.open == 5
        return place

    place = run(world)
    assert len(place.seen) == 50
    assert (place.network.stats.opened, place.network.stats.open) == (5, 0)


def test_an_exchange_takes_as_long_as_its_trips():
    async def world():
        async with site() as place:
            place.network.latency = (0.25, 0.25)
            await place.post()
            first = now()
            await place.post()
            return first, now() - first

    assert run(world) == (1.0, 0.5)


def test_a_pooled_connection_ages_in_virtual_time():
    """An idle connection is used again within aiohttp's 15 seconds only."""

    async def world():
        async with site() as place:
            opened = []
            for pause in (0.0, 5.0, 20.0):
                await asyncio.sleep(pause)
                await place.post()
                opened.append(place.network.stats.opened)
            return opened

    assert run(world) == [1, 1, 2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("size", [2, 1_000_000])
def test_request_and_response_bodies_arrive_whole(method, size):
    body = "x" * size

    async def world():
        async with site() as place, place.session.request(method, URL, json=body) as response:
            return await response.json()

    assert run(world) == {"method": method, "body": f'"{body}"'}


def test_a_streamed_response_arrives_as_it_is_written():
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(f"line {number}\n".encode())
            await asyncio.sleep(3.0)
        return response

    async def world():
        async with site(handler=stream) as place, place.session.get(LOGS) as response:
            return [(round(now()), line) async for line in response.content]

    assert run(world) == [(0, b"line 0\n"), (3, b"line 1\n"), (6, b"line 2\n")]


def test_a_slow_reader_holds_the_writer_back():
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(10_000))
            written += 10_000

    async def world():
        async with site(handler=flood) as place:
            async with place.session.get(LOGS) as response:
                await asyncio.sleep(60.0)
                held_back = written
                await response.content.readexactly(1_000_000)
            await asyncio.sleep(1.0)
            return held_back

    held_back = run(world)
    assert held_back < 1_000_000 <= written


def test_a_server_does_not_see_the_context_of_its_client():
    caller = contextvars.ContextVar("caller", default="nobody")

    async def reveal(_: web.Request) -> web.Response:
        return web.Response(text=caller.get())

    async def world():
        caller.set("client")
        async with site(handler=reveal) as place:
            return [await (await place.session.get(LOGS)).text() for _ in range(2)]

    assert run(world) == ["nobody", "nobody"]


def met_with(plan: FaultPlan, seed: int = 0) -> tuple[str, int, float]:
    """POST once; return the exception's name or the status, how often the server saw it, and the seconds."""

    async def world():
        async with site(plan, seed=seed) as place:
            try:
                result = str(await place.post())
            except (aiohttp.ClientError, TimeoutError) as exc:
                result = type(exc).__name__
            seconds = now()
            await asyncio.sleep(60.0)
            return result, len(place.seen), seconds

    return run(world)


@pytest.mark.parametrize(
    ("fault", "result", "seconds"),
    [
        (faults.REFUSED, "ClientConnectorError", 0.0),
        (faults.BLACK_HOLE, "ConnectionTimeoutError", 3.0),
        (Fault(delay=2.0), "201", 2.0),
        (Fault(delay=9.0), "ConnectionTimeoutError", 3.0),
    ],
)
def test_faults_of_a_connection_attempt(fault, result, seconds):
    outcome, seen, took = met_with(ScriptedFaults(connects=[fault]))
    assert (outcome, seen) == (result, int(result == "201"))
    assert took == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(
    ("fault", "result", "seen", "seconds"),
    [
        (faults.RESET_BEFORE, "ClientOSError", 0, 0.0),
        (faults.RESET_WITHIN, "ClientOSError", 0, 0.0),
        (faults.RESET_AFTER, "ClientOSError", 1, 0.0),
        (faults.EOF_BEFORE, "ServerDisconnectedError", 0, 0.0),
        (faults.EOF_WITHIN, "ServerDisconnectedError", 0, 0.0),
        (faults.EOF_AFTER, "ServerDisconnectedError", 1, 0.0),
        (faults.BLACK_HOLE, "SocketTimeoutError", 0, 4.0),
        (faults.STALLED, "SocketTimeoutError", 0, 4.0),
        (Fault(delay=2.0), "201", 1, 2.0),
        (Fault(delay=9.0), "SocketTimeoutError", 1, 4.0),
    ],
)
def test_faults_of_a_request(fault, result, seen, seconds):
    outcome, saw, took = met_with(ScriptedFaults(requests=[fault]))
    assert (outcome, saw) == (result, seen)
    assert took == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize(
    ("fault", "result", "seconds"),
    [
        (faults.RESET_BEFORE, "ClientOSError", 0.0),
        (faults.RESET_WITHIN, "ClientPayloadError", 0.0),
        (faults.RESET_AFTER, "201", 0.0),
        (faults.EOF_BEFORE, "ServerDisconnectedError", 0.0),
        (faults.EOF_WITHIN, "ClientPayloadError", 0.0),
        (faults.EOF_AFTER, "201", 0.0),
        (faults.BLACK_HOLE, "SocketTimeoutError", 4.0),
        (faults.STALLED, "SocketTimeoutError", 4.0),
        (Fault(delay=2.0), "201", 2.0),
        (Fault(delay=9.0), "SocketTimeoutError", 4.0),
    ],
)
def test_faults_of_a_response_come_after_the_server_has_acted(fault, result, seconds):
    outcome, seen, took = met_with(ScriptedFaults(responses=[fault]))
    assert (outcome, seen) == (result, 1)
    assert took == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_an_answer_does_not_overtake_the_end_of_its_connection(seed):
    outcome, seen, _ = met_with(ScriptedFaults(requests=[faults.RESET_AFTER]), seed)
    assert (outcome, seen) == ("ClientOSError", 1)


@pytest.mark.parametrize("fault", [faults.BLACK_HOLE, faults.STALLED])
def test_the_rest_of_a_lost_message_is_lost_as_well(fault):
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"0123456789"
            await asyncio.sleep(1.0)

    async def world():
        async with site(ScriptedFaults(requests=[fault])) as place:
            with pytest.raises(aiohttp.SocketTimeoutError):
                await place.session.post(URL, data=trickle())
            await asyncio.sleep(60.0)
            return place.seen

    assert run(world) == []


@pytest.mark.parametrize(
    ("pause", "outcomes", "seen"),
    [(0.0, [201, aiohttp.ServerDisconnectedError, 201], 2), (1.0, [201, 201, 201], 3)],
)
def test_the_end_of_a_stale_connection_races_the_next_request(pause, outcomes, seen):
    """Sent at once, the next request is lost; sent later, it opens another connection."""

    async def world():
        async with site(ScriptedFaults(responses=[faults.STALE])) as place:
            results: list[object] = []
            for number in range(3):
                try:
                    results.append(await place.post(number))
                except aiohttp.ClientError as exc:
                    results.append(type(exc))
                await asyncio.sleep(pause)
            return results, len(place.seen), place.network.stats.opened

    assert run(world) == (outcomes, seen, 2)


def test_a_server_that_closes_idle_connections_races_the_next_request():
    """aiohttp.web's own keep-alive timer: the request is under way when the connection ends."""

    async def world():
        async with site(keepalive_timeout=5.0) as place:
            place.network.latency = (0.1, 0.1)
            await place.post()
            await asyncio.sleep(4.85)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await place.post()
            return len(place.seen), await place.post()

    assert run(world) == (1, 201)


def test_a_restart_breaks_every_connection():
    async def world():
        async with site(ScriptedFaults(responses=[Fault(delay=1.0)] * 2)) as place:
            requests = [asyncio.create_task(place.post(number)) for number in range(2)]
            await asyncio.sleep(0.5)
            place.network.break_all()
            errors = await asyncio.gather(*requests, return_exceptions=True)
            assert place.network.stats.open == 0
            return [type(error) for error in errors], await place.post()

    assert run(world) == ([aiohttp.ClientOSError] * 2, 201)


def test_nobody_answers_where_nobody_listens():
    async def world():
        async with site() as place:
            place.network.unlisten("api.example.net", 443)
            with pytest.raises(aiohttp.ClientConnectorError, match="refused"):
                await place.post()

    run(world)


def test_everything_works_once_the_network_has_healed():
    """Before that moment nothing gets through; after it nothing fails."""

    async def world():
        async with site(RandomFaults(Random(1), rate=1.0, until=300.0, max_delay=0.0)) as place:
            failed = 0
            while now() < 300.0:
                try:
                    await place.post()
                except (aiohttp.ClientError, TimeoutError):
                    failed += 1
                await asyncio.sleep(1.0)
            faults_met = place.network.stats.faults
            statuses = [await place.post(number) for number in range(20)]
            return failed, statuses, place.network.stats.faults - faults_met

    failed, statuses, later_faults = run(world)
    assert failed > 50
    assert (statuses, later_faults) == ([201] * 20, 0)


def test_a_cancelled_request_ends_its_connection():
    async def world():
        async with site(ScriptedFaults(responses=[faults.BLACK_HOLE])) as place:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await place.post()
            await asyncio.sleep(1.0)
            return place.network.stats.open

    assert run(world) == 0


def test_an_unreliable_world_leaves_nothing_behind():
    """No task, no connection, and no warning from a finalizer (warnings are errors)."""
    for seed in range(5):
        chatter(seed)
    gc.collect()
