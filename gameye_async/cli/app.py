"""The commands put together."""

import logging
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from gameye_async import ConfigurationError, GameyeError, __version__
from gameye_async.cli.demo import demo
from gameye_async.cli.emulator import emulator
from gameye_async.cli.exits import Exit, complain
from gameye_async.cli.launch import launch

_HELP = """Launch game sessions with the Gameye Session API.

GAMEYE_API_TOKEN   the API token
GAMEYE_API_URL     where the API is, if not production

Exit codes:
  0    all went well
  1    something failed, and it is known what
  2    bad usage or input; nothing was sent
  3    whether a session exists is unknown
  130  interrupted
"""


def build_app() -> App:
    """The parser of the whole command line."""
    app = App(
        name="gameye-async",
        help=_HELP,
        help_format="plaintext",
        version=__version__,
        default_parameter=Parameter(negative=()),
    )
    for command in (launch, demo, emulator):
        app.command(command)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    # What the client logs, the commands say themselves.
    logging.getLogger("gameye_async").addHandler(logging.NullHandler())
    try:
        command, bound, _ = build_app().parse_args(arguments, print_error=False, exit_on_error=False)
        return command(*bound.args, **bound.kwargs) or Exit.OK
    except (CycloptsError, ConfigurationError) as error:
        complain(f"error: {error}")
        return Exit.USAGE
    except GameyeError as error:
        complain(f"error: {error}")
        return Exit.FAILED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
