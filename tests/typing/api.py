"""The public API as a program for type checkers; it is never run.

Each `# type: ignore` marks a wrong use, and a checker that finds nothing wrong there fails, too.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any, Literal, assert_never, assert_type
from uuid import uuid4

import aiohttp
from yarl import URL

from gameye_async import (
    ApiError,
    Artifact,
    AsyncGameye,
    Attempt,
    BadAnswerError,
    ClientStats,
    Collected,
    Environment,
    GameyeError,
    LaunchOutcome,
    LaunchOutcomeUnknownError,
    LaunchRequest,
    Location,
    NoAnswerError,
    OrphanRecord,
    Pacing,
    Port,
    RetryPolicy,
    Rollout,
    Roster,
    Session,
    SessionDetails,
    SessionEndedError,
    SessionIdConflictError,
    SessionStatus,
    SessionSummary,
    StopOutcome,
    StopUnconfirmedError,
    Timeouts,
    Violation,
    __version__,
    extract_artifact,
    http_probe,
    rank_locations,
    tcp_probe,
    udp_probe,
)
from gameye_async.emulator import (
    Emulator,
    Event,
    Fault,
    Faults,
    Image,
    Profile,
    Quirks,
    Scenario,
    WarmPool,
    World,
)

version: str = __version__


async def rotated() -> str:
    return "token"


def report(orphan: OrphanRecord) -> None:
    assert_type(orphan.session_id, str)
    assert_type(orphan.reason, str)
    assert_type(orphan.last_sent, datetime)


async def test_client(borrowed: aiohttp.ClientSession, connector: aiohttp.TCPConnector) -> None:
    AsyncGameye()
    AsyncGameye("token", environment=Environment.SANDBOX, max_concurrency=200, control_concurrency=64)
    AsyncGameye("token", default_ttl="4h")
    AsyncGameye(rotated, base_url=URL("https://api.gameye.io"), default_ttl=timedelta(hours=4))
    AsyncGameye(session=borrowed, on_orphan=report, rng=Random(7))
    AsyncGameye(connector=connector, proxy="http://proxy.example:3128", user_agent="matchmaker/2")
    AsyncGameye(
        ssl=ssl.create_default_context(),
        timeouts=Timeouts(deadline=20.0, connect=5, attempt=10.0, close=0),
        retry=RetryPolicy(attempts=4, cap=1.0),
        pacing=Pacing(adaptive=False, gate_after=5),
    )
    AsyncGameye(b"token")  # type: ignore[arg-type]
    AsyncGameye(lambda: "token")  # type: ignore[arg-type, return-value]
    AsyncGameye("token", "https://api.gameye.io")  # type: ignore[call-arg]
    AsyncGameye(base_url=IPv4Address("127.0.0.1"))  # type: ignore[arg-type]
    AsyncGameye(ssl=False)  # type: ignore[arg-type]
    AsyncGameye(on_orphan=print, tokne="token")  # type: ignore[call-arg]
    Timeouts(20.0)  # type: ignore[call-arg]
    RetryPolicy(attempts="4")  # type: ignore[arg-type]
    Pacing(adaptive=True).floor = 2.0  # type: ignore[misc]


async def test_entering() -> None:
    async with AsyncGameye() as gameye:
        assert_type(gameye, AsyncGameye)
        assert_type(gameye.with_options(timeouts=Timeouts(), headers={"X-Trace": "1"}), AsyncGameye)
        assert_type(gameye.stats, ClientStats)
        gameye.with_options(max_concurrency=8)  # type: ignore[call-arg]
        gameye.stats = None  # type: ignore[assignment, misc]
    assert_type(await gameye.aclose(), None)
    with AsyncGameye():  # type: ignore[attr-defined]
        pass


async def test_launch(gameye: AsyncGameye) -> None:
    request = LaunchRequest("my-game", "eu-west")
    assert_type(await gameye.launch(request), Session)
    assert_type(await gameye.launch(request, deadline=10, idempotent=True, on_abandon="leave"), Session)
    assert_type(await gameye.launch(image="my-game", location="eu-west"), Session)
    session = await gameye.launch(
        image="my-game",
        location=["eu-west", "eu-east"],
        id=uuid4(),
        env={"MATCH_MODE": "ranked"},
        args=("--max-players=8",),
        restart=False,
        labels={"match": "4711"},
        version="v2",
        ttl=timedelta(hours=2),
        external_id="4711",
        enable_metrics=True,
        deadline=10.0,
        idempotent=True,
        on_abandon="stop",
    )
    assert_type(session, Session)

    await gameye.launch()  # type: ignore[call-overload]
    await gameye.launch(image="my-game")  # type: ignore[call-overload]
    await gameye.launch("my-game", "eu-west")  # type: ignore[call-overload]
    await gameye.launch(image="my-game", location="eu-west", args=8)  # type: ignore[call-overload]
    await gameye.launch(image="my-game", location="eu-west", env={"PLAYERS": 8})  # type: ignore[dict-item]
    await gameye.launch(image="my-game", location="eu-west", ttl=7200)  # type: ignore[call-overload]
    await gameye.launch(image="my-game", locations=["eu-west"])  # type: ignore[call-overload]
    await gameye.launch(request, image="my-game")  # type: ignore[call-overload]
    await gameye.launch(request, deadline="10s")  # type: ignore[call-overload]
    await gameye.launch(request, on_abandon="keep")  # type: ignore[call-overload]
    gameye.launch(request).id  # type: ignore[attr-defined]


def requests() -> Iterator[LaunchRequest]:
    yield LaunchRequest("my-game", ["eu-west", "eu-east"], id=uuid4(), ttl="2h30m", enable_metrics="true")


async def ids() -> AsyncIterator[str]:
    yield "f7965a22-e327-4541-a30e-8262890d3a29"


async def test_many(gameye: AsyncGameye) -> None:
    def progress(stats: ClientStats) -> None:
        assert_type(stats.launched, int)
        assert_type(stats.failed, dict[str, int])
        assert_type(stats.p99, float | None)

    async with gameye.launch_many(
        requests(), concurrency=50, on_progress=progress, ordered=True, deadline=20.0, on_abandon="stop"
    ) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, LaunchOutcome)
            assert_type(outcome.request, LaunchRequest)
            assert_type(outcome.ok, bool)
            assert_type(outcome.index, int)
            if outcome.session:
                assert_type(outcome.session, Session)
            else:
                assert_type(outcome.error, GameyeError | None)
            outcome.session.id  # type: ignore[union-attr]
    async with gameye.stop_many(ids()) as stops:
        async for stop in stops:
            assert_type(stop, StopOutcome)
            assert_type(stop.stopped, bool | None)
            assert_type(stop.error, GameyeError | None)
    async with gameye.stop_many(["1", "2"], concurrency=4, on_progress=print):
        pass
    gameye.launch_many([{"image": "my-game"}])  # type: ignore[list-item]
    gameye.stop_many([1, 2])  # type: ignore[list-item]
    async for _ in gameye.launch_many(requests()):  # type: ignore[attr-defined]
        pass


async def test_reads(gameye: AsyncGameye) -> None:
    details = await gameye.describe("id")
    assert_type(details, SessionDetails)
    assert_type(details.players, tuple[str, ...])
    summaries = await gameye.list_sessions(
        location="eu-west",
        image="my-game",
        version="v2",
        host="203.0.113.7",
        labels={"match": "4711"},
        players_below=8,
        players_above=0,
        include_ended=True,
    )
    assert_type(summaries, list[SessionSummary])
    for summary in summaries:
        assert_type(summary.created, datetime)
        assert_type(summary.status, SessionStatus | None)
        assert_type(summary.labels, Mapping[str, str])
        assert_type(summary.env, Mapping[str, str])
        assert_type(summary.raw, Mapping[str, Any])
        assert_type(summary.player_count, int | None)
    for place in await gameye.available_locations("my-game"):
        assert_type(place, Location)
        assert_type(place.ips, tuple[str, ...])
    assert_type(await gameye.tag_exists("eu-west", "my-game", "v2"), bool)
    assert_type(await gameye.regions(), list[str])
    assert_type(await gameye.health(), Any)
    assert_type(await gameye.metrics(), Any)
    assert_type(await gameye.request("GET", "/application", query={"limit": 10, "page": None}), Any)
    await gameye.list_sessions("eu-west")  # type: ignore[call-arg]
    await gameye.list_sessions(labels={"match": 4711})  # type: ignore[dict-item]
    await gameye.request("PUT", "/application", {"image": "my-game"})  # type: ignore[call-arg]


async def test_writes(gameye: AsyncGameye) -> None:
    assert_type(await gameye.stop("id"), bool)
    roster = await gameye.join("id", ["ada", "grace"])
    assert_type(roster, Roster)
    assert_type(roster.players, tuple[str, ...])
    assert_type(await gameye.leave("id", {"ada"}), Roster)
    assert_type(await gameye.reconcile({"id"}, labels={"service": "a"}, stop=True), list[SessionSummary])
    assert_type(
        await gameye.reconcile(lambda found: found.location == "eu-west", id_prefix="a-"),
        list[SessionSummary],
    )
    seat = await gameye.find_seat("my-game", ["barbara"], 8, location="eu-west", version="v2", labels={})
    assert_type(seat, SessionSummary | None)
    await gameye.stop(None)  # type: ignore[arg-type]
    await gameye.join("id", [1, 2])  # type: ignore[list-item]
    await gameye.reconcile({1}, id_prefix="a-")  # type: ignore[arg-type]


async def test_after_launch(gameye: AsyncGameye, session: Session) -> None:
    async with gameye.running(LaunchRequest("my-game", "eu-west"), probe=tcp_probe(7777)) as running:
        assert_type(running, Session)
    async with gameye.running(image="my-game", location=["eu-west"], ready_within=30.0) as running:
        assert_type(running, Session)
    gameye.running(image="my-game")  # type: ignore[call-overload]
    gameye.running(image="my-game", location="eu-west", idempotent=True)  # type: ignore[call-overload]

    async def answers(session: Session) -> bool:
        return session.host != ""

    ready = await gameye.wait_until_ready(session, probe=answers, timeout=30, on_progress=print)
    assert_type(ready, SessionDetails)
    await gameye.wait_until_ready(session, probe=udp_probe(b"ping", b"pong", port=7777, timeout=0.5))
    await gameye.wait_until_ready(session, probe=udp_probe(b"ping", lambda data: data.startswith(b"p")))
    await gameye.wait_until_ready(session, probe=http_probe("/healthz", status={200}))
    await gameye.wait_until_ready(session.id)  # type: ignore[arg-type]
    await gameye.wait_until_ready(session, probe=lambda _: True)  # type: ignore[arg-type, return-value]
    udp_probe("ping")  # type: ignore[arg-type]

    def rollout(now: Rollout) -> None:
        assert_type(now.ready, tuple[str, ...])
        assert_type(now.missing, tuple[str, ...])

    assert_type(
        await gameye.wait_for_tag(["eu-west"], "my-game", "v2", timeout=60, on_progress=rollout), None
    )
    async with gameye.logs(session.id, follow=True, sanitize=False) as lines:
        async for line in lines:
            assert_type(line, str)

    artifact = await gameye.download_artifact(
        session.id, "/game/logs", Path("logs.tar"), max_bytes=1024, deadline=60.0, on_progress=print
    )
    assert_type(artifact, Artifact)
    assert_type(artifact.path, Path)
    assert_type(artifact.format, Literal["tar", "tar.gz"])
    assert_type(artifact.size, int)
    assert_type(await gameye.extract_artifact("logs.tar", "logs", max_members=10), list[Path])
    assert_type(await extract_artifact(Path("logs.tar"), Path("logs"), max_bytes=1024), list[Path])
    collected = await gameye.collect(session.id, ["/game/logs"], "match-4711", on_progress=print)
    assert_type(collected, Collected)
    assert_type(collected.log, Path | None)
    assert_type(collected.artifacts, Mapping[str, Path])
    assert_type(collected.errors, Mapping[str, GameyeError])
    assert_type(rank_locations(["eu-west"], {"ada": {"eu-west": 20}}), list[str])


def test_values(session: Session, request: LaunchRequest) -> None:
    assert_type(session.created_by, Literal["launch", "adopted"])
    assert_type(session.version, str | None)
    assert_type(session.elapsed, float)
    assert_type(session.port(7777, "udp"), Port)
    assert_type(session.port().protocol, Literal["tcp", "udp"])
    assert_type(session.address(7777, "udp"), tuple[str, int])
    for attempt in session.attempts:
        assert_type(attempt, Attempt)
        assert_type(attempt.phase, Literal["not sent", "sent", "answered"])
        assert_type(attempt.status, int | None)
    assert_type(request.id, str)
    assert_type(request.location, tuple[str, ...])
    assert_type(request.args, tuple[str, ...])
    assert_type(request.env, Mapping[str, str])
    assert_type(request.ttl, str | None)
    assert_type(request.enable_metrics, str | None)
    assert_type(SessionStatus("paused"), SessionStatus)
    assert_type(SessionStatus.RUNNING.is_live, bool)
    session.port("7777")  # type: ignore[arg-type]
    session.address(7777, "sctp")  # type: ignore[arg-type]
    session.host = "203.0.113.7"  # type: ignore[misc]
    LaunchRequest("my-game")  # type: ignore[call-arg]
    LaunchRequest("my-game", "eu-west", "id")  # type: ignore[call-arg]
    LaunchRequest("my-game", "eu-west", labels={"match": 4711})  # type: ignore[dict-item]


def test_errors(error: GameyeError) -> None:
    assert_type(error.attempts, tuple[Attempt, ...])
    assert_type(error.message, str)
    if isinstance(error, ApiError):
        assert_type(error.status, int)
        assert_type(error.violations, tuple[Violation, ...])
        assert_type(error.retry_after, float | None)
    elif isinstance(error, SessionEndedError):
        assert_type(error.log_tail, tuple[str, ...])
    elif isinstance(error, LaunchOutcomeUnknownError | StopUnconfirmedError):
        assert_type(error.session_id, str)
    elif isinstance(error, NoAnswerError):
        assert_type(error.timed_out, bool)
    elif isinstance(error, BadAnswerError):
        assert_type(error.status, int | None)
    else:
        error.session_id  # type: ignore[attr-defined]
    conflict: ApiError = SessionIdConflictError("taken", status=409)
    value: ValueError = conflict  # type: ignore[assignment]
    raise value


def test_protocols(port: Port) -> int:
    match port.protocol:
        case "tcp":
            return port.container
        case "udp":
            return port.host
        case _:
            assert_never(port.protocol)


async def test_emulator() -> None:
    async with Emulator(
        profile="legacy",
        locations={"eu-west": 1},
        images={"my-game": Image(ports=(("udp", 7777),))},
        pools=[WarmPool("my-game", "eu-west", 2)],
        quirks=Quirks(bare_list=True),
        faults=[Fault("refuse", status=420, count=3)],
        seed=7,
        start_rate=5.0,
    ) as emulator:
        assert_type(emulator, Emulator)
        assert_type(emulator.url, str)
        assert_type(emulator.token, str)
        assert_type(emulator.world, World)
        assert_type(emulator.world.profile, Profile)
        emulator.faults.add(Fault("latency", seconds=0.2, distribution="uniform"))
        for record in emulator.requests:
            assert_type(record.status, int | None)

        def hear(event: Event) -> None:
            assert_type(event.kind, str)

        assert_type(emulator.world.subscribe(hear), Callable[[], None])
        emulator.drop_connections()
        emulator.restart(keep_memory=False)
        emulator.world.set_status("id", "draining")
        emulator.world.put_file("id", "/game/logs/match.log", b"over")
        emulator.world.add_foreign_session("id", image="my-game", location="eu-west")
    assert_type(Scenario.load("evening.toml"), Scenario)
    assert_type(Scenario(capacity=3).emulator(port=8080), Emulator)
    assert_type(Faults.from_dicts([{"kind": "html_502"}]), Faults)
    Emulator(locations=3)  # type: ignore[arg-type]
    Emulator(capcity=3)  # type: ignore[call-arg]
    Fault("explode")  # type: ignore[arg-type]
    Fault("refuse", when="between")  # type: ignore[arg-type]
