"""What a load test launches, how fast, and when it stops."""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Literal, Self
from uuid import uuid4

from attrs import evolve, field, frozen

from gameye_async.errors import ConfigurationError
from gameye_async.launch_request import LaunchRequest, format_ttl, redacted
from gameye_async.loadtest.shapes import CONSTANT, Shape

ArrivalProcess = Literal["poisson", "constant"]

_HOUR = 3600.0


@frozen
class Shard:
    """One of several parts of a load test, each of which runs in a process of its own.

    Args:
        index: Which one, from 1.
        count: How many there are.
    """

    index: int
    count: int

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ConfigurationError(f"a shard is one of 1/{self.count} to {self.count}/{self.count}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard as `2/8`.

        Raises:
            ConfigurationError: It is none.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match is None or not int(match[2]):
            raise ConfigurationError(f"a shard is written as 2/8, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    def part(self, whole: int) -> int:
        """Its part of a number that all shards share, so that all parts add up to it."""
        return (whole + self.count - self.index) // self.count


def _locations(value: str | Iterable[str | Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    each = [value] if isinstance(value, str) else value
    return tuple((name,) if isinstance(name, str) else tuple(name) for name in each)


def _shard(value: str | Shard) -> Shard:
    return Shard.parse(value) if isinstance(value, str) else value


def _positive(_instance: object, attribute: Any, value: Any) -> None:
    if value is not None and not (value > 0 and isfinite(value)):
        raise ConfigurationError(f"{attribute.name} must be greater than 0, not {value!r}")


def _not_negative(_instance: object, attribute: Any, value: Any) -> None:
    if value is not None and not (value >= 0 and isfinite(value)):
        raise ConfigurationError(f"{attribute.name} must not be negative, not {value!r}")


def _process(_instance: object, _attribute: object, value: object) -> None:
    if value not in ("poisson", "constant"):
        raise ConfigurationError(f'arrivals must be "poisson" or "constant", not {value!r}')


@frozen
class Plan:
    """A load test, checked when it is made.

    Args:
        image: Application to launch.
        location: Where: a location, or several that arrivals take in turn. In place of one, several in
            order of preference may stand, as in a `LaunchRequest`.
        rate: Launches per second, where the shape has level 1.
        duration: Seconds in which launches begin.
        shape: How the rate changes over the duration.
        arrivals: "poisson" for arrivals that know nothing of each other, as players do; "constant" for
            equal distances.
        lifetime: Seconds that each session lives before it is stopped.
        ttl: Time to live of each session, should this process be killed; longer than it can live.
        deadline: Seconds that a launch may take; the client's own when None.
        version: Tag of the image.
        args: Command line arguments of the containers.
        env: Environment of the containers; in no repr, and in no report.
        run: The value of the label `loadtest` that all sessions carry.
        max_sessions: Most sessions of all shards together; arrivals end when they are reached.
        max_cost: Most they may cost, in the currency of the price; arrivals end before more is spent.
        price_per_hour: What a session costs an hour.
        shard: The part that this process plays, such as `"2/8"`.
        seed: Decides the moments of Poisson arrivals; equal for all shards.

    Raises:
        ConfigurationError: Something of it cannot be meant; the text names it.
    """

    image: str
    location: tuple[tuple[str, ...], ...] = field(converter=_locations)
    rate: float = field(kw_only=True, validator=_positive)
    duration: float = field(kw_only=True, validator=_positive)
    shape: Shape = field(default=CONSTANT, kw_only=True)
    arrivals: ArrivalProcess = field(default="poisson", kw_only=True, validator=_process)
    lifetime: float = field(default=5.0, kw_only=True, validator=_not_negative)
    ttl: str = field(default="5m", kw_only=True, converter=format_ttl)
    deadline: float | None = field(default=None, kw_only=True, validator=_positive)
    version: str | None = field(default=None, kw_only=True)
    args: tuple[str, ...] = field(default=(), kw_only=True, converter=tuple[str, ...])
    env: Mapping[str, str] = field(factory=dict[str, str], kw_only=True, repr=redacted, hash=False)
    run: str = field(factory=lambda: f"load-{uuid4().hex[:8]}", kw_only=True)
    max_sessions: int | None = field(default=None, kw_only=True, validator=_positive)
    max_cost: float | None = field(default=None, kw_only=True, validator=_positive)
    price_per_hour: float | None = field(default=None, kw_only=True, validator=_positive)
    shard: Shard = field(default=Shard(1, 1), kw_only=True, converter=_shard)
    seed: int = field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.location:
            raise ConfigurationError("location must name at least one location")
        for index in range(len(self.location)):
            self.request(index)
        if self.max_cost is not None and self.price_per_hour is None:
            raise ConfigurationError("max_cost needs price_per_hour: what a session costs an hour")
        if self.lifetime >= _seconds(self.ttl):
            raise ConfigurationError(
                f"ttl {self.ttl} must be longer than the lifetime of {self.lifetime:g} s"
            )

    @property
    def expected(self) -> float:
        """How many launches there are to be, on average, in all shards together."""
        return self.rate * self.duration * self.shape.mean

    @property
    def labels(self) -> dict[str, str]:
        """What the sessions of this shard carry, and no others."""
        return {"loadtest": self.run, "shard": str(self.shard)}

    @property
    def session_cap(self) -> int | None:
        """Most sessions of this shard."""
        return None if self.max_sessions is None else self.shard.part(self.max_sessions)

    @property
    def cap_seconds(self) -> float | None:
        """Most session-seconds of this shard, as the costs allow."""
        if self.max_cost is None or self.price_per_hour is None:
            return None
        return self.max_cost / self.price_per_hour * _HOUR / self.shard.count

    def cost(self, session_seconds: float) -> float | None:
        """What session-seconds cost; None without a price."""
        return None if self.price_per_hour is None else session_seconds / _HOUR * self.price_per_hour

    def request(self, place: int) -> LaunchRequest:
        """A new launch request.

        Args:
            place: Which of the locations, from 0.
        """
        return LaunchRequest(
            self.image,
            self.location[place],
            env=self.env,
            args=self.args,
            labels=self.labels,
            version=self.version,
            ttl=self.ttl,
        )

    def is_part_of(self, other: Self) -> bool:
        """Whether both are shards of one load test."""
        return self.without_part() == other.without_part()

    def without_part(self) -> Self:
        """The plan of all shards together; what a report does not keep is left out."""
        return evolve(self, shard=Shard(1, 1), run="-", env={})


def _seconds(ttl: str) -> float:
    hours, _, minutes = ttl.rpartition("h")
    return int(hours or 0) * _HOUR + int(minutes.removesuffix("m") or 0) * 60.0
