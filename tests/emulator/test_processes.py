"""Sessions as local processes: what they are given, how they end, and that nothing of them stays."""

import asyncio
import io
import os
import shlex
import signal
import socket
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gameye_async.emulator import Emulator, Quirks
from gameye_async.emulator.container import Container
from gameye_async.emulator.placement import LoopbackMachine, loopback
from gameye_async.emulator.processes import Processes, parse_command
from gameye_async.emulator.watch import Watch
from tests.emulator.harness import LAUNCH, Caller, Clock, new_world, serving

ROOT = Path(__file__).resolve().parents[2]
ECHO = [sys.executable, str(ROOT / "examples" / "echo_server.py")]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes need POSIX signals and groups")


def python(code: str) -> list[str]:
    """A command that runs some Python."""
    return [sys.executable, "-c", code]


def shell(code: str) -> list[str]:
    return ["sh", "-c", code, "session"]


@asynccontextmanager
async def launched(
    command: list[str], *, grace: float = 5.0, quirks: Quirks | None = None, **fields
) -> AsyncIterator[tuple[Emulator, Caller]]:
    """An emulator that runs a command, with one session `m-1`."""
    async with serving(run=command, grace=grace, quirks=quirks or Quirks()) as (emulator, call):
        reply = await call("POST", "/session", json=LAUNCH | {"id": "m-1"} | fields)
        assert reply.status == 201, reply.body
        yield emulator, call


async def until(emulator: Emulator, condition) -> None:
    """Wait for a condition of the world."""
    with Watch(emulator.world) as watch:
        async with asyncio.timeout(20):
            while not condition():
                await watch.change()


async def log(emulator: Emulator, text: str, session_id: str = "m-1") -> str:
    """The log of a session, once it holds a text."""
    session = emulator.world.session(session_id)
    await until(emulator, lambda: text.encode() in session.log)
    return session.log.decode()


async def over(emulator: Emulator, session_id: str = "m-1") -> str:
    """The status of a session, once it is over."""
    session = emulator.world.session(session_id)
    await until(emulator, lambda: session.is_over)
    return session.status


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends while it is read
        return False
    return state != "Z"


async def until_true(condition) -> None:
    """Wait for something outside this process."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  -- nothing tells of the ways of somebody else's processes
            await asyncio.sleep(0.01)


async def test_the_example_server_answers_on_the_ports_of_its_session():
    async with launched(ECHO) as (emulator, call):
        await log(emulator, "session m-1 is ready")
        details = (await call("GET", "/session/m-1")).json
        assert details["host"] == "127.0.0.1"
        reader, writer = await asyncio.open_connection("127.0.0.1", details["port"]["80/tcp"])
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as player:
            player.setblocking(False)
            player.connect(("127.0.0.1", details["port"]["7777/udp"]))
            player.send(b"ping")
            assert await asyncio.get_running_loop().sock_recv(player, 100) == b"ping"


async def test_variables_are_given_and_references_expanded():
    show = "import os; print(*(f'{k}={v}' for k, v in os.environ.items()), 'end', sep='\\n')"
    env = {"ADDRESS": "$GAMEYE_HOST:$GAMEYE_PORT_UDP_7777", "PRICE": "$5"}
    async with launched(python(show), env=env) as (emulator, _):
        lines = (await log(emulator, "end")).splitlines()
        (tcp, udp) = (
            dict(emulator.world.session("m-1").environment())[f"GAMEYE_PORT_{port}"]
            for port in ("TCP_80", "UDP_7777")
        )
    assert {
        "GAMEYE_SESSION_ID=m-1",
        "GAMEYE_CONTAINER=m-1",
        "GAMEYE_HOST=127.0.0.1",
        "GAMEYE_IP=127.0.0.1",
        f"GAMEYE_PORT_TCP_80={tcp}",
        f"GAMEYE_PORT_UDP_7777={udp}",
        f"ADDRESS=127.0.0.1:{udp}",
        "PRICE=$5",
    } <= set(lines)
    assert 20_000 <= int(udp) <= 30_000


async def test_the_account_of_the_shell_is_not_given(monkeypatch):
    monkeypatch.setenv("GAMEYE_API_TOKEN", "secret")
    async with launched(shell("echo token=$GAMEYE_API_TOKEN.")) as (emulator, _):
        assert await log(emulator, ".") == "token=.\n"


async def test_arguments_come_after_those_of_the_command():
    async with launched(shell('echo "$@."'), args=["--map", "the harbour"]) as (emulator, _):
        assert await log(emulator, ".") == "--map the harbour.\n"


@pytest.mark.parametrize(("code", "status"), [(0, "exited"), (3, "dead")])
async def test_the_exit_code_decides_how_a_session_ended(code, status):
    async with launched(shell(f"exit {code}")) as (emulator, _):
        assert await over(emulator) == status


async def test_a_process_that_is_killed_is_dead():
    async with launched(shell("kill -9 $$")) as (emulator, _):
        assert await over(emulator) == "dead"


async def test_both_outputs_are_the_log_and_can_be_followed():
    async with launched(shell("echo out; echo err >&2; read line; exec cat go")) as (emulator, call):
        reply = await call("GET", "/logs?id=m-1&follow=true")
        assert reply.body.startswith(b"out\nerr\n")
        assert emulator.world.session("m-1").status == "dead"


async def test_stopping_asks_first_and_waits_for_the_end():
    code = "from signal import *; signal(SIGTERM, lambda *_: exit(print('saved'))); print('up'); pause()"
    async with launched(python(code)) as (emulator, call):
        await log(emulator, "up")
        assert (await call("DELETE", "/session/m-1")).status == 204
        assert emulator.world.session("m-1").status == "shuttingdown"
        assert (await call("DELETE", "/session/m-1")).status == 204
        assert await over(emulator) == "exited"
        assert await log(emulator, "saved")
        assert [event.kind for event in emulator.world.history][-2:] == ["stopping", "stopped"]
        assert (await call("DELETE", "/session/m-1")).status == 409


async def test_a_process_that_does_not_listen_is_killed_after_the_grace():
    async with launched(shell("trap '' TERM; echo $$; while :; do sleep 1; done"), grace=0.1) as (
        emulator,
        call,
    ):
        pid = int(await log(emulator, "\n"))
        await call("DELETE", "/session/m-1")
        assert await over(emulator) == "exited"
        assert not is_alive(pid)


async def test_a_process_is_stopped_when_its_time_is_up():
    clock = Clock()
    world = new_world(clock, machines=loopback, stop_seconds=10)
    async with Processes(world, shell("echo $$; exec sleep 60")) as processes:
        reservation = world.reserve(LAUNCH | {"id": "m-1", "ttl": "1m"})
        await processes.start(reservation.session)
        world.commit(reservation)
        with Watch(world, "m-1") as watch:
            while not reservation.session.log:
                await watch.change()
            clock.now = 61
            world.settle()
            while not reservation.session.is_over:
                await watch.change()
        assert not is_alive(int(reservation.session.log))


async def test_a_process_that_fails_is_started_again_in_its_folder_when_asked_for():
    code = "if test -e ran; then echo again; exit 0; fi; touch ran; echo first; exit 1"
    async with launched(shell(code), restart=True) as (emulator, _):
        assert await over(emulator) == "exited"
        assert emulator.world.logs("m-1") == b"first\nagain\n"
        kinds = [event.kind for event in emulator.world.history]
        assert kinds.count("restarting") == 1


async def test_a_session_that_is_between_two_starts_can_be_stopped():
    async with launched(shell("exit 1"), restart=True) as (emulator, call):
        await until(emulator, lambda: emulator.world.session("m-1").status == "restarting")
        await call("DELETE", "/session/m-1")
        assert await over(emulator) == "exited"


async def test_a_crash_from_outside_kills_the_process_and_starts_it_again():
    async with launched(shell("echo $$; exec sleep 60"), restart=True) as (emulator, _):
        first = int(await log(emulator, "\n"))
        emulator.world.crash("m-1")
        await until(emulator, lambda: emulator.world.logs("m-1").count(b"\n") == 2)
        assert not is_alive(first)
        assert [event.kind for event in emulator.world.history].count("restarting") == 1


async def test_the_working_directory_is_the_root_of_the_artifacts():
    code = "mkdir -p replays; echo moves > replays/1.txt; ln -s /etc/passwd replays/link"
    async with launched(shell(code)) as (emulator, call):
        await over(emulator)
        reply = await call("GET", "/artifacts?session=m-1&path=/replays")
        with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
            assert archive.getnames() == ["replays/1.txt"]
            assert archive.extractfile("replays/1.txt").read() == b"moves\n"
        assert (await call("GET", "/artifacts?session=m-1&path=/../etc/passwd")).status == 404


async def test_a_forgotten_session_leaves_no_folder():
    clock = Clock()
    world = new_world(clock, machines=loopback, retention_seconds=60)
    async with Processes(world, shell("pwd")) as processes:
        reservation = world.reserve(LAUNCH)
        await processes.start(reservation.session)
        world.commit(reservation)
        with Watch(world) as watch:
            while not reservation.session.is_over:
                await watch.change()
        folder = Path(reservation.session.log.decode().strip())
        assert folder.is_dir()  # noqa: ASYNC240  -- nobody else wants the loop
        clock.now = 61
        world.settle()
        assert not folder.exists()  # noqa: ASYNC240  -- see above


async def test_a_platform_that_lost_its_memory_leaves_no_folder():
    async with launched(shell("pwd; exec sleep 60"), grace=0) as (emulator, _):
        folder = Path((await log(emulator, "\n")).strip())
        emulator.restart(keep_memory=False)
        assert not folder.exists()  # noqa: ASYNC240  -- nobody else wants the loop
        assert emulator.history.counts["forgotten"] == 1


async def test_an_id_that_is_used_again_leaves_no_folder_of_the_earlier_session():
    async with launched(shell("pwd"), quirks=Quirks(reuse_ended_id=True)) as (emulator, call):
        await over(emulator)
        folder = Path(emulator.world.logs("m-1").decode().strip())
        assert (await call("POST", "/session", json=LAUNCH | {"id": "m-1"})).status == 201
        assert not folder.exists()  # noqa: ASYNC240  -- see above


async def test_a_process_that_is_stopped_while_it_starts_does_not_stay(tmp_path):
    container = Container(("sleep", "60"), tmp_path, os.environ)
    starting = asyncio.create_task(container.start())
    await asyncio.sleep(0)
    container.stop(grace=60)
    await starting
    async with asyncio.timeout(10):
        assert await container.ended() == 128 + signal.SIGKILL


async def test_a_command_that_the_system_refuses_is_a_session_that_did_not_start():
    async with serving(run=shell("true")) as (emulator, call):
        reply = await call("POST", "/session", json=LAUNCH | {"args": ["nul \0 byte"]})
        assert reply.status == 420
        assert not emulator.world.live
        assert (await call("POST", "/session", json=LAUNCH)).status == 201


async def test_a_launch_that_a_restart_of_the_platform_overtakes_leaves_no_process(tmp_path):
    pid = tmp_path / "pid"
    world = new_world(Clock(), machines=loopback)
    # It may be killed at any moment, also before it has written anything.
    code = f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60"
    async with Processes(world, shell(code)) as processes:
        reservation = world.reserve(LAUNCH)
        world.restart(keep_memory=True)
        await processes.start(reservation.session)
        assert not pid.exists() or not is_alive(int(pid.read_text()))


def test_ports_in_use_are_not_handed_out():
    machine = LoopbackMachine("127.0.0.1", range(29_000, 29_004))
    with socket.create_server(("127.0.0.1", 29_000)), socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 29_002))
        assert machine.take(2) == (29_001, 29_003)
        assert machine.take(1) is None
    assert machine.take(2) == (29_000, 29_002)


def test_emulators_of_two_processes_begin_at_ports_far_apart(monkeypatch):
    """Else one takes a port that the other has just found free."""
    ports = range(29_000, 29_100)
    begun = []
    for pid in (4711, 4712):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        machine = next(loopback(ports))
        assert machine.free == len(ports)
        begun += machine.take(1)
    assert abs(begun[0] - begun[1]) > 1


async def test_locations_share_the_ports_of_this_machine():
    async with serving(run=shell("exec sleep 60"), grace=0) as (emulator, call):
        for location in ("europe", "us-east"):
            await call("POST", "/session", json=LAUNCH | {"location": location})
        first, second = emulator.world.live
        assert not set(first.host_ports) & set(second.host_ports)


def test_words_that_name_files_become_absolute(monkeypatch):
    monkeypatch.chdir(ROOT)
    command = parse_command(f"{shlex.quote(sys.executable)} examples/echo_server.py --quiet")
    assert command == (sys.executable, str(ROOT / "examples" / "echo_server.py"), "--quiet")


@pytest.mark.parametrize("command", ["no-such-program --flag", "", []])
def test_a_program_that_does_not_exist_is_refused_at_once(command):
    with pytest.raises(ValueError, match="there is no program"):
        Emulator(run=command)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of the death of its parent")
async def test_a_process_does_not_outlive_its_warden():
    async with launched(shell("echo $PPID $$; exec sleep 60")) as (emulator, _):
        warden, game = map(int, (await log(emulator, "\n")).split())
        os.kill(warden, signal.SIGKILL)
        assert await over(emulator) == "dead"
        await until_true(lambda: not is_alive(game))


async def test_fifty_processes_at_once_are_all_gone_after_the_end():
    async with serving(run=shell("echo $$; (trap '' TERM; exec sleep 60)"), grace=1) as (emulator, call):
        replies = await asyncio.gather(*(call("POST", "/session", json=LAUNCH) for _ in range(50)))
        assert {reply.status for reply in replies} == {201}
        sessions = emulator.world.live
        await until(emulator, lambda: all(b"\n" in session.log for session in sessions))
        pids = [int(session.log) for session in sessions]
        assert all(is_alive(pid) for pid in pids)
        folder = sessions[0].files.root.parent
    assert not any(is_alive(pid) for pid in pids)
    assert not folder.exists()


EMULATOR = """
import asyncio, sys
from gameye_async.emulator import Emulator

async def main():
    async with Emulator(run=["sh", "-c", sys.argv[1]]) as emulator:
        print(emulator.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux finds children that left their group")
async def test_nothing_outlives_an_emulator_that_is_killed(tmp_path):
    """Not even what a game server has started in a session of its own."""
    code = f"echo $$ >> {tmp_path}/pids; setsid sh -c 'echo $$ >> {tmp_path}/pids; exec sleep 60' & wait"
    env = os.environ | {"TMPDIR": str(tmp_path)}
    emulator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EMULATOR, code, stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=env
    )
    url = (await emulator.stdout.readline()).decode().strip()
    headers = {"Authorization": "Bearer emulator-token"}
    async with aiohttp.request("POST", f"{url}/session", json=LAUNCH, headers=headers) as response:
        assert response.status == 201
    file = tmp_path / "pids"
    await until_true(lambda: file.exists() and file.read_text().count("\n") == 2)
    pids = [int(pid) for pid in file.read_text().split()]
    assert all(is_alive(pid) for pid in pids)
    emulator.kill()
    await emulator.wait()
    for pid in pids:
        await until_true(lambda pid=pid: not is_alive(pid))
