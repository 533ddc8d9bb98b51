"""The workflows and `.ci/run` start what there is, on every Python that is said to be supported."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_packaging import CHECKOUT, PROJECT

NOXFILE = (CHECKOUT / "noxfile.py").read_text("utf-8")
WORKFLOWS = CHECKOUT / ".github/workflows"


def jobs(workflow: Path) -> Iterator[dict[str, Any]]:
    """The jobs of a workflow."""
    yield from yaml.safe_load(workflow.read_text("utf-8"))["jobs"].values()


def sessions_of(text: str) -> set[str]:
    """The nox sessions that the lines of a script start."""
    return {name for names in re.findall(r"-m nox .*?-s ([\w ]+)", text) for name in names.split()}


def sessions(workflow: Path) -> set[str]:
    """The nox sessions that a workflow starts, by name or from a matrix."""
    named = sessions_of(workflow.read_text("utf-8"))
    return named.union(
        *(job.get("strategy", {}).get("matrix", {}).get("session", []) for job in jobs(workflow))
    )


def pythons() -> list[str]:
    """The versions that the package says it is for."""
    found = (re.search(r"Python :: (3\.\d+)$", classifier) for classifier in PROJECT["classifiers"])
    return [match[1] for match in found if match]


RUN = sessions_of((CHECKOUT / ".ci/run").read_text("utf-8"))


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_starts_only_sessions_and_workflows_that_exist(workflow):
    there = set(re.findall(r"^@nox\.session.*\ndef (\w+)", NOXFILE, re.MULTILINE))
    assert sessions(workflow) <= there
    called = [job["uses"].removeprefix("$/") for job in jobs(workflow) if "uses" in job]
    assert all((CHECKOUT / path).is_file() for path in called)


def test_what_passes_on_a_machine_of_ones_own_is_what_the_workflow_asks_for():
    assert {"tests", "lint", "types"} <= RUN
    assert sessions(WORKFLOWS / "ci.yml") >= RUN


def test_every_supported_python_is_tested():
    (tested,) = (
        job["strategy"]["matrix"]["python"]
        for job in jobs(WORKFLOWS / "ci.yml")
        if "python" in str(job.get("strategy"))
    )
    assert tested == pythons()
    (found,) = re.findall(r"^PYTHONS = .* in \((.*)\) ", NOXFILE, re.MULTILINE)
    assert re.findall(r'"(.+?)"', found) == pythons()
    policy = (CHECKOUT / "docs/policy.md").read_text("utf-8")
    assert f"| Python | {', '.join(pythons())}" in policy
