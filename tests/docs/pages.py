"""The README and the pages of `docs/`, taken apart: fenced blocks, headings, links."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^( *)(`{3,})(.*)\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#{1,6}) (.+?)(?: \{ ?#([\w-]+) ?\})?$", re.MULTILINE)
_CODE = re.compile(r"`[^`]+`")


@frozen
class Block:
    """A fenced block.

    Attributes:
        page: File that it stands in.
        line: Number of its first line.
        language: What the fence says it is.
        title: File that it says it is from; empty when it says none.
        text: What stands between the fences.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@frozen
class Page:
    """One page."""

    path: Path
    text: str = field(repr=False)

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def blocks(self) -> Iterator[Block]:
        """Its fenced blocks."""
        for match in _FENCE.finditer(self.text):
            line = self.text.count("\n", 0, match.start()) + 2
            language, _, title = match[3].strip().partition(" title=")
            yield Block(self.path, line, language, title.strip('"'), match[4])

    @property
    def prose(self) -> str:
        """All but the fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        """Where it links to; images are no links."""
        return _LINK.findall(_CODE.sub("", self.prose))

    @property
    def images(self) -> list[str]:
        """What it shows."""
        return re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", self.prose)

    @property
    def anchors(self) -> set[str]:
        """What a link to it may name after the #."""
        return {own or slug(title) for _, title, own in _HEADING.findall(self.prose)}

    def section(self, title: str) -> str:
        """What stands below a heading, up to the next one of its depth or above."""
        depth, rest = next(
            (len(match[1]), self.text[match.end() :])
            for match in _HEADING.finditer(self.text)
            if match[2] == title
        )
        end = re.search(rf"^#{{1,{depth}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest


def slug(title: str) -> str:
    """The anchor of a heading, as Python-Markdown and GitHub make it."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, without their heads."""
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    rules = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")]
    return [row for number, row in enumerate(cells) if not {number, number + 1} & set(rules)]


def page(name: str) -> Page:
    """The page of a name below `docs/`, or the README."""
    path = ROOT / name if name == "README.md" else DOCS / name
    return Page(path, path.read_text("utf-8"))


PAGES = [page("README.md"), *(page(str(path.relative_to(DOCS))) for path in sorted(DOCS.rglob("*.md")))]
BLOCKS = [block for each in PAGES for block in each.blocks]


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages."""
    return [block for block in BLOCKS if block.language in languages]
