"""`gameye-async logs`: what a session prints."""

import sys
from typing import Annotated

from cyclopts import Parameter

from gameye_async.cli.exits import Exit, run_to_end
from gameye_async.cli.lines import write_line
from gameye_async.cli.options import AsJson, Flag, connect


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
