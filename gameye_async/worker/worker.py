"""A worker: launches the jobs of a stream until it is told to stop."""

import asyncio
import contextlib
import logging
from collections import Counter
from datetime import UTC, datetime
from random import Random

from attrs import define, field
from nats.aio.msg import Msg

from gameye_async import (
    AsyncGameye,
    ConfigurationError,
    GameyeError,
    Session,
)
from gameye_async.worker.jetstream import (
    ANSWER_WITHIN,
    NATS_ERRORS,
    Connection,
    Consumer,
    Streams,
    connect,
)
from gameye_async.worker.launching import launch, launched_before
from gameye_async.worker.messages import MatchOutcome, job_request, read_job
from gameye_async.worker.verdicts import Verdict, delay, judge

logger = logging.getLogger("gameye_async.worker")


@define(eq=False)
class Worker:
    """One process of a pool; `run` launches jobs until `stop` is called.

    A job is acknowledged only after its outcome was published. Whatever is killed before that, the job is
    delivered again, and its launch takes over the session that may exist already: the session's id is made
    of the match's id.

    Args:
        gameye: An open client. It should have as many places (`max_concurrency`) as the worker.
        nats: URL of the NATS server, or of several, separated by commas.
        stream: Name of the stream of jobs; it is made if it is not there.
        concurrency: Most jobs in this process at once.
        max_ack_pending: Most jobs in all workers of the stream together. NATS keeps to it, and the worker
            that started last decides.
        ack_wait: Seconds after which the jobs of a worker that died are delivered again. It must exceed the
            longest time that the API may spend on one launch.
        deadline: Seconds for each launch; the client's own when None.
        give_up_after: Seconds after which a job that cannot be launched yet becomes a dead letter instead of
            being put back; never when None. One that was put back because this worker's token was refused
            does not become one: that is not the job's fault.
        grace: Seconds that `stop` gives the jobs in hand.
        rng: Source of jitter.

    Attributes:
        verdicts: How many jobs ended in which way.

    Raises:
        ConfigurationError: A number is not positive, or the name of the stream is none.
    """

    gameye: AsyncGameye
    nats: str = field(repr=False)
    stream: str = field(default="launches", kw_only=True)
    concurrency: int = field(default=64, kw_only=True)
    max_ack_pending: int = field(default=256, kw_only=True)
    ack_wait: float = field(default=30.0, kw_only=True)
    deadline: float | None = field(default=None, kw_only=True)
    give_up_after: float | None = field(default=None, kw_only=True)
    grace: float = field(default=20.0, kw_only=True)
    rng: Random = field(factory=Random, kw_only=True, repr=False)
    verdicts: Counter[Verdict] = field(factory=Counter[Verdict], init=False, repr=False)
    _streams: Streams = field(init=False, repr=False)
    _consumer: Consumer = field(init=False, repr=False)
    _stopping: bool = field(default=False, init=False, repr=False)
    _token_refused: GameyeError | None = field(default=None, init=False, repr=False)
    _changed: asyncio.Event = field(factory=asyncio.Event, init=False, repr=False)
    _jobs: dict[asyncio.Task[None], Msg] = field(
        factory=dict[asyncio.Task[None], Msg], init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        for name in ("concurrency", "max_ack_pending", "ack_wait"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be greater than 0, not {getattr(self, name)!r}")
        self._streams = Streams(self.stream)
        self._consumer = Consumer.of_workers(self._streams, self.ack_wait, self.max_ack_pending)

    def stop(self) -> None:
        """Take no more jobs; `run` returns when those in hand have ended, or after `grace` seconds.

        What has not ended by then is not acknowledged, and another worker takes it over.
        """
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Launch jobs until `stop` is called, through every restart of NATS.

        Raises:
            AuthenticationError: The API refuses the token; the jobs in hand were put back for other workers.
            PermissionDeniedError: The token may not start sessions; as above.
            NotSentError: NATS cannot be reached at the start, or has closed the connection for good.
            ConfigurationError: Its URL is none, or it has no JetStream.
        """
        async with connect(self.nats, self._streams, self._consumer) as connection:
            logger.info("taking jobs of stream %s, %d at once", self.stream, self.concurrency)
            heart = asyncio.create_task(self._beat(connection))
            try:
                await self._take_jobs(connection)
                if self._jobs:
                    await asyncio.wait(self._jobs, timeout=self.grace)
            finally:
                ending = [heart, *self._jobs]
                for task in ending:
                    task.cancel()
                await asyncio.wait(ending)
        if self._token_refused is not None:
            raise self._token_refused

    async def _take_jobs(self, connection: Connection) -> None:
        while not self._stopping:
            # No more than can be worked on at once: what waited here would wait in vain for another worker.
            if free := self.concurrency - len(self._jobs):
                for message in await connection.pull(free):
                    job = asyncio.create_task(self._do(message, connection))
                    self._jobs[job] = message
                    job.add_done_callback(self._done)
            else:
                self._changed.clear()
                await self._changed.wait()

    def _done(self, job: asyncio.Task[None]) -> None:
        message = self._jobs.pop(job)
        self._changed.set()
        if not job.cancelled() and (error := job.exception()) is not None:
            # It is delivered again, perhaps to a worker that is not broken.
            logger.error("a job failed: %s", _name(message), exc_info=error)

    async def _beat(self, connection: Connection) -> None:
        """Tell NATS that the jobs in hand are still worked on, so that nobody else gets them."""
        while True:
            await asyncio.sleep(self.ack_wait / 3)
            for message in list(self._jobs.values()):
                if connection.client.is_connected and not message.is_acked:
                    with contextlib.suppress(*NATS_ERRORS):
                        await message.in_progress()

    async def _do(self, message: Msg, connection: Connection) -> None:
        match = ""
        result: Session | GameyeError
        is_overdue = self._is_overdue(message)
        try:
            match, fields = read_job(message.data)
            request = job_request(match, fields, self.stream)
        except ConfigurationError as error:
            result = error if match else ConfigurationError(f"{_name(message)}: {error}")
        else:
            result = await launch(self.gameye, request, self.deadline)
            if isinstance(result, GameyeError) and judge(result, is_overdue=is_overdue) is Verdict.REFUSED:
                is_first = message.metadata.num_delivered == 1
                result = await launched_before(self.gameye, request, result, is_first=is_first)
        verdict = judge(result, is_overdue=is_overdue)
        if verdict is Verdict.RETURNED and isinstance(result, GameyeError):
            # Before the job is put back, so that this worker asks for no more.
            self._token_refused = self._token_refused or result
            self.stop()
        try:
            await self._settle(message, verdict, match, result, connection)
        except NATS_ERRORS as error:
            # What was not settled is delivered again, and its launch adopts the session.
            logger.warning("match %s: %s, and NATS could not be told: %s", match, verdict.name, error)
        else:
            self.verdicts[verdict] += 1

    def _is_overdue(self, message: Msg) -> bool:
        age = (datetime.now(UTC) - message.metadata.timestamp).total_seconds()
        return self.give_up_after is not None and age > self.give_up_after

    async def _settle(
        self,
        message: Msg,
        verdict: Verdict,
        match: str,
        result: Session | GameyeError,
        connection: Connection,
    ) -> None:
        match result:
            case Session():
                await self._publish(self._streams.results, message, match, result, connection)
                await message.ack_sync(ANSWER_WITHIN)
            case _ if verdict is Verdict.REFUSED:
                logger.warning("match %s is a dead letter: %s", match, result)
                await self._publish(self._streams.dead_letters, message, match, result, connection)
                await message.term()
            case _ if verdict is Verdict.LATER:
                await message.nak(delay(result, self.rng))
            case _ if verdict is Verdict.RETURNED:
                await message.nak()
            case _:
                logger.warning("match %s is left to its next delivery: %s", match, result)

    async def _publish(
        self, subject: str, message: Msg, match: str, result: Session | GameyeError, connection: Connection
    ) -> None:
        metadata = message.metadata
        # One outcome for each job, also when it is delivered again because its acknowledgement was lost.
        job = f"{metadata.stream}-{metadata.sequence.stream}-{metadata.timestamp.timestamp()}"
        await connection.jetstream.publish(
            subject, MatchOutcome.of(match, result).to_json(), headers={"Nats-Msg-Id": job}
        )


def _name(message: Msg) -> str:
    return f"message {message.metadata.sequence.stream} of stream {message.metadata.stream}"
