"""`gameye-async loadtest`: launches on a schedule, and what players would have waited."""

from pathlib import Path
from typing import Annotated, Literal

from attrs import evolve
from cyclopts import App, Parameter
from cyclopts.validators import Number
from yarl import URL

from gameye_async import ConfigurationError, Environment
from gameye_async.cli.exits import run_to_end
from gameye_async.cli.options import AsJson, Flag, find_token, pairs
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
        concurrency: Most launches in flight, and as many stops; further ones wait, as for a matchmaker.
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
    # Histograms, charts and pages take a while to import, and the other commands do without them.
    from gameye_async.cli.loadtesting import report_files, run_load_test  # noqa: PLC0415  -- see above
    from gameye_async.loadtest import SHAPES, Plan, Shape  # noqa: PLC0415  -- see above

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
    host = (find_base_url(None, None).host or "").rstrip(".")
    if not yes_production and host == URL(Environment.PRODUCTION).host:
        raise ConfigurationError(
            "this is the production platform, where sessions cost money: set GAMEYE_API_URL, "
            "or pass --yes-production"
        )
    name = "report" if plan.shard.count == 1 else f"report-{plan.shard.index}-of-{plan.shard.count}"
    files = report_files(report, name)
    return run_to_end(run_load_test(plan, concurrency, files, as_json=as_json))


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
    from gameye_async.cli.loadtesting import report_files, tell  # noqa: PLC0415  -- as above
    from gameye_async.loadtest import LoadReport  # noqa: PLC0415  -- as above
    from gameye_async.loadtest.documents import read  # noqa: PLC0415  -- as above

    targets = report_files(report, "report")
    return tell(LoadReport.merge([read(file) for file in files]), targets, as_json=as_json)
