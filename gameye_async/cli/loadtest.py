"""`gameye-async loadtest`: launches on a schedule, and what players would have waited."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from attrs import evolve
from cyclopts import App, Parameter
from cyclopts.validators import Number
from yarl import URL

from gameye_async import AsyncGameye, ConfigurationError, Environment, OrphanRecord
from gameye_async.cli.exits import Exit, complain, complain_of_session, current_task, run_to_end
from gameye_async.cli.loadtest_view import live_view, show_report
from gameye_async.cli.options import AsJson, Flag, connect, find_token, pairs
from gameye_async.loadtest import SHAPES, LoadReport, LoadTest, Plan, Shape
from gameye_async.loadtest.documents import read, to_json
from gameye_async.loadtest.writers import ENDINGS, check
from gameye_async.settings import find_base_url

Positive = Annotated[float, Parameter(validator=Number(gt=0))]
NotNegative = Annotated[float, Parameter(validator=Number(gte=0))]
Count = Annotated[int, Parameter(validator=Number(gte=1))]

loadtest = App(name="loadtest")


@loadtest.default
def run_plan(
    *,
    image: str,
    location: list[str],
    rate: Positive,
    duration: Positive,
    profile: str = "constant",
    arrivals: Literal["poisson", "constant"] = "poisson",
    lifetime: NotNegative = 5.0,
    ttl: str = "5m",
    deadline: Positive | None = None,
    concurrency: Count = 64,
    version: str | None = None,
    arg: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True)] = None,
    env: list[str] | None = None,
    run: str | None = None,
    max_sessions: Count | None = None,
    max_cost: Positive | None = None,
    price_per_hour: Positive | None = None,
    shard: str = "1/1",
    seed: int = 0,
    report: Path | None = None,
    yes_production: Flag = False,
    as_json: AsJson = False,
) -> int:
    r"""Launch sessions on a schedule, stop them again, and tell what players would have waited.

    Launches begin when they are due, however slow the answers are, and each is timed from that moment:
    waiting for a place or for the pace after a 420 is part of it. Ctrl-C stops everything that was launched,
    and still writes the report.

    For instance:

        gameye-async loadtest --image my-game --location eu-west \
          --rate 200 --duration 60 --report night
        gameye-async loadtest --image my-game --location eu-west \
          --rate 200 --duration 60 --shard 2/8 --report b.hdr
        gameye-async loadtest merge a.hdr b.hdr --report night

    Args:
        image: Application to launch.
        location: Where; of several, arrivals take turns. a,b means b when a is full.
        rate: Launches a second, where the profile has level 1.
        duration: Seconds in which launches begin.
        profile: How the rate changes: constant, ramp, spike, steps, or a TOML file of phases.
        arrivals: Poisson arrivals know nothing of each other; constant ones keep their distance.
        lifetime: Seconds that each session lives before it is stopped.
        ttl: When a session is ended by force, should this process be killed.
        deadline: Seconds that each launch may take, retries included; 30 when left out.
        concurrency: Most launches in flight; further ones wait, as they would for a matchmaker.
        version: Tag of the image.
        arg: Command line argument of the containers; may be repeated.
        env: NAME=VALUE in the environment of the containers; may be repeated.
        run: Value of the label "loadtest" of the sessions; a new one when left out.
        max_sessions: Most sessions of all shards together; arrivals end when they are reached.
        max_cost: Most that they may cost, estimated by --price-per-hour.
        price_per_hour: What one session costs an hour.
        shard: The part of this process: 2/8 is the second of eight that share one schedule.
        seed: Decides the moments of Poisson arrivals; equal for all shards.
        report: Directory for the report in all its forms, or one file: .html, .json, .png or .hdr.
        yes_production: Yes, launch on the production platform.
        as_json: Print the report as a line of JSON.
    """
    plan = Plan(
        image,
        [place.split(",") for place in location],
        rate=rate,
        duration=duration,
        shape=SHAPES[profile] if profile in SHAPES else Shape.load(profile),
        arrivals=arrivals,
        lifetime=lifetime,
        ttl=ttl,
        deadline=deadline,
        version=version,
        args=arg or (),
        env=pairs("--env", env),
        max_sessions=max_sessions,
        max_cost=max_cost,
        price_per_hour=price_per_hour,
        shard=shard,
        seed=seed,
    )
    if run is not None:
        plan = evolve(plan, run=run)
    find_token()
    if not yes_production and find_base_url(None, None).host == URL(Environment.PRODUCTION).host:
        raise ConfigurationError(
            "this is the production platform, where sessions cost money: set GAMEYE_API_URL, "
            "or pass --yes-production"
        )
    name = "report" if plan.shard.count == 1 else f"report-{plan.shard.index}-of-{plan.shard.count}"
    files = _report_files(report, name)
    return run_to_end(_loadtest(plan, concurrency, files, as_json=as_json))


@loadtest.command
def merge(*files: Path, report: Path | None = None, as_json: AsJson = False) -> int:
    """Join the reports of several shards into one, without loss.

    For instance:

        gameye-async loadtest merge a.hdr b.hdr --report night

    Args:
        files: Their .hdr or .json files.
        report: Directory for the joined report in all its forms, or one file: .html, .json, .png or .hdr.
        as_json: Print it as a line of JSON.
    """
    if not files:
        raise ConfigurationError("name the reports to merge, such as a.hdr b.hdr")
    targets = _report_files(report, "report")
    return _tell(LoadReport.merge([read(file) for file in files]), targets, as_json=as_json)


async def _loadtest(plan: Plan, concurrency: int, files: list[Path], *, as_json: bool) -> int:
    unsettled: dict[str, str] = {}

    def note(orphan: OrphanRecord) -> None:
        unsettled[orphan.session_id] = orphan.reason

    async with connect(max_concurrency=concurrency, on_orphan=note) as gameye:
        report = await _report(plan, gameye, as_json=as_json)
    for session_id, reason in unsettled.items():
        complain_of_session(session_id, reason)
    status = _tell(report, files, as_json=as_json)
    return Exit.UNKNOWN if unsettled and status != Exit.INTERRUPTED else status


async def _report(plan: Plan, gameye: AsyncGameye, *, as_json: bool) -> LoadReport:
    """Run the test; an interruption ends it early, and it still reports."""
    test = LoadTest(plan, gameye)
    running = asyncio.create_task(test.run())
    try:
        async with live_view(test, as_json=as_json):
            return await asyncio.shield(running)
    except asyncio.CancelledError:
        current_task().uncancel()
        progress = test.progress()
        complain(f"interrupted: stopping {progress.living:,} sessions and what is in flight")
        test.stop()
        return await running


def _tell(report: LoadReport, files: list[Path], *, as_json: bool) -> int:
    """Print a report, write it, and return the exit code that it deserves."""
    if as_json:
        print(to_json(report))  # noqa: T201  -- it is the output
    else:
        show_report(report)
    for part in report.parts:
        if not part.is_clean:
            left = "sessions may be" if part.left is None else f"{part.left:,} sessions are"
            complain(
                f"{left} left running: look for them with "
                f"gameye-async list --label loadtest={part.run} --label shard={part.shard}"
            )
    for file in files:
        report.write(file)
    if any(part.ending == "interrupted" for part in report.parts):
        return Exit.INTERRUPTED
    if not report.is_clean:
        return Exit.UNKNOWN
    return Exit.FAILED if report.failed else Exit.OK


def _report_files(target: Path | None, name: str) -> list[Path]:
    """The files of a report, checked before anything is launched.

    Raises:
        ConfigurationError: They could not be written.
    """
    if target is None:
        return []
    if target.suffix and not target.is_dir():
        files = [target]
    else:
        try:
            target.mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"cannot make the directory {target}: {error.strerror}") from None
        files = [target / f"{name}{ending}" for ending in ENDINGS]
    for file in files:
        check(file)
    return files
