"""Launches that are refused: a definite answer ends them, capacity moves them on, ambiguity outranks both."""

import asyncio
from contextlib import suppress
from math import inf

import attrs
import pytest

from gameye_async import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    CapacityError,
    InvalidRequestError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    OrphanRecord,
    Pacing,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    RetryPolicy,
)
from gameye_async.emulator import Fault, Quirks
from gameye_async.telemetry import BackingOff, Event
from tests.faultserver import FaultServer, reset
from tests.reliability.stage import (
    EAST,
    QUICK,
    QUICK_TIMEOUTS,
    WEST,
    Script,
    Stage,
    emulated,
    in_virtual_time,
    methods,
    new_request,
    operations,
    posted,
    quick_client,
    refusal,
    stage,
)
from tests.simulation.faults import FAULTLESS, REFUSED, ScriptedFaults
from tests.simulation.faults import Fault as NetworkFault

FULL_FIRST = (420, 401, 403, 422, 404, 409, 402)

DEFINITE: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    418: ApiError,
    422: InvalidRequestError,
}


@pytest.mark.parametrize("status", DEFINITE)
async def test_a_definite_refusal_ends_the_launch_at_once(status):
    async with emulated(Fault("refuse", status=status)) as (emulator, gameye):
        with pytest.raises(ApiError) as caught:
            await gameye.launch(new_request(WEST, EAST))
    assert type(caught.value) is DEFINITE[status]
    assert (caught.value.status, [attempt.status for attempt in caught.value.attempts]) == (status, [status])
    assert caught.value.identifier == caught.value.attempts[0].identifier != ""
    assert operations(emulator) == ["session-run"]


@pytest.mark.parametrize("status", DEFINITE)
async def test_a_refusal_does_not_settle_an_earlier_attempt(status):
    """It may come from a gateway, or from a check that stands before that of the id."""
    orphans: list[OrphanRecord] = []
    script = Script(POST=[reset(), refusal(status)], GET=[refusal(404)])
    async with FaultServer(script) as server:
        timeouts = attrs.evolve(QUICK_TIMEOUTS, close=0.2)
        async with quick_client(server.url, timeouts=timeouts, on_orphan=orphans.append) as gameye:
            with pytest.raises(LaunchOutcomeUnknownError) as caught:
                await gameye.launch(new_request())
    assert [attempt.status for attempt in caught.value.attempts] == [None, status]
    assert methods(server).count("POST") == 2
    # With a token that is refused nobody can look for it, so it is reported.
    assert [orphan.session_id for orphan in orphans] == [caught.value.session_id] * (status == 401)


@in_virtual_time
async def test_a_refused_token_is_not_tried_again_for_a_while():
    async with stage(Fault("refuse", status=401, count=1)) as place:
        with pytest.raises(AuthenticationError):
            await place.gameye.launch(new_request())
        with pytest.raises(AuthenticationError, match="not sent"):
            await place.gameye.launch(new_request())
        with pytest.raises(AuthenticationError, match="not sent"):
            await place.gameye.list_sessions()
        assert place.served == ["POST"]
        await place.wait(5.0)
        await place.gameye.launch(new_request())
    assert place.served == ["POST"] * 2


@in_virtual_time
async def test_launches_to_a_third_location_do_not_wait_for_two_that_are_full():
    """The account is not throttled while it may launch elsewhere."""
    async with stage(locations={WEST: 0, EAST: 0, "ap-south": 1_000}) as place:
        for number in range(100):
            await place.gameye.launch(new_request(WEST if number % 2 else EAST, "ap-south"))
        assert place.now < 10.0


async def test_a_full_location_moves_the_launch_to_the_next():
    async with emulated(locations={WEST: 0, EAST: 1}) as (emulator, gameye):
        session = await gameye.launch(new_request(WEST, EAST))
    assert [(attempt.location, attempt.status) for attempt in session.attempts] == [(WEST, 420), (EAST, 201)]
    assert (session.location, session.created_by) == (EAST, "launch")
    assert operations(emulator) == ["session-run"] * 2


@pytest.mark.parametrize("status", [420, 429])
@in_virtual_time
async def test_when_the_wait_would_outlast_the_deadline_the_refusal_is_raised_at_once(status):
    async with stage(Fault("refuse", status=status, retry_after=60.0)) as place:
        with pytest.raises(CapacityError if status == 420 else RateLimitedError):
            await place.gameye.launch(new_request(), deadline=30.0)
        assert place.now < 1.0
    assert place.served == ["POST"]


@in_virtual_time
async def test_when_every_location_stays_full_the_refusal_is_raised_by_the_deadline():
    async with stage(locations={WEST: 0, EAST: 0}) as place:
        with pytest.raises(CapacityError) as caught:
            await place.gameye.launch(new_request(WEST, EAST))
        assert place.now <= 30.05
    assert {attempt.location for attempt in caught.value.attempts} == {WEST, EAST}
    # Waiting, not hammering.
    assert 4 <= len(place.served) <= 20


def launch_rate(place: Stage) -> float:
    return place.gameye._core().launcher.admission.queue.rate.rate  # noqa: SLF001  -- what a launch is let through by


@pytest.mark.parametrize(("locations", "is_slowed"), [((WEST, EAST), False), ((WEST,), True)])
@in_virtual_time
async def test_a_refusal_slows_the_client_down_unless_the_launch_can_go_elsewhere(locations, is_slowed):
    """A location that refuses when it has just accepted may be full, or the account throttled."""
    async with stage(locations={WEST: 1, EAST: 1}) as place:
        await place.gameye.launch(new_request(WEST))
        with suppress(CapacityError):
            await place.gameye.launch(new_request(*locations), deadline=0.5)
        assert (launch_rate(place) < inf) is is_slowed


@in_virtual_time
async def test_a_location_that_accepts_nothing_slows_no_launch_elsewhere_down():
    """Nor those there, when it accepts again."""
    async with stage(locations={WEST: 0, EAST: 100}) as place:
        waiting = [asyncio.create_task(place.gameye.launch(new_request(WEST))) for _ in range(20)]
        await place.wait(1.0)
        began = place.now
        await asyncio.gather(*(place.gameye.launch(new_request(EAST)) for _ in range(50)))
        assert place.now - began < 0.1
        place.world.set_capacity(WEST, 100)
        await asyncio.gather(*waiting)
        assert place.now < 5.0
        # Each was sent once, and those for the full location once more.
        assert place.served.count("POST") <= 20 + 20 + 50


@in_virtual_time
async def test_a_launch_whose_locations_are_full_says_so_though_it_was_never_sent():
    """It is as much a reason to go elsewhere as for the launches that learnt it."""
    async with stage(locations={WEST: 0, EAST: 0}) as place:
        for _ in range(3):
            with suppress(CapacityError):
                await place.gameye.launch(new_request(WEST, EAST), deadline=0.5)
        sent = place.served.count("POST")
        with pytest.raises(CapacityError, match=f"not sent, for {EAST} refuses launches: ") as caught:
            await place.gameye.launch(new_request(EAST, WEST), deadline=0.5)
    assert (caught.value.status, caught.value.attempts) == (420, ())
    assert (caught.value.code, caught.value.path) == ("CAPACITY_UNAVAILABLE", "/session")
    assert caught.value.identifier
    assert place.served.count("POST") == sent


@in_virtual_time
async def test_a_launch_that_may_have_worked_cannot_go_elsewhere():
    async with stage() as place:
        await place.gameye.launch(new_request(WEST))
        place.faults.add(Fault("cut_before_commit", count=1))
        place.faults.add(Fault("refuse", operation="session-run", status=420, count=1))
        await place.gameye.launch(new_request(WEST, EAST))
        assert launch_rate(place) < inf


@in_virtual_time
async def test_a_location_that_refuses_again_and_again_is_left_alone_until_one_is_accepted_there():
    pacing = Pacing(adaptive=False, gate_after=2, gate_base=100.0, gate_cap=100.0)
    async with stage(locations={WEST: 0, EAST: 100}, client={"pacing": pacing}) as place:
        for _ in range(4):
            await place.wait(3.0)
            await place.gameye.launch(new_request(WEST, EAST))
        assert place.served.count("POST") == 2 * 2 + 2
        place.world.set_capacity(WEST, 100)
        await place.wait(200.0)
        # While one tries it, it is closed for others; afterwards it is open to all.
        assert (await place.gameye.launch(new_request(WEST, EAST))).location == WEST
        sessions = await asyncio.gather(*(place.gameye.launch(new_request(WEST, EAST)) for _ in range(2)))
        assert [session.location for session in sessions] == [WEST, WEST]


@in_virtual_time
async def test_a_full_location_is_tried_again_after_a_try_that_was_not_answered():
    """It tells nothing of the location, and nobody else may try it meanwhile."""
    async with stage(locations={WEST: 0}) as place:
        for _ in range(3):
            with suppress(CapacityError):
                await place.gameye.launch(new_request(), deadline=0.5)
        place.world.set_capacity(WEST, 1)
        place.faults.add(Fault("cut_before_commit", count=1))
        session = await place.gameye.launch(new_request())
    assert [attempt.status for attempt in session.attempts] == [None, 201]


@in_virtual_time
async def test_a_launch_that_certainly_did_not_work_does_not_wait_as_one_that_may_have():
    """It was refused, and then not sent: in 20 seconds its connection has become too old."""
    plan = ScriptedFaults(connects=[FAULTLESS, REFUSED])
    refused = Fault("refuse", status=429, retry_after=20.0, count=1)
    async with stage(refused, plan=plan, client={"retry": RetryPolicy(settle=60.0)}) as place:
        session = await place.gameye.launch(new_request(), deadline=50.0)
        assert [attempt.phase for attempt in session.attempts] == ["answered", "not sent", "answered"]
        assert place.now < 25.0


@in_virtual_time
async def test_only_a_launch_at_its_first_attempt_gives_the_budget_something_back():
    retry = RetryPolicy(budget=100.0, budget_cost=10.0)
    async with stage(Fault("refuse", status=503, count=1), client={"retry": retry}) as place:
        budget = place.gameye._core().caller.budget  # noqa: SLF001  -- what retries are paid from
        await place.gameye.launch(new_request())
        assert budget.tokens == 90.0
        await place.gameye.launch(new_request())
        assert budget.tokens == 91.0


@in_virtual_time
async def test_a_place_that_becomes_free_is_taken():
    async with stage(locations={WEST: 0}) as place:
        place.network.loop.call_at(8.0, place.world.set_capacity, WEST, 1)
        session = await place.gameye.launch(new_request())
        assert (session.location, session.created_by) == (WEST, "launch")
        assert 8.0 < place.now < 25.0


@in_virtual_time
@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [(7.0, 7.0, 9.5), (600.0, 60.0, 62.5)], ids=["honoured", "capped"]
)
async def test_too_many_requests_wait_as_long_as_they_are_told(retry_after, least, most):
    """A 429 is about the account, so another location would not help."""
    async with stage(Fault("refuse", status=429, retry_after=retry_after, count=1)) as place:
        session = await place.gameye.launch(new_request(WEST, EAST), deadline=90.0)
        assert [attempt.location for attempt in session.attempts] == [WEST, WEST]
        assert least <= place.now <= most


@pytest.mark.parametrize("status", [420, 429])
@in_virtual_time
async def test_the_tenth_refusal_of_a_launch_is_as_far_from_the_next_as_the_second(status):
    """What paces launches is the rate of the account and the gate of the location, for all alike."""
    told: list[Event] = []
    client = {"on_event": told.append, "retry": RetryPolicy(throttle_floor=0.0)}
    async with stage(Fault("refuse", status=status, count=10), client=client) as place:
        session = await place.gameye.launch(new_request(), deadline=100.0)
        assert len(session.attempts) == 11
    waits = [event for event in told if isinstance(event, BackingOff)]
    assert {event.error for event in waits} == {"CapacityError" if status == 420 else "RateLimitedError"}
    assert max(event.delay for event in waits) <= (1.5 * Pacing().gate_cap if status == 420 else 2.0)


@in_virtual_time
async def test_where_the_launch_rate_bounds_the_retries_of_a_refusal_they_cost_no_budget():
    retry = RetryPolicy(budget=1.0, budget_throttle_cost=5.0)
    async with stage(Fault("refuse", status=420, count=3), client={"retry": retry}) as place:
        assert len((await place.gameye.launch(new_request())).attempts) == 4


async def test_without_budget_and_pacing_a_refusal_is_raised():
    client = {"retry": attrs.evolve(QUICK, budget=12.0), "pacing": Pacing(adaptive=False)}
    async with emulated(locations={WEST: 0}, client=client) as (emulator, gameye):
        with pytest.raises(CapacityError):
            await gameye.launch(new_request())
    assert operations(emulator) == ["session-run"] * 3


async def test_capacity_after_a_lost_answer_may_be_taken_by_our_own_session():
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    quirks = Quirks(check_order=FULL_FIRST)
    async with emulated(fault, quirks=quirks, locations={WEST: 1, EAST: 1}) as (emulator, gameye):
        session = await gameye.launch(new_request(WEST, EAST))
    assert (session.location, session.created_by) == (WEST, "adopted")
    assert [attempt.status for attempt in session.attempts] == [None, 420]
    assert operations(emulator) == ["session-run", "session-run", "describe-session"]
    assert [live.id for live in emulator.world.live] == [session.id]


async def test_while_an_attempt_may_have_worked_no_other_location_is_asked():
    """The deadline comes before the silence has lasted long enough."""
    script = Script(POST=[reset(), refusal(420)], GET=[refusal(404)])
    retry = attrs.evolve(QUICK, quiet=0.2)
    async with FaultServer(script) as server:
        async with quick_client(server.url, retry=retry) as gameye:
            with pytest.raises(LaunchOutcomeUnknownError):
                await gameye.launch(new_request(WEST, EAST), deadline=0.1)
        assert len(posted(server)) > 2
        assert {body["location"] for body in posted(server)} == {WEST}
    # Each refusal was followed by a look for the session.
    assert "POST POST POST" not in " ".join(methods(server))


@pytest.mark.parametrize("connecting", [0.0, 4.0])
@in_virtual_time
async def test_a_long_silence_frees_the_launch_for_the_next_location(connecting):
    """It counts from the moment in which the launch went out."""
    fault = Fault("cut_before_commit", count=1)
    plan = ScriptedFaults(connects=[NetworkFault(delay=connecting)])
    client = {"retry": RetryPolicy(throttle_cap=1.0), "pacing": Pacing(floor=10.0, gate_cap=1.0)}
    async with stage(fault, plan=plan, client=client, locations={WEST: 0, EAST: 1}) as place:
        session = await place.gameye.launch(new_request(WEST, EAST), deadline=120.0)
        assert session.location == EAST
        assert 30.0 < place.launches()[0] - connecting < 34.0
        assert {attempt.location for attempt in session.attempts[:-1]} == {WEST}
