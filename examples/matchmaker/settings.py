"""What can be set, and how it is read from the environment."""

import os

from attrs import field, frozen
from attrs.validators import ge, gt
from cattrs import BaseValidationError, Converter, transform_error

from .matching import Rules

PREFIX = "MATCHMAKER_"


@frozen(kw_only=True)
class Settings(Rules):
    """The rules of a match, and everything else; `MATCHMAKER_SIZE=4` sets `size`, and so on.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        name: Label of the sessions of this matchmaker; processes of the same name look after each other's.
        image: What is launched.
        game_port: UDP port inside the container that players connect to.
        ttl: Ends a session even when nobody stops it.
        ready_within: Seconds that a game has to answer after its container has started.
        tries: Launches that may fail before a player is told so.
        round_every: Seconds between two rounds of matching; longer means better matches.
        backfill_after: Seconds of waiting after which a player is offered a seat in a running match.
        bracket: Points of skill; players are seated only in matches of their own bracket.
        grace: Seconds of age at which a session without players is left over. More than a match takes to
            make: a launch (30), `ready_within`, and a join (30).
        drain: Seconds that matches in the making have to be finished when the server is stopped.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    name: str = "matchmaker"
    image: str = "my-game"
    game_port: int = 7777
    ttl: str = "2h"
    ready_within: float = 30.0
    tries: int = field(default=3, validator=ge(1))
    round_every: float = 0.2
    backfill_after: float = 5.0
    bracket: float = field(default=500.0, validator=gt(0))
    grace: float = 120.0
    drain: float = 100.0


def from_environment() -> Settings:
    """The settings, each from its variable or by default.

    Raises:
        SystemExit: A variable has no meaning, or its value none; the text says which.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX)
    }
    try:
        return Converter(forbid_extra_keys=True).structure(given, Settings)
    except BaseValidationError as error:
        reasons = transform_error(error, format_exception=lambda reason, _: str(reason))
        raise SystemExit(f"{PREFIX}*: {'; '.join(reasons)}") from None
