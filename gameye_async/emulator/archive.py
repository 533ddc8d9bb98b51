"""Artifacts: a session's files as a tar archive."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath


def pack(files: Mapping[str, bytes], path: str, *, modified: float, compress: bool) -> bytes | None:
    """The file at `path`, or everything below the folder of that name, as a tar.

    Args:
        files: Contents by absolute path.
        path: Absolute path in the container.
        modified: Unix seconds written into the archive.
        compress: Whether to gzip it.

    Returns:
        The archive, whose names begin with the last part of `path`; None when there is nothing at `path`.
    """
    root = PurePosixPath(path)
    buffer = io.BytesIO()
    found = False
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            file = PurePosixPath(name)
            if file == root or root in file.parents:
                found = True
                member = tarfile.TarInfo(str(file.relative_to(root.parent)))
                member.size, member.mtime = len(content), int(modified)
                archive.addfile(member, io.BytesIO(content))
    if not found:
        return None
    packed = buffer.getvalue()
    return gzip.compress(packed, mtime=0) if compress else packed
