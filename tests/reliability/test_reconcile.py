"""The janitor: finds the sessions that are ours and nobody expects, and touches no other."""

import asyncio

import attrs
import pytest

from gameye_async import ConfigurationError, StopUnconfirmedError
from gameye_async.emulator import Fault
from tests.faultserver import FaultServer, json_answer
from tests.reliability.stage import (
    IMAGE,
    QUICK,
    WEST,
    emulated,
    in_virtual_time,
    methods,
    operations,
    quick_client,
    stage,
)

FLEET = {"fleet": "blue"}
OLD = 3_600.0


def occupy(world, *session_ids, age=OLD, **fields):
    for session_id in session_ids:
        world.add_foreign_session(session_id, image=IMAGE, location=WEST, age=age, **fields)


def ids(sessions):
    return {session.id for session in sessions}


async def test_it_must_be_told_which_sessions_are_ours():
    async with emulated() as (emulator, gameye):
        for options in ({}, {"id_prefix": ""}, {"labels": {}}):
            with pytest.raises(ConfigurationError, match="which sessions are yours"):
                await gameye.reconcile((), **options)
    assert not emulator.requests


async def test_ours_by_the_prefix_of_their_id():
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "blue-1", "blue-2", "green-1", "not-blue-1")
        assert ids(await gameye.reconcile((), id_prefix="blue-")) == {"blue-1", "blue-2"}


async def test_ours_by_their_labels():
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "m-1", labels=FLEET | {"match": "1"})
        occupy(emulator.world, "m-2", labels={"fleet": "green"})
        occupy(emulator.world, "m-3")
        assert ids(await gameye.reconcile((), labels=FLEET)) == {"m-1"}


async def test_with_both_both_must_hold():
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "blue-1", labels=FLEET)
        occupy(emulator.world, "blue-2")
        occupy(emulator.world, "m-3", labels=FLEET)
        assert ids(await gameye.reconcile((), id_prefix="blue-", labels=FLEET)) == {"blue-1"}


async def test_labels_are_checked_here_too():
    """Not every platform filters by them, and one that does not would have everybody's sessions stopped."""
    async with emulated() as (emulator, _):
        occupy(emulator.world, "m-1", labels=FLEET)
        occupy(emulator.world, "m-2")
        everybodys = json_answer(200, emulator.world.list_sessions())
    async with FaultServer(everybodys) as server, quick_client(server.url) as gameye:
        assert ids(await gameye.reconcile((), grace=0.0, labels=FLEET)) == {"m-1"}


@pytest.mark.parametrize(
    "expected",
    [{"blue-1", "blue-3"}, ["blue-1", "blue-3"], lambda session: session.id != "blue-2"],
    ids=["set", "list", "function"],
)
async def test_what_is_expected_is_left_out(expected):
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "blue-1", "blue-2", "blue-3")
        assert ids(await gameye.reconcile(expected, id_prefix="blue-")) == {"blue-2"}


@in_virtual_time
@pytest.mark.parametrize(("grace", "found"), [(30.0, {"blue-1", "blue-2"}), (120.0, {"blue-2"})])
async def test_what_was_just_launched_is_left_out(grace, found):
    """By the API's clock: in this world it is the year 2030."""
    async with stage() as place:
        occupy(place.world, "blue-1", age=100.0)
        occupy(place.world, "blue-2", age=140.0)
        assert ids(await place.gameye.reconcile((), grace, id_prefix="blue-")) == found


@in_virtual_time
async def test_without_grace_the_newest_is_found_too():
    """The API tells its time in whole seconds, and so may be behind its own sessions."""
    async with stage() as place:
        await asyncio.sleep(0.9)
        occupy(place.world, "blue-1", age=0.0)
        assert ids(await place.gameye.reconcile((), 0.0, id_prefix="blue-")) == {"blue-1"}


async def test_it_only_reports_unless_it_is_told_to_stop():
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "blue-1")
        await gameye.reconcile((), id_prefix="blue-")
        assert len(emulator.world.live) == 1
    assert operations(emulator) == ["session-list"]


async def test_it_stops_what_it_finds_and_nothing_else():
    async with emulated() as (emulator, gameye):
        occupy(emulator.world, "blue-1", "blue-2", "blue-3", "green-1")
        occupy(emulator.world, "blue-4", age=1.0)
        found = await gameye.reconcile({"blue-3"}, id_prefix="blue-", stop=True)
        assert ids(found) == {"blue-1", "blue-2"}
        assert ids(emulator.world.live) == {"blue-3", "blue-4", "green-1"}
    assert operations(emulator).count("session-stop") == 2


async def test_what_is_over_is_no_stray():
    """It may still be listed for a while after it has ended."""
    async with emulated() as (emulator, _):
        occupy(emulator.world, "blue-1", "blue-2")
        emulator.world.set_status("blue-2", "exited")
        listed = json_answer(200, emulator.world.list_sessions([("all", "true")]))
    async with FaultServer(listed) as server, quick_client(server.url) as gameye:
        assert ids(await gameye.reconcile((), id_prefix="blue-")) == {"blue-1"}
    assert methods(server) == ["GET"]


@pytest.mark.parametrize("status", [404, 409])
async def test_a_session_that_ends_meanwhile_is_fine(status):
    fault = Fault("refuse", status=status, operation="session-stop", count=1)
    async with emulated(fault) as (emulator, gameye):
        occupy(emulator.world, "blue-1", "blue-2")
        await gameye.reconcile((), id_prefix="blue-", stop=True)
        assert operations(emulator).count("session-stop") == 2


async def test_a_stop_that_is_not_confirmed_is_raised_when_all_were_tried():
    fault = Fault("refuse", status=503, operation="session-stop", count=1)
    client = {"retry": attrs.evolve(QUICK, attempts=1)}
    async with emulated(fault, client=client) as (emulator, gameye):
        occupy(emulator.world, "blue-1", "blue-2")
        with pytest.raises(StopUnconfirmedError):
            await gameye.reconcile((), id_prefix="blue-", stop=True)
    assert not emulator.world.live
