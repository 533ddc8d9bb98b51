"""From the making of a client to its end, and the copies that share its pool."""

import asyncio
import gc
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NoReturn

import aiohttp
import pytest

from gameye_async import (
    AsyncGameye,
    ClientClosedError,
    ConfigurationError,
    NotFoundError,
    Pacing,
    RetryPolicy,
    Timeouts,
)
from gameye_async.settings import Token
from tests.clients import LAUNCHED, TOKEN, client_of, failure
from tests.faultserver import FaultServer, answer, html_502, json_answer

# Made and never entered, it has no address of its own.
NOWHERE = FaultServer(answer())
NOWHERE.port = 9
REGIONS = json_answer(200, {"regions": []})
CALLS: dict[str, Callable[[AsyncGameye], Any]] = {
    "launch": lambda gameye: gameye.launch(image="my-game", location="eu-west"),
    "describe": lambda gameye: gameye.describe("match-1"),
    "stop": lambda gameye: gameye.stop("match-1"),
    "request": lambda gameye: gameye.request("GET", "/region"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_client_is_used_between_entering_and_closing(call):
    async with FaultServer(REGIONS) as server:
        gameye = client_of(server)
        with pytest.raises(ClientClosedError, match="async with"):
            await call(gameye)
        async with gameye:
            pass
        with pytest.raises(ClientClosedError, match="closed; make a new one"):
            await call(gameye)
    assert server.requests == []


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_client_belongs_to_one_event_loop(call):
    async with FaultServer(REGIONS) as server, client_of(server) as gameye:
        caught: list[BaseException] = []
        thread = threading.Thread(target=lambda: caught.append(asyncio.run(failure(call(gameye)))))
        thread.start()
        await asyncio.to_thread(thread.join)
    assert isinstance(caught[0], ClientClosedError)
    assert "another event loop" in str(caught[0])
    assert server.requests == []


FORKING = """
import asyncio, os, sys
from gameye_async import AsyncGameye

async def main():
    async with AsyncGameye("token", base_url="http://127.0.0.1:9") as gameye:
        if os.fork():
            os.wait()
            return
        try:
            asyncio.run(gameye.regions())
        except Exception as error:
            os.write(1, repr(error).encode())
        os._exit(0)

asyncio.run(main())
"""


def test_a_client_does_not_cross_a_fork():
    """The child would write into the connections of its parent."""
    command = [sys.executable, "-W", "error", "-c", FORKING]
    forking = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "ClientClosedError" in forking.stdout
    assert "before a fork" in forking.stdout


async def test_a_client_is_entered_once():
    async with client_of(NOWHERE) as gameye:
        with pytest.raises(ClientClosedError, match="entered before"):
            await gameye.__aenter__()
    with pytest.raises(ClientClosedError, match="entered before"):
        await gameye.__aenter__()


async def test_closing_twice_or_before_entering_does_nothing():
    gameye = client_of(NOWHERE)
    await gameye.aclose()
    async with gameye:
        await gameye.aclose()
    await gameye.aclose()


async def test_a_shared_gate_lets_each_launch_through_and_is_closed_with_the_client():
    """It is told an account that is no token, and closed once, after the last launch."""
    seen: list[str] = []

    class Gate:
        async def turn(self) -> None:
            seen.append("turn")

        async def aclose(self) -> None:
            seen.append("closed")

    class Shared:
        def open(self, account: Callable[[], Awaitable[str]], rng: Random) -> Gate:
            self.account = account
            return Gate()

    shared = Shared()
    async with (
        FaultServer([json_answer(201, LAUNCHED)] * 2) as server,
        client_of(server, pacing=Pacing(shared=shared)) as gameye,
    ):
        for _ in range(2):
            await gameye.launch(image="my-game", location="eu-west")
        assert seen == ["turn", "turn"]
        await gameye.aclose()
    assert seen == ["turn", "turn", "closed"]
    assert await shared.account() == await Token(TOKEN).fingerprint()


class Unusable:
    """A shared rate whose gate cannot be opened."""

    def open(self, account: object, rng: object) -> NoReturn:
        raise OSError("no such server")


async def test_a_shared_rate_that_cannot_be_opened_leaves_no_pool_open():
    client = AsyncGameye(TOKEN, base_url=NOWHERE.url, pacing=Pacing(shared=Unusable()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(OSError, match="no such server"):
            await client.__aenter__()
        gc.collect()
    assert not caught


async def test_a_repr_says_whether_it_is_open():
    gameye = client_of(NOWHERE)
    states = [repr(gameye)]
    async with gameye:
        states.append(repr(gameye))
    states.append(repr(gameye))
    assert [state.removeprefix(f"<AsyncGameye {NOWHERE.url} ") for state in states] == [
        "not entered>",
        "open>",
        "closed>",
    ]


async def test_a_client_that_is_dropped_open_warns():
    gameye = client_of(NOWHERE)
    await gameye.__aenter__()
    pool = gameye._cores[0].caller.transport  # noqa: SLF001  -- what was forgotten is tidied up by the test
    with pytest.warns(ResourceWarning, match="AsyncGameye was dropped"):  # noqa: PT031  -- one act
        del gameye
        gc.collect()
    await pool.close()


async def test_options_share_the_pool_and_the_statistics():
    async with FaultServer([json_answer(404, {}), REGIONS]) as server, client_of(server) as gameye:
        other = gameye.with_options(
            timeouts=Timeouts(deadline=5.0), retry=RetryPolicy(attempts=1), headers={"X-Match": "7"}
        )
        with pytest.raises(NotFoundError):
            await other.describe("match-1")
        await gameye.regions()
        assert gameye.stats == other.stats
        assert gameye.stats.failed == {"NotFoundError": 1}
    assert server.connections == 1
    assert [request.headers.get("X-Match") for request in server.requests] == ["7", None]


async def test_options_may_be_made_before_the_client_is_entered():
    async with FaultServer(REGIONS) as server:
        gameye = client_of(server)
        other = gameye.with_options(headers={"X-Match": "7"})
        async with gameye:
            await other.regions()
    with pytest.raises(ClientClosedError):
        await other.regions()


async def test_another_retry_policy_counts_for_the_copy_only():
    async with FaultServer(html_502()) as server, client_of(server) as gameye:
        await failure(gameye.with_options(retry=RetryPolicy(attempts=1)).regions())
        assert len(server.requests) == 1
        await failure(gameye.regions())
    assert len(server.requests) == 3


async def test_a_client_that_was_not_entered_has_done_nothing():
    assert str(client_of(NOWHERE).stats) == "0 launched"


async def test_a_borrowed_session_keeps_its_own_pool_and_tls_settings():
    async with aiohttp.ClientSession() as session, aiohttp.TCPConnector() as connector:
        with pytest.raises(ConfigurationError, match="brings its own"):
            client_of(NOWHERE, session=session, connector=connector)
        with pytest.raises(ConfigurationError, match="brings its own"):
            client_of(NOWHERE, session=session, ssl=ssl.create_default_context())


async def test_a_session_may_be_borrowed_by_two_clients():
    async with (
        FaultServer(REGIONS) as server,
        aiohttp.ClientSession() as session,
        client_of(server, session=session) as first,
        client_of(server, "other", session=session) as second,
    ):
        await first.regions()
        await second.regions()
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert tokens == [f"Bearer {TOKEN}", "Bearer other"]
