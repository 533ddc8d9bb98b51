"""Who plays with whom: pure rules, to be changed and tested without a server."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import takewhile
from math import inf
from operator import attrgetter

from attrs import field, frozen
from attrs.validators import and_, ge, gt, lt, max_len, min_len


@frozen
class Ticket:
    """What a player asks for.

    Attributes:
        player: Name, of 1 to 64 characters.
        skill: Points of whatever rating the game has.
        latencies: Milliseconds to the locations that the player may play in, nearest first.
        since: When the player began to wait, in seconds of the matchmaker's clock.
    """

    player: str = field(validator=and_(min_len(1), max_len(64)))
    skill: float = field(validator=and_(gt(-inf), lt(inf)))
    latencies: Mapping[str, float] = field(validator=min_len(1))
    since: float


@frozen(kw_only=True)
class Rules:
    """What makes a good match.

    Attributes:
        size: Players of a match.
        skill_range: How far from the own skill a player may choose the others.
        widening: How much that range grows with each second of waiting.
        widest: The most it grows to.
        max_latency: Most milliseconds to a location; who has none so near may play in the nearest.
    """

    size: int = field(default=10, validator=ge(2))
    skill_range: float = field(default=100.0, validator=ge(0))
    widening: float = field(default=20.0, validator=ge(0))
    widest: float = field(default=500.0, validator=ge(0))
    max_latency: float = field(default=100.0, validator=ge(0))

    def range_after(self, waited: float) -> float:
        """The range of somebody who has waited so many seconds."""
        return min(self.widest, self.skill_range + self.widening * waited)

    def near(self, latencies: Mapping[str, float]) -> dict[str, float]:
        """Those of a player's latencies that are to places the player may play in, lowest first.

        Raises:
            ValueError: One of them is no number of milliseconds.
        """
        if not all(isinstance(ms, int | float) and 0 <= ms < inf for ms in latencies.values()):
            raise ValueError("latencies must be milliseconds by location")
        limit = max(self.max_latency, min(latencies.values(), default=0.0))
        return {
            location: latencies[location]
            for location in sorted(latencies, key=latencies.__getitem__)
            if latencies[location] <= limit
        }


def form_groups(tickets: Iterable[Ticket], rules: Rules, now: float) -> list[list[Ticket]]:
    """Groups of players who fit together; nobody is in two of them.

    Whoever has waited longest chooses first: the nearest in skill who share one of the locations.
    """
    longest_first = sorted(tickets, key=attrgetter("since"))
    # Among equals in skill, too, who has waited longer comes first.
    by_skill = sorted(longest_first, key=attrgetter("skill"))
    taken: set[str] = set()
    groups: list[list[Ticket]] = []
    for first in longest_first:
        if first.player not in taken:
            near = _nearest(first, by_skill, rules.range_after(now - first.since))
            free = (ticket for ticket in near if ticket is not first and ticket.player not in taken)
            if group := _gather(first, free, rules.size):
                groups.append(group)
                taken.update(ticket.player for ticket in group)
    return groups


def _nearest(first: Ticket, by_skill: list[Ticket], limit: float) -> Iterator[Ticket]:
    """Everybody within a range of skill, the nearest first."""

    def distance(ticket: Ticket) -> float:
        return abs(ticket.skill - first.skill)

    middle = bisect_left(by_skill, first.skill, key=attrgetter("skill"))
    outwards = merge(reversed(by_skill[:middle]), by_skill[middle:], key=distance)
    return takewhile(lambda ticket: distance(ticket) <= limit, outwards)


def _gather(first: Ticket, others: Iterable[Ticket], size: int) -> list[Ticket] | None:
    """The first group to be complete in a location, if one is."""
    parties = {location: [first] for location in first.latencies}
    for other in others:
        for location, party in parties.items():
            if location in other.latencies:
                party.append(other)
                if len(party) == size:
                    return party
    return None
