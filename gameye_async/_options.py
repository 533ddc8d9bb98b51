"""What a client, its calls and its launches are made with; known before a client is entered."""

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field, frozen

from gameye_async.models import OrphanRecord, Session
from gameye_async.settings import Pacing, RetryPolicy, Timeouts, Token

if TYPE_CHECKING:
    from yarl import URL

    from gameye_async.telemetry import Event

OnAbandon = Literal["stop", "leave"]
Probe = Callable[[Session], Awaitable[bool]]

# What a session's archives may be: bytes of one, and members and bytes of what is in it.
MAX_DOWNLOAD = 100 * 1024 * 1024
MAX_MEMBERS = 10_000
MAX_UNPACKED = 1024 * 1024 * 1024


@frozen(eq=False, repr=False)
class Setup:
    """The arguments of a client that hold for as long as it is entered."""

    token: Token
    base_url: "URL"
    max_concurrency: int
    control_concurrency: int
    timeouts: Timeouts
    retry: RetryPolicy
    pacing: Pacing
    on_event: "Callable[[Event], object] | None"
    on_orphan: Callable[[OrphanRecord], object] | None
    rng: Random
    transport: Mapping[str, Any]


@frozen(eq=False, repr=False)
class Options:
    """What `with_options` changes."""

    timeouts: Timeouts
    retry: RetryPolicy
    headers: Mapping[str, str] = field(repr=False)


# Not frozen; see `Request`.
@define(eq=False, repr=False)
class Terms:
    """How a launch is made.

    Attributes:
        options: Settings of the call.
        deadline: Seconds its caller waits.
        idempotent: Whether a session of the same id and parameters is taken over.
        on_abandon: What becomes of the session when nobody waits for it any more.
    """

    options: Options
    deadline: float
    idempotent: bool
    on_abandon: OnAbandon
