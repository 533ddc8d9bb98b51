"""What is shipped: four dependencies, sorted names and type hints; and what it is tested with."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gameye_async

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "gameye_async"
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (CHECKOUT / ".ci/requirements.txt").read_text("utf-8")
REQUIREMENTS = [
    Requirement(text)
    for texts in (
        PROJECT["dependencies"],
        *PROJECT["optional-dependencies"].values(),
        *PYPROJECT["dependency-groups"].values(),
    )
    for text in texts
    if isinstance(text, str)
]


def modules() -> Iterator[tuple[str, Path]]:
    """Each source file and the module or subpackage of the package it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        first, *rest = path.relative_to(PACKAGE).parts
        yield first if rest else first.removesuffix(".py"), path


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


def test_nothing_is_installed_below_its_floor():
    """With a version that users do not get, these tests would say nothing of what they do get."""
    installed = {canonicalize_name(item.name): item.version for item in distributions()}
    here = {item: installed.get(canonicalize_name(item.name)) for item in REQUIREMENTS}
    assert len(here) - [*here.values()].count(None) >= len(PROJECT["dependencies"])
    assert {
        str(item): version
        for item, version in here.items()
        if version and not item.specifier.contains(version, prereleases=True)
    } == {}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=str)
def test_what_is_locked_is_what_is_asked_for(requirement):
    """A change of a requirement shows when the lock was not written again: `python -m nox -s lock`."""
    name = re.escape(canonicalize_name(requirement.name))
    found = re.findall(rf"^{name}==([^ ]+)", LOCK, re.MULTILINE)
    assert found, f"{requirement.name} is not locked"
    assert all(requirement.specifier.contains(locked, prereleases=True) for locked in found)


def test_everything_that_is_locked_has_hashes():
    """And nothing in the lock says where to get it, which is each installer's own business."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", LOCK, flags=re.MULTILINE).strip())
    assert len(entries) > len(REQUIREMENTS)
    assert all(re.match(r"[\w.-]+==[^ ]+ ", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK
