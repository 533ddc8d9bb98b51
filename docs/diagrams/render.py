"""Makes an SVG of each diagram's text with graphviz: `python docs/diagrams/render.py`.

The pictures take the colours of the page, light or dark. Each holds the checksum of its text, so that a test
can say whether it is fresh where graphviz is not there.
"""

import hashlib
import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
STYLE = """\
<style>
  text { font-family: system-ui, sans-serif; fill: #24292f }
  .node path, .node polygon { fill: #f6f8fa; stroke: #8c959f }
  .cluster path, .cluster polygon { fill: none; stroke: #d0d7de }
  .edge path { fill: none; stroke: #6e7781 }
  .edge polygon { fill: #6e7781; stroke: #6e7781 }
  .edge text { fill: #57606a }
  .good path { fill: #dafbe1; stroke: #1a7f37 }
  .bad path { fill: #fff1e5; stroke: #bc4c00 }
  .start path { fill: #ddf4ff; stroke: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .node path, .node polygon { fill: #21262d; stroke: #6e7681 }
    .cluster path, .cluster polygon { stroke: #444c56 }
    .edge path { stroke: #8b949e }
    .edge polygon { fill: #8b949e; stroke: #8b949e }
    .edge text { fill: #adbac7 }
    .good path { fill: #12361f; stroke: #3fb950 }
    .bad path { fill: #3d2412; stroke: #db6d28 }
    .start path { fill: #10294a; stroke: #58a6ff }
  }
</style>
"""


def render(source: Path) -> str:
    """The picture of a diagram's text."""
    command = ["dot", "-Tsvg", source]
    drawn = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  -- it is ours
    checksum = hashlib.sha256(source.read_bytes()).hexdigest()
    svg = drawn[drawn.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\n|<title>.*?</title>\n", "", svg, flags=re.DOTALL)
    # The style decides on colours and fonts, and the page has its own background.
    svg = re.sub(r' (?:fill|stroke|font-family)="[^"]*"', "", svg)
    svg = re.sub(r"<polygon points=[^>]*/>\n", "", svg, count=1)
    head, body = svg.split(">", 1)
    return f"{head}>\n<!-- {source.name}, sha256 {checksum} -->\n{STYLE}{body.lstrip()}"


if __name__ == "__main__":
    for source in sorted(HERE.glob("*.dot")):
        source.with_suffix(".svg").write_text(render(source), "utf-8")
