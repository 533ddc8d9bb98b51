"""Search for a world that breaks a promise: `python -m tests.simulation --worlds 3000`."""

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count

from tests.simulation.history import violations
from tests.simulation.scenario import simulate


def judge(seed: int) -> list[str]:
    """What went wrong in the world of a seed."""
    return violations(simulate(seed))


def quieten() -> None:
    """Print findings only: aiohttp's server logs a traceback for each request that a fault cuts off."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    logging.getLogger("gameye_async").setLevel(logging.CRITICAL)


def replay(seed: int) -> str:
    """The command that runs the world of a seed again."""
    return f"python -m tests.simulation --seed {seed}"


def main() -> int:
    """Run many worlds on all cores, or one; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=3000, help="how many worlds to run")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--seed", type=int, help="run just this world")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.worlds)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    began = time.perf_counter()
    broken = 0
    with ProcessPoolExecutor(min(cpu_count() or 1, len(seeds)), initializer=quieten) as pool:
        for seed, found in zip(seeds, pool.map(judge, seeds, chunksize=20), strict=True):
            for violation in found:
                print(f"world {seed}: {violation}")  # noqa: T201  -- it is a command
            if found:
                broken += 1
                print(f"  replay: {replay(seed)}")  # noqa: T201  -- it is a command
    took = time.perf_counter() - began
    print(f"{len(seeds)} worlds in {took:.1f} s, {broken} of them broke a promise")  # noqa: T201  -- it is a command
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
