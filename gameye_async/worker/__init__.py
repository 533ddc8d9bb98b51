"""A pool of processes that launch the jobs of a NATS JetStream queue; it needs the extra `worker`.

A matchmaker submits jobs and reads outcomes through `LaunchQueue`. Workers, `gameye-async worker` or
`Worker`, launch them: any number of processes, on any machines.
"""

from importlib.util import find_spec

if find_spec("nats") is None:
    raise ModuleNotFoundError(
        'the worker pool needs an extra: pip install "gameye-async[worker]"', name="nats"
    )

from gameye_async.worker.messages import MatchOutcome, session_id
from gameye_async.worker.queue import LaunchQueue
from gameye_async.worker.verdicts import Verdict
from gameye_async.worker.worker import Worker

__all__ = ["LaunchQueue", "MatchOutcome", "Verdict", "Worker", "session_id"]
