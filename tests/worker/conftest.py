"""The engines of a pool, each test with its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.worker import engines
from tests.worker.engines import Engine


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[Engine]:
    """NATS with JetStream."""
    async with engines.running(engines.nats_server(tmp_path / "nats")) as engine:
        yield engine


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Engine]:
    """Redis."""
    async with engines.running(engines.redis_server(tmp_path)) as engine:
        yield engine
