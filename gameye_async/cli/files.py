"""`gameye-async logs`, `artifact` and `collect`: what a session leaves behind."""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from cyclopts import Parameter

from gameye_async import Collected, ConfigurationError
from gameye_async.cli.exits import Exit, complain, run_to_end
from gameye_async.cli.lines import write_line
from gameye_async.cli.options import AsJson, Flag, connect
from gameye_async.cli.progress import Steps, byte_progress
from gameye_async.cli.tables import fields_table, show


def logs(
    session_id: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), show_default=False)] = False,
    raw: Flag = False,
    as_json: AsJson = False,
) -> int:
    """Print what a session has printed.

    For instance:

        gameye-async logs match-7
        gameye-async logs match-7 -f

    Args:
        session_id: The session.
        follow: Go on until the session ends.
        raw: Leave in what could fool a terminal, such as control sequences.
        as_json: Print each line as a line of JSON.
    """
    return run_to_end(_logs(session_id, follow=follow, raw=raw, as_json=as_json))


def artifact(
    session_id: str,
    path: str,
    /,
    *,
    output: Path | None = None,
    extract: Path | None = None,
    as_json: AsJson = False,
) -> int:
    """Download a file or folder of a session that is over, as an archive or unpacked.

    For instance:

        gameye-async artifact match-7 /data/replay.bin
        gameye-async artifact match-7 /data --extract replays/match-7

    Args:
        session_id: The session.
        path: Absolute path in the container.
        output: Archive to write; named after the path, in this directory, when left out.
        extract: Unpack the archive into this directory, which must not exist or be empty; without --output,
            only its files are kept.
        as_json: Print what was written as a line of JSON.
    """
    for target in (output, extract):
        if target is not None and not target.absolute().parent.is_dir():
            raise ConfigurationError(f"there is no directory {target.parent}")
    if output is not None and output.is_dir():
        raise ConfigurationError(f"{output} is a directory; name the file to write")
    if extract is not None and extract.exists() and (not extract.is_dir() or any(extract.iterdir())):
        raise ConfigurationError(f"{extract} exists and is not an empty directory")
    return run_to_end(_artifact(session_id, path, output, extract, as_json=as_json))


async def _logs(session_id: str, *, follow: bool, raw: bool, as_json: bool) -> int:
    async with connect() as gameye, gameye.logs(session_id, follow=follow, sanitize=not raw) as lines:
        async for line in lines:
            if as_json:
                write_line({"id": session_id, "line": line})
            else:
                sys.stdout.write(f"{line}\n")
            if follow:
                sys.stdout.flush()
    return Exit.OK


async def _artifact(
    session_id: str, path: str, output: Path | None, extract: Path | None, *, as_json: bool
) -> int:
    steps = Steps(text=path)

    def report(size: int, total: int | None) -> None:
        steps.done, steps.total = size, total

    near = output or extract or Path(_name(path))
    written: dict[str, Any] = {}
    # A place of its own, on the same disk, until the format and so the name is known.
    with TemporaryDirectory(prefix=".gameye-", dir=near.absolute().parent) as room:
        async with connect() as gameye, byte_progress(steps, as_json=as_json):
            archive = await gameye.download_artifact(
                session_id, path, Path(room, "archive"), on_progress=report
            )
            if extract is not None:
                steps.text = f"unpacking {path}"
                files = await gameye.extract_artifact(archive.path, extract)
                written |= {"directory": str(extract), "files": [str(file) for file in files]}
        if output or not extract:
            kept = output or near.with_name(f"{near.name}.{archive.format}")
            written["archive"] = str(archive.path.replace(kept))
    written |= {"format": archive.format, "size": archive.size}
    if as_json:
        write_line({"id": session_id, "path": path, **written})
    else:
        written["size"] = f"{archive.size:,} bytes"
        if extract is not None:
            written["files"] = f"{len(written['files']):,}"
        show(fields_table(written))
    return Exit.OK


def _name(path: str) -> str:
    # The path names something in the container, and must not lead anywhere here.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.rstrip("/").rpartition("/")[2]).strip("-.") or "root"


def collect(session_id: str, /, *paths: str, directory: Path | None = None, as_json: AsJson = False) -> int:
    """Stop a session and fetch its log and files before its container is gone.

    For instance:

        gameye-async collect match-7 /data /var/crash --directory post-mortem

    Args:
        session_id: The session; one that is over already will do.
        paths: Absolute paths in the container, of files or folders; may be none.
        directory: Where everything goes; named after the session when left out.
        as_json: Print what was written as a line of JSON.
    """
    target = Path(_name(session_id)) if directory is None else directory
    return run_to_end(_collect(session_id, paths, target, as_json=as_json))


async def _collect(session_id: str, paths: tuple[str, ...], directory: Path, *, as_json: bool) -> int:
    steps = Steps(text="stop")

    def report(step: str, size: int) -> None:
        steps.text, steps.done = step, size

    async with connect() as gameye, byte_progress(steps, as_json=as_json):
        collected = await gameye.collect(session_id, paths, directory, on_progress=report)
    _show_collected(collected, as_json=as_json)
    return Exit.of(*collected.errors.values())


def _show_collected(collected: Collected, *, as_json: bool) -> None:
    found = {path: str(file) for path, file in collected.artifacts.items()}
    log = None if collected.log is None else str(collected.log)
    if as_json:
        errors = {path: str(error) for path, error in collected.errors.items()}
        write_line({"id": collected.session_id, "log": log, "artifacts": found, "errors": errors})
    else:
        show(fields_table(({"log": log} if log else {}) | found))
    for path, error in collected.errors.items():
        complain(f"{path}: {type(error).__name__}: {error}")
