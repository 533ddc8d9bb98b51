"""One table of all results, pictures of them, and the figures in the README.

python -m benchmarks.report
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, Measure, print_table, shown

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"(?<=<!-- figures: begin -->\n).*?(?=<!-- figures: end -->)", re.DOTALL)
BENCHMARKS = ("peers", "bulk", "stalls", "start", "scaling", "loadtest")

Results = dict[str, Any]

LAUNCH = "CPU per launch / bare aiohttp"
# What the README tells, as it tells it.
TELLING = {
    LAUNCH: "CPU of a typed, protected launch, with bare aiohttp = 1",
    "CPU less than requests in threads, concurrency 10": "times more CPU with `requests` in threads",
    "CPU less than openapi-generator, concurrency 10": "times more CPU with an SDK of openapi-generator",
    "CPU less than httpx, concurrency 10": "times more CPU with httpx",
    "longest stall, first wave of 1,000 / bare gather": (
        "longest stall of the event loop in a first wave of 1,000 launches, with bare aiohttp = 1"
    ),
    "memory growth over 100,000 launches": "memory growth over 100,000 launches",
    "fairness: p99 / p50, ten times more launches than places": (
        "p99 / p50 of the time a launch takes, with ten times more launches than places"
    ),
}


def load(directory: Path = RESULTS) -> Results:
    """The results of each benchmark that was run, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}


def measures(results: Results) -> list[Measure]:
    """All that is judged."""
    rows = [row for name in BENCHMARKS if name in results for row in results[name]["measures"]]
    return [
        _launch(results),
        *(Measure(**{key: value for key, value in row.items() if key != "verdict"}) for row in rows),
    ]


def _launch(results: Results) -> Measure:
    """The one that was run on several Pythons, of which the worst counts."""
    runs = [one for name, one in results.items() if name.startswith("launch") and one["malloc_top_pad"]]
    ratios = sorted((one["python"].split()[-1], one["ratio_to_bare_aiohttp"]["AsyncGameye"]) for one in runs)
    note = ", ".join(f"{python}: {ratio:.2f}" for python, ratio in ratios)
    return Measure(LAUNCH, max((ratio for _, ratio in ratios), default=None), 0.92, 0.70, 0.40, note=note)


def provenance(results: Results) -> str:
    """When and where the results came about."""
    runs = [results[name] for name in BENCHMARKS if name in results]
    dates, machines, pythons = (
        " and ".join(sorted({one[key] for one in runs})) for key in ("date", "machine", "python")
    )
    processors = " and ".join(sorted({one["cpu"] for one in runs}))
    return f"{dates}, {pythons}, {machines} ({processors})"


def readme(results: Results) -> str:
    """The figures of the README."""
    found = {measure.name: measure for measure in measures(results)}
    lines = ["| | result | target |", "| --- | --- | --- |"]
    for name, text in TELLING.items():
        if (measure := found.get(name)) is not None:
            bound = "at least" if measure.more else "at most"
            result = "absent" if measure.result is None else shown(measure.result, measure.unit)
            lines.append(f"| {text} | {result} | {bound} {shown(measure.target, measure.unit)} |")
    return "\n".join((*lines, "", f"{provenance(results)}.", ""))


def main() -> None:
    """Print the table, draw the pictures, and put the figures into the README, unless they are quick ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the results")
    parser.add_argument("--readme", type=Path, default=README, help="file whose figures are replaced")
    options = parser.parse_args()
    results = load(options.results)
    print_table(measures(results))
    print(provenance(results))

    from benchmarks import charts  # noqa: PLC0415  -- the README's figures are checked without matplotlib

    charts.draw(results, measures(results), provenance(results), options.results)
    if not any(one.get("quick") for one in results.values()):
        options.readme.write_text(BLOCK.sub(lambda _: readme(results), options.readme.read_text()))


if __name__ == "__main__":
    main()
