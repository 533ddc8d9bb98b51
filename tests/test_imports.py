"""What is imported when: little with the package, more on entering a client, nothing during a launch."""

import asyncio
import inspect
import json
import pickle
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import gameye_async
from gameye_async import AsyncGameye

CHECKOUT = Path(__file__).parents[1]

# What methods import that are called after a launch, if at all.
LATER = {
    "_artifacts",
    "_bulk",
    "_many",
    "_collect",
    "_extract",
    "_logs",
    "_players",
    "_readiness",
    "_rollout",
    "_structure",
    "outcomes",
    "probes",
    "records",
}

LAUNCH = """
import asyncio, json, sys
from gameye_async import AsyncGameye, LaunchRequest

async def main(token, url):
    async with AsyncGameye(token, base_url=url) as gameye:
        entered = set(sys.modules)
        session = await gameye.launch(image="my-game", location="eu-west")
        async with gameye.launch_many([LaunchRequest("my-game", "eu-west")]) as outcomes:
            launched = [outcome.session async for outcome in outcomes]
        await gameye.stop(session.id)
        print(json.dumps(sorted(set(sys.modules) - entered)))

asyncio.run(main(*sys.argv[1:]))
"""


def fresh(code: str) -> Any:
    """What a Python that has imported nothing yet prints, decoded."""
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_the_package_imports_no_library_that_only_a_client_needs():
    """A program that only builds requests does not pay for aiohttp, which takes 190 ms to import."""
    code = "import json, sys, gameye_async; gameye_async.LaunchRequest('a', 'b')"
    imported = set(fresh(f"{code}; print(json.dumps([*sys.modules]))"))
    assert not imported & {"aiohttp", "asyncio", "cattrs", "logging", "tarfile", "tempfile", "yarl"}
    assert not imported & {f"gameye_async.{name}" for name in LATER}


async def test_launches_import_nothing_that_entering_the_client_has_not_but_what_drives_many(emulator):
    """An import holds up the event loop, and with it whatever else the program does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LAUNCH, emulator.token, emulator.url, cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(printed) == ["gameye_async._bulk", "gameye_async._many", "gameye_async.outcomes"]


METHODS = [name for name, _ in inspect.getmembers(AsyncGameye, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize("name", METHODS)
def test_the_annotations_of_a_method_can_be_evaluated(name):
    """What reads them at run time need not know which models are imported later."""
    method = getattr(AsyncGameye, name)
    for overload in (method, *typing.get_overloads(method)):
        assert "return" in typing.get_type_hints(overload)
        signature = inspect.signature(overload, eval_str=True)
        assert not any(isinstance(each.annotation, str) for each in signature.parameters.values())


def test_dir_and_a_star_know_what_is_imported_later():
    code = "import json, gameye_async; print(json.dumps([*dir(gameye_async)]))"
    assert set(fresh(code)) >= set(gameye_async.__all__)
    names = fresh("import json\nfrom gameye_async import *\nprint(json.dumps([*globals()]))")
    assert set(names) >= set(gameye_async.__all__)


def test_dir_knows_a_name_before_its_first_use(monkeypatch):
    monkeypatch.delitem(vars(gameye_async), "Rollout", raising=False)
    assert "Rollout" in dir(gameye_async)


@pytest.mark.parametrize("name", ["Artifact", "Collected", "Rollout", "extract_artifact", "tcp_probe"])
def test_a_name_that_is_imported_later_is_one_object_and_pickles(name):
    value = getattr(gameye_async, name)
    assert getattr(gameye_async, name) is value
    assert pickle.loads(pickle.dumps(value)) is value


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'gameye_async' has no attribute 'Gameye'"):
        _ = gameye_async.Gameye
