"""`gameye-async launch`: one session, or a file of them."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import AsyncGameye, ConfigurationError, LaunchOutcome, LaunchRequest, OrphanRecord
from gameye_async.cli.exits import complain, complain_of_session, current_task, run_to_end
from gameye_async.cli.lines import json_line
from gameye_async.cli.pool import launch_all, stop_all
from gameye_async.cli.progress import launch_progress
from gameye_async.cli.requests import read_requests
from gameye_async.cli.tables import session_table, show, summary_table
from gameye_async.cli.tally import Tally


def launch(
    *,
    source: Annotated[str | None, Parameter(name="--from", allow_leading_hyphen=True)] = None,
    image: str | None = None,
    location: list[str] | None = None,
    arg: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True)] = None,
    env: list[str] | None = None,
    label: list[str] | None = None,
    version: str | None = None,
    ttl: str | None = None,
    session_id: Annotated[str | None, Parameter(name="--id")] = None,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1))] = 64,
    deadline: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    as_json: Annotated[bool, Parameter(name="--json", show_default=False)] = False,
) -> int:
    """Launch one session, or all of a file.

    Ctrl-C stops what was launched and says what it could not settle.

    For instance:

        gameye-async launch --from matches.jsonl
        gameye-async launch --image my-game --location eu-west

    Args:
        source: File of launch requests, one a line in the API's own JSON; - is standard input.
        image: Application to launch.
        location: Where to launch it; several in order of preference.
        arg: Command line argument of the container; may be repeated.
        env: NAME=VALUE in the environment of the container; may be repeated.
        label: NAME=VALUE to find the session by; may be repeated.
        version: Tag of the image.
        ttl: When the session is ended by force, such as 2h30m.
        session_id: Id of the session; a random UUID when it is left out.
        concurrency: How many launches may be in flight at once.
        deadline: Seconds that each launch may take, retries included; 30 when left out.
        as_json: Print each result as a line of JSON as it comes, instead of a table.
    """
    if not os.environ.get("GAMEYE_API_TOKEN"):
        raise ConfigurationError(
            "no API token: set GAMEYE_API_TOKEN (admin panel, Users, API tokens; the emulator prints its own)"
        )
    if source is not None:
        if any((image, location, arg, env, label, version, ttl, session_id)):
            raise ConfigurationError(
                "--from brings whole launch requests; leave out the options of a single one"
            )
        requests = read_requests(source)
    elif image and location:
        request = LaunchRequest(
            image,
            location,
            id=session_id,
            env=_pairs("--env", env),
            args=arg or (),
            labels=_pairs("--label", label),
            version=version,
            ttl=ttl,
        )
        requests = [request]
    else:
        raise ConfigurationError("say what to launch: --image and --location, or --from FILE")
    return run_to_end(_launch(requests, concurrency=concurrency, deadline=deadline, as_json=as_json))


def _pairs(option: str, texts: Iterable[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            # What was given is not quoted: it may be a secret.
            raise ConfigurationError(f"{option} takes NAME=VALUE, and one has no '='")
        pairs[name] = value
    return pairs


async def _launch(
    requests: Sequence[LaunchRequest], *, concurrency: int, deadline: float | None, as_json: bool
) -> int:
    tally = Tally()
    unsettled: dict[str, str] = {}

    def report_orphan(orphan: OrphanRecord) -> None:
        unsettled[orphan.session_id] = orphan.reason

    began = time.monotonic()
    is_taken_back = False
    report = _json_reporter(tally) if as_json else tally.add
    # Lines of JSON and a bar would overwrite each other.
    is_quiet = as_json and sys.stdout.isatty()
    try:
        async with AsyncGameye(max_concurrency=concurrency, on_orphan=report_orphan) as gameye:
            try:
                async with launch_progress(gameye, len(requests), is_quiet=is_quiet):
                    await launch_all(gameye, requests, report, concurrency=concurrency, deadline=deadline)
            except asyncio.CancelledError:
                complain(f"interrupted: stopping {len(tally.sessions):,} sessions and what is in flight")
                launched = [session.id for session in tally.sessions]
                await stop_all(gameye, launched, unsettled, concurrency=concurrency)
                is_taken_back = True
                raise
            if not as_json:
                _show(tally, retried=gameye.stats.retried, seconds=time.monotonic() - began)
    finally:
        for session_id, reason in unsettled.items():
            complain_of_session(session_id, reason)
        if is_taken_back and not unsettled:
            complain("stopped: nothing is left running")
    return tally.exit_code


def _json_reporter(tally: Tally) -> Callable[[LaunchOutcome], None]:
    command = current_task()

    def report(outcome: LaunchOutcome) -> None:
        tally.add(outcome)
        try:
            sys.stdout.write(f"{json_line(outcome)}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            # Nobody reads on, so nobody would know the sessions: they are stopped as after Ctrl-C.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            command.cancel()

    return report


def _show(tally: Tally, *, retried: int, seconds: float) -> None:
    if len(tally.sessions) + len(tally.errors) != 1:
        show(summary_table(tally, retried=retried, seconds=seconds))
    elif tally.sessions:
        show(session_table(tally.sessions[0]))
    for line in tally.error_lines():
        complain(line)
