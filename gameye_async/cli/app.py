"""The commands put together."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, cast

from cyclopts import App, CycloptsError, Parameter

from gameye_async import ConfigurationError, GameyeError, __version__
from gameye_async.cli.demo import demo
from gameye_async.cli.emulator import emulator
from gameye_async.cli.exits import Exit, complain, discard_output
from gameye_async.cli.files import artifact, collect, logs
from gameye_async.cli.launch import launch
from gameye_async.cli.loadtest import loadtest
from gameye_async.cli.places import health, locations, regions, tag
from gameye_async.cli.players import join, leave, seat
from gameye_async.cli.sessions import describe, list_sessions, ready
from gameye_async.cli.stop import reconcile, stop
from gameye_async.cli.worker import worker

_HELP = """Launch game sessions with the Gameye Session API.

GAMEYE_API_TOKEN        the API token
GAMEYE_API_TOKEN_FILE   a file that holds it instead
GAMEYE_API_URL          where the API is, if not production

Exit codes:
  0    all went well
  1    the API refused, or something else failed for certain
  2    bad usage or input; nothing was sent
  3    what came of it is unknown: a session may be running
  130  interrupted, or nobody reads the output
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
    app.command(list_sessions, name="list")
    for command in (
        *(launch, describe, ready, stop, reconcile),
        *(join, leave, seat),
        *(logs, artifact, collect),
        *(locations, regions, tag, health),
        *(demo, emulator, worker),
    ):
        app.command(command)
    app.command(loadtest)
    cast("Any", app).register_install_completion_command(
        help="Complete commands and options in this shell from now on."
    )
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    # What the client logs, the commands say themselves.
    logging.getLogger("gameye_async").addHandler(logging.NullHandler())
    try:
        command, bound, _ = build_app().parse_args(arguments, print_error=False, exit_on_error=False)
        status = command(*bound.args, **bound.kwargs) or Exit.OK
        # Here and not when Python ends, where a closed pipe could not be dealt with.
        sys.stdout.flush()
    except (CycloptsError, ConfigurationError) as error:
        complain(f"error: {error}")
        return Exit.USAGE
    except GameyeError as error:
        complain(f"error: {error}")
        return Exit.of(error)
    except BrokenPipeError:
        discard_output()
        return Exit.INTERRUPTED
    except OSError as error:
        complain(f"error: {error}")
        return Exit.FAILED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return status
