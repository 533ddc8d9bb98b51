"""examples/observability.py, as a reader would run it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from gameye_async.emulator import Emulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "observability.py"


async def output_of(**env: str) -> str:
    """What the example prints; the test fails when it does, or complains."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GAMEYE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLE)),
        env=ours | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (0, "")
    return output.decode()


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that follow each other in a text."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    while "{" in text:
        value, end = decoder.raw_decode(text := text[text.index("{") :])
        found.append(value)
        text = text[end:]
    return found


async def test_it_shows_a_lost_answer_and_refusals_on_an_emulator_of_its_own():
    output = await output_of()
    assert output.startswith("5 launched, 5 stopped\n")
    *spans, metrics = objects(output)
    launches = [span for span in spans if span["name"] == "POST /session"]
    assert (
        sorted(span["attributes"]["gameye.outcome"] for span in launches) == ["adopted"] + ["succeeded"] * 4
    )
    assert {span["attributes"]["gameye.location"] for span in launches} == {"eu-west", "eu-east"}
    (matches,) = [span for span in spans if span["name"] == "matches"]
    assert {span["parent_id"] for span in launches} == {matches["context"]["span_id"]}
    (scope,) = metrics["resource_metrics"][0]["scope_metrics"]
    assert {metric["name"] for metric in scope["metrics"]} == {
        "http.client.request.duration",
        "gameye.launches",
        "gameye.launch.duration",
        "gameye.launch.refusals",
    }


async def test_it_launches_at_the_api_that_the_environment_names():
    async with Emulator() as emulator:
        output = await output_of(GAMEYE_API_URL=emulator.url, GAMEYE_API_TOKEN=emulator.token)
        assert output.startswith("5 launched, 5 stopped\n")
        assert emulator.token not in output
        assert not emulator.world.live
        assert [record.operation for record in emulator.requests].count("session-run") == 5
