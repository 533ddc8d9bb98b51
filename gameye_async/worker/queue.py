"""The matchmaker's side of a pool: submit jobs, read outcomes."""

import asyncio
import contextlib
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from attrs import define, field
from nats.aio.msg import Msg

from gameye_async import ClientClosedError, LaunchRequest, NoAnswerError
from gameye_async.worker.jetstream import NATS_ERRORS, Connection, Consumer, Streams, connect
from gameye_async.worker.messages import MatchOutcome, job_text, session_id

logger = logging.getLogger("gameye_async.worker")

# How many outcomes are fetched at a time; what was fetched and not read in half a minute comes again.
_FETCHED = 32
_TRY_EVERY = 0.2


@define(eq=False)
class LaunchQueue:
    """The queue of a pool of workers; use it with `async with`.

    Args:
        nats: URL of the NATS server, or of several, separated by commas.
        stream: Name of the stream of jobs; it is made if it is not there.
        reader: Who reads the outcomes. Each reader gets all of them; processes with the same name share them.

    Raises:
        ConfigurationError: A name holds other characters than letters, digits, - and _.
    """

    nats: str = field(repr=False)
    stream: str = field(default="launches", kw_only=True)
    reader: str = field(default="matchmaker", kw_only=True)
    _streams: Streams = field(init=False, repr=False)
    _consumer: Consumer = field(init=False, repr=False)
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _fetched: deque[Msg] = field(factory=deque[Msg], init=False, repr=False)
    _read: Msg | None = field(default=None, init=False, repr=False)
    _stack: AsyncExitStack = field(factory=AsyncExitStack, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._streams = Streams(self.stream)
        self._consumer = Consumer.of_reader(self._streams, self.reader)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            NotSentError: NATS cannot be reached.
            ConfigurationError: Its URL is none, or it has no JetStream.
        """
        self._connection = await self._stack.enter_async_context(
            connect(self.nats, self._streams, self._consumer)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        await self._stack.aclose()

    async def submit(self, match: str, request: LaunchRequest, *, deadline: float = 30.0) -> str:
        """Have a session launched for a match; returns when the job is stored.

        Submitting a match again does no harm: it gets the session that it has, and one more outcome.

        Args:
            match: The match's id, unique in the stream for good; one that is played again needs a new id.
            request: What to launch; without an id, for that is made of the match's.
            deadline: Seconds to go on trying while NATS is away.

        Returns:
            The id that the session will have.

        Raises:
            ConfigurationError: The request brings an id, or there is no match id.
            NoAnswerError: NATS did not confirm in time; the job may be stored or not. Submit it again.
        """
        text = job_text(match, request)
        # So that the repetitions in here are stored once.
        headers = {"Nats-Msg-Id": str(uuid.uuid4())}
        jetstream = self._open().jetstream
        last: Exception | None = None
        try:
            async with asyncio.timeout(deadline):
                while True:
                    try:
                        await jetstream.publish(self._streams.jobs, text, headers=headers)
                    except NATS_ERRORS as error:
                        last = error
                        await asyncio.sleep(_TRY_EVERY)
                    else:
                        return session_id(match, self.stream)
        except TimeoutError:
            raise NoAnswerError(f"NATS did not confirm the job of match {match}: {last}.") from None

    async def outcomes(self) -> AsyncIterator[MatchOutcome]:
        """What becomes of the jobs, sessions and dead letters, without end; for one consumer at a time.

        An outcome counts as read when the next one is asked for. One that was not read comes again, so take
        care that doing things twice for a match does no harm.

        Raises:
            NotSentError: NATS has closed the connection for good.
        """
        while True:
            yield await self._next()

    async def _next(self) -> MatchOutcome:
        connection = self._open()
        while True:
            if self._read is not None:
                with contextlib.suppress(*NATS_ERRORS):  # then it comes again
                    await self._read.ack()
                self._read = None
            while not self._fetched:
                self._fetched.extend(await connection.pull(_FETCHED))
            self._read = self._fetched.popleft()
            try:
                return MatchOutcome.from_json(self._read.data)
            except ValueError as error:
                logger.warning("skipping a message on %s: %s", self._read.subject, error)

    def _open(self) -> Connection:
        if self._connection is None:
            raise ClientClosedError("the queue is not open; use it inside `async with LaunchQueue(...)`")
        return self._connection
