"""The site is built without a warning, and loads nothing from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="needs the group docs; `python -m nox -s docs` has it"
)
# A link of the kind "canonical" loads nothing.
_SOURCE = r"<(?:script|img|iframe|source)[^>]*\ssrc"
_STYLE = r"<link(?![^>]*canonical)[^>]*\shref"
LOADED = re.compile(rf"""(?:{_SOURCE}|{_STYLE})=["']?([^"'\s>]+)""")
IMPORTED = re.compile(r"(?:url\(|@import )['\"]?(https?:[^'\")]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `nox -s docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: what MkDocs does not log it does not count, strict or not.
    options = ("--config-file=.mkdocs.yml", f"--site-dir={folder}")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", *options],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path):
    """No fonts, no scripts, no pictures: whoever reads it tells nobody."""
    elsewhere = {
        address
        for path in site.rglob("*.html")
        for address in LOADED.findall(path.read_text("utf-8"))
        if "://" in address or address.startswith("//")
    }
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))

    assert not elsewhere | set(IMPORTED.findall(styles))


def test_every_public_name_has_its_place(site: Path):
    """An object that other documentation can link to, by its full name."""
    text = (site / "reference/client.html").read_text("utf-8")

    assert 'id="gameye_async.AsyncGameye.launch"' in text
    assert 'id="gameye_async.AsyncGameye.running"' in text
