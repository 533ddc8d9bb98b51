"""The parts of the page as HTML."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from gameye_async._markup import Markup, joined, markup
from gameye_async.emulator.faults import EVERY_KIND
from gameye_async.emulator.routes import SCOPES

_HIGH: Final = 80
_SUMMARY: Final = 80
_STATUS_TONES: Final = {
    "running": "good",
    "created": "",
    "restarting": "warn",
    "draining": "warn",
    "shuttingdown": "warn",
}


def render(template: str, state: Mapping[str, Any], url: str) -> Markup:
    """The whole page: its frame, what `state_of` answers, and the address as its reader spells it."""
    return markup(
        template,
        url=url,
        profile=state["profile"],
        totals=_totals(state["totals"]),
        locations=_locations(state["locations"]),
        faults=_faults(state["faults"]),
        sessions=_sessions(state["sessions"], state["totals"]["live"], state["at"]),
        requests=_requests(state["requests"], state["at"]),
        kinds=_options(EVERY_KIND),
        operations=_options(SCOPES),
        places=_options(place["name"] for place in state["locations"]),
    )


def _options(names: Any) -> Markup:
    return joined(markup("<option>{name}</option>", name=name) for name in names)


def _totals(totals: Mapping[str, Any]) -> Markup:
    shown = {
        "Live sessions": totals["live"],
        "Free seats": totals["free"],
        "Players": totals["players"],
        "Launched": totals["launched"],
        "Refused": totals["refused"],
        "Requests": totals["requests"],
    }
    return joined(
        markup("<div><dl><dt>{name}</dt><dd>{number}</dd></dl></div>", name=name, number=f"{number:,}")
        for name, number in shown.items()
    )


def _locations(places: list[dict[str, Any]]) -> Markup:
    return markup(
        '<table class="room"><caption>Locations</caption><thead><tr><th scope="col">Name</th>'
        '<th scope="col">Used</th><th scope="col" class="number">Free</th>'
        '<th scope="col"><span class="soft">Room</span></th></tr></thead><tbody>{rows}</tbody></table>',
        rows=[_location(place, index) for index, place in enumerate(places)],
    )


def _location(place: Mapping[str, Any], index: int) -> Markup:
    name, used, free = place["name"], place["used"], place["free"]
    percent = 100 if not free else min(99, 100 * used // place["capacity"])
    return markup(
        '<tr><td class="id">{name}</td><td><svg class="bar {tone}" viewBox="0 0 100 8" '
        'preserveAspectRatio="none" role="img" aria-label="{used} of {capacity} used">'
        '<rect width="{percent}" height="8"/></svg><span class="soft small">{used} of {capacity}</span></td>'
        '<td class="number">{free}</td>'
        '<td><button id="room-{index}" data-send="POST {path}" data-body="{body}" '
        'aria-label="{verb} {name}">{verb}</button></td></tr>',
        name=name,
        used=used,
        capacity=place["capacity"],
        free=f"{free:,}",
        percent=percent,
        tone="full" if not free else "high" if percent >= _HIGH else "",
        index=index,
        path=f"locations/{quote(name, safe='')}",
        body=json.dumps({"full": not place["full"]}),
        verb="Empty" if place["full"] else "Fill",
    )


def _faults(faults: list[dict[str, Any]]) -> Markup:
    if not faults:
        return markup('<p class="soft">None in force.</p>')
    return markup(
        '<ul class="inforce">{items}</ul>'
        '<button id="heal" data-send="DELETE faults">Clear every fault</button>',
        items=[_fault(fault, index) for index, fault in enumerate(faults)],
    )


def _fault(fault: Mapping[str, Any], index: int) -> Markup:
    details = ", ".join(f"{name} {value}" for name, value in fault.items() if name != "kind")
    return markup(
        '<li><span><strong>{kind}</strong> {details}</span><button id="fault-{index}" '
        'data-send="DELETE faults" data-body="{body}" aria-label="Clear {kind}">Clear</button></li>',
        kind=fault["kind"],
        details=details,
        index=index,
        body=json.dumps(fault),
    )


def _sessions(sessions: list[dict[str, Any]], live: int, now: float) -> Markup:
    caption = (
        "Live sessions" if live == len(sessions) else f"Live sessions, the newest {len(sessions)} of {live:,}"
    )
    if not sessions:
        return markup(
            '<h2>{caption}</h2><p class="empty">None yet. Launch one with <code>POST /session</code>.</p>',
            caption=caption,
        )
    return markup(
        '<table class="stack"><caption>{caption}</caption><thead><tr><th scope="col">Session</th>'
        '<th scope="col">Status</th><th scope="col">Location</th><th scope="col">Ports</th>'
        '<th scope="col" class="number">Players</th><th scope="col" class="number">Age</th></tr></thead>'
        "<tbody>{rows}</tbody></table>",
        caption=caption,
        rows=[_session(session, now) for session in sessions],
    )


def _session(session: Mapping[str, Any], now: float) -> Markup:
    return markup(
        '<tr><td data-name="Session"><div><span class="id">{id}</span><br>'
        '<span class="soft wrap">{image}:{tag}</span> {labels}{log}</div></td>'
        '<td data-name="Status"><span class="pill {tone}">{status}</span></td>'
        '<td data-name="Location"><span class="wrap">{location}<br>'
        '<span class="soft id">{host}</span></span></td>'
        '<td data-name="Ports"><span class="ports">{ports}</span></td>'
        '<td data-name="Players" class="number"><span>{players}</span></td>'
        '<td data-name="Age" class="number">{age}</td></tr>',
        id=session["id"],
        image=session["image"],
        tag=session["tag"],
        labels=[
            markup('<span class="label">{name}={value}</span>', name=name, value=value)
            for name, value in session["labels"].items()
        ],
        log=_log(session),
        tone=_STATUS_TONES.get(session["status"], "bad"),
        status=session["status"],
        location=session["location"],
        host=session["host"],
        ports=[
            markup("<span>{container} → {host}</span>", container=container, host=host)
            for container, host in session["ports"].items()
        ],
        players=len(session["players"]),
        age=_since(now - session["age"], session["age"]),
    )


def _log(session: Mapping[str, Any]) -> Markup:
    if not session["log"]:
        return Markup()
    return markup(
        '<details id="log-{id}"><summary><span>{last}</span></summary><pre>{lines}</pre></details>',
        id=session["id"],
        last=session["log"][-1][:_SUMMARY] or "Log",
        lines="\n".join(session["log"]),
    )


def _requests(requests: list[dict[str, Any]], now: float) -> Markup:
    if not requests:
        return markup('<h2>Last requests</h2><p class="empty">None yet.</p>')
    return markup(
        '<table class="stack"><caption>Last requests</caption><thead><tr><th scope="col">Request</th>'
        '<th scope="col">Operation</th><th scope="col">Status</th><th scope="col" class="number">Time</th>'
        '<th scope="col" class="number">Ago</th></tr></thead><tbody>{rows}</tbody></table>',
        rows=[_request(request, now) for request in requests],
    )


def _request(request: Mapping[str, Any], now: float) -> Markup:
    status = request["status"]
    return markup(
        '<tr><td data-name="Request"><span class="wrap"><code>{method} {path}</code></span></td>'
        '<td data-name="Operation"><span class="soft">{operation}</span></td>'
        '<td data-name="Status"><span class="pill {tone}">{status}</span></td>'
        '<td data-name="Time" class="number"><span>{milliseconds} ms</span></td>'
        '<td data-name="Ago" class="number">{age}</td></tr>',
        method=request["method"],
        path=request["path"],
        operation=request["operation"] or "none",
        tone="bad" if status is None or status >= 500 else "warn" if status >= 400 else "good",  # noqa: PLR2004  -- classes of statuses
        status="cut" if status is None else status,
        milliseconds=f"{1000 * request['seconds']:.1f}",
        age=_since(request["at"], now - request["at"]),
    )


def _since(at: float, seconds: float) -> Markup:
    """How long ago something was; the script of the page counts on from here."""
    return markup('<time data-since="{at}">{seconds} s</time>', at=f"{at:.2f}", seconds=max(0, int(seconds)))
