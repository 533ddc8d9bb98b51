"""Async client for the Gameye Session API: launch many game sessions, lose none."""

import typing as _typing
from importlib import import_module as _import_module

from gameye_async._stats import ClientStats
from gameye_async._version import __version__
from gameye_async.client import AsyncGameye
from gameye_async.errors import (
    ApiError,
    Attempt,
    AuthenticationError,
    BadAnswerError,
    BadRequestError,
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
    GameyeError,
    InvalidRequestError,
    LaunchOutcomeUnknownError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
    ServerError,
    SessionEndedError,
    SessionIdConflictError,
    StopUnconfirmedError,
    Violation,
)
from gameye_async.launch_request import LaunchRequest
from gameye_async.models import OrphanRecord, Port, Session
from gameye_async.settings import Environment, Pacing, RetryPolicy, Timeouts

if _typing.TYPE_CHECKING:
    from gameye_async._artifacts import Artifact
    from gameye_async._collect import Collected
    from gameye_async._extract import extract_artifact
    from gameye_async._rollout import Rollout, rank_locations
    from gameye_async.outcomes import LaunchOutcome, StopOutcome
    from gameye_async.probes import http_probe, tcp_probe, udp_probe
    from gameye_async.records import Location, Roster, SessionDetails, SessionStatus, SessionSummary
else:
    # What not every launch needs is imported when it is asked for (PEP 562).
    _LATER = {
        "Artifact": "_artifacts",
        "Collected": "_collect",
        "LaunchOutcome": "outcomes",
        "Location": "records",
        "Rollout": "_rollout",
        "Roster": "records",
        "SessionDetails": "records",
        "SessionStatus": "records",
        "SessionSummary": "records",
        "StopOutcome": "outcomes",
        "extract_artifact": "_extract",
        "http_probe": "probes",
        "rank_locations": "_rollout",
        "tcp_probe": "probes",
        "udp_probe": "probes",
    }

    def __getattr__(name: str) -> object:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(_import_module(f"{__name__}.{_LATER[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return [*{*globals(), *__all__}]


__all__ = [
    "ApiError",
    "Artifact",
    "AsyncGameye",
    "Attempt",
    "AuthenticationError",
    "BadAnswerError",
    "BadRequestError",
    "CapacityError",
    "ClientClosedError",
    "ClientStats",
    "Collected",
    "ConfigurationError",
    "DeadlineExceededError",
    "Environment",
    "GameyeError",
    "InvalidRequestError",
    "LaunchOutcome",
    "LaunchOutcomeUnknownError",
    "LaunchRequest",
    "Location",
    "NoAnswerError",
    "NotFoundError",
    "NotSentError",
    "OrphanRecord",
    "Pacing",
    "PermissionDeniedError",
    "Port",
    "QuotaExceededError",
    "RateLimitedError",
    "RetryPolicy",
    "Rollout",
    "Roster",
    "ServerError",
    "Session",
    "SessionDetails",
    "SessionEndedError",
    "SessionIdConflictError",
    "SessionStatus",
    "SessionSummary",
    "StopOutcome",
    "StopUnconfirmedError",
    "Timeouts",
    "Violation",
    "__version__",
    "extract_artifact",
    "http_probe",
    "rank_locations",
    "tcp_probe",
    "udp_probe",
]
