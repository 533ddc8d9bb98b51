"""The command line, `gameye-async`; it needs the extra `cli`."""

import sys

from gameye_async._version import __version__


def main() -> int:
    """Run the command line on the arguments of the process and return its exit code."""
    if sys.argv[1:] == ["--version"]:
        # A bug report tells it without the extra, too.
        sys.stdout.write(f"{__version__}\n")
        return 0
    try:
        # Here and not above, so that a missing extra is a sentence and not a traceback.
        from gameye_async.cli.app import run  # noqa: PLC0415  -- see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        sys.stderr.write("error: the command line needs an extra: pip install 'gameye-async[cli]'\n")
        return 2
    return run(sys.argv[1:])
