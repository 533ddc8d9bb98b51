"""The reaper: it stops the session of a launch that nobody waits for, when it is the launch's own.

Imported, as the search is, when a launch comes to that.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async._ownership import Ownership, Sighting
from gameye_async.errors import GameyeError, NotFoundError

if TYPE_CHECKING:
    from gameye_async.telemetry.emitter import CallEvents

_UNPROVEN = "it cannot be told from a session that somebody else launched under this id"


@frozen(eq=False, repr=False)
class Abandoned:
    """A launch whose session nobody waits for any more.

    Attributes:
        session_id: Its id.
        sent: Loop time at which it was last sent, or may have been.
        owner: Tells whose session was found under the id by a question asked at a loop time.
        options: Settings of the call.
        events: Those of the launch, if anybody listens.
    """

    session_id: str
    sent: float
    owner: Callable[[Sighting, float], Ownership]
    options: Options
    events: "CallEvents | None"


async def settle(caller: Caller, abandoned: Abandoned) -> str:
    """Describe, then stop what is ours, until nothing of the launch is or can be running.

    Returns:
        Why it was left; empty when it was settled.
    """
    options, events = abandoned.options, abandoned.events
    give_up = caller.clock() + _policy.GIVE_UP
    tries = 0
    while True:
        # What counts is when the question was asked: a 404 may have been long on its way.
        asked = caller.clock()
        seen: Sighting | bool | GameyeError
        seen = await caller.once(_api.look(abandoned.session_id), options, events)
        if isinstance(seen, Sighting):
            whose = abandoned.owner(seen, asked)
            if whose is Ownership.FOREIGN or (seen.details.status and seen.details.status.is_over):
                return ""
            if whose is Ownership.UNPROVEN:
                return _UNPROVEN
            if whose is Ownership.OURS:
                seen = await caller.once(_api.stop(abandoned.session_id), options, events)
        if isinstance(seen, bool):
            caller.counters.orphans_stopped += seen
            if seen and events is not None:
                events.orphan_stopped(abandoned.session_id)
            return ""
        if isinstance(seen, NotFoundError) and asked >= abandoned.sent + options.retry.quiet:
            return ""
        if caller.clock() >= give_up:
            return _UNPROVEN if isinstance(seen, Sighting) else f"it could not be stopped: {seen.message}"
        tries += 1
        await asyncio.sleep(_policy.poll_delay(tries, caller.rng))
