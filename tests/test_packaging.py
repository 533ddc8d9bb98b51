"""What is shipped: four dependencies, sorted names, type hints, and floors that only look down."""

import ast
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gameye_async

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "gameye_async"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]

# From the ground up; a module may import what lies below it or beside it.
FLOORS = (
    {
        "_fields",
        "_lines",
        "_markup",
        "_segment",
        "_version",
        "errors",
        "launch_request",
        "models",
        "settings",
    },
    {
        "_api",
        "_codec",
        "_exchange",
        "_extract",
        "_limiter",
        "_options",
        "_ownership",
        "_pacing",
        "_policy",
        "_stats",
        "_sweeper",
        "probes",
        "telemetry",
    },
    {"_calls", "_transport"},
    {
        "_artifacts",
        "_bulk",
        "_collect",
        "_flight",
        "_launch",
        "_launcher",
        "_logs",
        "_players",
        "_readiness",
        "_rollout",
        "_search",
        "_streams",
        "_supervisor",
    },
    {"_core"},
    {"_after_launch"},
    {"client"},
    {"__init__"},
    {"emulator", "loadtest", "shared_rate", "testing", "worker"},
    {"__main__", "cli"},
)


def modules() -> Iterator[tuple[str, Path]]:
    """Each source file and the module or subpackage of the package it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        first, *rest = path.relative_to(PACKAGE).parts
        yield first if rest else first.removesuffix(".py"), path


def imported(path: Path, *, at_run_time: bool = False) -> set[str]:
    """The modules and subpackages of the package that a file imports."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if at_run_time and id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            names = [node.module or ""]
            if node.module == "gameye_async":
                names = [f"gameye_async.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("gameye_async.")}
    known = {name for name, _ in modules()}
    return {name if name in known else "__init__" for name in found}


def test_the_core_needs_four_packages_and_nothing_else():
    names = {requirement.split(">")[0] for requirement in PROJECT["dependencies"]}
    assert names == {"aiohttp", "attrs", "cattrs", "yarl"}


def test_the_public_names_are_sorted_and_complete():
    names = gameye_async.__all__
    assert names == sorted(set(names))
    # pytest puts names with an @ into the modules of a plugin.
    public = {name for name, value in vars(gameye_async).items() if name[0] not in "_@"}
    submodules = {name for name, _ in modules()}
    assert public - submodules <= set(names)
    assert all(hasattr(gameye_async, name) for name in names)


def test_every_public_error_is_exported():
    errors = gameye_async.errors
    family = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.GameyeError) and not name.startswith("_")
    }
    assert family <= set(gameye_async.__all__)


def test_every_public_name_is_documented():
    undocumented = [
        name
        for name in gameye_async.__all__
        if not name.startswith("_") and not (getattr(gameye_async, name).__doc__ or "").strip()
    ]
    assert undocumented == []


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_the_version_is_told():
    assert gameye_async.__version__.split(".")[0].isdecimal()


@pytest.mark.parametrize(
    ("name", "path"), [*modules()], ids=lambda value: value.name if isinstance(value, Path) else value
)
def test_a_module_imports_nothing_from_above(name, path):
    floors = {module: number for number, floor in enumerate(FLOORS) for module in floor}
    assert name in floors, f"give {name} a floor"
    above = {other for other in imported(path) if floors.get(other, -1) > floors[name]}
    assert above == set()


def test_modules_do_not_import_in_circles():
    graph: dict[str, set[str]] = {}
    for name, path in modules():
        graph.setdefault(name, set()).update(imported(path, at_run_time=True) - {name})
    TopologicalSorter(graph).prepare()


def test_only_the_transport_and_its_paths_talk_to_aiohttp():
    users = {
        name
        for name, path in modules()
        if name not in {"cli", "emulator"}
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (
            isinstance(node, ast.Import)
            and any(alias.name.split(".")[0] == "aiohttp" for alias in node.names)
        )
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aiohttp")
    }
    # The client names aiohttp's types in its signature, for type checkers only.
    assert users == {"_transport", "client"}
    assert "aiohttp" not in gameye_async.client.__dict__
