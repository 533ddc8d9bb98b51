"""Whatever launch raises, except that it does not know, means that there is no session: under every fault."""

from collections.abc import Callable

import pytest

from gameye_async import GameyeError, LaunchOutcomeUnknownError
from gameye_async.emulator import Fault
from gameye_async.emulator.faults import EVERY_KIND
from tests.reliability.stage import EAST, WEST, Stage, in_virtual_time, new_request, stage
from tests.simulation.faults import (
    CONNECT_FAULTS,
    FAULTLESS,
    MESSAGE_FAULTS,
    NoFaults,
    ScriptedFaults,
)
from tests.simulation.faults import Fault as NetworkFault

# Longer than the quiet window and the longest latency, whichever the reaper has to outlast.
SETTLING = 120.0
STATUSES = (400, 401, 402, 403, 404, 409, 418, 420, 422, 429, 500, 502, 503, 504)

API_FAULTS = [
    Fault(kind, when=when, seconds=seconds, count=count, operation=operation)
    for kind in EVERY_KIND
    for when in ("before", "after")
    for seconds in ((0.2, 20.0) if kind == "latency" else (0.01,))
    for count in (1, None)
    for operation in ("session-run", None)
    if when == "before" or kind in {"latency", "html_502"}
] + [
    Fault("refuse", status=status, when=when, count=count, operation="session-run")
    for status in STATUSES
    # Only a gateway's 5xx can hide that the API has acted.
    for when in (("before", "after") if status >= 500 else ("before",))
    for count in (1, 2, None)
]


def name(fault: Fault) -> str:
    return "-".join(str(value) for value in fault.to_dict().values())


async def judge(place: Stage, heal: Callable[[], None]) -> None:
    """Launch, and hold what comes of it against what the world knows."""
    request = new_request(WEST, EAST)
    expected: set[str] = set()
    try:
        await place.gameye.launch(request, deadline=40.0)
        expected = {request.id}
    except LaunchOutcomeUnknownError:
        pass
    except GameyeError:
        assert not place.world.live
        await place.wait(SETTLING)
        assert not place.world.live
    heal()
    await place.wait(SETTLING)
    assert {live.id for live in place.world.live} == expected
    assert len(place.launches()) <= 1
    assert not place.orphans


@pytest.mark.parametrize("fault", API_FAULTS, ids=name)
@in_virtual_time
async def test_faults_of_the_api(fault):
    async with stage(fault) as place:
        await judge(place, place.faults.clear)


@pytest.mark.parametrize("fault", [fault for fault in API_FAULTS if fault.count == 1], ids=name)
@in_virtual_time
async def test_faults_of_the_api_after_a_lost_answer(fault):
    """What would settle a launch by itself does not, once an attempt may have worked."""
    async with stage(Fault("cut_after_commit", count=1), fault) as place:
        await judge(place, place.faults.clear)


class Always(NoFaults):
    """A network that treats all messages of one kind in one way."""

    def __init__(self, kind: str, fault: NetworkFault) -> None:
        setattr(self, f"on_{kind}", lambda *_: fault)


NETWORK_FAULTS = [("connect", fault) for fault in CONNECT_FAULTS] + [
    (kind, fault) for kind in ("request", "response") for fault in MESSAGE_FAULTS
]


@pytest.mark.parametrize(("kind", "fault"), NETWORK_FAULTS, ids=str)
@pytest.mark.parametrize("times", [1, 2, None])
@in_virtual_time
async def test_faults_of_the_network(kind, fault, times):
    scripted = Always(kind, fault) if times is None else ScriptedFaults(**{f"{kind}s": [fault] * times})
    async with stage(plan=scripted) as place:

        def heal() -> None:
            place.network.faults = NoFaults()

        await judge(place, heal)


@pytest.mark.parametrize(("kind", "fault"), NETWORK_FAULTS, ids=str)
@in_virtual_time
async def test_the_network_fails_after_a_refusal(kind, fault):
    plan = ScriptedFaults(**{f"{kind}s": [FAULTLESS, fault]})
    async with stage(plan=plan, locations={WEST: 0, EAST: 1}) as place:
        await judge(place, lambda: None)
