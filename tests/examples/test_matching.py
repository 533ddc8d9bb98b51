"""Who plays with whom: rules that hold whoever waits."""

import json
from math import inf, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.matchmaker.matching import Rules, Ticket, form_groups
from examples.matchmaker.server import parse

PLACES = ("eu-west", "eu-east", "na-east", "asia-south")
NOW = 1000.0

rules = st.builds(
    Rules,
    size=st.integers(2, 5),
    skill_range=st.floats(0, 300),
    widening=st.floats(0, 50),
    widest=st.floats(0, 600),
    max_latency=st.floats(20, 150),
)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Rules, list[Ticket]]:
    """Rules, and players of all kinds who wait."""
    rule = draw(rules)
    latencies = st.dictionaries(st.sampled_from(PLACES), st.floats(0, 300), min_size=1)
    wishes = st.tuples(st.floats(0, 1000), latencies, st.floats(0, 60))
    return rule, [
        Ticket(f"player-{number}", skill, rule.near(measured), NOW - waited)
        for number, (skill, measured, waited) in enumerate(draw(st.lists(wishes, max_size=40)))
    ]


@given(crowds())
def test_nobody_is_in_two_matches_and_every_match_is_full(crowd):
    rule, tickets = crowd
    groups = form_groups(tickets, rule, NOW)
    matched = [ticket.player for group in groups for ticket in group]
    assert len(matched) == len(set(matched))
    assert set(matched) <= {ticket.player for ticket in tickets}
    assert all(len(group) == rule.size for group in groups)


@given(crowds())
def test_nobody_is_further_in_skill_than_the_one_who_chose_may_reach(crowd):
    """The first of each group has chosen the others; those who have waited longer choose before."""
    rule, tickets = crowd
    groups = form_groups(tickets, rule, NOW)
    for first, *others in groups:
        limit = rule.range_after(NOW - first.since)
        assert limit <= rule.widest
        assert all(abs(other.skill - first.skill) <= limit for other in others)
    assert [first.since for first, *_ in groups] == sorted(first.since for first, *_ in groups)


@given(crowds())
def test_every_match_has_a_location_that_all_may_play_in(crowd):
    rule, tickets = crowd
    for group in form_groups(tickets, rule, NOW):
        assert set.intersection(*(set(ticket.latencies) for ticket in group))


@given(crowds())
def test_no_match_is_missed_that_the_rules_allow(crowd):
    """Of those who are left, none could have had a match of their own."""
    rule, tickets = crowd
    groups = form_groups(tickets, rule, NOW)
    matched = {ticket.player for group in groups for ticket in group}
    left = [ticket for ticket in tickets if ticket.player not in matched]
    assert form_groups(left, rule, NOW) == []
    for first in left:
        limit = rule.range_after(NOW - first.since)
        for place in first.latencies:
            near = [
                each for each in left if abs(each.skill - first.skill) <= limit and place in each.latencies
            ]
            assert len(near) < rule.size


@given(crowds())
def test_who_has_waited_longest_is_matched_if_anybody_could_be_with_them(crowd):
    """The first to come is never passed over for those who came later."""
    rule, tickets = crowd
    if not tickets:
        return
    first = min(tickets, key=lambda ticket: ticket.since)
    limit = rule.range_after(NOW - first.since)
    could_play = any(
        sum(abs(each.skill - first.skill) <= limit and place in each.latencies for each in tickets)
        >= rule.size
        for place in first.latencies
    )
    if could_play:
        assert first in form_groups(tickets, rule, NOW)[0]


def test_nobody_waits_for_ever_however_many_come_later():
    """The best player of all has a match when the range has grown to its widest, 20 seconds on."""
    rule, rng = Rules(size=4, skill_range=100, widening=20, widest=500), Random(5)
    queue = [Ticket("champion", 2000, {"eu-west": 20}, 0.0)]
    for second in range(60):
        queue += [
            Ticket(f"player-{second}-{n}", rng.uniform(1000, 1550), {"eu-west": 20}, float(second))
            for n in range(9)
        ]
        matched = {ticket.player for group in form_groups(queue, rule, second) for ticket in group}
        queue = [ticket for ticket in queue if ticket.player not in matched]
        if "champion" in matched:
            break
    assert 17 <= second <= 20


def test_those_who_are_nearest_in_skill_play_together():
    tickets = [Ticket(str(skill), skill, {"eu-west": 20}, 0.0) for skill in (1000, 1090, 1010, 1080)]
    groups = form_groups(tickets, Rules(size=2), 0.0)
    assert [{ticket.player for ticket in group} for group in groups] == [{"1000", "1010"}, {"1080", "1090"}]


def test_among_equals_those_who_have_waited_longer_play_first():
    tickets = [Ticket(f"came-at-{since}", 1200, {"eu-west": 20}, float(since)) for since in (4, 2, 3, 1)]
    groups = form_groups(tickets, Rules(size=2), 10.0)
    assert [[ticket.player for ticket in group] for group in groups] == [
        ["came-at-1", "came-at-2"],
        ["came-at-3", "came-at-4"],
    ]


def test_far_places_are_left_out_but_for_those_who_have_no_near_one():
    rule = Rules(max_latency=100)
    assert list(rule.near({"na-east": 180, "eu-east": 90, "eu-west": 20})) == ["eu-west", "eu-east"]
    assert rule.near({"na-east": 180, "eu-west": 150}) == {"eu-west": 150}


def test_a_ticket_has_the_locations_that_will_do():
    text = json.dumps({"type": "queue", "player": "ada", "skill": 1200, "latencies": {"a": 250, "b": 20}})
    ticket = parse(text, Rules())
    assert ticket is not None
    assert (ticket.player, ticket.skill, ticket.latencies) == ("ada", 1200, {"b": 20})


def test_to_leave_is_to_have_no_ticket():
    assert parse('{"type": "leave"}', Rules()) is None


QUEUE = {"type": "queue", "player": "ada", "skill": 1200, "latencies": {"eu-west": 20}}


@pytest.mark.parametrize(
    "message",
    [
        [],
        {"type": "dance"},
        {"type": "queue", "player": "ada", "skill": 1200},
        QUEUE | {"player": ""},
        QUEUE | {"player": "a" * 65},
        QUEUE | {"player": 7},
        QUEUE | {"skill": "high"},
        QUEUE | {"skill": nan},
        QUEUE | {"skill": inf},
        QUEUE | {"latencies": {}},
        QUEUE | {"latencies": {"eu-west": "near"}},
        QUEUE | {"latencies": {"eu-west": -1}},
        QUEUE | {"latencies": {"eu-west": nan}},
        QUEUE | {"latencies": ["eu-west"]},
    ],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError, match=r"."):
        parse(json.dumps(message), Rules())


def test_what_is_no_json_is_refused():
    with pytest.raises(ValueError, match="Expecting"):
        parse("hello", Rules())
