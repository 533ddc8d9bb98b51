"""Whatever a page leads to is there: pages, headings, files, nox sessions."""

import hashlib
import importlib
import re

import pytest
import yaml
from yarl import URL

from tests.docs.pages import DOCS, PAGES, ROOT, Page
from tests.docs.shell import commands, look_at

# Where a page may send its reader to.
HOSTS = {"docs.nats.io", "gameye.com", "opentelemetry.io", "semver.org"}
# The emulator, as the quick start has it.
OWN = "http://127.0.0.1:8080"

FILE = re.compile(r"(?<![\w./])(?:examples|benchmarks|docs|tests|gameye_async)/[\w./-]*\w/?")
COMMAND = re.compile(r"`((?:python|pip|gameye-async) [^`]+)`")


def anchored(target: Page, anchor: str) -> bool:
    """Whether a page has a heading, or names an object of the reference."""
    if not anchor.startswith("gameye_async"):
        return anchor in target.anchors
    found = importlib.import_module("gameye_async")
    for name in anchor.split(".")[1:]:
        found = getattr(found, name)
    return f"::: {anchor}\n" in target.text


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_link_leads_somewhere(each: Page):
    """To a page and a heading of ours, or over https to a host that is known."""
    for link in each.links:
        if "://" in link:
            assert link.startswith(OWN) or (URL(link).scheme, URL(link).host) in {
                ("https", host) for host in HOSTS
            }
            continue
        name, _, anchor = link.partition("#")
        path = (each.path.parent / name).resolve() if name else each.path
        assert path.exists(), link
        assert not anchor or anchored(Page(path, path.read_text("utf-8")), anchor), link


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_picture_is_there(each: Page):
    assert all((each.path.parent / image).exists() for image in each.images)


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_file_that_is_named_exists(each: Page):
    """In the text and in the code."""
    missing = [name for name in FILE.findall(each.text) if not (ROOT / name).exists()]

    assert not missing


@pytest.mark.parametrize("each", [each for each in PAGES if COMMAND.search(each.prose)], ids=str)
def test_every_command_in_the_text_could_be_run(each: Page):
    """Those between the lines are only looked at; `gameye-async` ones name a command that exists."""
    for text in COMMAND.findall(each.prose):
        for words in commands(text):
            look_at(words)


def test_the_site_has_every_page_once():
    """In an order that somebody has thought about."""
    listed = re.findall(r"[\w/-]+\.md", yaml.safe_dump(settings()["nav"]))

    assert sorted(listed) == sorted(
        str(each.path.relative_to(DOCS)) for each in PAGES if each.path.parent != ROOT
    )


def settings() -> dict[str, object]:
    """The settings of the site."""
    return yaml.safe_load((ROOT / ".mkdocs.yml").read_text("utf-8"))


@pytest.mark.parametrize("source", sorted(DOCS.glob("diagrams/*.dot")), ids=lambda path: path.stem)
def test_a_diagram_is_made_of_its_text(source):
    """`python -m nox -s diagrams` makes it anew."""
    checksum = hashlib.sha256(source.read_bytes()).hexdigest()

    assert checksum in source.with_suffix(".svg").read_text("utf-8")
