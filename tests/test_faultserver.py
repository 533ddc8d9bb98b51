"""What each fault looks like to aiohttp, and what the server saw of it."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from tests.faultserver import (
    FaultServer,
    Reply,
    Request,
    answer,
    bomb,
    close,
    early_hints,
    garbage,
    hang,
    held,
    html_502,
    json_answer,
    oversize,
    partial,
    redirect,
    reset,
    slow_drip,
    stale_keepalive,
)

MIB = 1 << 20


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_request_is_recorded_as_it_was_on_the_wire(http):
    async with FaultServer(answer()) as server:
        target = "/session/a%2Fb?filter[match]=%20x"
        await http.post(URL(server.url + target, encoded=True), data=b"{}", headers={"X-Match": "m-1"})
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", target, b"{}")
    assert request.headers["x-match"] == "m-1"


async def test_the_script_is_played_in_order_and_its_last_reply_repeats(http):
    script = [json_answer(420, {"code": "CAPACITY_UNAVAILABLE"}), html_502(), answer(201)]
    async with FaultServer(script) as server:
        statuses = [(await http.post(server.url)).status for _ in range(4)]
    assert statuses == [420, 502, 201, 201]


async def test_a_function_chooses_the_reply_by_request(http):
    def choose(request: Request) -> Reply:
        return answer(201) if request.json() == {"location": "eu-west"} else answer(420)

    async with FaultServer(choose) as server:
        open_region = await http.post(server.url, json={"location": "eu-west"})
        full_region = await http.post(server.url, json={"location": "eu-east"})
    assert (open_region.status, full_region.status) == (201, 420)


async def test_an_error_of_the_script_is_raised_when_the_server_ends(http):
    def choose(_: Request) -> Reply:
        raise LookupError

    async def ask() -> None:
        async with FaultServer(choose) as server:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await http.post(server.url)

    with pytest.raises(LookupError):
        await ask()


async def test_a_proper_answer_keeps_its_connection(http):
    async with FaultServer(answer(200, b"ok")) as server:
        for _ in range(3):
            async with http.get(server.url) as response:
                assert await response.read() == b"ok"
        assert server.connections == 1


async def test_json_arrives_decoded_under_its_type(http):
    async with (
        FaultServer(json_answer(201, {"host": "203.0.113.7"})) as server,
        http.post(server.url) as response,
    ):
        assert await response.json() == {"host": "203.0.113.7"}


@pytest.mark.parametrize(
    ("fault", "error"), [(close, aiohttp.ServerDisconnectedError), (reset, aiohttp.ClientOSError)]
)
async def test_a_post_whose_connection_ends_unanswered_is_sent_once(http, fault, error):
    async with FaultServer(fault()) as server:
        with pytest.raises(error):
            await http.post(server.url)
        assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [close, reset])
async def test_aiohttp_sends_an_unanswered_delete_twice(http, fault):
    async with FaultServer([fault(), answer(204)]) as server:
        async with http.delete(server.url) as response:
            assert response.status == 204
        assert len(server.requests) == 2


async def test_a_reset_is_seen_as_such_on_the_wire():
    async with FaultServer(reset()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_hanging_lasts_until_the_client_gives_up(http):
    silent = hang()
    async with FaultServer(silent) as server:
        call = asyncio.create_task(http.post(server.url, data=b"{}"))
        await silent.arrived.wait()
        call.cancel()
        await server.wait_for_hangup()
        assert len(server.requests) == 1
    assert call.cancelled()


async def test_a_hanging_server_closes_at_once(http):
    async with FaultServer(hang()) as server:
        call = asyncio.create_task(http.post(server.url))
        await server.wait_for_request()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await call


async def test_waiting_for_a_request_that_never_comes_times_out():
    async with FaultServer(hang()) as server:
        with pytest.raises(TimeoutError):
            await server.wait_for_request(within=0)


async def test_a_held_answer_comes_when_it_is_let_go(http):
    gate = asyncio.Event()
    async with FaultServer(held(gate, answer(201))) as server:
        call = asyncio.create_task(http.post(server.url))
        await server.wait_for_request()
        assert not call.done()
        gate.set()
        assert (await call).status == 201


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_partial_answer_gives_its_status_and_loses_its_body(http, ending):
    reply = partial(201, b'{"host":', ending=ending)
    async with FaultServer(reply) as server, http.post(server.url) as response:
        assert response.status == 201
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_aiohttp_turns_a_redirected_post_into_a_get(http):
    async with FaultServer([redirect("/elsewhere"), answer()]) as server:
        await http.post(server.url + "/session", data=b"{}")
    assert [(r.method, r.target) for r in server.requests] == [("POST", "/session"), ("GET", "/elsewhere")]


async def test_a_307_carries_the_body_elsewhere(http):
    async with FaultServer([redirect("/elsewhere", 307), answer()]) as server:
        await http.post(server.url + "/session", data=b"{}")
    assert [(r.target, r.body) for r in server.requests] == [("/session", b"{}"), ("/elsewhere", b"{}")]


async def test_a_bomb_is_small_on_the_wire_and_large_once_inflated(http):
    async with FaultServer(bomb(4)) as server, http.get(server.url) as response:
        assert response.content_length is not None
        assert response.content_length < 10_000
        assert len(await response.read()) == 4 * MIB


@pytest.mark.parametrize("announced", [None, 1_000 * MIB])
async def test_an_oversize_body_ends_when_the_client_goes(http, announced):
    async with FaultServer(oversize(announced)) as server:
        response = await http.get(server.url)
        assert response.content_length == announced
        await response.content.readexactly(MIB)
        response.close()
        await server.wait_for_hangup()


async def test_an_announced_oversize_body_is_as_long_as_announced(http):
    async with FaultServer(oversize(100_000)) as server, http.get(server.url) as response:
        assert len(await response.read()) == 100_000


async def test_a_drip_gives_one_byte_for_each_step_of_its_pace(http):
    steps = asyncio.Semaphore(0)
    async with FaultServer(slow_drip(200, b"abc", steps.acquire)) as server, http.get(server.url) as response:
        for byte in (b"a", b"b", b"c"):
            steps.release()
            assert await response.content.readany() == byte
        assert response.content.at_eof()


async def test_a_drip_runs_by_itself(http):
    async with FaultServer(slow_drip(200, b"abc")) as server, http.get(server.url) as response:
        assert await response.read() == b"abc"


async def test_a_stale_connection_loses_the_post_that_reuses_it(http):
    async with FaultServer([stale_keepalive(answer(201), on_reuse=True), answer(201)]) as server:
        await http.post(server.url)
        with pytest.raises(aiohttp.ClientOSError):
            await http.post(server.url)
        assert (await http.post(server.url)).status == 201
        assert (len(server.requests), server.connections) == (2, 2)


async def test_a_stale_connection_is_replaced_once_its_end_was_seen(http):
    async with FaultServer(stale_keepalive(answer(201))) as server:
        await http.post(server.url)
        await server.wait_for_hangup()
        await http.post(server.url)
        assert (len(server.requests), server.connections) == (2, 2)


async def test_garbage_is_no_answer(http):
    async with FaultServer(garbage()) as server:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            await http.post(server.url)
    assert caught.value.status == 400


async def test_early_hints_precede_the_answer(http):
    async with FaultServer(early_hints(answer(201, b"ok"))) as server:
        async with http.post(server.url) as response:
            assert (response.status, await response.read()) == (201, b"ok")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 103")
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_a_request_is_not_counted():
    async with FaultServer(answer()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert server.requests == []


async def test_a_server_that_has_ended_leaves_no_task_and_refuses(http):
    async with FaultServer(hang()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(server.url)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
