"""An emulator on a thread of its own: what is documented runs as it does for a reader, from outside."""

import asyncio
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gameye_async.emulator import Emulator
from tests.docs.pages import ROOT, page
from tests.docs.shell import Shell


@contextmanager
def serving(**options: Any) -> Generator[Emulator]:
    """Serve an emulator from another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def enter() -> Emulator:
        return await Emulator(**options).__aenter__()

    emulator = asyncio.run_coroutine_threadsafe(enter(), loop).result()
    try:
        yield emulator
    finally:
        asyncio.run_coroutine_threadsafe(emulator.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator that the environment names, and a folder with the examples, which programs may write to."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with serving() as emulator:
        monkeypatch.setenv("GAMEYE_API_URL", emulator.url)
        monkeypatch.setenv("GAMEYE_API_TOKEN", emulator.token)
        monkeypatch.chdir(tmp_path)
        yield emulator


@pytest.fixture
def shell(served: Emulator, tmp_path: Path) -> Shell:
    """An account with a few sessions, one of which is over.

    The names of sessions and files are those that the pages use.
    """
    lines = (ROOT / "examples/matches.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "matches.jsonl").write_text("".join(lines[:3]))
    (tmp_path / "ids.txt").write_text("match-7\nmatch-8\n")
    scenario = next(block for block in page("emulator.md").blocks if block.language == "toml")
    (tmp_path / "busy-evening.toml").write_text(scenario.text)
    for name in ("match-6", "match-7", "match-8"):
        served.world.launch(
            {
                "id": name,
                "image": "my-game",
                "location": "eu-west",
                "labels": {"match": "4711"},
                "version": "v2",
            }
        )
        served.world.write_log(name, "ready for players\n")
        for path in ("/data/replay.bin", "/game/logs/server.log", "/var/crash/core"):
            served.world.put_file(name, path, b"what it left")
    served.world.stop("match-6")
    return Shell(tmp_path)
