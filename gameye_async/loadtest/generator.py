"""The open loop: launches begin when they are due, whatever became of those before them."""

import asyncio
import platform
from collections import deque
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from attrs import define, field

from gameye_async import AsyncGameye, GameyeError, StopUnconfirmedError, __version__
from gameye_async._options import Options, Setup
from gameye_async.loadtest.arrivals import Arrival, schedule
from gameye_async.loadtest.plan import Plan
from gameye_async.loadtest.recorder import Progress, Recorder
from gameye_async.loadtest.report import ClientSettings, Ending, LoadReport, Part

if TYPE_CHECKING:
    from asyncio import Task

# Arrivals of so many seconds begin together: a timer for each would cost more than the launch of some.
_GRAIN = 0.001
_LOOKS = 6
_LOOK_AGAIN = 0.05
_PACKAGES = ("aiohttp", "attrs", "cattrs", "hdrhistogram", "orjson", "uvloop", "yarl")


async def run(plan: Plan, client: AsyncGameye) -> LoadReport:
    """Run a load test to its end and tell what came of it.

    Launches begin when the plan says so; those that wait for a place among the client's `max_concurrency`,
    or for its pace after a 420, are waiting players, and their waiting is part of the latency. Each session
    is stopped after its lifetime. At the end nothing is left running, and the report says whether that was
    proved.

    When this is cancelled, everything that was launched is stopped first; a second cancel does not wait.

    Args:
        plan: What to launch.
        client: An open client of the API to test.

    Raises:
        ConfigurationError: The extra `loadtest` is not installed.
    """
    return await LoadTest(plan, client).run()


@define(eq=False)
class LoadTest:
    """One run of a plan; for programs that want to look at it or end it early.

    Args:
        plan: What to launch.
        client: An open client of the API to test.
    """

    plan: Plan
    client: AsyncGameye
    _recorder: Recorder = field(init=False)
    _due: deque[str] = field(factory=deque[str], init=False)
    _news: asyncio.Event = field(factory=asyncio.Event, init=False)
    _launching: "Task[None] | None" = field(default=None, init=False)
    _ending: Ending = field(default="completed", init=False)
    _start: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._recorder = Recorder(self.plan)

    async def run(self) -> LoadReport:
        """Run it to its end; see `run`."""
        test = asyncio.create_task(self._run())
        try:
            await asyncio.wait([test])
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([test])
            raise
        finally:
            if not test.done():
                test.cancel()
                await asyncio.wait([test])
        return test.result()

    def stop(self) -> None:
        """End it early: no more arrivals, and everything that was launched is stopped; `run` returns then."""
        if self._ending != "interrupted":
            self._ending = "interrupted"
            self._news.set()
            if self._launching is not None:
                self._launching.cancel()

    def progress(self) -> Progress:
        """How far it is."""
        return self._recorder.progress(self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    async def _run(self) -> LoadReport:
        began = datetime.now(UTC)
        self._start = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            self._launching = group.create_task(self._launch_all())
            group.create_task(self._stop_all(self._launching))
            if self._ending == "interrupted":
                self._launching.cancel()
        session_seconds = self._recorder.session_seconds(self._now())
        swept, left = await self._sweep()
        part = Part(
            shard=self.plan.shard,
            run=self.plan.run,
            began=began,
            seconds=self._now(),
            ending=self._ending,
            swept=swept,
            left=left,
            unknown=self._recorder.unknown,
        )
        return self._report(part, session_seconds)

    async def _launch_all(self) -> None:
        """Begin each launch when it is due, and wait for the last one."""
        async with asyncio.TaskGroup() as group:
            for arrival in schedule(self.plan):
                while (wait := arrival.at - self._now()) > 0:  # noqa: ASYNC110  -- time is what it waits for
                    await asyncio.sleep(max(wait, _GRAIN))
                if self._is_capped():
                    return
                self._recorder.arrive(arrival)
                group.create_task(self._launch(arrival))

    def _is_capped(self) -> bool:
        """Whether one more session could be one too many; those in flight count as if they were there."""
        sessions, seconds = self.plan.session_cap, self.plan.cap_seconds
        recorder = self._recorder
        if sessions is not None and recorder.launched + recorder.in_flight >= sessions:
            self._ending = "max_sessions"
        elif seconds is not None and (recorder.committed_seconds(self._now()) + self.plan.lifetime > seconds):
            self._ending = "max_cost"
        else:
            return False
        return True

    async def _launch(self, arrival: Arrival) -> None:
        recorder = self._recorder
        recorder.lag.add(self._now() - arrival.at)
        try:
            session = await self.client.launch(self.plan.request(arrival.place), deadline=self.plan.deadline)
        except Exception as error:  # noqa: BLE001  -- whatever it is, this launch failed and others go on
            recorder.fail(arrival, error, self._now())
        else:
            recorder.launch(arrival, session, self._now())
            self._due.append(session.id)
            if len(self._due) == 1:
                self._news.set()

    async def _stop_all(self, launching: "Task[None]") -> None:
        """Stop each session after its lifetime, and at once when the test is ended early."""
        launching.add_done_callback(lambda _: self._news.set())
        async with self.client.stop_many(self._sessions_to_stop(launching)) as outcomes:
            async for outcome in outcomes:
                self._recorder.stop(outcome.session_id, self._now(), confirmed=outcome.ok)

    async def _sessions_to_stop(self, launching: "Task[None]") -> AsyncGenerator[str, None]:
        while self._due or not launching.done():
            self._news.clear()
            wait = None
            if self._due:
                wait = self._recorder.living[self._due[0]] + self.plan.lifetime - self._now()
                if wait <= 0 or self._ending == "interrupted":
                    yield self._due.popleft()
                    continue
            await self._wait_for_news(wait)

    async def _wait_for_news(self, seconds: float | None) -> None:
        if seconds is None:
            await self._news.wait()
            return
        timer = asyncio.get_running_loop().call_later(max(seconds, _GRAIN), self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()

    async def _sweep(self) -> tuple[int, int | None]:
        """Look for sessions of this run and stop them, until a look finds none that could still come.

        Returns:
            How many were found and stopped, and how many were still there at the last look.
        """
        _, options = _settings(self.client)
        await self._let_requests_end(options.timeouts.attempt)
        is_uncertain = bool(self._recorder.unknown or self._recorder.in_flight)
        swept = 0
        for _ in range(_LOOKS):
            try:
                found = await self.client.reconcile((), 0.0, labels=self.plan.labels, stop=True)
            except StopUnconfirmedError:
                found = None
            except GameyeError:
                return swept, None
            if not found and found is not None and not is_uncertain:
                return swept, 0
            swept += len(found or ())
            # A list may be some seconds behind what was answered.
            is_uncertain = bool(found is None or found)
            await asyncio.sleep(options.retry.consistency)
        return swept, None

    async def _let_requests_end(self, limit: float) -> None:
        """Wait until no launch is on its way that nobody waits for any more."""
        until = self._now() + limit
        while self._recorder.in_flight and self.client.stats.in_flight and self._now() < until:  # noqa: ASYNC110  -- statistics tell nobody when they change
            await asyncio.sleep(_LOOK_AGAIN)

    def _report(self, part: Part, session_seconds: float) -> LoadReport:
        recorder = self._recorder
        return LoadReport(
            plan=self.plan,
            parts=(part,),
            client=_client_settings(self.client, self.plan),
            versions=_versions(),
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
            peak=recorder.peak,
            session_seconds=session_seconds,
        )


def _settings(client: AsyncGameye) -> tuple[Setup, Options]:
    return client._setup, client._options  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  -- nobody else reads them


def _client_settings(client: AsyncGameye, plan: Plan) -> ClientSettings:
    setup, options = _settings(client)
    return ClientSettings(
        api=str(setup.base_url),
        max_concurrency=setup.max_concurrency,
        adaptive_pacing=setup.pacing.adaptive,
        deadline=plan.deadline or options.timeouts.deadline,
        attempts=options.retry.attempts,
    )


def _versions() -> dict[str, str]:
    found = {"gameye_async": __version__, platform.python_implementation(): platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
