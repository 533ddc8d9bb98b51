"""The two pages on pools and rates: their programs run as they stand, on real engines."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from benchmarks import workers
from gameye_async.cli.app import build_app
from gameye_async.emulator import Emulator
from gameye_async.worker import MatchOutcome
from gameye_async.worker.messages import job_request, read_job
from tests.worker import engines
from tests.worker.engines import Engine, free_port, running
from tests.worker.pool import worker

ROOT = Path(__file__).parents[2]
POOL, RATE = ((ROOT / "docs" / name).read_text("utf-8") for name in ("worker-pool.md", "shared-rate.md"))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def program(block: str, emulator: Emulator, **variables: str) -> Engine:
    account = {"GAMEYE_API_URL": emulator.url, "GAMEYE_API_TOKEN": emulator.token}
    return Engine(
        (sys.executable, "-u", "-W", "error", "-c", block), "", "", env=os.environ | account | variables
    )


@pytest.mark.engine
async def test_the_matchmaker_gets_an_address_for_each_match(nats: Engine, emulator: Emulator):
    """The first program, beside a worker."""
    matchmaker = program(blocks(POOL, "python")[0], emulator, NATS_URL=nats.url)
    async with running(worker(nats.url, emulator.url)), running(matchmaker):
        assert await matchmaker.ended() == 0, matchmaker.said
    assert [line.split()[0] for line in sorted(matchmaker.said)] == ["match-4711", "match-4712", "match-4713"]
    assert all(re.search(r" [\d.]+ 20\d{3}$", line) for line in matchmaker.said)


@pytest.mark.engine
async def test_a_worker_in_a_program_launches_and_stops(nats: Engine, emulator: Emulator):
    """The second program; the first one is its matchmaker."""
    matchmaker, own = (program(block, emulator, NATS_URL=nats.url) for block in blocks(POOL, "python"))
    async with running(own), running(matchmaker):
        assert await matchmaker.ended() == 0, matchmaker.said
        assert await own.end(signal.SIGTERM) == 0, own.said
    assert "LAUNCHED" in own.said[-1]
    assert len(emulator.world.live) == 3


@pytest.mark.engine
async def test_launches_keep_to_the_shared_rate(redis: Engine, emulator: Emulator):
    """The program of the other page; its burst is 50, and the other ten wait."""
    (block,) = blocks(RATE, "python")
    launching = program(block, emulator, REDIS_URL=redis.url)
    async with running(launching):
        assert await launching.ended() == 0, launching.said
    assert launching.said == ["60 launched\n"]


async def test_without_redis_the_program_launches_all_the_same(emulator: Emulator):
    """And says once what it does without."""
    (block,) = blocks(RATE, "python")
    launching = program(block.replace("rate=50", "rate=600"), emulator, REDIS_URL="redis://127.0.0.1:1")
    async with running(launching):
        assert await launching.ended() == 0, launching.said
    assert launching.said[-1] == "60 launched\n"
    assert "Redis does not answer" in launching.said[0]


def test_the_messages_are_those_that_are_sent():
    """A job and its two outcomes, for matchmakers in other languages."""
    job, session, letter = blocks(POOL, "json")
    match, fields = read_job(job.encode())
    assert job_request(match, fields, "launches").location == ("eu-west", "eu-east")
    for text in (session, letter):
        outcome = MatchOutcome.from_json(text.encode())
        assert (outcome.match, json.loads(outcome.to_json())) == (match, json.loads(text))


def test_the_figures_are_those_of_the_benchmark():
    """`python -m benchmarks.workers` writes both."""
    assert workers.table(json.loads(workers.RESULT.read_text())) in POOL


@pytest.mark.parametrize("command", ["nats-server -js", "redis-server --bind"])
@pytest.mark.engine
async def test_the_engines_start_as_documented(command, tmp_path: Path):
    """But for the port and the folder, which are the test's own."""
    (line,) = [line for line in (POOL + RATE).splitlines() if line.startswith(command)]
    name, *options = line.replace('""', "''").replace("~/nats", str(tmp_path)).split()
    options = [option.strip("'") for option in options if option not in {"--port", "6379"}]
    ready, port = ("is ready", "-p") if name == "nats-server" else ("Ready to accept", "--port")
    async with running(Engine((engines.command(name), *options, port, str(free_port())), "", ready)):
        pass


@pytest.mark.parametrize(
    "line", [line for line in (POOL + RATE).splitlines() if line.startswith("gameye-async worker")]
)
def test_the_worker_takes_the_options_that_are_documented(line):
    """A command line that is on a page is one."""
    command, *_ = build_app().parse_args(line.split()[1:], print_error=False, exit_on_error=False)
    assert command.__name__ == "worker"
