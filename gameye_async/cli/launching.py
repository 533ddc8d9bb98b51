"""Launching as a command: reports as results come, and what an interruption leaves."""

import asyncio
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator

from attrs import define, field

from gameye_async import AsyncGameye, LaunchOutcome, LaunchRequest, OrphanRecord, StopUnconfirmedError
from gameye_async.cli.exits import complain, complain_of_session, current_task, discard_output
from gameye_async.cli.lines import json_line
from gameye_async.cli.options import connect
from gameye_async.cli.progress import launch_progress
from gameye_async.cli.results import Results
from gameye_async.cli.tables import session_table, show, summary_table
from gameye_async.cli.tally import Tally


async def launch_all(
    gameye: AsyncGameye,
    requests: Iterable[LaunchRequest],
    report: Callable[[LaunchOutcome], object],
    *,
    concurrency: int,
    deadline: float | None,
    idempotent: bool = False,
) -> None:
    """Launch everything and call `report` with each outcome as it comes.

    When this is cancelled, the client stops the sessions that were not reported; if `idempotent`, it leaves
    them to whoever launches their ids again.
    """
    async with gameye.launch_many(
        requests, concurrency=concurrency, deadline=deadline, idempotent=idempotent
    ) as outcomes:
        async for outcome in outcomes:
            report(outcome)


async def stop_all(
    gameye: AsyncGameye, session_ids: Collection[str], unsettled: dict[str, str], *, concurrency: int
) -> None:
    """Stop sessions; those that may still be running afterwards are in `unsettled`, each with the reason."""
    unsettled |= dict.fromkeys(session_ids, "its stop was not answered")
    async with gameye.stop_many(list(unsettled), concurrency=concurrency) as outcomes:
        async for outcome in outcomes:
            # Of an unconfirmed stop the client keeps trying, and tells `on_orphan` when it gives up.
            if outcome.ok or isinstance(outcome.error, StopUnconfirmedError):
                del unsettled[outcome.session_id]
            else:
                unsettled[outcome.session_id] = str(outcome.error)


@define(eq=False)
class Launching:
    """One run of `launch`.

    Attributes:
        concurrency: Most launches at once.
        deadline: Seconds for each; the client's own when None.
        results: Where each result is kept, if anywhere.
        as_json: Whether each is printed as a line of JSON.
    """

    concurrency: int
    deadline: float | None
    results: Results | None
    as_json: bool
    _tally: Tally = field(factory=Tally, init=False)
    _in_flight: dict[str, None] = field(factory=dict[str, None], init=False)
    _unsettled: dict[str, str] = field(factory=dict[str, str], init=False)

    async def run(self, requests: Collection[LaunchRequest]) -> int:
        """Launch everything and return the exit code."""
        began = time.monotonic()
        command = current_task()

        def report(outcome: LaunchOutcome) -> None:
            self._in_flight.pop(outcome.request.id, None)
            self._tally.add(outcome)
            if self.results is not None:
                self.results.add(outcome)
            if self.as_json and not _print(outcome):
                # Nobody reads on, so nobody would know the sessions.
                command.cancel()

        is_taken_back = False
        try:
            async with connect(max_concurrency=self.concurrency, on_orphan=self._note_orphan) as gameye:
                try:
                    async with launch_progress(gameye, len(requests), as_json=self.as_json):
                        await launch_all(
                            gameye,
                            self._taken(requests),
                            report,
                            concurrency=self.concurrency,
                            deadline=self.deadline,
                            # A session whose result was lost with an earlier run is that of its line.
                            idempotent=self.results is not None,
                        )
                except (asyncio.CancelledError, OSError):
                    # The disk may be full, too, so that results have nowhere to go.
                    is_taken_back = await self._interrupted(gameye)
                    raise
                if not self.as_json:
                    self._show(retried=gameye.stats.retried, seconds=time.monotonic() - began)
        finally:
            for session_id, reason in self._unsettled.items():
                complain_of_session(session_id, reason)
            if is_taken_back and not self._unsettled:
                complain("stopped: nothing is left running")
        return self._tally.exit_code

    def _taken(self, requests: Collection[LaunchRequest]) -> Iterator[LaunchRequest]:
        for request in requests:
            self._in_flight[request.id] = None
            yield request

    def _note_orphan(self, orphan: OrphanRecord) -> None:
        self._unsettled[orphan.session_id] = orphan.reason

    async def _interrupted(self, gameye: AsyncGameye) -> bool:
        """Stop what was launched, or leave it to a later run; whether it was stopped."""
        launched = [session.id for session in self._tally.sessions]
        if self.results is not None:
            # A stopped session's id is used up at some platforms, and no later run could launch it again.
            complain(
                f"interrupted: {len(launched):,} sessions run on; --resume goes on from {self.results.path}"
            )
            self._unsettled |= dict.fromkeys(self._in_flight, "it was in flight; --resume takes it over")
            return False
        complain(f"interrupted: stopping {len(launched):,} sessions and what is in flight")
        await stop_all(gameye, launched, self._unsettled, concurrency=self.concurrency)
        return True

    def _show(self, *, retried: int, seconds: float) -> None:
        tally = self._tally
        if len(tally.sessions) + len(tally.errors) != 1:
            show(summary_table(tally, retried=retried, seconds=seconds))
        elif tally.sessions:
            show(session_table(tally.sessions[0]))
        for line in tally.error_lines():
            complain(line)


def _print(outcome: LaunchOutcome) -> bool:
    """Print a result at once; whether somebody reads it."""
    try:
        sys.stdout.write(f"{json_line(outcome)}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        return False
    return True
