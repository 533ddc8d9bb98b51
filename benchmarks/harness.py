"""How the benchmarks measure: alternating blocks, paired ratios, a control, and what is kept of a run."""

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Literal

import aiohttp
from attrs import asdict, frozen

from benchmarks.workload import ANSWER, TOKEN, WANTED
from gameye_async import AsyncGameye, LaunchRequest
from gameye_async._exchange import Answered, Progress, Request

RESULTS = Path(__file__).with_name("results")
VERSIONS = ("aiohttp", "attrs", "cattrs", "yarl", "orjson", "uvloop")

# asyncio receives into 256 KiB that glibc maps and unmaps each time or does not, depending on where the heap
# happens to end: 8 to 20 microseconds a launch by lottery. With this much room at its top it never does.
PAD = ("MALLOC_TOP_PAD_", "4194304")

# In a run that counts, the same client twice costs the same.
WITHIN = (0.97, 1.03)
RUNS = 4

Launch = Callable[[], Awaitable[object]]
Block = Callable[[], Awaitable[float]]
Costs = dict[str, list[float]]
Verdict = Literal["stretch", "target", "floor", "missed", "absent"]


@frozen
class Measure:
    """A figure and what is asked of it.

    Attributes:
        name: What was measured.
        result: The figure; None when there was nothing to measure.
        floor: What it must be at least as good as.
        target: What it should be.
        stretch: What would be splendid.
        unit: "x" for a ratio.
        more: Whether more is better.
        note: What else the reader should know.
    """

    name: str
    result: float | None
    floor: float
    target: float
    stretch: float
    unit: str = "x"
    more: bool = False
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """The best of the marks that are met."""
        if self.result is None:
            return "absent"
        sign = -1 if self.more else 1
        # As it is printed, so that a figure that reads like its mark meets it.
        result = float(f"{self.result:.3g}")
        if sign * result <= sign * self.stretch:
            return "stretch"
        if sign * result <= sign * self.target:
            return "target"
        return "floor" if sign * result <= sign * self.floor else "missed"


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The command line that all benchmarks share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: to try it, not to judge by")
    parser.add_argument(
        "--date", default=time.strftime("%Y-%m-%d"), help="date of the result (default: today)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="directory of the results")
    return parser


def settle_down() -> None:
    """Have this process run on the first core, with the allocator that the figures are for."""
    if PAD[0] not in os.environ:
        os.execve(sys.executable, sys.orig_argv, os.environ | dict([PAD]))  # noqa: S606  -- ourselves again
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def keep(
    name: str, options: argparse.Namespace, measures: Iterable[Measure], figures: Mapping[str, Any]
) -> None:
    """Print the table of a benchmark, and write its results.

    Args:
        name: Name of the benchmark.
        options: Its command line.
        measures: What is judged.
        figures: All that was measured.
    """
    measures = list(measures)
    print_table(measures)
    result = {
        "date": options.date,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "cpu": processor(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in VERSIONS if find_spec(name)},
        "malloc_top_pad": os.environ.get(PAD[0]),
        "quick": options.quick,
        "measures": [asdict(measure) | {"verdict": measure.verdict} for measure in measures],
        "figures": figures,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")


def shown(value: float | None, unit: str) -> str:
    """A figure as tables have it."""
    if value is None:
        return "-"
    digits = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004  -- three digits
    return f"{digits}{'' if unit == 'x' else ' ' + unit}"


def print_table(measures: Iterable[Measure]) -> None:
    """Figures with their marks and verdicts, one a line."""
    print(f"{'':66}{'result':>12}{'floor':>10}{'target':>10}{'stretch':>10}  verdict")
    for one in measures:
        marks = "".join(f"{shown(mark, one.unit):>10}" for mark in (one.floor, one.target, one.stretch))
        note = f" ({one.note})" if one.note else ""
        print(f"{one.name:66}{shown(one.result, one.unit):>12}{marks}  {one.verdict}{note}")


async def drive(launch: Launch, launches: int, concurrency: int) -> None:
    """Launch so many times, as fast as it goes."""
    numbers = iter(range(launches))

    async def worker() -> None:
        for _ in numbers:
            await launch()

    await asyncio.gather(*(worker() for _ in range(min(concurrency, launches))))


async def cpu(launch: Launch, launches: int, concurrency: int) -> float:
    """CPU microseconds of each of so many launches."""
    gc.collect()
    began = time.process_time()
    await drive(launch, launches, concurrency)
    return (time.process_time() - began) / launches * 1e6


async def alternate(blocks: Mapping[str, Block], rounds: int) -> Costs:
    """One figure a round of each block, after a first one that does not count; the order is drawn."""
    rng = Random(1)  # noqa: S311  -- the order of blocks is no secret
    order = list(blocks)
    for name in order:
        await blocks[name]()
    costs: Costs = {name: [] for name in order}
    for _ in range(rounds):
        rng.shuffle(order)
        for name in order:
            costs[name].append(await blocks[name]())
    return costs


async def compare(
    blocks: Mapping[str, Block], rounds: int, control: tuple[str, str], *, quick: bool = False
) -> Costs:
    """As `alternate`, once more until the two blocks of the control agree; a quick run does not insist.

    Raises:
        SystemExit: They never did: the machine has too much else to do.
    """
    for _ in range(RUNS):
        costs = await alternate(blocks, rounds)
        agreement = ratio(costs, *control)
        if quick or WITHIN[0] <= agreement <= WITHIN[1]:
            return costs
        print(f"the control is {agreement:.3f}, outside {WITHIN[0]} to {WITHIN[1]}: this run does not count")
    raise SystemExit(2)


def ratio(costs: Costs, one: str, other: str) -> float:
    """The median of the ratios of one block to another, round by round."""
    return statistics.median(a / b for a, b in zip(costs[one], costs[other], strict=True))


def medians(costs: Costs) -> dict[str, float]:
    """The middle figure of each block."""
    return {name: round(statistics.median(values), 3) for name, values in costs.items()}


def quantile(values: list[float], share: float) -> float:
    """What this share of the values is at most."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def request() -> LaunchRequest:
    """A launch request like all others."""
    return LaunchRequest(**WANTED)


@asynccontextmanager
async def bare(url: str, *, limit: int = 0) -> AsyncIterator[Launch]:
    """Aiohttp as one writes it.

    Args:
        url: Where to launch.
        limit: Most connections; 0 for as many as there are launches.
    """
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {TOKEN}"}, connector=aiohttp.TCPConnector(limit=limit)
    ) as session:

        async def launch() -> object:
            body = {"id": str(uuid.uuid4()), "restart": False, **WANTED}
            async with session.post(f"{url}/session", json=body) as response:
                return await response.json()

        yield launch


@asynccontextmanager
async def ours(url: str, concurrency: int) -> AsyncIterator[Launch]:
    """`AsyncGameye` as it is."""
    async with AsyncGameye(TOKEN, base_url=url, max_concurrency=concurrency) as gameye:
        yield lambda: gameye.launch(request())


@asynccontextmanager
async def unwired(concurrency: int) -> AsyncIterator[AsyncGameye]:
    """A client whose launches are answered at once, without a network."""
    async with AsyncGameye(TOKEN, base_url="http://127.0.0.1", max_concurrency=concurrency) as gameye:
        gameye._core().caller.transport._path = _Null()  # noqa: SLF001  -- there is no other way to leave aiohttp out
        yield gameye


class _Null:
    """A path to nowhere."""

    can_hold = True

    async def exchange(
        self, request: Request[Any], credential: object, headers: object, progress: Progress
    ) -> None:
        """Answer in the next turn of the loop."""
        progress.start()
        await asyncio.sleep(0)
        progress.answered = Answered(201, {}, ANSWER)
