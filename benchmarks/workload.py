"""What each benchmark launches, and what the stub server answers; needs nothing but Python."""

from typing import Any

TOKEN = "benchmark-token"  # noqa: S105  -- it opens nothing

WANTED: dict[str, Any] = {
    "image": "arena-shooter",
    "location": "eu-west",
    "env": {"MAP": "harbour", "MODE": "duel", "TICK_RATE": "60"},
    "args": ["--max-players=8", "--log=info"],
    "labels": {"match": "m-000001", "queue": "ranked"},
    "version": "1.4.0",
}

ANSWER = (
    b'{"host":"203.0.113.7","ports":[{"type":"tcp","container":8080,"host":20000},'
    b'{"type":"udp","container":7777,"host":20001},{"type":"tcp","container":8443,"host":20002}]}'
)
