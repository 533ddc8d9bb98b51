"""Running load tests, in virtual time."""

import asyncio
import subprocess
import sys

import pytest

from gameye_async import AsyncGameye, Pacing
from gameye_async.emulator import Fault, Faults, Quirks
from gameye_async.loadtest import LoadReport, LoadTest, Plan
from gameye_async.loadtest import run as run_load_test
from tests.loadtest.world import TakeTime, platform
from tests.simulation.loop import run


def plan(location="europe", **options) -> Plan:
    return Plan("arena", location, **{"rate": 10, "duration": 10.0, "lifetime": 1.0} | options)


def outcome_of(wanted: Plan, take_time: TakeTime | None = None, **options) -> LoadReport:
    """The report of a plan; nothing is ever left of it."""

    async def world() -> LoadReport:
        async with platform(take_time, **options) as (emulated, gameye):
            report = await run_load_test(wanted, gameye)
            assert not emulated.live
        return report

    return run(world)


def test_sessions_carry_the_label_of_the_run_and_a_short_ttl_and_live_their_time():
    async def world():
        async with platform() as (emulated, gameye):
            report = await run_load_test(plan(run="friday", lifetime=3.0), gameye)
            return report, [
                emulated.session(event.session_id) for event in emulated.history if event.kind == "launched"
            ]

    report, sessions = run(world)
    assert len(sessions) == report.launched == report.stopped == report.due
    for session in sessions:
        assert session.labels == {"loadtest": "friday", "shard": "1/1"}
        assert session.ttl == 300
        assert session.ended_at - session.created == pytest.approx(3.0, abs=0.02)
    assert report.session_seconds == pytest.approx(3.0 * report.launched, rel=0.01)
    assert report.peak == pytest.approx(30, abs=15)
    assert report.is_clean


def test_arrivals_begin_on_time_although_no_answer_comes():
    """Nothing is answered before second 12, and all launches are under way by second 10."""
    under_way = []

    async def never(now: float) -> None:
        under_way.append(now)
        await asyncio.sleep(12.0 - now)

    report = outcome_of(plan(arrivals="constant"), never, max_concurrency=1_000)
    assert under_way == pytest.approx([0.05 + number / 10 for number in range(100)], abs=0.002)
    assert report.latency.maximum == pytest.approx(11.95, rel=0.001)
    assert report.latency.count == report.launched == 100


def test_what_the_program_itself_holds_up_is_waiting_too_and_told():
    """Somebody keeps the event loop busy for half a second: what was due in it began late."""

    async def world():
        async with platform() as (_, gameye):
            loop = asyncio.get_running_loop()
            wanted = plan(arrivals="constant")

            def hold_up() -> None:
                loop._now += 0.5  # noqa: SLF001  -- time passes, and nothing runs

            loop.call_later(3.0, hold_up)
            return await run_load_test(wanted, gameye)

    report = run(world)
    assert report.lag.maximum == pytest.approx(0.45, abs=0.01)
    assert report.latency.maximum >= 0.44
    assert report.service.maximum < 0.01
    assert report.lag.share_above(0.01) == pytest.approx(0.05, abs=0.01)


def test_no_more_sessions_are_launched_than_the_cap_allows():
    report = outcome_of(plan(max_sessions=25), lambda _: asyncio.sleep(3.0))
    assert (report.launched, report.parts[0].ending) == (25, "max_sessions")
    assert report.is_clean


def test_a_failed_launch_leaves_its_place_below_the_cap_to_another():
    faults = Faults([Fault("refuse", operation="session-run", status=403, count=5)])
    report = outcome_of(plan(max_sessions=25), faults=faults)
    assert (report.launched, report.failed, report.due) == (25, 5, 30)


def test_no_more_is_spent_than_the_cap_allows():
    """Half an hour of sessions is 360 of five seconds."""
    report = outcome_of(
        plan(rate=100, duration=10.0, lifetime=5.0, max_cost=1.0, price_per_hour=2.0),
        lambda _: asyncio.sleep(0.3),
    )
    assert report.parts[0].ending == "max_cost"
    assert 0.9 < report.cost <= 1.02
    assert report.launched == pytest.approx(360, rel=0.03)


def test_without_a_price_only_session_seconds_are_told():
    report = outcome_of(plan())
    assert report.cost is None
    assert report.session_seconds > 0


def test_a_refusal_is_counted_and_its_waiting_is_latency():
    faults = Faults([Fault("refuse", operation="session-run", status=420, count=3)])
    report = outcome_of(plan(), faults=faults)
    assert (report.throttled, report.failed) == (3, 0)
    assert report.places[0].throttled == sum(each.throttled for each in report.intervals) == 3
    assert report.latency.maximum > 1.0
    assert report.service.maximum < 0.1


def test_failures_are_told_by_kind_and_location():
    faults = Faults([Fault("refuse", operation="session-run", status=403, location="asia", count=7)])
    world = {"locations": {"europe": 1_000, "asia": 1_000}}
    report = outcome_of(plan(["europe", "asia"]), faults=faults, world=world)
    (failure,) = report.failures
    assert (failure.kind, failure.location, failure.count) == ("PermissionDeniedError", "asia", 7)
    asia, europe = report.places
    assert (asia.location, asia.failed, europe.location, europe.failed) == ("asia", 7, "europe", 0)
    assert asia.launched + europe.launched == report.launched == report.due - 7
    assert asia.launched + asia.failed == pytest.approx(europe.launched, rel=0.1)


def test_a_session_belongs_to_the_location_that_took_it():
    world = {"locations": {"europe": 0, "asia": 1_000}}
    report = outcome_of(plan([["europe", "asia"]]), world=world)
    launched = {place.location: place.launched for place in report.places}
    assert launched == {"europe": 0, "asia": report.due}


def test_an_answer_that_is_lost_leaves_nothing_behind():
    faults = Faults([Fault("cut_after_commit", operation="session-run", probability=0.2)])
    report = outcome_of(plan(), faults=faults)
    assert report.adopted > 5
    assert report.launched == report.due
    assert report.is_clean


def test_unknown_outcomes_are_looked_for_before_the_run_is_called_clean():
    faults = Faults(
        [
            Fault("cut_after_commit", operation="session-run", count=20),
            Fault("refuse", operation="describe-session", status=403, count=20),
        ]
    )
    report = outcome_of(plan(), faults=faults)
    assert report.failures[0].kind == "LaunchOutcomeUnknownError"
    assert report.parts[0].unknown > 0
    assert report.is_clean


def test_a_stop_that_fails_is_made_up_for_by_the_last_look():
    faults = Faults([Fault("refuse", operation="session-stop", status=403, count=4)])
    report = outcome_of(plan(), faults=faults)
    assert (report.stopped, report.parts[0].swept) == (report.launched - 4, 4)
    assert report.is_clean


def test_the_last_look_is_at_the_youngest_sessions_too():
    """The API tells its time in whole seconds, and these are younger than one at the first look."""
    faults = Faults([Fault("refuse", operation="session-stop", status=403, count=3)])
    report = outcome_of(plan(duration=0.3, lifetime=0.0, arrivals="constant"), faults=faults)
    assert (report.launched, report.stopped, report.parts[0].swept) == (3, 0, 3)


def test_what_reads_show_late_is_found_too():
    """All answers are lost, nothing can be described, and a list is seven seconds behind."""
    faults = Faults(
        [
            Fault("cut_after_commit", operation="session-run"),
            Fault("refuse", operation="describe-session", status=403),
        ]
    )
    world = {"quirks": Quirks(read_lag=7.0)}
    report = outcome_of(plan(duration=0.5, arrivals="constant"), faults=faults, world=world)
    assert (report.launched, report.parts[0].unknown, report.parts[0].swept) == (0, 5, 5)
    assert report.is_clean


def test_an_early_end_waits_for_the_requests_that_are_under_way():
    """Else a session could come after the last look."""

    async def world():
        async with platform(lambda _: asyncio.sleep(12.0)) as (emulated, gameye):
            test = LoadTest(plan(arrivals="constant"), gameye)
            task = asyncio.create_task(test.run())
            await asyncio.sleep(1.0)
            test.stop()
            report = await task
            launched = [event for event in emulated.history if event.kind == "launched"]
            return report, len(launched), len(emulated.live)

    report, launched, live = run(world)
    assert (report.abandoned, launched, live) == (10, 10, 0)


def test_a_run_that_cannot_be_looked_at_is_not_called_clean():
    faults = Faults([Fault("refuse", operation="session-list", status=403)])
    report = outcome_of(plan(), faults=faults)
    assert report.parts[0].left is None
    assert not report.is_clean


def test_other_sessions_are_left_alone():
    async def world():
        async with platform() as (emulated, gameye):
            other = plan(run="other").request(0)
            await gameye.launch(other)
            await run_load_test(plan(), gameye)
            return [session.id for session in emulated.live], other.id

    live, other = run(world)
    assert live == [other]


def test_one_shard_leaves_the_sessions_of_the_other_alone():
    async def world():
        async with platform() as (emulated, gameye):
            first = asyncio.create_task(
                run_load_test(plan(run="r", shard="1/2", duration=5.0, rate=40), gameye)
            )
            second = asyncio.create_task(
                run_load_test(plan(run="r", shard="2/2", duration=5.0, rate=40, lifetime=9.0), gameye)
            )
            report = await first
            alive = len(emulated.live)
            return report, alive, await second

    one, alive, other = run(world)
    assert one.parts[0].swept == other.parts[0].swept == 0
    assert alive == other.launched


def test_the_end_by_hand_stops_everything_and_still_reports():
    async def world():
        async with platform(lambda _: asyncio.sleep(0.5), max_concurrency=4) as (emulated, gameye):
            test = LoadTest(plan(rate=50, lifetime=60.0), gameye)
            task = asyncio.create_task(test.run())
            await asyncio.sleep(4.0)
            test.stop()
            report = await task
            assert not emulated.live
            return report, asyncio.get_running_loop().time()

    report, ended = run(world)
    assert report.parts[0].ending == "interrupted"
    assert report.due == report.launched + report.abandoned == pytest.approx(200, rel=0.2)
    assert report.launched == report.stopped
    assert report.is_clean
    assert ended < 15.0


def test_a_test_that_is_ended_before_it_begins_launches_nothing():
    async def world():
        async with platform() as (emulated, gameye):
            test = LoadTest(plan(), gameye)
            test.stop()
            report = await test.run()
            return report, len(emulated.history)

    report, launched = run(world)
    assert (report.due, launched, report.parts[0].ending) == (0, 0, "interrupted")


@pytest.mark.parametrize("moment", [0.0, 2.0, 9.9, 10.5, 11.5])
def test_a_cancelled_run_stops_everything_before_it_ends(moment):
    async def world():
        async with platform(lambda _: asyncio.sleep(0.5)) as (emulated, gameye):
            task = asyncio.create_task(run_load_test(plan(lifetime=2.0), gameye))
            await asyncio.sleep(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return len(emulated.live)

    assert run(world) == 0


def test_a_second_cancel_does_not_wait():
    async def world():
        async with platform(lambda _: asyncio.sleep(5.0)) as (emulated, gameye):
            task = asyncio.create_task(run_load_test(plan(), gameye))
            await asyncio.sleep(6.0)
            task.cancel()
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled = asyncio.get_running_loop().time()
        return cancelled, len(emulated.live)

    cancelled, left = run(world)
    assert cancelled < 6.2
    # The client stopped what was under way when it was closed.
    assert left == 0


def test_it_can_be_looked_at_while_it_runs():
    async def world():
        async with platform(lambda _: asyncio.sleep(0.5)) as (_, gameye):
            test = LoadTest(plan(rate=40, arrivals="constant", lifetime=2.0), gameye)
            task = asyncio.create_task(test.run())
            await asyncio.sleep(5.01)
            progress = test.progress()
            await task
            return progress

    progress = run(world)
    assert (progress.asked, progress.got, progress.due, progress.in_flight) == (40, 40, 200, 20)
    assert progress.launched == progress.places["europe"].launched == 180
    assert progress.living == pytest.approx(80, abs=2)
    assert progress.p50 == progress.p99 == pytest.approx(0.5, rel=0.01)


def test_the_report_tells_the_client_and_the_versions():
    report = outcome_of(plan(deadline=7.0), max_concurrency=5, pacing=Pacing(adaptive=False))
    assert (report.client.api, report.client.max_concurrency) == ("http://127.0.0.1", 5)
    assert (report.client.adaptive_pacing, report.client.deadline) == (False, 7.0)
    assert {"gameye_async", "CPython", "aiohttp", "hdrhistogram"} <= report.versions.keys()


def test_a_missing_extra_is_told_with_the_way_to_get_it():
    program = (
        "import sys; sys.modules['hdrh'] = None; sys.modules['hdrh.histogram'] = None\n"
        "from gameye_async.loadtest import Histogram, Plan\n"
        "Plan('arena', 'europe', rate=1, duration=1)\n"
        "Histogram()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1].endswith('pip install "gameye-async[loadtest]"')


async def test_it_runs_on_real_sockets_too(emulator, gameye: AsyncGameye):
    report = await run_load_test(Plan("my-game", "europe", rate=100, duration=0.5, lifetime=0.1), gameye)
    assert report.launched == report.due == report.stopped > 20
    assert not emulator.world.live
    assert report.is_clean
