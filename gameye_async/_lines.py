"""Lines out of bytes: decoded as they come, bounded in length, and made safe to show."""

import codecs
import re

from attrs import define, field

MAX_LINE = 65_536

# First whole sequences: those that carry a text (titles, links, device control), those with parameters
# (colours, cursor), and the short ones. Then what is left of control characters but tab, the separators that
# other programs break lines at, and what turns the direction of text around.
_UNSAFE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)


def sanitized(line: str) -> str:
    """A line without what could fool a terminal or a log: control sequences and characters, bidi overrides.

    What a container prints is under the influence of its players: a line must not move the cursor, set the
    window's title, or look like another line.
    """
    return line if line.isprintable() else _UNSAFE.sub("", line)


@define
class LineSplitter:
    r"""Cuts bytes into lines, as they come.

    A line ends with `\n` or `\r\n`, which are taken off. Bytes that are not UTF-8 become U+FFFD. A line of
    more than `limit` characters is given in pieces of that length, each like a line of its own.

    Attributes:
        limit: Most characters of a line.
    """

    limit: int = MAX_LINE
    _decoder: codecs.IncrementalDecoder = field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), init=False
    )
    _rest: str = field(default="", init=False)

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that are complete with this chunk."""
        *lines, rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        pieces = [piece for line in lines for piece in self._pieces(line.removesuffix("\r"))]
        # One more is kept than fits, because it may be the \r of the line's end.
        while len(rest) > self.limit + 1:
            pieces.append(rest[: self.limit])
            rest = rest[self.limit :]
        self._rest = rest
        return pieces

    def finish(self) -> list[str]:
        """The last line, when it had no end."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return self._pieces(rest.removesuffix("\r")) if rest else []

    def _pieces(self, line: str) -> list[str]:
        if len(line) <= self.limit:
            return [line]
        return [line[start : start + self.limit] for start in range(0, len(line), self.limit)]
