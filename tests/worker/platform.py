"""A platform that survives `kill -9`: an emulator whose history is a file, and who starts from it.

python -m tests.worker.platform PORT FILE
"""

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from attrs import field, frozen

from gameye_async.emulator import Emulator, Fault
from gameye_async.emulator.server import collect_garbage_less
from gameye_async.emulator.timeline import Event

LOCATION = "eu-west"
LAUNCH_SECONDS = 0.05


@frozen
class Record:
    """What the platform has done, in all its lives.

    Attributes:
        launched: How often a session of each id was started.
        live: The sessions that run, by id.
        lives: How often the platform was started.
    """

    launched: Counter[str]
    live: dict[str, dict[str, Any]] = field(factory=dict)
    lives: int = 0

    @classmethod
    def read(cls, path: Path) -> "Record":
        launched: Counter[str] = Counter()
        live: dict[str, dict[str, Any]] = {}
        lives = 0
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["kind"] == "started":
                lives += 1
            elif entry["kind"] == "launched":
                launched[entry["id"]] += 1
                live[entry["id"]] = entry
            else:
                live.pop(entry["id"], None)
        return cls(launched, live, lives)


async def serve(port: int, path: Path) -> None:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    record = Record.read(path)
    slow = Fault("latency", operation="session-run", seconds=LAUNCH_SECONDS)
    async with Emulator(port=port, locations={LOCATION: 100_000}, faults=[slow]) as emulator:
        for session_id, session in record.live.items():
            emulator.world.add_foreign_session(session_id, image=session["image"], location=LOCATION)

        def write(entry: dict[str, Any]) -> None:
            # Before the answer goes out, for what was written survives the process.
            os.write(file, f"{json.dumps(entry)}\n".encode())

        def hear(event: Event) -> None:
            if event.kind == "launched":
                session = emulator.world.session(event.session_id)
                write({"kind": "launched", "id": session.id, "image": session.image})
            elif event.kind in {"stopped", "exited", "ended", "expired"}:
                write({"kind": "ended", "id": event.session_id})

        emulator.world.subscribe(hear)
        write({"kind": "started"})
        sys.stdout.write("Serving\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    collect_garbage_less()
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
