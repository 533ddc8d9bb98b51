"""Launches whose id is taken: nobody else's session is ever adopted or stopped."""

import asyncio

import pytest

from gameye_async import (
    LaunchOutcomeUnknownError,
    OrphanRecord,
    RetryPolicy,
    SessionEndedError,
    SessionIdConflictError,
)
from gameye_async.emulator import Fault, Quirks
from tests.faultserver import FaultServer, reset
from tests.reliability.stage import (
    EAST,
    IMAGE,
    WEST,
    Script,
    described,
    emulated,
    in_virtual_time,
    new_request,
    operations,
    quick_client,
    refusal,
    stage,
)
from tests.simulation import faults
from tests.simulation.faults import ScriptedFaults

FOREIGN = "match-1"


def assert_untouched(emulator, *asked: str) -> None:
    assert [live.id for live in emulator.world.live] == [FOREIGN]
    assert operations(emulator) == list(asked)


async def test_a_first_conflict_is_somebody_elses_and_only_reported():
    async with emulated() as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, image=IMAGE, location=WEST)
        with pytest.raises(SessionIdConflictError) as caught:
            await gameye.launch(new_request(id=FOREIGN))
    assert [attempt.status for attempt in caught.value.attempts] == [409]
    assert_untouched(emulator, "session-run")


async def test_an_idempotent_launch_adopts_a_session_of_the_same_parameters():
    labels = {"match": "1"}
    async with emulated() as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, image=IMAGE, location=EAST, labels=labels, age=600)
        request = new_request(WEST, EAST, id=FOREIGN, labels=labels)
        session = await gameye.launch(request, idempotent=True)
    (live,) = emulator.world.live
    assert (session.id, session.created_by, session.location) == (FOREIGN, "adopted", EAST)
    assert session.host == live.host
    assert [attempt.status for attempt in session.attempts] == [409]
    assert_untouched(emulator, "session-run", "describe-session")


@pytest.mark.parametrize(
    "theirs", [{"image": "rally"}, {"location": EAST}, {"labels": {"match": "2"}}], ids=str
)
async def test_an_idempotent_launch_refuses_a_session_of_other_parameters(theirs):
    async with emulated() as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, **{"image": IMAGE, "location": WEST} | theirs)
        with pytest.raises(SessionIdConflictError, match="other parameters"):
            await gameye.launch(new_request(id=FOREIGN, labels={"match": "1"}), idempotent=True)
    assert_untouched(emulator, "session-run", "describe-session")


async def test_an_idempotent_launch_does_not_repeat_what_is_over():
    async with emulated() as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, image=IMAGE, location=WEST)
        emulator.world.end_session(FOREIGN)
        with pytest.raises(SessionEndedError):
            await gameye.launch(new_request(id=FOREIGN), idempotent=True)
    assert operations(emulator) == ["session-run", "describe-session"]


async def test_after_a_lost_answer_a_session_of_other_parameters_is_somebody_elses():
    """So the launch that was not answered cannot have worked, and the error says that."""
    async with emulated(Fault("cut_before_commit", count=1)) as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, image="rally", location=WEST)
        with pytest.raises(SessionIdConflictError):
            await gameye.launch(new_request(id=FOREIGN))
    assert_untouched(emulator, "session-run", "session-run", "describe-session")


async def test_after_a_lost_answer_an_older_session_may_be_anybodys():
    """A warm pool starts its sessions before they are claimed, so age alone proves nothing either way."""
    orphans: list[OrphanRecord] = []
    client = {"on_orphan": orphans.append}
    async with emulated(Fault("cut_before_commit", count=1), client=client) as (emulator, gameye):
        emulator.world.add_foreign_session(FOREIGN, image=IMAGE, location=WEST, age=600)
        with pytest.raises(LaunchOutcomeUnknownError):
            await gameye.launch(new_request(id=FOREIGN))
    assert [orphan.session_id for orphan in orphans] == [FOREIGN]
    assert [live.id for live in emulator.world.live] == [FOREIGN]
    assert "session-stop" not in operations(emulator)


async def test_after_a_lost_answer_an_older_session_under_an_id_made_here_is_ours():
    """Nobody else can know the id; a warm pool had started the session before it was claimed."""
    request = new_request()
    script = Script(POST=[reset(), refusal(409)], GET=[described(request, age=600)])
    async with FaultServer(script) as server, quick_client(server.url) as gameye:
        assert (await gameye.launch(request)).created_by == "adopted"


async def test_after_a_lost_answer_a_session_just_created_is_ours():
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with emulated(fault) as (emulator, gameye):
        session = await gameye.launch(new_request(id="match-7"))
    assert session.created_by == "adopted"
    assert [live.id for live in emulator.world.live] == ["match-7"]


@in_virtual_time
@pytest.mark.parametrize("deadline", [30.0, 0.3])
async def test_a_look_that_was_long_on_its_way_does_not_make_somebody_elses_session_ours(deadline):
    """Its answer tells the API's time of long ago; neither the launch nor the reaper is misled by that."""
    slow = faults.Fault(delay=10.0)
    plan = ScriptedFaults(responses=[slow] if deadline < 1.0 else [faults.FAULTLESS, slow])
    async with stage(Fault("cut_before_commit", count=1), plan=plan) as place:
        place.world.add_foreign_session(FOREIGN, image=IMAGE, location=WEST, age=5)
        with pytest.raises(LaunchOutcomeUnknownError):
            await place.gameye.launch(new_request(id=FOREIGN), deadline=deadline)
        await place.wait(30.0)
        assert [orphan.session_id for orphan in place.orphans] == [FOREIGN]
    assert place.served.count("GET") >= 2
    assert "DELETE" not in place.served


@in_virtual_time
async def test_a_session_that_a_slow_look_cannot_tell_for_ours_is_looked_at_again():
    plan = ScriptedFaults(requests=[faults.FAULTLESS, faults.FAULTLESS, faults.Fault(delay=10.0)])
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with stage(fault, plan=plan) as place:
        session = await place.gameye.launch(new_request(id="match-7"))
    assert session.created_by == "adopted"
    assert place.served.count("GET") == 2


@in_virtual_time
async def test_a_look_that_waited_for_a_place_tells_as_much_as_any():
    """After a burst of lost answers, a hundred sessions are looked for at once, through eight places."""
    lost = Fault("cut_after_commit", operation="session-run", count=100)
    slow = Fault("latency", operation="describe-session", seconds=0.3)
    client = {"max_concurrency": 100, "retry": RetryPolicy(budget=10_000.0)}
    async with stage(lost, slow, locations={WEST: 100}, client=client) as place:
        requests = [new_request(id=f"match-{number}") for number in range(100)]
        sessions = await asyncio.gather(*map(place.gameye.launch, requests))
    assert {session.created_by for session in sessions} == {"adopted"}
    assert not place.orphans


@pytest.mark.parametrize(
    ("on_abandon", "next_step"),
    [
        ("stop", "The client looks again, and stops it if it proves to be its own; launch with a new id."),
        ("leave", "It is left running; launch again with the same id and idempotent=True to take it over."),
    ],
)
@in_virtual_time
async def test_a_session_that_no_look_can_tell_for_ours_is_unknown_and_says_so(on_abandon, next_step):
    """The API takes too long for each look, and is not asked to launch again what it has."""
    plan = ScriptedFaults(requests=[faults.FAULTLESS] * 2 + [faults.Fault(delay=10.0)] * 100)
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with stage(fault, plan=plan) as place:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await place.gameye.launch(new_request(id="match-7"), on_abandon=on_abandon)
    assert str(caught.value) == (
        f"session match-7 exists, and cannot be told from somebody else's. {next_step} (2 attempts)"
    )
    assert place.served.count("POST") == 2


@in_virtual_time
async def test_a_session_that_reads_show_late_is_waited_for_after_a_conflict():
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with stage(fault, quirks=Quirks(read_lag=4.0)) as place:
        session = await place.gameye.launch(new_request())
        assert session.created_by == "adopted"
        assert 4.0 < place.now < 7.0
    assert place.served.count("POST") == 2


@in_virtual_time
async def test_one_that_never_shows_up_is_unknown_and_reported_when_the_client_closes():
    """The API says 409 and 404 for the same id for as long as anybody asks."""
    fault = Fault("cut_after_commit", operation="session-run", count=1)
    async with stage(fault, quirks=Quirks(read_lag=600.0)) as place:
        with pytest.raises(LaunchOutcomeUnknownError) as caught:
            await place.gameye.launch(new_request())
        assert place.now <= 30.05
    assert caught.value.session_id in {orphan.session_id for orphan in place.orphans}
