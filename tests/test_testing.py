"""The pytest plugin, in runs of pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_pytest(path: Path, *options: str, mode: str = "auto") -> subprocess.CompletedProcess[str]:
    """Run the tests of a file with this plugin and pytest-asyncio, as a project of its own."""
    return subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "pytest", str(path)),
            *("-c", os.devnull, "--rootdir", str(path.parent), "-W", "error", "--strict-markers"),
            *("-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "gameye_async.testing"),
            *("-o", f"asyncio_mode={mode}", "-o", "asyncio_default_fixture_loop_scope=function"),
            *options,
        ],
        # Whether this package is installed, and its plugin with it, should not matter here.
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def outcome(folder: Path, code: str, **options: str) -> str:
    """What pytest has to say about some tests."""
    file = folder / "test_it.py"
    file.write_text(code, encoding="utf-8")
    return run_pytest(file, **options).stdout


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_example_runs_as_it_stands(mode):
    """In both modes of pytest-asyncio."""
    result = run_pytest(ROOT / "examples" / "test_matchmaker.py", mode=mode)
    assert result.returncode == 0, result.stdout
    assert "3 passed" in result.stdout


def test_a_test_needs_three_lines(tmp_path):
    """No import, no mark, no fixture of its own."""
    code = """
async def test_it(gameye, gameye_world):
    await gameye.launch(image="my-game", location="europe")
    assert len(gameye_world.live) == 1
"""
    assert "1 passed" in outcome(tmp_path, code)


def test_the_marker_closest_to_the_test_wins(tmp_path):
    """Its arguments come on top of those of its class and its module."""
    code = """
import pytest
pytestmark = pytest.mark.gameye(profile="legacy", locations=["a"], token="module")

@pytest.mark.gameye(token="class")
class TestIt:
    @pytest.mark.gameye(locations=["b"])
    async def test_it(self, gameye_emulator):
        assert gameye_emulator.world.profile.name == "legacy"
        assert list(gameye_emulator.world.places) == ["b"]
        assert gameye_emulator.token == "class"
"""
    assert "1 passed" in outcome(tmp_path, code)


def test_the_marker_takes_a_scenario_faults_and_quirks(tmp_path):
    """As plain data and as objects."""
    (tmp_path / "busy.toml").write_text('locations = ["eu-west"]\ncapacity = 3\n', encoding="utf-8")
    code = f"""
import pytest
from gameye_async.emulator import Fault

@pytest.mark.gameye(
    scenario={str(tmp_path / "busy.toml")!r},
    faults=[Fault("html_502"), {{"kind": "latency"}}],
    quirks={{"missing_tag": "not_found"}},
)
async def test_it(gameye_emulator):
    assert gameye_emulator.world.places["eu-west"].capacity == 3
    assert [fault.kind for fault in gameye_emulator.faults] == ["html_502", "latency"]
    assert gameye_emulator.world.quirks.missing_tag == "not_found"
"""
    assert "1 passed" in outcome(tmp_path, code)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("profil='legacy'", "profil"),
        ("profile='old'", "profile must be"),
        ("'legacy'", "takes its arguments by name"),
        ("faults=[{'kind': 'gremlin'}]", "must be one of latency"),
        ("quirks={'missing_tog': 'false'}", "unknown missing_tog"),
        ("scenario='nowhere.toml'", "nowhere.toml"),
    ],
)
def test_a_marker_that_is_wrong_says_so(tmp_path, arguments, complaint):
    """As an error of the test, with the word that is wrong."""
    code = f"""
import pytest

@pytest.mark.gameye({arguments})
async def test_it(gameye):
    pass
"""
    said = outcome(tmp_path, code)
    assert "1 error" in said
    assert complaint in said


def test_the_marker_is_explained():
    """`pytest --markers` names it, and strict markers let it pass."""
    assert "@pytest.mark.gameye(" in run_pytest(ROOT / "examples" / "test_matchmaker.py", "--markers").stdout


def test_a_run_that_needs_no_emulator_does_not_import_one(tmp_path):
    """It would cost every run of pytest its time."""
    code = "import sys\ndef test_it(): assert 'gameye_async.emulator' not in sys.modules"
    assert "1 passed" in outcome(tmp_path, code)
