"""A report to look at, which no run was needed for."""

from datetime import UTC, datetime
from math import log
from typing import Any

from attrs import evolve

from gameye_async import CapacityError, Session
from gameye_async.errors import Attempt
from gameye_async.loadtest import ClientSettings, LoadReport, Part, Plan, schedule
from gameye_async.loadtest.recorder import Recorder

LOCATIONS = ("eu-west", "us-east")


def sample(*, offset: float = 0.0, locations: tuple[str, ...] = LOCATIONS, **options: Any) -> LoadReport:
    """A run of half a minute in which the platform stood still for two seconds.

    Args:
        offset: Added to every latency (seconds).
        locations: Where it launched.
        **options: Of the plan.
    """
    plan = Plan("my-game", locations, **{"rate": 40.0, "duration": 30.0, "run": "load-sample"} | options)
    recorder = Recorder(plan)
    for arrival in schedule(plan):
        recorder.arrive(arrival)
        recorder.lag.add(0.0004)
        share = arrival.index * 0.618 % 1.0
        service = offset + 0.05 - 0.02 * log(1.0 - share)
        waited = 14.0 - arrival.at if 12.0 < arrival.at < 14.0 else 0.0
        now = arrival.at + waited + service
        place = locations[arrival.place]
        refused = Attempt(place, "answered", 420, "trace-1", 0.01)
        if arrival.index % 97 == 13:
            recorder.fail(arrival, CapacityError("full", status=420, attempts=(refused,)), now)
            continue
        session = Session(
            id=f"s-{arrival.index}",
            host="203.0.113.7",
            ports=(),
            location=place,
            image=plan.image,
            attempts=(Attempt(place, "answered", 201, None, service),),
        )
        recorder.launch(arrival, session, now)
        recorder.stop(session.id, now + plan.lifetime, confirmed=True)
    return evolve(
        LoadReport(
            plan=plan,
            parts=(
                Part(
                    shard=plan.shard,
                    run=plan.run,
                    began=datetime(2030, 1, 1, 12, tzinfo=UTC),
                    seconds=36.4,
                    ending="completed",
                    swept=0,
                    left=0,
                    unknown=0,
                ),
            ),
            client=ClientSettings(
                api="http://127.0.0.1:8080",
                max_concurrency=64,
                adaptive_pacing=True,
                deadline=30.0,
                attempts=6,
            ),
            versions={"gameye_async": "0.1.0", "CPython": "3.11.7", "aiohttp": "3.14.3"},
            due=recorder.due,
            launched=recorder.launched,
            adopted=recorder.adopted,
            abandoned=recorder.in_flight,
            throttled=recorder.throttled,
            latency=recorder.latency,
            service=recorder.service,
            lag=recorder.lag,
            interval=recorder.interval,
            intervals=recorder.intervals(),
            places=recorder.places(),
            failures=recorder.failures(),
            stopped=recorder.stopped,
            peak=200,
            session_seconds=recorder.session_seconds(40.0),
        )
    )
