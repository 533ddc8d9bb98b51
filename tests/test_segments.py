"""Whatever an id holds, it reaches the API as one path segment, or is refused before it is sent."""

import asyncio
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gameye_async import AsyncGameye, ConfigurationError, _api
from tests.clients import client_of
from tests.faultserver import FaultServer, answer, json_answer

SENT = [
    "match-1",
    "a/b",
    "a?b=c",
    "a#b",
    "a%2Fb",
    "%2e%2e",
    "player/join",
    "../session",
    "a;b=c",
    "a b",
    "a+b",
    "a:b@c",
    "\\..\\x",
    "...",
    "caf\xe9",
    "\u2603\U0001f3ae",
    "x" * 255,
    "~-._!$&'()*,=",
]
REFUSED = ["", ".", "..", "a\r\nX-Evil: 1", "a\x00b", "\x7f", "\t", "\ud800", "x" * 256, "\u2603" * 86]


async def test_an_id_is_one_segment_on_the_wire():
    """The raw request line is looked at, because a server decodes before anybody can count slashes."""
    async with FaultServer(answer(204)) as server, client_of(server) as gameye:
        for session_id in SENT:
            await gameye.stop(session_id)
    for session_id, request in zip(SENT, server.requests, strict=True):
        assert request.method == "DELETE"
        assert request.target.startswith("/session/")
        segment = request.target.removeprefix("/session/")
        assert unquote(segment, errors="strict") == session_id
        assert not set(segment) & set("/?#")
        assert segment.isascii()


@pytest.mark.parametrize("session_id", REFUSED)
async def test_an_id_that_no_segment_can_hold_is_refused_before_it_is_sent(session_id):
    async with FaultServer(answer(204)) as server, client_of(server) as gameye:
        for call, arguments in (
            (gameye.describe, [session_id]),
            (gameye.stop, [session_id]),
            (gameye.join, [session_id, "ann"]),
            (gameye.leave, [session_id, "ann"]),
            (gameye.available_locations, [session_id]),
            (gameye.tag_exists, ["eu-west", session_id, "1"]),
            (gameye.tag_exists, ["eu-west", "my-game", session_id]),
        ):
            with pytest.raises(ConfigurationError):
                await call(*arguments)
    assert server.requests == []


@pytest.mark.parametrize("value", [None, 7, b"match-1"])
async def test_an_id_that_is_no_text_is_refused(gameye, value):
    with pytest.raises(ConfigurationError, match="session id"):
        await gameye.describe(value)


@given(st.text())
@example("%2F")
@example("a\u2028b")
def test_any_text_is_one_segment_or_refused(text):
    try:
        segment = _api.segment(text, "session id")
    except ConfigurationError:
        return
    assert unquote(segment, errors="strict") == text
    assert segment not in {"", ".", ".."}
    assert not set(segment) & set("/?#")
    assert segment.isascii()
    assert segment.isprintable()


@settings(max_examples=25)  # each is a server and a client
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_any_text_is_on_the_wire_what_it_was(texts):
    async def ask() -> None:
        async with FaultServer(answer(204)) as server, client_of(server) as gameye:
            accepted = []
            for text in texts:
                try:
                    await gameye.stop(text)
                except ConfigurationError:
                    continue
                accepted.append(text)
        assert [unquote(request.target.removeprefix("/session/")) for request in server.requests] == accepted

    asyncio.run(ask())


@pytest.mark.parametrize("session_id", SENT)
async def test_a_session_with_a_strange_id_can_be_described_and_stopped(gameye, session_id):
    session = await gameye.launch(image="my-game", location="eu-west", id=session_id)
    assert (await gameye.describe(session.id)).id == session_id
    assert (await gameye.join(session.id, ["ann"])).players == ("ann",)
    assert await gameye.stop(session.id)
    assert not await gameye.stop(session.id)


async def test_an_id_that_looks_like_another_path_does_not_reach_it(emulator):
    async with AsyncGameye(emulator.token, base_url=emulator.url) as gameye:
        await gameye.launch(image="my-game", location="eu-west", id="player/join")
        assert (await gameye.describe("player/join")).id == "player/join"
    assert {record.operation for record in emulator.requests} == {"session-run", "describe-session"}


async def test_filters_are_one_query_value_each():
    async with FaultServer(json_answer(200, {"sessions": []})) as server, client_of(server) as gameye:
        await gameye.list_sessions(
            location="eu&all=true#x", labels={"a=b&c]": "d&e\r\n"}, players_below=0, include_ended=True
        )
    (request,) = server.requests
    assert request.target == (
        "/session?location=eu%26all%3Dtrue%23x&playerCount%5Blt%5D=0&all=true"
        "&filter%5Ba%3Db%26c%5D%5D=d%26e%0D%0A"
    )


@pytest.mark.parametrize(
    "filters", [{"location": "\ud800"}, {"labels": {"match": "\ud800"}}, {"labels": {"\ud800": "1"}}]
)
async def test_a_filter_that_is_no_text_is_refused_before_it_is_sent(gameye, filters):
    with pytest.raises(ConfigurationError):
        await gameye.list_sessions(**filters)


@pytest.mark.parametrize("players", [[""], [7], [None], ["\ud800"], "\ud800", ""])
async def test_a_player_id_that_cannot_be_sent_is_refused(gameye, players):
    for call in (gameye.join, gameye.leave):
        with pytest.raises(ConfigurationError):
            await call("match-1", players)
