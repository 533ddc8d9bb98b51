"""`gameye-async stop` and `reconcile`: ending sessions, and finding those that nobody expects."""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import ConfigurationError, GameyeError, OrphanRecord, StopOutcome
from gameye_async.cli.exits import Exit, complain, complain_of_session, run_to_end
from gameye_async.cli.lines import stop_fields, write_line
from gameye_async.cli.options import AsJson, Flag, Labels, ask, connect, find_token, pairs
from gameye_async.cli.progress import Steps, count_progress
from gameye_async.cli.session_tables import show_sessions
from gameye_async.cli.tables import id_list, show_rows

_STDIN = "-"


def stop(
    *session_ids: str,
    everything: Annotated[bool, Parameter(name="--all", show_default=False)] = False,
    label: Labels = None,
    yes: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Stop sessions: those that are named, or all that carry some labels.

    For instance:

        gameye-async stop match-7 match-8
        gameye-async stop --all --label night=friday

    Args:
        session_ids: Their ids.
        everything: All running sessions that carry the labels; asks before it stops them.
        label: NAME=VALUE that they were launched with, for --all; may be repeated.
        yes: Do not ask; needed where nobody can be asked.
        as_json: Print each result as a line of JSON.
    """
    labels = pairs("--label", label)
    if everything == bool(session_ids):
        raise ConfigurationError("say what to stop: ids, or --all with --label NAME=VALUE")
    if everything != bool(labels):
        # Without labels it would stop what others launched.
        raise ConfigurationError("--all and --label NAME=VALUE go together")
    find_token()
    if not everything:
        return stop_all_of(session_ids, as_json=as_json)
    if not (yes or _can_ask()):
        raise ConfigurationError("nobody can be asked here: pass --yes to stop all that match")
    found = [session.id for session in ask(lambda gameye: gameye.list_sessions(labels=labels))]
    if found and not (yes or _confirms(found)):
        complain("nothing was stopped")
        return Exit.OK
    return stop_all_of(found, as_json=as_json)


def reconcile(
    *,
    id_prefix: str | None = None,
    label: Labels = None,
    grace: Annotated[float, Parameter(validator=Number(gte=0))] = 60.0,
    expected: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    stop_them: Annotated[bool, Parameter(name="--stop", show_default=False)] = False,
    as_json: AsJson = False,
) -> int:
    """Find running sessions that are yours and that nobody expects, such as those of a killed process.

    For instance:

        gameye-async reconcile --label night=friday --expected results.jsonl
        gameye-async reconcile --id-prefix arena- --expected ids.txt --stop

    Args:
        id_prefix: Yours are those whose id starts with this.
        label: NAME=VALUE that yours carry; may be repeated.
        grace: Seconds that a session must be old, so that none is taken that was just launched.
        expected: File of the ids that should run, one a line, or lines of JSON with an "id", as launch
            writes them; - is standard input.
        stop_them: Also stop those that are found; needs --expected.
        as_json: Print each session, or with --stop each result, as a line of JSON.
    """
    labels = pairs("--label", label)
    if stop_them and expected is None:
        raise ConfigurationError("--stop needs --expected FILE; an empty one says that none should run")
    ids = frozenset[str]() if expected is None else read_ids(expected)
    found = ask(lambda gameye: gameye.reconcile(ids, grace, id_prefix=id_prefix, labels=labels))
    if stop_them:
        return stop_all_of([session.id for session in found], as_json=as_json)
    show_sessions(found, as_json=as_json)
    return Exit.OK


def stop_all_of(session_ids: Collection[str], *, as_json: bool) -> int:
    """Stop sessions, tell of each, and return the exit code."""
    return run_to_end(_stop(list(dict.fromkeys(session_ids)), as_json=as_json))


async def _stop(session_ids: list[str], *, as_json: bool) -> int:
    errors: list[GameyeError] = []
    rows: list[dict[str, str]] = []
    steps = Steps(len(session_ids), text="stopped")
    left = dict.fromkeys(session_ids)

    def report_orphan(orphan: OrphanRecord) -> None:
        complain_of_session(orphan.session_id, orphan.reason)

    def report(outcome: StopOutcome) -> None:
        del left[outcome.session_id]
        steps.done += 1
        if as_json:
            write_line(stop_fields(outcome))
        elif outcome.error is None:
            rows.append({"id": outcome.session_id, "outcome": "stopped" if outcome.stopped else "was over"})
        if outcome.error is not None:
            errors.append(outcome.error)
            complain(f"{outcome.session_id}: {type(outcome.error).__name__}: {outcome.error}")

    try:
        async with (
            connect(on_orphan=report_orphan) as gameye,
            count_progress(steps, as_json=as_json),
            gameye.stop_many(session_ids) as outcomes,
        ):
            async for outcome in outcomes:
                report(outcome)
    finally:
        if left:
            complain(f"{len(left):,} not known to be stopped: {id_list(left)}")
    if rows:
        show_rows(rows)
    return Exit.of(*errors)


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _confirms(session_ids: Collection[str]) -> bool:
    complain(id_list(session_ids))
    sys.stderr.write(f"Stop {len(session_ids):,} sessions? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def read_ids(source: str) -> frozenset[str]:
    """The session ids of a file, or of standard input for `-`.

    Raises:
        ConfigurationError: The file cannot be read, or a line holds no id.
    """
    try:
        text = sys.stdin.read() if source == _STDIN else Path(source).read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read {source}: it is not text") from None
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return frozenset(_id(line, f"{source}:{number}") for number, line in lines if line)


def _id(line: str, place: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        result = cast("dict[str, Any]", json.loads(line))
    except ValueError:
        raise ConfigurationError(f"{place}: not JSON") from None
    if not isinstance(session_id := result.get("id"), str):
        raise ConfigurationError(f'{place}: no "id" in it')
    return session_id
