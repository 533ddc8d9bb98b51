"""The streams in NATS JetStream, and a connection that outlives the server's restarts.

nats-py is used as it is: the subscribers of frameworks above it fetch in fixed batches, or ahead of the
places that are free, and no heartbeat keeps alive what waits in them.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import nats.errors
import nats.js.errors
from attrs import define, field, frozen
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from yarl import URL

from gameye_async import ConfigurationError, NotSentError

logger = logging.getLogger("gameye_async.worker")

# Whatever goes wrong between here and the server.
NATS_ERRORS = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)

# Seconds for one answer of the server; a restart of it is shorter.
ANSWER_WITHIN = 5.0
_CONNECT_WITHIN = 5.0
_RECONNECT_EVERY = 1
_TRY_EVERY = 0.2
# How long a worker without jobs asks for one at a time, and so how long it may take to stop.
_LISTEN = 1.0
# The rest of a batch is there already, unless another worker was faster.
_TOP_UP = 0.1
_OUTCOMES_KEPT = 24 * 3600.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@frozen
class Streams:
    """The names of what a pool uses, all made of the name of its stream.

    Raises:
        ConfigurationError: The name is none.
    """

    name: str

    def __attrs_post_init__(self) -> None:
        _check_name(self.name)

    @property
    def jobs(self) -> str:
        """Subject of the jobs."""
        return f"{self.name}.jobs"

    @property
    def results(self) -> str:
        """Subject of the sessions."""
        return f"{self.name}.results"

    @property
    def dead_letters(self) -> str:
        """Subject of the jobs that were refused."""
        return f"{self.name}.dead-letters"

    @property
    def outcomes(self) -> str:
        """Stream of both."""
        return f"{self.name}-outcomes"

    async def ensure(self, jetstream: JetStreamContext) -> None:
        """Make the streams that are not there yet; those that are stay as they are."""
        jobs = StreamConfig(
            name=self.name,
            subjects=[self.jobs],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
        )
        outcomes = StreamConfig(
            name=self.outcomes,
            subjects=[self.results, self.dead_letters],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_age=_OUTCOMES_KEPT,
        )
        for config in (jobs, outcomes):
            try:
                await jetstream.stream_info(str(config.name))
            except nats.js.errors.NotFoundError:
                # Another process may be at it, too; the same stream may be made twice.
                await cast("Any", jetstream).add_stream(config)


@frozen
class Consumer:
    """What is pulled from: a stream, and the consumer that remembers how far it was read."""

    stream: str
    config: ConsumerConfig

    @classmethod
    def of_workers(cls, streams: Streams, ack_wait: float, max_ack_pending: int) -> "Consumer":
        """The one that all workers share."""
        config = ConsumerConfig(
            durable_name="workers",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_ack_pending=max_ack_pending,
        )
        return cls(streams.name, config)

    @classmethod
    def of_reader(cls, streams: Streams, name: str) -> "Consumer":
        """That of a reader of outcomes.

        Raises:
            ConfigurationError: The name is none.
        """
        _check_name(name)
        return cls(streams.outcomes, ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT))


@define(eq=False)
class Connection:
    """A connection to NATS that pulls from one consumer.

    Attributes:
        client: nats-py's own.
        streams: What the pool uses.
        consumer: What is pulled from.
        jetstream: Its JetStream.
        was_away: Whether the server was lost, and is to be looked at when it is back.
    """

    client: Client
    streams: Streams
    consumer: Consumer
    jetstream: JetStreamContext = field(init=False)
    _subscription: JetStreamContext.PullSubscription = field(init=False)
    was_away: bool = field(default=False, init=False)

    async def open(self) -> None:
        """Make what is not there yet, and subscribe."""
        self.jetstream = JetStreamContext(self.client, timeout=ANSWER_WITHIN)
        await self._provide()
        self._subscription = await self.jetstream.pull_subscribe_bind(
            consumer=self.consumer.config.durable_name, stream=self.consumer.stream
        )

    async def _provide(self) -> None:
        await self.streams.ensure(self.jetstream)
        # A consumer that is there gets these settings.
        await cast("Any", self.jetstream).add_consumer(self.consumer.stream, self.consumer.config)

    async def pull(self, most: int) -> list[Msg]:
        """Messages as soon as there are any; none after a second without.

        Args:
            most: How many at most.

        Raises:
            NotSentError: The connection was closed for good.
        """
        if self.client.is_closed:
            raise NotSentError("NATS has closed the connection for good; see its log.")
        if not self.client.is_connected:
            # What is asked for now would all be answered at once, later.
            await asyncio.sleep(_TRY_EVERY)
            return []
        try:
            if self.was_away:
                # It may have lost its streams with its disk, and would not even say so.
                await self._provide()
                self.was_away = False
            # A request for many waits for all of them, so it is made only when they are there.
            messages = await self._subscription.fetch(1, timeout=_LISTEN)
            # With several workers, NATS 2.9 now and then counts fewer than none.
            if (more := min(most - 1, messages[0].metadata.num_pending)) > 0:
                with contextlib.suppress(TimeoutError, *NATS_ERRORS):
                    messages += await self._subscription.fetch(more, timeout=_TOP_UP)
        except TimeoutError:
            return []
        except NATS_ERRORS as error:
            # A server that has just started may not be ready yet.
            logger.debug("cannot read stream %s, and try again: %s", self.consumer.stream, error)
            await asyncio.sleep(_TRY_EVERY)
            return []
        return messages


@asynccontextmanager
async def connect(url: str, streams: Streams, consumer: Consumer) -> AsyncGenerator[Connection, None]:
    """A connection that comes back by itself.

    Raises:
        NotSentError: The server cannot be reached.
        ConfigurationError: The URL is none, or the server has no JetStream.
    """
    servers = url.split(",")
    where = ", ".join(_without_secrets(server) for server in servers)

    async def lost() -> None:
        connection.was_away = True
        if not client.is_closed:
            logger.warning("lost NATS at %s, and try to get it back", where)

    async def back() -> None:
        logger.info("NATS at %s is back", where)

    async def failed(error: Exception) -> None:
        logger.debug("NATS at %s: %s", where, error)

    client = Client()
    connection = Connection(client, streams, consumer)
    try:
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                await client.connect(
                    servers,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=_RECONNECT_EVERY,
                    disconnected_cb=lost,
                    reconnected_cb=back,
                    error_cb=failed,
                )
            await connection.open()
        except (nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError):
            raise ConfigurationError(
                f"NATS at {where} has no JetStream: start nats-server with -js"
            ) from None
        except NATS_ERRORS as error:
            raise NotSentError(f"cannot reach NATS at {where} ({str(error) or 'no answer'}).") from None
        yield connection
    finally:
        await client.close()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{name!r} is no name for NATS: use letters, digits, - and _, at most 64")


def _without_secrets(server: str) -> str:
    """Where a server is, for messages."""
    try:
        url = URL(server)
    except ValueError:
        url = URL()
    if url.scheme not in {"nats", "tls", "ws", "wss"} or not url.host:
        raise ConfigurationError("the URL of NATS must look like nats://127.0.0.1:4222")
    return f"{url.host}:{url.port or 4222}"
