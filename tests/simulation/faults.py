"""What can happen to a message on the simulated network, and plans that decide when."""

from collections.abc import Iterator
from random import Random
from typing import Final, Literal, Protocol

from attrs import define, field, frozen


@frozen
class Fault:
    """What the network does to one message: a connection attempt, a request or a response.

    Attributes:
        delivered: how much of the message arrives: 1.0 all, 0.5 half of its body (of its head when it has no
            body), 0.0 nothing.
        ending: how the connection then ends for both sides; None leaves it open and, when a part of the
            message is missing, silent for good. Nothing else passes before the end, the answer included.
        delay: extra seconds on the way.
    """

    delivered: float = 1.0
    ending: Literal["reset", "eof"] | None = None
    delay: float = 0.0


FAULTLESS: Final = Fault()
RESET_BEFORE: Final = Fault(delivered=0.0, ending="reset")
RESET_WITHIN: Final = Fault(delivered=0.5, ending="reset")
RESET_AFTER: Final = Fault(delivered=1.0, ending="reset")
EOF_BEFORE: Final = Fault(delivered=0.0, ending="eof")
EOF_WITHIN: Final = Fault(delivered=0.5, ending="eof")
EOF_AFTER: Final = Fault(delivered=1.0, ending="eof")
BLACK_HOLE: Final = Fault(delivered=0.0)
STALLED: Final = Fault(delivered=0.5)

REFUSED: Final = RESET_BEFORE
"""A connection attempt that is reset is refused."""
STALE: Final = EOF_AFTER
"""A response followed by the end of its connection: the end races the next request on it."""

CONNECT_FAULTS: Final = (REFUSED, BLACK_HOLE)
MESSAGE_FAULTS: Final = (
    RESET_BEFORE,
    RESET_WITHIN,
    RESET_AFTER,
    EOF_BEFORE,
    EOF_WITHIN,
    EOF_AFTER,
    BLACK_HOLE,
    STALLED,
)


class FaultPlan(Protocol):
    """Decides the fate of each message when it is sent; ``now`` is virtual time in seconds."""

    def on_connect(self, now: float) -> Fault:
        """Decide a connection attempt."""
        ...

    def on_request(self, now: float, data: bytes) -> Fault:
        """Decide a request by its first bytes."""
        ...

    def on_response(self, now: float, data: bytes) -> Fault:
        """Decide a response by its first bytes."""
        ...


class NoFaults:
    """A network on which nothing goes wrong."""

    def on_connect(self, now: float) -> Fault:
        return FAULTLESS

    def on_request(self, now: float, data: bytes) -> Fault:
        return FAULTLESS

    def on_response(self, now: float, data: bytes) -> Fault:
        return FAULTLESS


@define
class ScriptedFaults:
    """Given faults in their order, one for each message of a kind, and none after the last.

    Attributes:
        connects: faults of connection attempts.
        requests: faults of requests.
        responses: faults of responses.
    """

    connects: Iterator[Fault] = field(default=(), converter=iter)
    requests: Iterator[Fault] = field(default=(), converter=iter)
    responses: Iterator[Fault] = field(default=(), converter=iter)

    def on_connect(self, now: float) -> Fault:
        return next(self.connects, FAULTLESS)

    def on_request(self, now: float, data: bytes) -> Fault:
        return next(self.requests, FAULTLESS)

    def on_response(self, now: float, data: bytes) -> Fault:
        return next(self.responses, FAULTLESS)


@define
class RandomFaults:
    """Faults by chance until the network heals.

    A message swallowed before that stays lost: a client without a timeout waits for it for ever.

    Attributes:
        rng: the source of chance; the same seed gives the same faults.
        rate: the share of messages that meet with a fault, 0.0 to 1.0.
        until: the virtual time, in seconds, after which nothing is decided but `FAULTLESS`.
        max_delay: the longest extra delay of an answer or a connection, in seconds.
        max_request_delay: that of a request; a launch that comes after the client's quiet window is beyond
            what the client promises, and the API takes its time as well.
    """

    rng: Random
    rate: float
    until: float
    max_delay: float = 20.0
    max_request_delay: float = 5.0

    def on_connect(self, now: float) -> Fault:
        return self._draw(now, CONNECT_FAULTS, self.max_delay)

    def on_request(self, now: float, data: bytes) -> Fault:
        return self._draw(now, MESSAGE_FAULTS, self.max_request_delay)

    def on_response(self, now: float, data: bytes) -> Fault:
        return self._draw(now, MESSAGE_FAULTS, self.max_delay)

    def _draw(self, now: float, kinds: tuple[Fault, ...], max_delay: float) -> Fault:
        if now >= self.until or self.rng.random() >= self.rate:
            return FAULTLESS
        return self.rng.choice((*kinds, Fault(delay=self.rng.uniform(0.0, max_delay))))
