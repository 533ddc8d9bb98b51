"""Whose a session is: pure rules, so that nobody else's is ever adopted or stopped."""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from gameye_async.launch_request import GeneratedId, LaunchRequest

if TYPE_CHECKING:
    from gameye_async.records import SessionDetails, SessionSummary

# `Date` has whole seconds, `created` milliseconds; both are the API's own clocks.
_SKEW = timedelta(seconds=2)


@frozen(eq=False, repr=False)
class Sighting:
    """A session that was seen, and the API's clock then; None when the answer did not say."""

    details: "SessionDetails"
    server_time: datetime | None


@frozen(eq=False, repr=False)
class Survey:
    """The sessions that were listed, and the API's clock then; None when the answer did not say."""

    sessions: "list[SessionSummary]"
    server_time: datetime | None


class Ownership(Enum):
    """Whose session it is."""

    OURS = "ours"
    FOREIGN = "somebody else's"
    UNPROVEN = "not provably ours"
    UNCLEAR = "not told by an answer that took so long, and perhaps by the next one"


def ownership(
    request: LaunchRequest,
    sighting: Sighting,
    *,
    locations: Collection[str],
    asked_after: float,
    answered_after: float,
    idempotent: bool,
) -> Ownership:
    """Whose session was found under a launch's id.

    Args:
        request: What was to be launched.
        sighting: What was found.
        locations: Where it may have been launched.
        asked_after: Seconds between the first attempt and the question that led to the sighting.
        answered_after: Seconds between the first attempt and the answer.
        idempotent: Whether anyone who holds the id serves the same intent.
    """
    if _contradiction(request, sighting, locations):
        return Ownership.FOREIGN
    if idempotent or isinstance(request.id, GeneratedId):
        return Ownership.OURS
    if sighting.server_time is None:
        return Ownership.UNPROVEN
    # The API read its clock at some time between the two.
    created = sighting.details.created + _SKEW
    if created >= sighting.server_time - timedelta(seconds=asked_after):
        return Ownership.OURS
    if created >= sighting.server_time - timedelta(seconds=answered_after):
        return Ownership.UNCLEAR
    # An older one may still be ours: a warm pool starts its sessions before they are claimed.
    return Ownership.UNPROVEN


def _contradiction(request: LaunchRequest, sighting: Sighting, locations: Collection[str]) -> bool:
    details = sighting.details
    if details.image != request.image or details.location not in locations:
        return True
    kept = request.labels.keys() & details.labels.keys()
    if request.labels and not kept:
        # A warm pool ignores labels and version, so that their absence says nothing.
        return False
    return any(request.labels[name] != details.labels[name] for name in kept) or (
        request.version is not None and details.version not in (None, request.version)
    )


def strays(
    survey: Survey,
    *,
    expected: "Collection[str] | Callable[[SessionSummary], bool]",
    grace: timedelta,
    id_prefix: str,
    labels: Mapping[str, str],
) -> "list[SessionSummary]":
    """The sessions of a list that are ours, old enough to be known, and not expected.

    Args:
        survey: What was listed.
        expected: Ids that should run, or a function that says so.
        grace: How old a session must be.
        id_prefix: Ours start with it.
        labels: Ours carry them. Checked here too, for not every platform filters by them.
    """

    def is_expected(session: "SessionSummary") -> bool:
        return expected(session) if callable(expected) else session.id in expected

    oldest = (survey.server_time or datetime.now(UTC)) - grace
    return [
        session
        for session in survey.sessions
        if session.id.startswith(id_prefix)
        and labels.items() <= session.labels.items()
        # `Date` has whole seconds, so that the newest are younger than nothing by it.
        and (not grace or session.created <= oldest)
        and not (session.status and session.status.is_over)
        and not is_expected(session)
    ]
