"""The reaper: it stops sessions that nobody waits for, and of a launch's only its own."""

import asyncio

from gameye_async import _api, _policy
from gameye_async._calls import Caller
from gameye_async._options import Options
from gameye_async._ownership import Ownership
from gameye_async._search import Search
from gameye_async.errors import GameyeError, NotFoundError

_UNPROVEN = "it cannot be told from a session that somebody else launched under this id"


async def settle(search: Search) -> str:
    """Describe, then stop what is ours, until nothing of the launch is or can be running.

    Returns:
        Why it was left; empty when it was settled.
    """
    caller = search.caller
    give_up = caller.clock() + _policy.GIVE_UP
    tries = 0
    while True:
        seen, asked = await search.look()
        failure: GameyeError | None
        if isinstance(seen, GameyeError):
            failure = seen
        else:
            whose = search.owner(seen, asked)
            if whose is Ownership.FOREIGN or (seen.details.status and seen.details.status.is_over):
                return ""
            if whose is Ownership.UNPROVEN:
                return _UNPROVEN
            failure = await _stop(search) if whose is Ownership.OURS else None
            if whose is Ownership.OURS and failure is None:
                return ""
        if search.proves_absence(failure, asked, search.last_sent):
            return ""
        if caller.clock() >= give_up:
            return f"it could not be stopped: {failure.message}" if failure else _UNPROVEN
        tries += 1
        await asyncio.sleep(_policy.poll_delay(tries, caller.rng))


async def _stop(search: Search) -> GameyeError | None:
    """Stop the session that was found; why that failed, if it did."""
    caller, session_id = search.caller, search.request.id
    stopped = await caller.once(_api.stop(session_id), search.options, search.events)
    if isinstance(stopped, GameyeError):
        return stopped
    caller.counters.orphans_stopped += stopped
    if stopped and search.events is not None:
        search.events.orphan_stopped(session_id)
    return None


async def keep_stopping(caller: Caller, session_id: str, options: Options) -> str:
    """Stop a session again and again until that is confirmed; why it was left, empty when it was not."""
    give_up = caller.clock() + _policy.GIVE_UP
    tries = 0
    while caller.clock() < give_up:
        stopped = await caller.once(_api.stop(session_id), options)
        if not isinstance(stopped, GameyeError) or isinstance(stopped, NotFoundError):
            return ""
        tries += 1
        await asyncio.sleep(_policy.poll_delay(tries, caller.rng))
    return "its stop was never confirmed"
