"""The client and the emulator against the published description of the API."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from attrs import define, field

from gameye_async import AsyncGameye, LaunchRequest
from gameye_async.emulator import Image, World, build_app
from tests.clients import FAST, HASTY, TOKEN, failure
from tests.contract import operations, validate_answer, validate_request

METHODS = {
    "session-run": "launch",
    "session-list": "list_sessions",
    "describe-session": "describe",
    "session-stop": "stop",
    "join-session": "join",
    "leave-session": "leave",
    "get-available-locations": "available_locations",
    "tag-exists": "tag_exists",
    "stream-logs": "logs",
    "artifacts": "download_artifact",
}


@define
class Exchange:
    """A request and its answer, as the server saw them."""

    method: str
    path: str
    query: str
    sent: bytes
    status: int
    answered: Any

    def validate_request(self) -> None:
        validate_request(self.method, self.path, self.pairs, json.loads(self.sent) if self.sent else None)

    def validate_answer(self) -> None:
        body = json.loads(self.answered) if self.answered else None
        validate_answer(self.method, self.path, self.status, body)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)


@define
class Api:
    """A client of an emulated API, and what went between them."""

    world: World
    gameye: AsyncGameye
    exchanges: list[Exchange] = field(factory=list)

    async def answered(self, call: Awaitable[object]) -> list[int]:
        """Make a call that may fail; check all that it sent and got, and answer the statuses."""
        self.exchanges.clear()
        # Whatever the client makes of an answer, it is looked at.
        with contextlib.suppress(Exception):
            await call
        for exchange in self.exchanges:
            exchange.validate_request()
            exchange.validate_answer()
        return [exchange.status for exchange in self.exchanges]


@asynccontextmanager
async def serving() -> AsyncIterator[Api]:
    """An API in its current profile, with a tape running."""
    world = World(
        clock=lambda: 0.0,
        rng=Random(1),
        epoch=1_700_000_000.0,
        images={"my-game": Image(tags=("1.0",))},
        locations={"eu-west": 2, "eu-east": 0},
    )

    @web.middleware
    async def tape(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        sent = await request.read()
        response = await handler(request)
        url = request.rel_url
        exchanges.append(
            Exchange(request.method, url.raw_path, url.raw_query_string, sent, response.status, response.body)
        )
        return response

    app = build_app(world, token=TOKEN)
    app.middlewares.append(tape)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    async with AsyncGameye(TOKEN, base_url=f"http://{host}:{port}", retry=FAST, timeouts=HASTY) as gameye:
        api = Api(world, gameye)
        exchanges = api.exchanges
        yield api
    await runner.cleanup()


@pytest.fixture
async def api(openapi: dict[str, Any]) -> AsyncIterator[Api]:
    assert openapi["paths"]
    async with serving() as api:
        yield api


def test_every_operation_of_the_description_has_a_method():
    assert {operation.operation_id for operation in operations()} == METHODS.keys()


@pytest.mark.parametrize("method", METHODS.values())
def test_a_method_is_there_and_says_which_call_it_makes(method):
    """So that a reader who knows the API finds the method, and the other way round."""
    documented = {
        METHODS[operation.operation_id]: f"{operation.method} {operation.path.split('{')[0].rstrip('/')}"
        for operation in operations()
    }
    assert documented[method] in (getattr(AsyncGameye, method).__doc__ or "")


async def test_a_launch_with_all_its_fields_fits(api):
    full = LaunchRequest(
        "my-game",
        "eu-west",
        env={"MAP": "harbour"},
        args=["--max-players=8"],
        restart=True,
        labels={"match": "7"},
        version="1.0",
        ttl="2h30m",
        external_id="ticket-7",
    )
    assert await api.answered(api.gameye.launch(full)) == [201]
    assert len(json.loads(api.exchanges[0].sent)) == 10


async def test_a_launch_with_the_fewest_fields_fits(api):
    assert await api.answered(api.gameye.launch(image="my-game", location="eu-west")) == [201]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"id": "taken"}, 409),
        ({"image": "other-game"}, 404),
        ({"location": "atlantis"}, 404),
        ({"version": "2.0"}, 404),
    ],
)
async def test_a_refused_launch_fits(api, fields, status):
    await api.gameye.launch(image="my-game", location="eu-west", id="taken")
    launch = api.gameye.launch(**{"image": "my-game", "location": "eu-west"} | fields)
    assert await api.answered(launch) == [status]


async def test_a_launch_without_capacity_fits(api):
    launch = api.gameye.launch(image="my-game", location="eu-east", deadline=0.5)
    assert set(await api.answered(launch)) == {420}


async def test_reads_fit(api):
    await api.gameye.launch(image="my-game", location="eu-west", id="a/b #1", labels={"match": "7"})
    await api.gameye.join("a/b #1", ["ann"])
    gameye = api.gameye
    for call in (
        gameye.describe("a/b #1"),
        gameye.list_sessions(),
        gameye.list_sessions(
            location="eu-west",
            image="my-game",
            version="1.0",
            host="203.0.113.1",
            labels={"match": "7", "a]b": "c d"},
            players_below=5,
            players_above=0,
            include_ended=True,
        ),
        gameye.available_locations("my-game"),
        gameye.tag_exists("eu-west", "my-game", "1.0"),
        gameye.tag_exists("eu-west", "my-game", "2.0"),
    ):
        assert await api.answered(call) == [200]
    for call in (
        gameye.describe("never-was"),
        gameye.available_locations("other-game"),
        gameye.tag_exists("eu-west", "other-game", "1.0"),
    ):
        assert await api.answered(call) == [404]


async def test_stops_fit(api):
    await api.gameye.launch(image="my-game", location="eu-west", id="match-1")
    assert await api.answered(api.gameye.stop("match-1")) == [204]
    assert await api.answered(api.gameye.stop("match-1")) == [409]
    assert await api.answered(api.gameye.stop("never-was")) == [404]


async def test_joins_fit(api):
    await api.gameye.launch(image="my-game", location="eu-west", id="match-1")
    assert await api.answered(api.gameye.join("match-1", ["ann"])) == [200]
    assert await api.answered(api.gameye.join("never-was", ["ann"])) == [404]


async def test_a_leave_names_its_session_although_the_description_forbids_it(api):
    """The service answers 404 to a leave that does not, as others have recorded."""
    await api.gameye.launch(image="my-game", location="eu-west", id="match-1")
    await api.gameye.leave("match-1", ["ann"])
    leave = api.exchanges[-1]
    leave.validate_answer()
    body = json.loads(leave.sent)
    assert body.pop("session") == "match-1"
    validate_request(leave.method, leave.path, leave.pairs, body)


async def test_a_refused_token_fits(api):
    base_url = api.gameye._setup.base_url  # noqa: SLF001  -- the same API, another token
    async with AsyncGameye("wrong", base_url=base_url) as stranger:
        await failure(stranger.describe("match-1"))
    (refusal,) = api.exchanges
    refusal.validate_answer()
    assert refusal.status == 401
