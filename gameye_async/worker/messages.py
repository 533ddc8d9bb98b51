"""What is said between matchmaker and workers: jobs and outcomes as JSON, in the API's vocabulary."""

import uuid
from collections.abc import Mapping
from typing import Any, Self, cast

import attrs
from attrs import frozen

from gameye_async import ConfigurationError, GameyeError, LaunchRequest, Session
from gameye_async._codec import (
    LaunchAnswer,
    dumps,
    launch_body,
    loads,
    parse_json,
    parse_launch_request,
)
from gameye_async._structure import structure
from gameye_async.launch_request import GeneratedId

# Must never change: a job that is delivered again must get the id that it had.
_ROOT = uuid.UUID("b7f3c0de-94a1-5d02-8a6e-0f1d2c5e7a43")


def session_id(match: str, stream: str = "launches") -> str:
    """The id of a match's session: always the same, so that no match ever gets two.

    Args:
        match: The match's id, unique in the stream for good; a match that is played again needs a new one.
        stream: The stream of its job, so that the games of one account may count their matches alike.
    """
    return str(uuid.uuid5(uuid.uuid5(_ROOT, stream), match))


def job_text(match: str, request: LaunchRequest) -> bytes:
    """A job: the fields of a launch request, several locations as a list, and the id of its match.

    Raises:
        ConfigurationError: There is no match id, or the request brings a session id of its own.
    """
    if not match or not isinstance(match, str):
        raise ConfigurationError("match must be text that is not empty")
    if not isinstance(request.id, GeneratedId):
        raise ConfigurationError(
            "leave the id out of the request; that of the session is made of the match's"
        )
    # What LaunchRequest refuses is refused here, and not by a worker.
    body = {**loads(launch_body(request, "")), "location": request.location, "match": match}
    del body["id"]
    return dumps(body)


def read_job(text: bytes) -> tuple[str, Mapping[str, Any]]:
    """The id of a job's match, and the fields of its launch request.

    Raises:
        ConfigurationError: It is not an object of JSON with the id of a match.
    """
    payload = parse_json(text)
    if not isinstance(payload, dict):
        raise ConfigurationError("a job is a JSON object")
    fields = cast("dict[str, Any]", payload)
    match = fields.pop("match", None)
    if not match or not isinstance(match, str):
        raise ConfigurationError("a job needs 'match', the id of its match, as text")
    return match, fields


def job_request(match: str, fields: Mapping[str, Any], stream: str) -> LaunchRequest:
    """The launch request of a job.

    Raises:
        ConfigurationError: A field is missing, unknown or refused; the text names it.
    """
    if "id" in fields:
        raise ConfigurationError("a job has no 'id'; that of the session is made of the match's")
    return parse_launch_request({**fields, "id": session_id(match, stream)})


@frozen(kw_only=True)
class MatchOutcome:
    """What became of the job of a match.

    Attributes:
        match: The match's id; empty when the job was not even JSON.
        session: Its session; None when there is none.
        error: The name of the error that was the reason, such as "NotFoundError"; empty with a session.
        message: What it says; empty with a session.
    """

    match: str
    session: Session | None = None
    error: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is a session."""
        return self.session is not None

    @classmethod
    def of(cls, match: str, result: Session | GameyeError) -> Self:
        """The outcome of a launch."""
        if isinstance(result, Session):
            return cls(match=match, session=result)
        return cls(match=match, error=type(result).__name__, message=str(result))

    def to_json(self) -> bytes:
        """As it is published."""
        if self.session is None:
            return dumps({"match": self.match, "ok": False, "error": self.error, "message": self.message})
        session = attrs.asdict(self.session, filter=lambda field, _: field.name not in {"attempts", "ports"})
        ports = [
            {"type": port.protocol, "container": port.container, "host": port.host}
            for port in self.session.ports
        ]
        return dumps({"match": self.match, "ok": True, **session, "ports": ports})

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """From what was published.

        Raises:
            ValueError: It is no outcome.
        """
        try:
            payload = loads(text)
            match = str(payload["match"])
            if not payload["ok"]:
                return cls(match=match, error=str(payload["error"]), message=str(payload["message"]))
            answer = structure(payload, LaunchAnswer)
            others = ("id", "location", "image", "version", "created_by", "elapsed")
            session = Session(
                host=answer.host, ports=answer.ports, **{name: payload[name] for name in others}
            )
        except (KeyError, TypeError, ValueError, GameyeError) as error:
            raise ValueError(f"not an outcome ({error})") from None
        return cls(match=match, session=session)
