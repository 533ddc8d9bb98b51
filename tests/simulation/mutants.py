"""Plausible mistakes in the launch algorithm; each, switched on, must break a promise in some world.

They show that the worlds are harsh enough and that the checker sees.
"""

import asyncio
import itertools
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from math import inf
from typing import Any, Final
from unittest import mock

import attrs

from gameye_async import NotFoundError, _api, _supervisor
from gameye_async._launch import Launch
from gameye_async._ownership import Ownership
from gameye_async._search import Search
from gameye_async._supervisor import Supervisor


@contextmanager
def no_reaper() -> Iterator[None]:
    """Sessions that nobody waits for any more are forgotten."""
    with mock.patch.object(Supervisor, "reap"):
        yield


@contextmanager
def post_killed_on_cancel() -> Iterator[None]:
    """Cancelling a launch aborts its POST, and takes that for not having sent it."""
    may_have_worked = Search.may_have_worked

    def interrupted(search: Search) -> None:
        if not isinstance(sys.exception(), asyncio.CancelledError):
            may_have_worked(search)

    with (
        mock.patch.object(Launch, "hold"),
        mock.patch.object(Search, "may_have_worked", interrupted),
    ):
        yield


@contextmanager
def stop_at_first_404() -> Iterator[None]:
    """The reaper takes the first 404 for the end, although the launch may still be going on."""
    reap = Supervisor.reap

    def hasty(supervisor: Supervisor, search: Search) -> None:
        retry = attrs.evolve(search.options.retry, quiet=0.0)
        reap(supervisor, attrs.evolve(search, options=attrs.evolve(search.options, retry=retry)))

    with mock.patch.object(Supervisor, "reap", hasty):
        yield


@contextmanager
def delete_without_describing() -> Iterator[None]:
    """The reaper stops whatever has the id."""

    async def settle(search: Search) -> str:
        stopped = await search.caller.once(_api.stop(search.request.id), search.options)
        return "" if isinstance(stopped, bool | NotFoundError) else "not stopped"

    with mock.patch.object(_supervisor, "settle", settle):
        yield


@contextmanager
def adopt_on_any_409() -> Iterator[None]:
    """A session of the same id is always taken for ours."""
    with mock.patch.object(Search, "owner", return_value=Ownership.OURS):
        yield


@contextmanager
def no_probe_after_420() -> Iterator[None]:
    """A 420 is taken to settle what became of earlier attempts too."""

    async def settled(search: Search) -> None:
        search.in_doubt_since = -inf

    with mock.patch.object(Search, "once", settled):
        yield


@contextmanager
def new_id_on_retry() -> Iterator[None]:
    """Every attempt asks for a session of its own."""
    build = _api.launch
    attempts = itertools.count()

    def renamed(request: Any, location: str) -> Any:
        another = uuid.uuid5(uuid.NAMESPACE_URL, f"{request.id}/{next(attempts)}")
        return build(attrs.evolve(request, id=another), location)

    with mock.patch.object(_api, "launch", renamed):
        yield


MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = {
    mutant.__name__: mutant
    for mutant in (
        no_reaper,
        post_killed_on_cancel,
        stop_at_first_404,
        delete_without_describing,
        adopt_on_any_409,
        no_probe_after_420,
        new_id_on_retry,
    )
}
