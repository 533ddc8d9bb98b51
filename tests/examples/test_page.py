"""The page about the matchmaker says what is measured."""

import json

from tests.cli.harness import CHECKOUT

PAGE = " ".join((CHECKOUT / "docs/matchmaking-server.md").read_text("utf-8").split())


def result(name: str) -> dict:
    return json.loads((CHECKOUT / f"benchmarks/results/{name}.json").read_text("utf-8"))


def test_the_figures_are_those_of_the_benchmarks():
    cost = result("launch-3.11")["cpu_microseconds"]["AsyncGameye"]
    lag = result("stalls")["figures"]["lag p99 of steady launching, ms"]["AsyncGameye"]
    (growth,) = (
        each["result"] for each in result("bulk")["measures"] if each["name"].startswith("memory growth")
    )
    assert f"{cost} microseconds of CPU" in PAGE
    assert f"wait {lag} ms or less" in PAGE
    assert f"{growth:.3g} MiB" in PAGE
