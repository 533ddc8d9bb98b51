"""The pytest plugin: an emulator, its world and a client of it as fixtures.

```python
async def test_a_match_gets_a_session(gameye, gameye_world):
    await my_matchmaker(gameye)
    assert len(gameye_world.live) == 1
```

The fixtures are coroutines. They run under pytest-asyncio, in its auto and its strict mode, and where that is
not installed under anyio's plugin.
"""

from typing import TYPE_CHECKING, Any, Final, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_asyncio import fixture as _fixture

    from gameye_async import AsyncGameye
    from gameye_async.emulator import Emulator, World
else:
    try:
        from pytest_asyncio import fixture as _fixture
    except ImportError:
        _fixture = pytest.fixture

_MARKER: Final = (
    "gameye(scenario=FILE, profile=NAME, locations=..., faults=[...], quirks={...}, ...): the emulator of a "
    "test, by a scenario file and the arguments of gameye_async.emulator.Emulator; the closest one wins"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@_fixture
async def gameye_emulator(request: pytest.FixtureRequest) -> "AsyncIterator[Emulator]":
    """The API on loopback; the marker `gameye` of a test, its class or its module says how it behaves."""
    async with _emulator(request.node) as emulator:
        yield emulator


@_fixture
async def gameye(gameye_emulator: "Emulator") -> "AsyncIterator[AsyncGameye]":
    """A client of the emulator."""
    from gameye_async import AsyncGameye  # noqa: PLC0415  -- a run of pytest that needs none should not wait

    async with AsyncGameye(gameye_emulator.token, base_url=gameye_emulator.url) as client:
        yield client


@pytest.fixture
def gameye_world(gameye_emulator: "Emulator") -> "World":
    """What the emulator holds: its sessions, places and history, and hooks to play the containers."""
    return gameye_emulator.world


def _emulator(node: Any) -> "Emulator":
    from gameye_async.emulator import Emulator, Fault, Quirks, Scenario  # noqa: PLC0415  -- see above
    from gameye_async.emulator.structure import structured  # noqa: PLC0415  -- see above

    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("gameye"))):
        if marker.args:
            raise pytest.UsageError("the marker gameye takes its arguments by name")
        options |= marker.kwargs
    try:
        if (scenario := options.pop("scenario", None)) is not None:
            options = Scenario.load(scenario).options() | options
        if isinstance(quirks := options.get("quirks"), dict):
            options["quirks"] = structured(cast("object", quirks), Quirks, "quirks")
        options["faults"] = [
            fault if isinstance(fault, Fault) else Fault.from_dict(fault)
            for fault in options.get("faults", ())
        ]
        return Emulator(**options)
    except (OSError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"the marker gameye of {node.name}: {error}") from None
