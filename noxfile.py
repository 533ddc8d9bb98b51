"""Everything that can be run on the project: `python -m nox -l` lists it, `python -m nox -s NAME` runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

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


def _side_by_side(flags: str = "") -> tuple[str, ...]:
    """Options that run tests in several processes: one more than there are CPUs, because many tests wait."""
    return "--dist=worksteal", f"--tx={(os.cpu_count() or 1) + 1}*popen//python=python{flags}"


@nox.session(python=PYTHONS or None)
def tests(session: nox.Session) -> None:
    """The whole test suite, on every supported Python that is there; warnings are errors."""
    _install(session, "test", extras="cli,loadtest,otel,speed,worker")
    # With --no-venv, nox names no Python.
    version = session.python or "{}.{}".format(*sys.version_info)
    # asyncio's debug mode takes its time; one Python of it is enough.
    flags = " -X dev" if version in PYTHONS[:1] or not PYTHONS else ""
    session.run("python", "-m", "pytest", *(session.posargs or _side_by_side(flags)))


@nox.session
def coverage(session: nox.Session) -> None:
    """Every line and branch of the core is tested: `-- tests/test_api.py` to see what one file reaches."""
    _install(session, "test", "coverage")
    # The others, of what stands on the core, reach nothing of it that these do not.
    others = ("cli", "docs", "emulator", "examples", "loadtest", "worker", "test_packaging.py")
    core = ("tests", *(f"--ignore=tests/{name}" for name in others), *_side_by_side())
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or core))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", *(["--fail-under=0"] if session.posargs else []))


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the core in a thousand small ways that a test has to notice each: `-- "gameye_async._api*"`."""
    _install(session, "test", "mutation")
    # Each mutant is a patch of a copy in mutants/; `mutmut show NAME` tells what it changes.
    session.run("mutmut", "run", "--max-children=2", *session.posargs)
    session.run("mutmut", "results")


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
    """Ruff with every rule on, what may import what, what nothing uses, and the workflows' security."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("vulture")
    session.run("zizmor", "--offline", "--no-progress", "--persona=pedantic", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """The package, a program that uses all of it and the example server, under three checkers."""
    _install(session, "types", "test", extras="cli,speed,worker")
    session.run("mypy")
    session.run("mypy", "examples/matchmaker", "examples/players.py")
    session.run("pyright")
    session.run("pyrefly", "check")


@nox.session
def surface(session: nox.Session) -> None:
    """Record the public surface, after a change of it that was meant."""
    session.install("griffe==2.4.1")
    session.run("python", "-m", "tests.typing.surface")


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the lowest version of everything that pyproject.toml allows."""
    session.install("uv")
    lowest = ("uv", "pip", "install", f"--python={session.bin}/python", "--resolution=lowest-direct")
    extras = ",".join(PROJECT["project"]["optional-dependencies"])
    session.run(*lowest, f".[{extras}]", *nox.project.dependency_groups(PROJECT, "test"))
    session.run("python", "-m", "pytest", *(session.posargs or _side_by_side()))


@nox.session
def package(session: nox.Session) -> None:
    """Build what is published, look into it, and try it in an environment that has nothing else."""
    session.install(*nox.project.dependency_groups(PROJECT, "release"))
    folder = Path(session.create_tmp()).resolve()
    output = folder / "dist"
    shutil.rmtree(output, ignore_errors=True)
    # The first builds its wheel from its sdist.
    session.run("python", "-m", "build", f"--outdir={output}")
    session.run("python", "-m", "build", "--wheel", f"--outdir={output}/checkout")
    session.run("python", ".ci/check_distributions.py", str(output))
    (wheel,) = output.glob("*.whl")
    session.run("twine", "check", "--strict", str(wheel), *map(str, output.glob("*.tar.gz")))

    session.run("python", "-m", "venv", "--clear", str(folder / "venv"))
    python = str(folder / "venv/bin/python")
    # Not in the checkout, whose package would be the one that is tried.
    session.chdir(folder)
    session.run(python, "-m", "pip", "install", "-q", str(wheel), external=True)
    session.run(python, "-W", "error", "-c", "from gameye_async import *", external=True)
    session.run(python, "-m", "gameye_async", "--version", external=True)
    session.run(python, "-m", "pip", "install", "-q", f"{wheel}[cli]", external=True)
    session.run(str(folder / "venv/bin/gameye-async"), "--help", external=True)
    session.run(str(folder / "venv/bin/gameye-async"), "demo", external=True)


@nox.session
def lock(session: nox.Session) -> None:
    """Write the versions and hashes that the workflows install: `-- --upgrade` for the newest ones."""
    session.install("uv")
    options = ("--all-extras", "--group=dev", "--universal", "--python-version=3.11", "--generate-hashes")
    shown = ("--no-annotate", "--quiet", "--custom-compile-command=python -m nox -s lock")
    session.run(
        *("uv", "pip", "compile", "pyproject.toml", *options, *shown, "--output-file=.ci/requirements.txt"),
        *session.posargs,
    )


@nox.session
def sbom(session: nox.Session) -> None:
    """Write a bill of materials of the package and all its extras, in CycloneDX: dist/sbom.json."""
    session.install("cyclonedx-bom>=7.2")
    environment = Path(session.create_tmp()) / "venv"
    session.run("python", "-m", "venv", "--clear", str(environment))
    extras = ",".join(PROJECT["project"]["optional-dependencies"])
    python = str(environment / "bin/python")
    session.run(python, "-m", "pip", "install", "-q", f".[{extras}]", external=True)
    session.run(python, "-m", "pip", "uninstall", "-q", "-y", "pip", "setuptools", external=True)
    # The bill is of a version, which cyclonedx-py finds only where it is written down.
    version = str(session.run(python, "-m", "gameye_async", "--version", external=True, silent=True)).strip()
    described = environment.with_name("pyproject.toml")
    text = Path("pyproject.toml").read_text("utf-8")
    described.write_text(text.replace('dynamic = ["version"]', f'version = "{version}"'), "utf-8")
    Path("dist").mkdir(exist_ok=True)
    options = (f"--pyproject={described}", "--mc-type=library", "--output-reproducible", "--validate")
    session.run("cyclonedx-py", "environment", *options, "--output-file=dist/sbom.json", str(environment))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, in `build/site`; a warning is an error, and nothing is loaded from elsewhere."""
    _install(session, "docs", "test", extras=",".join(PROJECT["project"]["optional-dependencies"]))
    session.run("mkdocs", "build", "--config-file=.mkdocs.yml", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "pytest", "tests/docs/test_site.py")


@nox.session(venv_backend="none")
def diagrams(session: nox.Session) -> None:
    """The diagrams of the documentation, anew from their text; needs graphviz."""
    session.run("python", "docs/diagrams/render.py")


# Each peer lives in an environment of its own; its SDK is generated when it is measured.
PEERS = {
    "requests": ["requests"],
    "httpx": ["httpx"],
    "openapi-generator": ["openapi-generator-cli", "aiohttp", "aiohttp-retry", "pydantic", "python-dateutil"],
}
BENCHMARKS = ("peers", "bulk", "stalls", "start", "scaling", "loadtest")


@nox.session
def bench(session: nox.Session) -> None:
    """What launches cost beside bare aiohttp and other clients, in one table; `-- --quick` to try it."""
    _install(session, extras="speed,loadtest")
    environments = Path(session.virtualenv.location).with_name("peers")

    def environment(name: str, python: str, *packages: str) -> str:
        session.run(python, "-m", "venv", str(environments / name), external=True)
        command = str(environments / name / "bin/python")
        # A peer that cannot be installed is reported as absent.
        session.run(command, "-m", "pip", "install", "-q", *packages, external=True, success_codes=[0, 1])
        return command

    for name, packages in PEERS.items():
        environment(name, f"{session.bin}/python", *packages)
    quick = "--quick" in session.posargs
    results = Path(session.create_tmp() if quick else "benchmarks/results")

    def launch(python: str, name: str, *options: str) -> None:
        output = f"--output={results / f'launch-{name}.json'}"
        blocks = ["--blocks=4"] if quick else []
        # Its own verdict is not the report's; 2 says that the machine was too busy.
        command = (python, "benchmarks/launch.py", output, *blocks, *options)
        session.run(*command, external=True, success_codes=[0, 1])

    for version in PYTHONS:
        launch(environment(version, f"python{version}", ".[speed]"), version)
    launch("python", "default-malloc", "--default-malloc")
    for name in BENCHMARKS:
        session.run("python", "-m", f"benchmarks.{name}", f"--output={results}", *session.posargs)
    session.run("python", "-m", "benchmarks.report", f"--results={results}")
    session.run("python", "-m", "benchmarks.throttling")
