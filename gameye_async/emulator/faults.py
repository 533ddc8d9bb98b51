"""Faults as data: what goes wrong between a good client and a good world."""

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, Final, Literal, get_args

from attrs import asdict, define, field, frozen
from attrs.validators import and_, ge, gt, in_, le, optional

from gameye_async.emulator.refusal import Refusal
from gameye_async.emulator.routes import SCOPES
from gameye_async.emulator.structure import listed, structured

Kind = Literal[
    "latency",
    "refuse",
    "html_502",
    "cut_before_commit",
    "cut_after_commit",
    "truncate",
    "oversize",
    "slow_drip",
    "not_json",
    "close_idle",
    "restart",
]
Distribution = Literal["constant", "uniform", "lognormal"]
Moment = Literal["before", "after", "delivery"]
EVERY_KIND: Final[tuple[Kind, ...]] = get_args(Kind)
_MOMENTS: Final[Mapping[Kind, Moment]] = {
    "cut_before_commit": "before",
    "cut_after_commit": "after",
    "truncate": "delivery",
    "oversize": "delivery",
    "slow_drip": "delivery",
    "not_json": "delivery",
    "close_idle": "delivery",
}


@frozen
class Fault:
    """One rule: what goes wrong, where, how often.

    Args:
        kind: `latency`; `refuse` with the error envelope; `html_502`, a proxy's error page;
            `cut_before_commit` and `cut_after_commit`, the connection is reset; `truncate`, half of the
            announced body and then the end; `oversize`, a body padded with white space; `slow_drip`, a body
            one byte at a time; `not_json`, a body that is none; `close_idle`, a good answer that promises to
            keep the connection, which is then closed; `restart`, the platform restarts: all connections are
            reset, and launches in flight are lost.
        operation: `operationId` that it hits, such as `session-run`; None for all.
        location: Location that it hits; None for all, and for requests that name none.
        count: How many requests it hits before it is used up; None for no end.
        probability: Chance to hit a matching request, above 0 and at most 1.
        keep_memory: Whether sessions survive a `restart`.
        when: Whether `latency`, `refuse`, `html_502` and `restart` strike `"before"` or `"after"` the commit.
        seconds: Length of a `latency`; pause between the bytes of a `slow_drip`.
        distribution: Of a latency: `constant`, `uniform` from `seconds` to `seconds + spread`, or
            `lognormal` with the median `seconds` and the sigma `spread`.
        spread: See `distribution`.
        status: Status of a `refuse`; 420, 402, 429 and 5xx are the usual ones.
        retry_after: Seconds of its `Retry-After` header, or None for none.
        size: Bytes of an `oversize` body, at most 1 GiB.
    """

    kind: Kind = field(validator=listed)
    operation: str | None = field(default=None, validator=optional(in_(tuple(SCOPES))))
    location: str | None = None
    count: int | None = field(default=None, validator=optional(ge(1)))
    probability: float = field(default=1.0, validator=and_(gt(0), le(1)))
    when: Literal["before", "after"] = field(default="before", validator=listed)
    seconds: float = field(default=0.0, validator=ge(0))
    distribution: Distribution = field(default="constant", validator=listed)
    spread: float = field(default=0.0, validator=ge(0))
    status: int = field(default=503, validator=and_(ge(400), le(599)))
    keep_memory: bool = True
    retry_after: float | None = None
    size: int = field(default=16 * 2**20, validator=and_(ge(0), le(2**30)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Fault":
        """A fault from plain data, such as a table of a scenario file.

        Raises:
            ValueError: A key is unknown or a value is out of range.
        """
        return structured(data, cls, "fault")

    def to_dict(self) -> dict[str, Any]:
        """The plain data of this fault, without what is left at its default."""
        return asdict(self, filter=lambda attribute, value: value != attribute.default)

    def hits(self, operation: str, location: str | None) -> bool:
        """Whether the rule is about this request."""
        return self.operation in {None, operation} and self.location in {None, location}

    def happens(self, rng: Random) -> bool:
        """Whether it strikes this time; a certain fault draws no random number."""
        return self.probability == 1 or rng.random() < self.probability

    @property
    def moment(self) -> Moment:
        """When it strikes: before or after the commit, or while the answer is delivered."""
        return _MOMENTS.get(self.kind, self.when)

    def delay(self, rng: Random) -> float:
        """How long this latency is, in seconds."""
        if self.distribution == "uniform":
            return rng.uniform(self.seconds, self.seconds + self.spread)
        if self.distribution == "lognormal":
            return self.seconds * rng.lognormvariate(0, self.spread)
        return self.seconds

    def refusal(self) -> Refusal:
        """What a `refuse` answers."""
        return Refusal(self.status, "An injected fault.", retry_after=self.retry_after)


def _counts(faults: Iterable[Fault]) -> dict[Fault, int | None]:
    return {fault: fault.count for fault in faults}


@define
class Faults:
    """The rules in force, in order; one that is added again starts anew."""

    _left: dict[Fault, int | None] = field(factory=dict[Fault, int | None], converter=_counts)

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._left))

    def __len__(self) -> int:
        return len(self._left)

    def add(self, *faults: Fault) -> None:
        """Put rules into force."""
        self._left |= _counts(faults)

    def discard(self, fault: Fault) -> None:
        """Take a rule out of force, if it is in."""
        self._left.pop(fault, None)

    def clear(self) -> None:
        """Heal."""
        self._left.clear()

    def pick(self, operation: str, location: str | None, rng: Random) -> tuple[Fault, ...]:
        """What strikes a request: latencies add up, and of all other rules the first match strikes.

        Args:
            operation: `operationId` of the request.
            location: Location of the request, or None.
            rng: Decides about rules whose probability is below 1.
        """
        picked: list[Fault] = []
        is_struck = False
        for fault in self:
            is_latency = fault.kind == "latency"
            if (is_latency or not is_struck) and fault.hits(operation, location) and fault.happens(rng):
                picked.append(fault)
                is_struck = is_struck or not is_latency
                self._use(fault)
        return tuple(picked)

    def _use(self, fault: Fault) -> None:
        left = self._left[fault]
        if left == 1:
            del self._left[fault]
        elif left is not None:
            self._left[fault] = left - 1

    @classmethod
    def from_dicts(cls, data: Iterable[Mapping[str, Any]]) -> "Faults":
        """Rules from plain data.

        Raises:
            ValueError: One of them is no fault.
        """
        return cls(structured(item, Fault, f"faults[{index}]") for index, item in enumerate(data))

    def to_dicts(self) -> list[dict[str, Any]]:
        """The plain data of the rules, each with the count that is left."""
        return [
            fault.to_dict() if left is None else {**fault.to_dict(), "count": left}
            for fault, left in self._left.items()
        ]
