"""What many commands share: their options, and the client they ask."""

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from gameye_async import AsyncGameye, ConfigurationError
from gameye_async.cli.exits import run_to_result

T = TypeVar("T")

AsJson = Annotated[bool, Parameter(name="--json", show_default=False)]
Flag = Annotated[bool, Parameter(show_default=False)]
Labels = Annotated[list[str] | None, Parameter(name="--label")]

_TOKEN = "GAMEYE_API_TOKEN"  # noqa: S105  -- the name of a variable
_TOKEN_FILE = "GAMEYE_API_TOKEN_FILE"  # noqa: S105  -- the name of a variable


def ask(question: Callable[[AsyncGameye], Awaitable[T]]) -> T:
    """What the API answers, from a client of its own.

    Raises:
        KeyboardInterrupt: It was interrupted.
    """

    async def answer() -> T:
        async with connect() as gameye:
            return await question(gameye)

    return run_to_result(answer())


def connect(**settings: Any) -> AsyncGameye:
    """A client with the token of the environment, and these settings.

    Raises:
        ConfigurationError: There is no token, or the client cannot be made.
    """
    return AsyncGameye(find_token(), **settings)


def find_token() -> str:
    """The token in `GAMEYE_API_TOKEN`, else that in the file that `GAMEYE_API_TOKEN_FILE` names.

    Raises:
        ConfigurationError: There is none.
    """
    if token := os.environ.get(_TOKEN):
        return token
    if not (name := os.environ.get(_TOKEN_FILE)):
        raise ConfigurationError(
            f"no API token: set {_TOKEN} (admin panel, Users, API tokens; the emulator prints its own), "
            f"or {_TOKEN_FILE} to a file that holds it"
        )
    try:
        return Path(name).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read the token from {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read the token from {name}: it is not text") from None


def pairs(option: str, texts: Iterable[str] | None) -> dict[str, str]:
    """The values NAME=VALUE of an option that may be repeated.

    Raises:
        ConfigurationError: One is none.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            # What was given is not quoted: it may be a secret.
            raise ConfigurationError(f"{option} takes NAME=VALUE, and one has no '='")
        found[name] = value
    return found
