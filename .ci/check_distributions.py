"""Look into a built wheel and sdist: `python .ci/check_distributions.py FOLDER`.

The folder holds both, the wheel built from the sdist, and in `checkout` the wheel built from the checkout.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

# The code alone, of about 110 modules with their docstrings, compresses to most of it.
MOST_BYTES = 300 * 1024


def complaints(folder: Path) -> list[str]:
    """What is wrong with the distributions in a folder."""
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    found: list[str] = []
    if wheel.read_bytes() != (folder / "checkout" / wheel.name).read_bytes():
        found.append("the sdist does not build the same wheel as the checkout")
    if (size := wheel.stat().st_size) > MOST_BYTES:
        found.append(f"the wheel has {size} bytes, more than {MOST_BYTES}")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    found += [f"the sdist has no {name}" for name in listed if name not in packed]
    return found


if __name__ == "__main__":
    sys.exit("\n".join(complaints(Path(sys.argv[1]))) or 0)
