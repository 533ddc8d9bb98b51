"""`gameye-async worker`: one process of a pool."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import ConfigurationError, OrphanRecord, Pacing
from gameye_async.cli.exits import Exit, complain, complain_of_session, run_to_end
from gameye_async.cli.options import connect

if TYPE_CHECKING:
    from gameye_async.worker import Worker

_Positive = Parameter(validator=Number(gt=0))
_Count = Parameter(validator=Number(gte=1))


def worker(
    *,
    nats: Annotated[str, Parameter(env_var="NATS_URL")] = "nats://127.0.0.1:4222",
    stream: str = "launches",
    concurrency: Annotated[int, _Count] = 64,
    max_ack_pending: Annotated[int, _Count] = 256,
    ack_wait: Annotated[float, _Positive] = 30.0,
    deadline: Annotated[float, _Positive] = 30.0,
    give_up_after: Annotated[float | None, _Positive] = None,
    default_ttl: str | None = None,
    rate: Annotated[float | None, _Positive] = None,
    processes: Annotated[int | None, _Count] = None,
    redis: Annotated[str, Parameter(env_var="REDIS_URL")] = "redis://127.0.0.1:6379",
) -> int:
    """Launch the jobs of a NATS JetStream queue, until Ctrl-C.

    Any number of workers, on any machines, share a queue. Ctrl-C or SIGTERM lets the jobs in hand end; a
    second one leaves them to the other workers. A worker whose token is refused gives its jobs back and ends
    with 1.

    For instance:

        gameye-async worker --nats nats://127.0.0.1:4222 --stream launches
        gameye-async worker --max-ack-pending 512 --give-up-after 600
        gameye-async worker --rate 50 --processes 3 --redis redis://127.0.0.1:6379

    Args:
        nats: Where NATS is; several servers are separated by commas.
        stream: Stream of the jobs; it is made if it is not there.
        concurrency: Most jobs in this process at once.
        max_ack_pending: Most jobs in all workers together; the worker that starts last decides.
        ack_wait: Seconds after which the jobs of a worker that died are delivered again.
        deadline: Seconds that each launch may take, retries included, before its job is put back.
        give_up_after: Seconds after which a job that cannot be launched yet becomes a dead letter.
        default_ttl: When sessions are ended by force whose jobs do not say it, such as 4h.
        rate: Launches a second of all workers together, counted in Redis.
        processes: How many workers share the rate; each keeps to its part while Redis is away.
        redis: Where Redis is.
    """
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("gameye_async").setLevel(logging.INFO)
    settings: dict[str, Any] = {
        "max_concurrency": concurrency,
        "default_ttl": default_ttl,
        "pacing": _pacing(rate, processes, redis),
    }
    options: dict[str, Any] = {
        "stream": stream,
        "concurrency": concurrency,
        "max_ack_pending": max_ack_pending,
        "ack_wait": ack_wait,
        "deadline": deadline,
        "give_up_after": give_up_after,
    }
    return run_to_end(_work(nats, options, settings))


def _pacing(rate: float | None, processes: int | None, redis: str) -> Pacing:
    if (rate is None) != (processes is None):
        raise ConfigurationError("--rate and --processes go together")
    if rate is None or processes is None:
        return Pacing()
    with _extra():
        from gameye_async.shared_rate import SharedRate  # noqa: PLC0415  -- the extra may be missing
    return Pacing(shared=SharedRate(redis, rate=rate, processes=processes))


async def _work(nats: str, options: dict[str, Any], settings: dict[str, Any]) -> int:
    with _extra():
        from gameye_async.worker import Worker  # noqa: PLC0415  -- the extra may be missing

    async with connect(**settings, on_orphan=_report) as gameye:
        worker = Worker(gameye, nats, **options)
        _stop_at_signals(worker)
        try:
            await worker.run()
        finally:
            counts = ", ".join(
                f"{count:,} {verdict.name.lower()}" for verdict, count in worker.verdicts.items()
            )
            complain(f"stopped; jobs: {counts or 'none'}")
    return Exit.OK


def _report(orphan: OrphanRecord) -> None:
    complain_of_session(orphan.session_id, orphan.reason)


def _stop_at_signals(worker: "Worker") -> None:
    loop = asyncio.get_running_loop()
    command = asyncio.current_task()
    assert command is not None  # noqa: S101  -- a coroutine has one
    received = False

    def stop() -> None:
        nonlocal received
        if received:
            command.cancel()
        received = True
        worker.stop()

    with contextlib.suppress(NotImplementedError):  # Windows
        for kind in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(kind, stop)


@contextlib.contextmanager
def _extra() -> Generator[None]:
    """A missing extra is a sentence and not a traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in {"nats", "limits"}:
            raise
        raise ConfigurationError(str(error)) from None
