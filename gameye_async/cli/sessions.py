"""`gameye-async list`, `describe` and `ready`: looking at sessions."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from gameye_async import (
    AsyncGameye,
    ConfigurationError,
    Session,
    SessionDetails,
    SessionEndedError,
    http_probe,
    tcp_probe,
    udp_probe,
)
from gameye_async._options import Probe
from gameye_async.cli.exits import Exit, complain
from gameye_async.cli.options import AsJson, Flag, Labels, ask, pairs
from gameye_async.cli.session_tables import show_session, show_sessions


def list_sessions(
    *,
    image: str | None = None,
    location: str | None = None,
    version: str | None = None,
    host: str | None = None,
    label: Labels = None,
    players_below: int | None = None,
    players_above: int | None = None,
    ended: Flag = False,
    as_json: AsJson = False,
) -> int:
    """List the sessions that match every option, the oldest first.

    A narrow terminal leaves out the last columns.

    For instance:

        gameye-async list
        gameye-async list --image my-game --label match=7 --json

    Args:
        image: Application name.
        location: Where they run.
        version: Tag of the image.
        host: IP address of the machine.
        label: NAME=VALUE that they were launched with; may be repeated.
        players_below: Fewer players than this.
        players_above: More players than this.
        ended: Also those that are not running.
        as_json: Print each session as a line of JSON.
    """
    labels = pairs("--label", label)
    sessions = ask(
        lambda gameye: gameye.list_sessions(
            image=image,
            location=location,
            version=version,
            host=host,
            labels=labels,
            players_below=players_below,
            players_above=players_above,
            include_ended=ended,
        )
    )
    show_sessions(sessions, as_json=as_json)
    return Exit.OK


def describe(session_id: str, /, *, as_json: AsJson = False) -> int:
    """Show one session, with its ports and players.

    For instance:

        gameye-async describe match-7

    Args:
        session_id: Its id.
        as_json: Print it as a line of JSON.
    """
    show_session(ask(lambda gameye: gameye.describe(session_id)), as_json=as_json)
    return Exit.OK


def ready(
    session_id: str,
    /,
    *,
    tcp: Flag = False,
    udp: str | None = None,
    http: str | None = None,
    port: Annotated[int | None, Parameter(validator=Number(gte=1, lte=65_535))] = None,
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 30.0,
    as_json: AsJson = False,
) -> int:
    """Wait until a session runs and, if asked to probe it, until the game itself answers.

    For instance:

        gameye-async ready match-7
        gameye-async ready match-7 --http /health --port 8080

    Args:
        session_id: Its id.
        tcp: Ready when a TCP connection can be made.
        udp: Ready when a datagram with this text is answered.
        http: Ready when a GET of this path is answered well.
        port: Port inside the container to probe; the lowest one when left out.
        timeout: Seconds to wait.
        as_json: Print the session as a line of JSON.
    """
    probe = _probe(tcp=tcp, udp=udp, http=http, port=port)

    async def wait(gameye: AsyncGameye) -> SessionDetails:
        session = _launched(await gameye.describe(session_id))
        return await gameye.wait_until_ready(session, probe=probe, timeout=timeout)

    try:
        show_session(ask(wait), as_json=as_json)
    except SessionEndedError as error:
        for line in error.log_tail:
            complain(line)
        raise
    except LookupError as error:
        complain(f"error: {error.args[0]}")
        return Exit.FAILED
    return Exit.OK


def _probe(*, tcp: bool, udp: str | None, http: str | None, port: int | None) -> Probe | None:
    if sum((tcp, udp is not None, http is not None)) > 1:
        raise ConfigurationError("choose one of --tcp, --udp and --http")
    if tcp:
        return tcp_probe(port)
    if udp is not None:
        return udp_probe(udp.encode(), port=port)
    if http is not None:
        return http_probe(http, port=port)
    if port is not None:
        raise ConfigurationError("--port goes with --tcp, --udp or --http")
    return None


def _launched(details: SessionDetails) -> Session:
    return Session(
        id=details.id,
        host=details.host,
        ports=details.ports,
        location=details.location,
        image=details.image,
        version=details.version,
    )
