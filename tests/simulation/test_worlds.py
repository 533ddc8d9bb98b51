"""The promises of a launch, in worlds where everything fails."""

import pytest

from tests.simulation.__main__ import judge, replay
from tests.simulation.mutants import MUTANTS
from tests.simulation.scenario import simulate

WORLDS = 300
BATCH = 50


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_no_promise_is_broken_in_any_world(first):
    """Each seed is a world of its own; the replay command runs it again."""
    broken = {replay(seed): found for seed in range(first, first + BATCH) if (found := judge(seed))}

    assert not broken


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_the_algorithm_breaks_a_promise(mutant):
    """A checker that never complains proves nothing."""
    with MUTANTS[mutant]():
        assert any(judge(seed) for seed in range(WORLDS))


def test_a_world_is_a_function_of_its_seed():
    """Otherwise a failing seed could not be replayed."""
    first, second = (list(simulate(7).world.history) for _ in range(2))

    assert first == second
    assert first != list(simulate(8).world.history)


def test_the_worlds_are_harsh():
    """Sessions are adopted, outcomes unknown, ids taken, callers gone: in a few dozen worlds already."""
    calls = [call for seed in range(60) for call in simulate(seed).calls]
    outcomes = {type(call.error).__name__ for call in calls if call.error}

    assert {
        "LaunchOutcomeUnknownError",
        "SessionIdConflictError",
        "CapacityError",
        "CancelledError",
    } <= outcomes
    assert {call.session.created_by for call in calls if call.session} == {"launch", "adopted"}
