"""An emulator, a client of it, and the rule that no test leaves a task behind."""

import asyncio
import inspect
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import settings

from gameye_async import AsyncGameye
from gameye_async.emulator import Emulator
from tests import contract

# A machine that is busy with something else is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What a shell runs in the background ignores Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def leaves_no_task(request: pytest.FixtureRequest) -> None:
    """Applies to coroutines only, because a plain function has no loop to look into."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_loop_without_tasks")


@pytest.fixture
async def _loop_without_tasks() -> AsyncIterator[None]:
    yield
    # What was cancelled last takes one more turn of the loop to end.
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[Emulator]:
    """The API on loopback; its profile is the fixture's parameter, `current` without one."""
    async with Emulator(profile=getattr(request, "param", "current"), seed=1) as emulator:
        yield emulator


@pytest.fixture
async def gameye(emulator: Emulator) -> AsyncIterator[AsyncGameye]:
    """A client of the emulator."""
    async with AsyncGameye(emulator.token, base_url=emulator.url) as gameye:
        yield gameye


@pytest.fixture
def openapi() -> dict[str, Any]:
    """The description of the API; skips the test, saying why, where it is not at hand."""
    return contract.description()
