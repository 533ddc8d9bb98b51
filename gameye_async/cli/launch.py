"""`gameye-async launch`: one session, or a file of them."""

import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import ConfigurationError, LaunchRequest
from gameye_async._codec import launch_body
from gameye_async.cli.exits import Exit, complain, run_to_end
from gameye_async.cli.launching import Launching
from gameye_async.cli.lines import write_line
from gameye_async.cli.options import AsJson, Flag, find_token, pairs
from gameye_async.cli.requests import read_requests
from gameye_async.cli.results import Results


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
    output: Path | None = None,
    resume: Flag = False,
    keep_going: Flag = False,
    dry_run: Flag = False,
    show_env: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Launch one session, or all of a file.

    Ctrl-C stops what was launched and says what it could not settle. With --output, it leaves that to
    --resume.

    For instance:

        gameye-async launch --from matches.jsonl
        gameye-async launch --from matches.jsonl --output results.jsonl --resume
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
        output: New file for the results of --from, one a line as they come. A line without an id gets one
            that is made of its content, so that the same line is the same session.
        resume: Launch only what --output does not hold yet, and add to it.
        keep_going: Launch the good lines of --from although others are bad; these are told, and the exit code
            is at least 1. Without it, one bad line launches nothing.
        dry_run: Print the requests as lines of JSON, for the first of their locations, and send nothing.
        show_env: Print the values of env as well with --dry-run.
        as_json: Print each result as a line of JSON as it comes, instead of a table.
    """
    if not dry_run:
        find_token()
    if source is None and (output or resume or keep_going):
        raise ConfigurationError("--output, --resume and --keep-going go with --from FILE")
    if resume and output is None:
        raise ConfigurationError("--resume goes on with the results in --output FILE; name it")
    bad_lines: list[str] = []
    if source is not None:
        if any((image, location, arg, env, label, version, ttl, session_id)):
            raise ConfigurationError(
                "--from brings whole launch requests; leave out the options of a single one"
            )
        report = bad_lines.append if keep_going else None
        requests = read_requests(source, derive_ids=output is not None, report=report)
    elif image and location:
        request = LaunchRequest(
            image,
            location,
            id=session_id,
            env=pairs("--env", env),
            args=arg or (),
            labels=pairs("--label", label),
            version=version,
            ttl=ttl,
        )
        requests = [request]
    else:
        raise ConfigurationError("say what to launch: --image and --location, or --from FILE")
    for line in bad_lines:
        complain(f"left out: {line}")
    at_best = Exit.FAILED if bad_lines else Exit.OK
    if dry_run:
        _show_bodies(requests, show_env=show_env)
        return at_best
    with nullcontext() if output is None else Results.open(output, resume=resume) as results:
        launching = Launching(concurrency, deadline, results, as_json)
        return _launch(requests, launching) or at_best


def _launch(requests: list[LaunchRequest], launching: Launching) -> int:
    if launching.results is not None:
        requests = _missing(requests, launching.results)
        if not requests:
            return Exit.OK
    return run_to_end(launching.run(requests))


def _missing(requests: list[LaunchRequest], results: Results) -> list[LaunchRequest]:
    missing = [request for request in requests if request.id not in results.launched]
    if done := len(requests) - len(missing):
        complain(f"{done:,} of {len(requests):,} are in {results.path} already")
    return missing


def _show_bodies(requests: Iterable[LaunchRequest], *, show_env: bool) -> None:
    """Print what would be sent, a line of JSON for each launch, for the first of its locations."""
    for request in requests:
        body: dict[str, Any] = json.loads(launch_body(request, request.location[0]))
        if not show_env:
            body["env"] = dict.fromkeys(body["env"], "***")
        write_line(body)
