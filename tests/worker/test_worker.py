"""One worker beside a real NATS and an emulator."""

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field
from nats.aio.client import Client
from nats.aio.msg import Msg

from gameye_async import (
    AsyncGameye,
    AuthenticationError,
    ConfigurationError,
    LaunchRequest,
    NotSentError,
    Pacing,
    PermissionDeniedError,
    RetryPolicy,
    Timeouts,
)
from gameye_async.emulator import Emulator, Fault
from gameye_async.emulator.sessions import Session
from gameye_async.worker import LaunchQueue, MatchOutcome, Verdict, Worker, session_id
from tests.worker.engines import Engine, free_port
from tests.worker.pool import at_rest

pytestmark = pytest.mark.engine

REQUEST = LaunchRequest("my-game", "europe")
LAUNCH = "session-run"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that waits for jobs sees sooner that it is to stop, and that NATS is back."""
    monkeypatch.setattr("gameye_async.worker.jetstream._LISTEN", 0.1)
    monkeypatch.setattr("gameye_async.worker.jetstream._RECONNECT_EVERY", 0.1)


@define(eq=False)
class Turnstile:
    """Holds launches until it is opened, and knows how many it ever held at once."""

    opened: asyncio.Event = field(factory=asyncio.Event)
    inside: int = 0
    most: int = 0
    _came: asyncio.Event = field(factory=asyncio.Event)

    async def __call__(self, _session: Session) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self._came.set()
        await self.opened.wait()
        self.inside -= 1

    async def holds(self, count: int) -> None:
        """Wait until it holds so many."""
        async with asyncio.timeout(30):
            while self.inside < count:
                self._came.clear()
                await self._came.wait()


@asynccontextmanager
async def working(
    nats: Engine, emulator: Emulator, *, client: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[Worker]:
    """A worker that is stopped at the end, as with SIGTERM."""
    async with AsyncGameye(emulator.token, base_url=emulator.url, **(client or {})) as gameye:
        worker = Worker(gameye, nats.url, **{"ack_wait": 1.0, **options})
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await running


async def read(queue: LaunchQueue, count: int = 1) -> list[MatchOutcome]:
    """The next outcomes."""
    outcomes: list[MatchOutcome] = []
    async with asyncio.timeout(30):
        async for outcome in queue.outcomes():
            outcomes.append(outcome)
            if len(outcomes) == count:
                break
    return outcomes


def launches(emulator: Emulator) -> list[int | None]:
    """The answers to launches, oldest first."""
    return [request.status for request in emulator.requests if request.operation == LAUNCH]


async def test_a_job_becomes_a_session(nats: Engine, emulator: Emulator):
    """The matchmaker knows its id from the beginning, and gets its address."""
    async with LaunchQueue(nats.url) as queue, working(nats, emulator) as worker:
        promised = await queue.submit("4711", REQUEST)
        (outcome,) = await read(queue)
        await at_rest(queue)
    assert outcome.session is not None
    assert (outcome.match, outcome.session.id) == ("4711", promised)
    assert outcome.session.address(7777, "udp") == (emulator.world.live[0].host, 20000)
    assert worker.verdicts == {Verdict.LAUNCHED: 1}


async def test_jobs_wait_for_a_worker(nats: Engine, emulator: Emulator):
    """They are stored, and the first worker that comes takes them."""
    async with LaunchQueue(nats.url) as queue:
        await queue.submit("4711", REQUEST)
        async with working(nats, emulator):
            assert (await read(queue))[0].ok


async def test_a_match_that_is_submitted_again_gets_the_session_it_has(nats: Engine, emulator: Emulator):
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        await queue.submit("4711", REQUEST)
        await queue.submit("4711", REQUEST)
        first, second = await read(queue, 2)
    assert first.session is not None
    assert second.session is not None
    assert first.session.id == second.session.id
    assert len(emulator.world.live) == 1


async def test_what_the_api_refuses_is_a_dead_letter(nats: Engine, emulator: Emulator):
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        await queue.submit("4711", LaunchRequest("my-game", "nowhere"))
        (outcome,) = await read(queue)
        await at_rest(queue)
    assert (outcome.match, outcome.session, outcome.error) == ("4711", None, "NotFoundError")
    assert "nowhere" in outcome.message


@pytest.mark.parametrize(
    ("text", "match", "complaint"),
    [
        (b"{", "", "message 1 of stream launches: not JSON"),
        (b'{"match": "4711", "image": "my-game"}', "4711", "location"),
    ],
)
async def test_what_is_no_job_is_a_dead_letter(nats: Engine, emulator: Emulator, text, match, complaint):
    """Whoever reads the stream must not have to guess why nothing comes."""
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        client = Client()
        await client.connect(nats.url)
        await client.publish("launches.jobs", text)
        await client.drain()
        (outcome,) = await read(queue)
        await at_rest(queue)
    assert (outcome.match, outcome.error) == (match, "ConfigurationError")
    assert complaint in outcome.message


async def test_a_job_that_finds_no_room_is_put_back(nats: Engine, emulator: Emulator, monkeypatch):
    """It is launched when there is room, and its place is free for others in the meantime."""
    monkeypatch.setattr("gameye_async.worker.verdicts._LATER", (0.2, 0.3))
    emulator.world.places["europe"].is_full = True
    quick = {"pacing": Pacing(adaptive=False, gate_base=0.2, gate_cap=0.2)}
    async with (
        LaunchQueue(nats.url) as queue,
        working(nats, emulator, client=quick, deadline=0.5, concurrency=1),
    ):
        await queue.submit("4711", REQUEST)
        await queue.submit("4712", LaunchRequest("my-game", "asia"))
        assert (await read(queue))[0].match == "4712"
        emulator.world.places["europe"].is_full = False
        assert (await read(queue))[0].ok
    assert 420 in launches(emulator)


async def test_a_job_that_found_no_room_for_too_long_is_a_dead_letter(nats: Engine, emulator: Emulator):
    emulator.world.places["europe"].is_full = True
    async with LaunchQueue(nats.url) as queue, working(nats, emulator, deadline=0.2, give_up_after=1e-6):
        await queue.submit("4711", REQUEST)
        assert (await read(queue))[0].error == "CapacityError"


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
async def test_a_worker_whose_token_is_refused_gives_its_jobs_back_and_ends(
    nats: Engine, emulator: Emulator, status, error
):
    """Another one launches them long before `ack_wait` has passed, and nobody is told of a dead letter."""
    emulator.faults.add(Fault("refuse", operation=LAUNCH, status=status))
    async with LaunchQueue(nats.url) as queue, AsyncGameye(emulator.token, base_url=emulator.url) as gameye:
        for number in range(5):
            await queue.submit(str(number), REQUEST)
        worker = Worker(gameye, nats.url, concurrency=2, ack_wait=60.0, give_up_after=1e-6)
        with pytest.raises(error):
            await worker.run()
        assert set(worker.verdicts) == {Verdict.RETURNED}
        emulator.faults.clear()
        async with working(nats, emulator, ack_wait=60.0):
            assert all(outcome.ok for outcome in await read(queue, 5))


async def test_a_worker_whose_token_is_refused_ends_what_it_has_begun(nats: Engine):
    gate = Turnstile()
    async with (
        Emulator(start_container=gate) as emulator,
        LaunchQueue(nats.url) as queue,
        AsyncGameye(emulator.token, base_url=emulator.url) as gameye,
    ):
        worker = Worker(gameye, nats.url)
        running = asyncio.create_task(worker.run())
        await queue.submit("4711", REQUEST)
        await gate.holds(1)
        emulator.faults.add(Fault("refuse", operation=LAUNCH, status=401))
        await queue.submit("4712", REQUEST)
        async with asyncio.timeout(30):
            while not worker.verdicts[Verdict.RETURNED]:  # noqa: ASYNC110  -- a counter tells nobody of a change
                await asyncio.sleep(0.01)
        gate.opened.set()
        with pytest.raises(AuthenticationError):
            await running
        (outcome,) = await read(queue)
    assert (outcome.match, outcome.ok) == ("4711", True)


async def test_a_launch_without_an_answer_is_found_by_the_next_delivery(nats: Engine, emulator: Emulator):
    """Nobody can say what came of it, so nothing is said until somebody can."""
    emulator.faults.add(Fault("cut_after_commit", operation=LAUNCH, count=1))
    emulator.faults.add(Fault("cut_before_commit", operation=LAUNCH, count=1))
    once = {"retry": RetryPolicy(attempts=1)}
    async with LaunchQueue(nats.url) as queue, working(nats, emulator, client=once) as worker:
        await queue.submit("4711", REQUEST)
        (outcome,) = await read(queue)
    assert outcome.session is not None
    assert outcome.session.created_by == "adopted"
    assert worker.verdicts[Verdict.UNKNOWN] >= 1
    assert len(emulator.world.live) == 1


async def test_a_lost_acknowledgement_makes_no_second_outcome(nats: Engine, emulator: Emulator, monkeypatch):
    """The job is delivered again and finds its session; NATS has its outcome already."""
    acknowledge, lost = Msg.ack_sync, iter([True])

    async def ack_sync(message: Msg, timeout: float) -> Msg:  # noqa: ASYNC109  -- as nats-py has it
        if next(lost, False):
            raise TimeoutError
        return await acknowledge(message, timeout)

    monkeypatch.setattr(Msg, "ack_sync", ack_sync)
    async with LaunchQueue(nats.url) as queue, working(nats, emulator) as worker:
        await queue.submit("4711", REQUEST)
        assert (await read(queue))[0].ok
        await at_rest(queue)
        outcomes = await queue._open().jetstream.stream_info("launches-outcomes")  # noqa: SLF001  -- NATS counts
    assert worker.verdicts == {Verdict.LAUNCHED: 1}
    assert len(emulator.requests) > 1
    assert outcomes.state.messages == 1


async def test_a_refusal_does_not_hide_the_session_of_an_earlier_delivery(nats: Engine, emulator: Emulator):
    """The first worker died after the launch; then the account's quota is used up."""
    async with AsyncGameye(emulator.token, base_url=emulator.url) as first:
        await first.launch(LaunchRequest("my-game", "europe", id=session_id("4711")))
    emulator.faults.add(Fault("refuse", operation=LAUNCH, status=402))
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        await queue.submit("4711", REQUEST)
        (outcome,) = await read(queue)
    assert outcome.session is not None
    assert outcome.session.created_by == "adopted"
    assert outcome.session.address(7777, "udp")[1] == 20000


async def test_a_session_that_is_over_is_not_launched_again(nats: Engine, emulator: Emulator):
    """Players may have been in it; the matchmaker decides what comes next, under a new match id."""
    async with AsyncGameye(emulator.token, base_url=emulator.url) as first:
        session = await first.launch(LaunchRequest("my-game", "europe", id=session_id("4711")))
        await first.stop(session.id)
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        await queue.submit("4711", REQUEST)
        (outcome,) = await read(queue)
    assert outcome.error == "SessionEndedError"
    assert not emulator.world.live


async def test_a_slow_launch_is_not_given_to_another_worker(nats: Engine):
    """Heartbeats keep a job that takes three times as long as NATS waits."""
    slow = Fault("latency", operation=LAUNCH, seconds=3.0)
    async with (
        Emulator(faults=[slow]) as emulator,
        LaunchQueue(nats.url) as queue,
        working(nats, emulator),
        working(nats, emulator),
    ):
        await queue.submit("4711", REQUEST)
        assert (await read(queue))[0].ok
    assert launches(emulator) == [201]


async def test_all_workers_together_keep_to_max_ack_pending(nats: Engine):
    """The account's concurrency is one number, and NATS holds it."""
    turnstile = Turnstile()
    async with (
        Emulator(start_container=turnstile) as emulator,
        LaunchQueue(nats.url) as queue,
        working(nats, emulator, max_ack_pending=5),
        working(nats, emulator, max_ack_pending=5),
    ):
        for match in range(20):
            await queue.submit(str(match), REQUEST)
        await turnstile.holds(5)
        turnstile.opened.set()
        assert len(await read(queue, 20)) == 20
    assert turnstile.most == 5


async def test_a_worker_takes_no_more_jobs_than_it_has_places(nats: Engine):
    """The others are left to other workers."""
    turnstile = Turnstile()
    async with Emulator(start_container=turnstile) as emulator, LaunchQueue(nats.url) as queue:
        async with working(nats, emulator, concurrency=3):
            for match in range(10):
                await queue.submit(str(match), REQUEST)
            await turnstile.holds(3)
            delivered = await queue._open().jetstream.consumer_info("launches", "workers")  # noqa: SLF001  -- NATS' own count
            turnstile.opened.set()
        assert (delivered.num_ack_pending, delivered.num_pending) == (3, 7)
    assert turnstile.most == 3


async def test_a_stopped_worker_ends_what_it_has_begun(nats: Engine):
    """Also what takes longer than the last look for new jobs."""
    turnstile = Turnstile()
    async with Emulator(start_container=turnstile) as emulator, LaunchQueue(nats.url) as queue:
        async with working(nats, emulator) as worker:
            await queue.submit("4711", REQUEST)
            await turnstile.holds(1)
            worker.stop()
            asyncio.get_running_loop().call_later(0.5, turnstile.opened.set)
        assert (await read(queue))[0].ok
    assert worker.verdicts == {Verdict.LAUNCHED: 1}


async def test_what_a_stopped_worker_cannot_end_is_taken_over(nats: Engine):
    """The platform finishes the launch that nobody waits for any more, and the next worker finds it."""
    turnstile = Turnstile()
    impatient = {"timeouts": Timeouts(close=0.1)}
    async with Emulator(start_container=turnstile) as emulator, LaunchQueue(nats.url) as queue:
        async with working(nats, emulator, client=impatient, grace=0.1) as worker:
            await queue.submit("4711", REQUEST)
            await turnstile.holds(1)
        assert not worker.verdicts
        turnstile.opened.set()
        async with working(nats, emulator):
            (outcome,) = await read(queue)
    assert outcome.session is not None
    assert outcome.session.created_by == "adopted"
    assert len(emulator.world.live) == 1


async def test_the_last_worker_decides_how_many_jobs_there_may_be(nats: Engine, emulator: Emulator):
    """Starting a worker with another number is how it is changed while the others run."""
    async with LaunchQueue(nats.url) as queue:
        for most in (5, 7):
            async with working(nats, emulator, max_ack_pending=most):
                await queue.submit(f"match-{most}", REQUEST)
                await read(queue)
        info = await queue._open().jetstream.consumer_info("launches", "workers")  # noqa: SLF001  -- NATS' own record
    assert info.config.max_ack_pending == 7


async def test_streams_that_were_lost_are_made_again(nats: Engine, emulator: Emulator):
    """NATS comes back with an empty disk; what was launched before is adopted when it is submitted again."""
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        await queue.submit("4711", REQUEST)
        await read(queue)
        await at_rest(queue)
        await nats.kill()
        shutil.rmtree(nats.command[-1])
        await nats.start()
        await queue.submit("4711", REQUEST)
        (outcome,) = await read(queue)
    assert outcome.session is not None
    assert outcome.session.created_by == "adopted"
    assert len(emulator.world.live) == 1


async def test_no_secret_is_in_an_outcome_or_the_log(nats: Engine, emulator: Emulator, caplog):
    caplog.set_level(logging.DEBUG, "gameye_async")
    secret = "rosebud-77"
    async with LaunchQueue(nats.url) as queue, working(nats, emulator) as worker:
        await queue.submit("4711", LaunchRequest("my-game", "nowhere", env={"KEY": secret}))
        await queue.submit("4712", LaunchRequest("my-game", "europe", env={"KEY": secret}))
        outcomes = await read(queue, 2)
    assert secret not in caplog.text + repr(outcomes) + repr(worker) + repr(queue)
    assert emulator.token not in caplog.text + repr(outcomes) + repr(worker)


async def test_a_nats_that_is_not_there_is_told_without_its_password(emulator: Emulator, monkeypatch):
    monkeypatch.setattr("gameye_async.worker.jetstream._CONNECT_WITHIN", 0.2)
    worker = Worker(
        AsyncGameye(emulator.token, base_url=emulator.url), f"nats://ann:rosebud@127.0.0.1:{free_port()}"
    )
    with pytest.raises(NotSentError, match=r"cannot reach NATS at 127\.0\.0\.1:") as told:
        await worker.run()
    assert "rosebud" not in str(told.value) + repr(worker)


@pytest.mark.parametrize("url", ["127.0.0.1:4222", "http://127.0.0.1:4222", "nats://", ""])
async def test_what_is_no_url_of_nats_is_told(url):
    with pytest.raises(ConfigurationError, match=r"nats://127\.0\.0\.1:4222"):
        async with LaunchQueue(url):
            pass


def test_numbers_and_names_are_checked():
    client = AsyncGameye("token", base_url="http://127.0.0.1:1")
    for wrong in ({"concurrency": 0}, {"max_ack_pending": 0}, {"ack_wait": -1.0}, {"stream": "a.b"}):
        with pytest.raises(ConfigurationError):
            Worker(client, "nats://127.0.0.1:4222", **wrong)
    with pytest.raises(ConfigurationError, match="no name"):
        LaunchQueue("nats://127.0.0.1:4222", reader="match maker")


async def test_every_reader_gets_every_outcome(nats: Engine, emulator: Emulator):
    async with (
        LaunchQueue(nats.url) as queue,
        LaunchQueue(nats.url, reader="statistics") as other,
        working(nats, emulator),
    ):
        await queue.submit("4711", REQUEST)
        assert await read(queue) == await read(other)


async def test_an_outcome_counts_as_read_when_the_next_one_is_asked_for(nats: Engine, emulator: Emulator):
    """A matchmaker that dies over an outcome gets that one again, and not the one before."""
    async with LaunchQueue(nats.url, reader="r") as queue, working(nats, emulator):
        for match in ("1", "2"):
            await queue.submit(match, REQUEST)
        await read(queue, 2)
        jetstream = queue._open().jetstream  # noqa: SLF001  -- NATS counts
        async with asyncio.timeout(30):
            while (await jetstream.consumer_info("launches-outcomes", "r")).num_ack_pending != 1:
                pass


async def test_what_is_no_outcome_is_skipped(nats: Engine, emulator: Emulator, caplog):
    """Somebody else may publish on the subject; the matchmaker goes on."""
    async with LaunchQueue(nats.url) as queue, working(nats, emulator):
        client = Client()
        await client.connect(nats.url)
        await client.publish("launches.results", json.dumps({"hello": "world"}).encode())
        await client.drain()
        await queue.submit("4711", REQUEST)
        assert (await read(queue))[0].match == "4711"
    assert "skipping a message on launches.results" in caplog.text
