"""A load test as a command: what an interruption does, and where the report goes."""

import asyncio
from pathlib import Path

from gameye_async import AsyncGameye, ConfigurationError, OrphanRecord
from gameye_async.cli.exits import Exit, complain, complain_of_session, current_task
from gameye_async.cli.loadtest_view import live_view, show_report
from gameye_async.cli.options import connect
from gameye_async.loadtest import LoadReport, LoadTest, Plan
from gameye_async.loadtest.documents import to_json
from gameye_async.loadtest.writers import ENDINGS, check


async def run_load_test(plan: Plan, concurrency: int, files: list[Path], *, as_json: bool) -> int:
    """Run a load test, tell what came of it, and return the exit code."""
    unsettled: dict[str, str] = {}

    def note(orphan: OrphanRecord) -> None:
        unsettled[orphan.session_id] = orphan.reason

    # Each launch is followed by a stop, which takes no longer.
    async with connect(
        max_concurrency=concurrency, control_concurrency=concurrency, on_orphan=note
    ) as gameye:
        report = await _report(plan, gameye, as_json=as_json)
    for session_id, reason in unsettled.items():
        complain_of_session(session_id, reason)
    status = tell(report, files, as_json=as_json)
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


def tell(report: LoadReport, files: list[Path], *, as_json: bool) -> int:
    """Write a report, print it, and return the exit code that it deserves."""
    try:
        for file in files:
            report.write(file)
    finally:
        # Whatever became of the files, the numbers are not lost.
        _print(report, as_json=as_json)
    if any(part.ending == "interrupted" for part in report.parts):
        return Exit.INTERRUPTED
    if not report.is_clean:
        return Exit.UNKNOWN
    return Exit.FAILED if report.failed else Exit.OK


def _print(report: LoadReport, *, as_json: bool) -> None:
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


def report_files(target: Path | None, name: str) -> list[Path]:
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
