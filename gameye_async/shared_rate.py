"""A launch rate that the processes of an account keep to together, counted in Redis; extra `worker`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from random import Random
from typing import Any

from attrs import define, field, frozen
from yarl import URL

from gameye_async.errors import ConfigurationError

try:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import ConnectionPool
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        'a shared launch rate needs an extra: pip install "gameye-async[worker]"', name="limits"
    ) from None

logger = logging.getLogger(__name__)

# While Redis is away, one launch asks for it again after so many seconds.
_ASK_AGAIN = 2.0
# Bounds of the time between two questions of a launch whose turn it is not yet (seconds).
_SOONEST, _LATEST = 0.005, 0.25


@frozen
class SharedRate:
    """Settings of a launch rate that several processes keep to together.

    They start no more than `rate` x seconds + `rate` x `window` launches in any time. While Redis does not
    answer, each process keeps to `rate` / `processes` by itself, and says so once in the log.

    Args:
        url: Where Redis is, such as `redis://127.0.0.1:6379`, or `rediss://` for TLS.
        rate: Launches a second of all processes together.
        processes: How many processes share it.
        window: Seconds over which the rate is counted; `rate` x `window`, the largest burst, must be whole.
        account: Name of the account whose launches are counted. When None, a hash of the API token, which
            must then be the same in all processes; give a name if yours are rotated.
        timeout: Most seconds that a launch waits for an answer of Redis.

    Raises:
        ConfigurationError: A number or the URL cannot be used.
    """

    url: str = field(repr=False)
    rate: float = field(kw_only=True)
    processes: int = field(kw_only=True)
    window: int = field(default=1, kw_only=True)
    account: str | None = field(default=None, kw_only=True)
    timeout: float = field(default=0.25, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for name in ("rate", "processes", "window", "timeout"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be greater than 0, not {getattr(self, name)!r}")
        if self.burst != self.rate * self.window:
            raise ConfigurationError(
                f"rate x window must be whole, not {self.rate * self.window:g}: choose another window"
            )
        try:
            usable = URL(self.url).scheme in {"redis", "rediss"}
        except ValueError:
            usable = False
        if not usable:
            raise ConfigurationError("the URL of Redis must look like redis://127.0.0.1:6379")

    @property
    def burst(self) -> int:
        """Most launches at one moment."""
        return int(self.rate * self.window)

    def open(self, account: Callable[[], Awaitable[str]], rng: Random) -> "Gate":
        """The gate of one client.

        Args:
            account: Gives the hash of its token.
            rng: Draws the jitter.
        """
        return Gate(self, account, rng)


@define(eq=False)
class Gate:
    """Lets the launches of one client through, one at a time."""

    settings: SharedRate
    _account: Callable[[], Awaitable[str]]
    _rng: Random
    _key: str = field(default="", init=False)
    _redis: "tuple[ConnectionPool, RedisStorage] | None" = field(default=None, init=False)
    _is_away: bool = field(default=False, init=False)
    _ask_at: float = field(default=-inf, init=False)
    _next: float = field(default=-inf, init=False)

    def __attrs_post_init__(self) -> None:
        # Not in the first launch's time: limits imports every client of Redis that is installed.
        self._connected()

    async def turn(self) -> None:
        """Wait until one more launch may be sent."""
        if not self._key:
            self._key = f"gameye-async:launches:{self.settings.account or await self._account()}"
        clock = asyncio.get_running_loop().time
        while True:
            now = clock()
            if now >= self._ask_at:
                granted = await self._ask()
                if granted:
                    return
                if granted is None:
                    self._ask_at = clock() + _ASK_AGAIN
                    continue
                pause = min(max(1 / self.settings.rate, _SOONEST), _LATEST)
                # Spread, so that no process is always the last to ask.
                await asyncio.sleep(pause * self._rng.uniform(0.5, 1.5))
            elif now >= self._next:
                self._next = now + self.settings.processes / self.settings.rate
                return
            else:
                await asyncio.sleep(min(self._next, self._ask_at) - now)

    async def _ask(self) -> bool | None:
        """Whether Redis grants a launch; None when it does not answer."""
        settings = self.settings
        answer: bool | None = None
        try:
            async with asyncio.timeout(settings.timeout):
                # It counts by the clock of Redis, so that those of the machines may differ.
                answer = bool(
                    await self._connected().acquire_sliding_window_entry(
                        self._key, settings.burst, settings.window
                    )
                )
        except Exception as error:  # noqa: BLE001  -- no launch fails because of Redis, whatever is wrong with it
            self._away(error)
        finally:
            if answer is None:
                # An answer that comes too late must not be taken for that of the next question.
                await self.aclose()
        if answer is not None and self._is_away:
            logger.warning("Redis is back: the launch rate is shared again")
            self._is_away = False
        return answer

    def _connected(self) -> RedisStorage:
        if self._redis is None:
            pool: Any = ConnectionPool.from_url(self.settings.url, max_connections=1)  # pyright: ignore[reportUnknownMemberType]  -- its options have no types
            # limits would take coredis, whose versions that it can use hold back other packages.
            storage = RedisStorage(
                f"async+{self.settings.url}", implementation="redispy", connection_pool=pool
            )
            self._redis = pool, storage
        return self._redis[1]

    def _away(self, error: Exception) -> None:
        if not self._is_away:
            # The error's own text may hold the URL, and the URL a password.
            logger.warning(
                "Redis does not answer (%s): until it does, this process launches %.3g a second at most",
                type(error).__name__,
                self.settings.rate / self.settings.processes,
            )
        self._is_away = True

    async def aclose(self) -> None:
        """Close the connection to Redis; another turn would open one again."""
        if self._redis is not None:
            pool, self._redis = self._redis[0], None
            await pool.disconnect()
