"""From the launch to the post-mortem with sessions that are real processes on real ports."""

import os
import sys
import tarfile

import pytest

from gameye_async import AsyncGameye, SessionEndedError
from gameye_async._extract import extract_artifact
from gameye_async.emulator import Emulator
from gameye_async.probes import tcp_probe, udp_probe
from tests.after_launch.harness import FIELDS, client_of
from tests.clients import TOKEN, failure

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the emulator runs processes on POSIX only")

GAME = """
import os, pathlib, signal, socket, sys
if "--broken" in sys.argv:
    print("loading", flush=True)
    sys.exit("panic: no map")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", int(os.environ["GAMEYE_PORT_UDP_7777"])))
tcp = socket.create_server(("0.0.0.0", int(os.environ["GAMEYE_PORT_TCP_80"])))
def end(*_):
    pathlib.Path("replay.bin").write_bytes(b"replay" * 1000)
    print("good bye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready \\N{SNOWMAN}", flush=True)
while True:
    data, address = udp.recvfrom(1500)
    print("heard", data.decode(), flush=True)
    udp.sendto(b"pong", address)
"""


def played() -> Emulator:
    return Emulator(token=TOKEN, run=[sys.executable, "-X", "utf8", "-c", GAME], locations=["eu-west"])


async def test_a_session_from_its_launch_to_its_files(tmp_path):
    async with played() as emulator, client_of(emulator) as gameye:
        session = await gameye.launch(**FIELDS)
        probes = (tcp_probe(), udp_probe(b"ping", b"pong"))
        for probe in probes:
            await gameye.wait_until_ready(session, probe=probe)
        async with gameye.logs(session.id, follow=True) as lines:
            assert await anext(lines) == "ready \u2603"
            assert await anext(lines) == "heard ping"
            collected = await gameye.collect(session.id, ["/replay.bin"], tmp_path)
            rest = [line async for line in lines]
    assert rest[-1] == "good bye"
    assert collected.errors == {}
    assert collected.log is not None
    assert collected.log.read_text("utf-8").splitlines() == ["ready \u2603", "heard ping", *rest]
    archive = collected.artifacts["/replay.bin"]
    assert tarfile.is_tarfile(archive)
    (replay,) = await extract_artifact(archive, tmp_path / "files")
    assert replay.read_bytes() == b"replay" * 1000


async def test_a_game_that_does_not_start_says_why():
    async with played() as emulator, client_of(emulator) as gameye:
        error = await failure(_run(gameye))
    assert isinstance(error, SessionEndedError)
    assert error.log_tail == ("loading", "panic: no map")


async def _run(gameye: AsyncGameye) -> None:
    async with gameye.running(**FIELDS, args=["--broken"], probe=tcp_probe()):
        pytest.fail("the block began")
