"""What each fault of the network looks like to aiohttp, and what the server behind it saw."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.faultproxy import FaultProxy
from tests.faultserver import FaultServer, answer, hang


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(answer(201, b"ok")) as server:
        yield server


@pytest.fixture
async def proxy(server) -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        yield proxy


async def test_a_healthy_proxy_forwards_both_ways_on_one_connection(http, server, proxy):
    body = bytes(range(256)) * 4_000
    for _ in range(2):
        async with http.post(proxy.url, data=body) as response:
            assert (response.status, await response.read()) == (201, b"ok")
    assert [request.body for request in server.requests] == [body, body]
    assert (proxy.connections, server.connections) == (1, 1)


async def test_the_end_of_a_connection_is_passed_on(http, server, proxy):
    await http.post(proxy.url)
    await http.close()
    await server.wait_for_hangup()


async def test_a_refused_connection_never_reaches_the_server(http, server, proxy):
    proxy.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.post(proxy.url)
    assert (proxy.connections, server.connections) == (0, 0)


async def test_an_open_connection_survives_refusal(http, server, proxy):
    await http.post(proxy.url)
    proxy.refuse()
    await http.post(proxy.url)
    assert len(server.requests) == 2


async def test_healing_accepts_again_on_the_same_port(http, proxy):
    port = proxy.port
    proxy.refuse()
    await proxy.heal()
    assert (await http.post(proxy.url)).status == 201
    assert proxy.port == port


async def test_a_reset_fails_the_request_in_flight(http):
    silent = hang()
    async with FaultServer(silent) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        call = asyncio.create_task(http.post(proxy.url))
        await silent.arrived.wait()
        proxy.reset_all()
        with pytest.raises(aiohttp.ClientOSError):
            await call
        await server.wait_for_hangup()


async def test_a_cut_answer_is_lost_after_the_request_was_delivered(http, server, proxy):
    proxy.cut_after(0, "client")
    with pytest.raises(aiohttp.ClientOSError):
        await http.post(proxy.url, data=b"{}")
    assert [request.body for request in server.requests] == [b"{}"]


async def test_an_answer_cut_in_its_body_gives_its_status(http):
    async with (
        FaultServer(answer(201, bytes(10_000))) as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        proxy.cut_after(5_000, "client")
        async with http.post(proxy.url) as response:
            assert response.status == 201
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_a_cut_request_is_not_delivered(http, server, proxy):
    proxy.cut_after(20, "server")
    with pytest.raises(aiohttp.ClientOSError):
        await http.post(proxy.url, data=b"{}")
    await server.wait_for_hangup()
    assert server.requests == []


async def test_a_cut_counts_from_the_command_on(http, proxy):
    await http.post(proxy.url)
    proxy.cut_after(len(b"HTTP/1.1 201 \r\nContent-Length: 2\r\n\r\nok"), "client")
    assert (await http.post(proxy.url)).status == 201
    with pytest.raises(aiohttp.ClientOSError):
        await http.post(proxy.url)


async def test_a_cut_happens_once(http, server, proxy):
    proxy.cut_after(0, "client")
    with pytest.raises(aiohttp.ClientOSError):
        await http.post(proxy.url)
    assert (await http.post(proxy.url)).status == 201
    assert len(server.requests) == 2


async def test_a_lasting_cut_ends_with_healing(http, proxy):
    proxy.cut_after(0, "client", once=False)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientOSError):
            await http.post(proxy.url)
    await proxy.heal()
    assert (await http.post(proxy.url)).status == 201


async def test_a_swallowed_request_never_reaches_the_server(http, server, proxy):
    proxy.black_hole("server")
    call = asyncio.create_task(http.post(proxy.url, data=b"{}"))
    await proxy.wait_for_bytes(1, "server")
    call.cancel()
    assert server.requests == []


async def test_a_swallowed_answer_leaves_the_client_waiting(http, server, proxy):
    proxy.black_hole("client")
    call = asyncio.create_task(http.post(proxy.url))
    await proxy.wait_for_bytes(1, "client")
    assert len(server.requests) == 1
    assert not call.done()
    proxy.reset_all()
    with pytest.raises(aiohttp.ClientOSError):
        await call


async def test_a_black_hole_swallows_the_end_of_a_connection_too(proxy):
    proxy.black_hole("server")
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"GET ")
    await proxy.wait_for_bytes(4, "server")
    writer.write_eof()
    # All three ends live on this loop: a FIN that got through would be answered within these turns.
    for _ in range(50):
        await asyncio.sleep(0)
    assert not reader.at_eof()
    writer.close()


async def test_a_dead_server_behind_the_proxy_resets_the_client(http):
    async with FaultServer(answer()) as server:
        pass
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        with pytest.raises(aiohttp.ClientOSError):
            await http.post(proxy.url)


async def test_a_proxy_that_has_ended_leaves_no_task(server):
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET ")
        await proxy.wait_for_bytes(4, "server")
        writer.close()
    await server.wait_for_hangup()
    assert asyncio.all_tasks() == {asyncio.current_task()}
