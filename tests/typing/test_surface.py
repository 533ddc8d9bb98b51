"""What users rely on does not change unnoticed."""

import difflib

import pytest

from tests.typing.surface import RECORDED, surface

CHANGED = """The public surface is not the recorded one:
{}
If that is meant, name it in CHANGELOG.md, with how to migrate from what is gone, and record it:
python -m nox -s surface"""

EAGER = {
    "__init__.py": """
from package._inside import Thing, make

__all__ = ["Thing", "make"]
""",
    "_inside.py": """
class Thing:
    def act(self, speed: float = 1.0) -> None: ...

def make(name: str) -> Thing: ...
""",
}
LAZY = EAGER | {
    "__init__.py": """
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from package._inside import Thing, make

__all__ = ["Thing", "make"]

def __getattr__(name: str) -> object:
    return getattr(import_module("package._inside"), name)
""",
}


@pytest.fixture
def surface_of(tmp_path):
    """A function that writes a package and reads its surface."""

    def read(files: dict[str, str], **changes: str) -> str:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            for old, new in changes.items():
                text = text.replace(old, new)  # noqa: PLW2901  -- one change after the other
            (folder / name).write_text(text, "utf-8")
        return surface("package", tmp_path)

    return read


def test_the_public_surface_is_the_recorded_one():
    recorded, now = RECORDED.read_text("utf-8"), surface()
    changes = difflib.unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "now", "", "", 0, "")
    assert recorded == now, CHANGED.format("\n".join(changes))


def test_a_package_may_import_its_names_when_they_are_asked_for(surface_of):
    """What is public does not depend on when it is imported."""
    assert surface_of(LAZY) == surface_of(EAGER)
    assert "  class Thing()\n    act(speed: float = 1.0) -> None\n" in surface_of(LAZY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: str", "name: bytes"),
        ("name: str", "*, name: str"),
        ("-> Thing", "-> object"),
        ("1.0", "2.0"),
        ("act", "run"),
        ('"Thing", ', ""),
    ],
)
def test_a_break_shows(surface_of, old, new):
    """Another type, kind, result or default, another name, or one less."""
    assert surface_of(EAGER, **{old: new}) != surface_of(EAGER)
