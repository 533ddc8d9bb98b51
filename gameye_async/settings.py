"""What can be set on a client: where the API is, how long to wait, how to retry, how to pace."""

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self

from attrs import field, frozen

from gameye_async.errors import ConfigurationError

if TYPE_CHECKING:
    from yarl import URL

TOKEN_VARIABLE = "GAMEYE_API_TOKEN"  # noqa: S105  -- the name of the variable, not a token
URL_VARIABLE = "GAMEYE_API_URL"


class Environment(StrEnum):
    """The platforms of Gameye; a token belongs to one of them."""

    PRODUCTION = "https://api.gameye.io"
    SANDBOX = "https://api.sandbox-gameye.gameye.net"


def _positive(_instance: object, attribute: Any, value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} must be greater than 0, not {value!r}")


def _not_negative(_instance: object, attribute: Any, value: float) -> None:
    if not value >= 0:
        raise ConfigurationError(f"{attribute.name} must not be negative, not {value!r}")


def _fraction(_instance: object, attribute: Any, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigurationError(f"{attribute.name} must lie between 0 and 1, not {value!r}")


@frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        deadline: A whole call: queueing, attempts, backing off and reconciling.
        connect: Making one connection.
        attempt: One answer, from taking a slot to the last byte. Long on purpose: giving up on a
            launch does not stop the API from finishing it (usual start: 0.5 s).
        close: What `aclose()` grants launches in flight and stops of abandoned sessions.
    """

    deadline: float = field(default=30.0, validator=_positive)
    connect: float = field(default=5.0, validator=_positive)
    attempt: float = field(default=15.0, validator=_positive)
    close: float = field(default=10.0, validator=_not_negative)


@frozen(kw_only=True)
class RetryPolicy:
    """When and how often to try again; delays in seconds, drawn with full jitter.

    Attributes:
        attempts: Tries per call, the first included. A launch that is told to come back later (420,
            429) goes on until its deadline.
        base: First bound of the delay after a failed connection, a lost answer or a 5xx; it doubles
            with each failure.
        cap: Its upper bound.
        settle: A launch that may have happened is not sent again sooner than this after it was
            sent; sessions usually start in 0.5 s.
        consistency: How long a session that must exist may be missing from the API's answers.
        quiet: A launch that may have happened, and whose session does not show up for this long after
            it was last sent, has not happened. It must exceed the longest time that the API may
            spend on one launch.
        throttle_base: First bound of the delay after a 420 or 429; it doubles with each, but for launches
            whose rate is adaptive (`Pacing`).
        throttle_floor: Its lower bound.
        throttle_cap: Its upper bound, also of a `Retry-After` that the API sends.
        budget: Tokens for retries that all calls of a client share, so that an outage is not made
            worse. A retry takes `budget_cost` (after a 420 or 429 `budget_throttle_cost`, after a
            failed connection 1), a first-try success gives 1 back. Finding out what became of a
            launch, and stopping sessions, cost nothing.
        budget_cost: See `budget`.
        budget_throttle_cost: See `budget`.
    """

    attempts: int = field(default=6, validator=_positive)
    base: float = field(default=0.05, validator=_positive)
    cap: float = field(default=5.0, validator=_positive)
    settle: float = field(default=0.5, validator=_not_negative)
    consistency: float = field(default=5.0, validator=_not_negative)
    quiet: float = field(default=30.0, validator=_not_negative)
    throttle_base: float = field(default=2.0, validator=_positive)
    throttle_floor: float = field(default=1.0, validator=_not_negative)
    throttle_cap: float = field(default=60.0, validator=_positive)
    budget: float = field(default=500.0, validator=_positive)
    budget_cost: float = field(default=14.0, validator=_not_negative)
    budget_throttle_cost: float = field(default=5.0, validator=_not_negative)


class LaunchGate(Protocol):
    """Lets the launches of one client through."""

    async def turn(self) -> None:
        """Wait until one more launch may be sent."""
        ...

    async def aclose(self) -> None:
        """Give back what it holds."""
        ...


class SharedPacing(Protocol):
    """A launch rate that is kept by more than one client, such as `gameye_async.shared_rate.SharedRate`."""

    def open(self, account: Callable[[], Awaitable[str]], rng: Random) -> LaunchGate:
        """The gate of one client; `account` gives a hash of its token."""
        ...


@frozen(kw_only=True)
class Pacing:
    """How launches are slowed down when the API says 420 or 429, and when a location is left alone.

    Attributes:
        adaptive: Whether the launch rate is lowered after a refusal and raised again in time. It is
            not limited at all before the first one.
        decrease: The measured rate is multiplied by this after a refusal.
        growth: How fast the rate grows again: a cubic curve that first returns to where it was,
            stays there a while, and then tries for more.
        floor: Lowest rate, in launches per second.
        gate_after: Refusals in a row after which a location is left alone for a while. Then one
            launch tries it; each that is accepted there lets four more go, until it is open to all.
        gate_base: First time a location is left alone, in seconds; it doubles with each, give or
            take half.
        gate_cap: Upper bound of the doubling, in seconds. A try is one call, so that a short one costs
            little: with 10 s, launches in a 20 s outage were done 5 s later (`benchmarks/throttling.py`).
        account_window: A location that accepted nothing in this many seconds and refuses is full, which
            says nothing of others. Where two or more accept and refuse in that time, the account starts
            too many sessions: the rate goes down, and no location is to blame.
        shared: A rate that other processes keep to as well; it holds on top of the adaptive one.
    """

    adaptive: bool = True
    decrease: float = field(default=0.7, validator=_fraction)
    growth: float = field(default=0.4, validator=_positive)
    floor: float = field(default=0.5, validator=_positive)
    gate_after: int = field(default=3, validator=_positive)
    gate_base: float = field(default=2.0, validator=_positive)
    gate_cap: float = field(default=5.0, validator=_positive)
    account_window: float = field(default=2.0, validator=_positive)
    shared: SharedPacing | None = None


class Credential(str):
    """An Authorization header that stays out of reprs, logs and tracebacks, aiohttp's own included."""

    __slots__ = ()

    def __new__(cls, token: str) -> Self:
        """The header for a token."""
        return super().__new__(cls, f"Bearer {token}")

    def __repr__(self) -> str:
        return "'***'"

    def is_in(self, texts: Iterable[str]) -> bool:
        """Whether the token can be read in one of some texts."""
        # No token holds a line break.
        return self.removeprefix("Bearer ") in "\n".join(texts)

    def scrub(self, text: str) -> str:
        """Decoded text of an answer in which the token, should it be echoed, is replaced."""
        return text.replace(self.removeprefix("Bearer "), "***")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a credential does not pickle")


class Token:
    """A secret that never shows itself: not in repr, str, format or pickle.

    Args:
        source: The token, or an async callable that gives the one to use now, for rotation.

    Raises:
        ConfigurationError: The token is empty, or holds anything but printable ASCII without spaces.
    """

    __slots__ = ("_source",)

    def __init__(self, source: str | Callable[[], Awaitable[str]]) -> None:
        self._source = source if callable(source) else _credential(source)

    @property
    def fixed(self) -> Credential | None:
        """The header for a token that never changes."""
        return self._source if isinstance(self._source, Credential) else None

    async def credential(self) -> Credential:
        """The header for the token to use now.

        Raises:
            ConfigurationError: The callable gave something that cannot be a token.
        """
        if isinstance(self._source, Credential):
            return self._source
        return _credential(await self._source())

    async def fingerprint(self) -> str:
        """A name for the account that tells nothing about the token.

        Raises:
            ConfigurationError: The callable gave something that cannot be a token.
        """
        import hmac  # noqa: PLC0415  -- few programs need it

        return hmac.digest((await self.credential()).encode(), b"gameye-async account", "sha256").hex()

    def __repr__(self) -> str:
        return "Token('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token does not pickle; give each process its own, from the environment")


_TOKEN = re.compile(r"[!-~]+")


def _credential(token: object) -> Credential:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        # Crash reporters send local variables along.
        del token
        raise ConfigurationError(
            "the token must be printable ASCII without spaces; was a line break copied with it?"
        )
    return Credential(token)


def find_token(token: str | Callable[[], Awaitable[str]] | None) -> Token:
    """The token given, else the one in `GAMEYE_API_TOKEN`.

    Raises:
        ConfigurationError: There is none, or it cannot be one.
    """
    source = os.environ.get(TOKEN_VARIABLE) if token is None else token
    if source is None:
        raise ConfigurationError(
            f"no API token: pass token=... or set {TOKEN_VARIABLE} "
            "(admin panel, Users, API tokens); the emulator prints its own"
        )
    try:
        return Token(source)
    except ConfigurationError as error:
        # The frames of the traceback hold what may be a token and a line break.
        del source, token
        raise error.with_traceback(None) from None


def find_base_url(base_url: "str | URL | None", environment: Environment | None) -> "URL":
    """Where the API is: `base_url`, else `environment`, else `GAMEYE_API_URL`, else production.

    Raises:
        ConfigurationError: Both are given, or the URL is not an origin over https (http only to loopback).
    """
    from yarl import URL  # noqa: PLC0415  -- with what it imports, a seventh of an import without it

    if base_url is not None and environment is not None:
        raise ConfigurationError("give base_url or environment, not both")
    if base_url is None:
        base_url = environment or os.environ.get(URL_VARIABLE) or Environment.PRODUCTION.value
    text = str(base_url)
    try:
        url = URL(text)
        # The resolver would fail on it with a UnicodeError that is no OSError.
        (url.host or "").encode("idna")
    except ValueError:
        raise ConfigurationError("the base URL is not a URL") from None
    # The text itself is never quoted: userinfo in it would be a secret.
    if url.user is not None or url.password is not None:
        raise ConfigurationError("the base URL must not hold a user or password; the token is passed apart")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError("the base URL must start with https:// and name a host")
    if "#" in text or "?" in text or url.path not in {"", "/"}:
        raise ConfigurationError(
            "the base URL must have no path, query or fragment, as in https://api.gameye.io"
        )
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ConfigurationError("the base URL must use https; http is only for an emulator on loopback")
    return url.origin()


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415  -- yarl imports it as well

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_proxy(proxy: str) -> None:
    """Refuse what is not the URL of a proxy.

    Raises:
        ConfigurationError: It is not.
    """
    from yarl import URL  # noqa: PLC0415  -- as above

    if URL(proxy).scheme not in {"http", "https"} or not URL(proxy).host:
        raise ConfigurationError("proxy must be the URL of a proxy, such as http://proxy.example:3128")
