"""Everything that can be run on the project: `python -m nox -l` lists it, `python -m nox -s NAME` runs it."""

import shutil
import subprocess

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "types"]

PROJECT = nox.project.load_toml("pyproject.toml")


def _runs(version: str) -> bool:
    """Whether this Python is there; pyenv leaves commands on the path for versions it does not run."""
    command = shutil.which(f"python{version}")
    return command is not None and not subprocess.run([command, "--version"], capture_output=True).returncode  # noqa: PLW1510, S603  -- the code is what it asks


PYTHONS = [version for version in ("3.11", "3.12", "3.13") if _runs(version)]


def _install(session: nox.Session, *groups: str, extras: str = "cli,speed") -> None:
    session.install(f".[{extras}]", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=PYTHONS or None)
def tests(session: nox.Session) -> None:
    """The whole test suite, on every supported Python that is there; warnings are errors."""
    _install(session, "test")
    session.run("python", "-X", "dev", "-m", "pytest", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Launch a thousand sessions on an emulator of its own: `-- FILE` for other requests."""
    _install(session)
    session.run("gameye-async", "demo", *(session.posargs or ["examples/matches.jsonl"]))


@nox.session
def simulation(session: nox.Session) -> None:
    """Search for a world that breaks a promise: `-- --worlds 3000`, or `-- --seed 7` to run one again."""
    _install(session, "test")
    session.run("python", "-m", "tests.simulation", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff with every rule on; each exception has its reason beside it."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """The package under mypy strict and pyright strict."""
    _install(session, "types")
    session.run("mypy")
    session.run("pyright", "--pythonpath", f"{session.virtualenv.bin}/python")


@nox.session
def bench(session: nox.Session) -> None:
    """What a launch costs beside bare aiohttp, and what pacing saves; one table each."""
    _install(session)
    session.run("python", "benchmarks/launch.py", *session.posargs)
    session.run("python", "-m", "benchmarks.throttling")
