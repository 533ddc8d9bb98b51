"""What a program pays before its first launch: the import, and everything up to the first answer.

Programs run one at a time, in turn; what counts is the CPU time of each, for its medians do not depend on
what else the machine does.

    python -m benchmarks.start
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from functools import partial

from benchmarks import harness
from benchmarks.harness import Block, Measure, ratio
from benchmarks.stub import stub
from benchmarks.workload import TOKEN, WANTED

OURS, BARE = "import gameye_async", "import aiohttp"
NOTHING = "python alone"
FIRST, NAIVE = "first typed launch", "first launch of bare aiohttp"

TYPED_SCRIPT = """
import asyncio
from gameye_async import AsyncGameye

async def main():
    async with AsyncGameye({token!r}, base_url={url!r}) as gameye:
        print(await gameye.launch(**{wanted!r}))

asyncio.run(main())
"""

NAIVE_SCRIPT = """
import asyncio
import uuid
import aiohttp

async def main():
    async with aiohttp.ClientSession(headers={{"Authorization": "Bearer {token}"}}) as session:
        body = {{"id": str(uuid.uuid4()), "restart": False, **{wanted!r}}}
        async with session.post("{url}/session", json=body) as response:
            print(await response.json())

asyncio.run(main())
"""


def run(script: str, cache: str) -> float:
    """CPU milliseconds of a Python program, whose modules have been compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(  # noqa: S603  -- ourselves
        [sys.executable, "-c", script],
        env=environment | {"PYTHONPYCACHEPREFIX": cache},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return (usage.ru_utime + usage.ru_stime) * 1e3


def main() -> None:
    """Measure, and keep the results."""
    options = harness.arguments(__doc__).parse_args()
    harness.settle_down()
    with stub() as server, tempfile.TemporaryDirectory() as cache:
        values = {"token": TOKEN, "url": server.url, "wanted": WANTED}
        scripts = {
            NOTHING: "",
            OURS: OURS,
            BARE: BARE,
            FIRST: TYPED_SCRIPT.format(**values),
            NAIVE: NAIVE_SCRIPT.format(**values),
        }
        blocks: dict[str, Block] = {
            name: partial(asyncio.to_thread, run, script, cache) for name, script in scripts.items()
        }
        costs = asyncio.run(harness.alternate(blocks, 5 if options.quick else 25))
    measures = [
        Measure("import gameye_async / import aiohttp", ratio(costs, OURS, BARE), 0.6, 0.4, 0.33),
        Measure(
            "start to first typed launch / bare aiohttp",
            ratio(costs, FIRST, NAIVE),
            1.15,
            1.08,
            1.03,
        ),
    ]
    harness.keep("start", options, measures, {"cpu_milliseconds": harness.medians(costs)})


if __name__ == "__main__":
    main()
