"""Artifacts: a session's files, in memory or in a folder, and as a tar archive."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from attrs import define


@define(eq=False)
class Folder:
    """The readable files below a folder, which is the root of their absolute paths; links are left out."""

    root: Path

    def __iter__(self) -> Iterator[str]:
        for folder, _, names in os.walk(self.root):
            for name in names:
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink() and os.access(file, os.R_OK):
                    yield f"/{file.relative_to(self.root).as_posix()}"

    def __getitem__(self, path: str) -> bytes:
        try:
            return self._file(path).read_bytes()
        except OSError:
            raise KeyError(path) from None

    def __setitem__(self, path: str, content: bytes) -> None:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def _file(self, path: str) -> Path:
        return self.root / path.removeprefix("/")


Files = dict[str, bytes] | Folder
"""Contents by absolute path."""


def pack(files: Files, path: str, *, modified: float, compress: bool) -> bytes | None:
    """The file at an absolute path, or everything below the folder of that name, as a tar.

    Its names begin with the last part of `path`, and each file is as of `modified` in Unix seconds. None when
    there is nothing at `path`.
    """
    root = PurePosixPath(path)
    buffer = io.BytesIO()
    found = False
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(files):
            file = PurePosixPath(name)
            if file == root or root in file.parents:
                found = True
                content = files[name]
                member = tarfile.TarInfo(str(file.relative_to(root.parent)))
                member.size, member.mtime = len(content), int(modified)
                archive.addfile(member, io.BytesIO(content))
    if not found:
        return None
    packed = buffer.getvalue()
    return gzip.compress(packed, mtime=0) if compress else packed
