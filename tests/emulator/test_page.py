"""The page, as text and in a real browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gameye_async.emulator import Emulator, Fault
from tests.emulator.browser import CHROMIUM, Tab, browsing
from tests.emulator.harness import LAUNCH, Caller, serving

HOSTILE = """<script>document.title='owned'</script><img src=x onerror="document.title='owned'">'\"&amp;{0}"""
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@asynccontextmanager
async def shown(**options) -> AsyncIterator[tuple[Emulator, Caller, Tab]]:
    """An emulator and a browser that shows its page."""
    async with serving(**options) as (emulator, call), browsing() as tab:
        await tab.open(f"{emulator.url}/_emulator/")
        yield emulator, call, tab


async def text(call: Caller) -> str:
    return (await call("GET", "/_emulator/")).body.decode()


async def test_it_shows_sessions_locations_and_requests():
    async with serving(locations={"europe": 4, "asia": 9}) as (emulator, call):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1", "labels": {"mode": "duel"}})
        await call("GET", "/session/nobody")
        emulator.world.write_log("m-1", "player ann has joined\n")
        page = await text(call)
    for part in ("m-1", "mode=duel", "player ann has joined", "7777/udp → 20000", "1 of 4", "0 of 9"):
        assert part in page
    assert "GET /session/nobody" in page


async def test_it_works_before_anything_has_happened():
    async with serving() as (_, call):
        assert "None yet." in await text(call)


async def test_nothing_that_clients_send_is_markup():
    async with serving(locations={"europe": 4, HOSTILE: 4}) as (emulator, call):
        fields = {"id": HOSTILE, "image": HOSTILE, "version": HOSTILE, "labels": {HOSTILE: HOSTILE}}
        assert (await call("POST", "/session", json=LAUNCH | fields)).status == 201
        await call("GET", "/session/%3Cscript%3E?<script>=<img>")
        emulator.world.write_log(HOSTILE, HOSTILE)
        emulator.world.set_status(HOSTILE, HOSTILE)
        emulator.faults.add(Fault("refuse", location=HOSTILE))
        page = await text(call)
    assert page.count("<script") == 1
    assert page.count("<img") == 1
    assert "&lt;script&gt;" in page


async def test_half_a_surrogate_pair_does_not_hide_the_page():
    async with serving() as (emulator, call):
        emulator.world.launch(LAUNCH | {"id": "\ud800", "labels": {"k": "\udfff"}})
        emulator.world.launch(LAUNCH | {"id": "m-2"})
        assert (await call("GET", "/_emulator/")).status == 200
        assert "m-2" in await text(call)


async def test_only_the_newest_sessions_are_shown():
    async with serving() as (emulator, call):
        for number in range(500):
            emulator.world.launch(LAUNCH | {"id": f"m-{number}"})
        page = await text(call)
    assert "the newest 100 of 500" in page
    assert "m-499" in page
    assert "m-399" not in page


async def test_it_needs_nothing_from_elsewhere():
    async with serving() as (_, call):
        reply = await call("GET", "/_emulator/")
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "frame-ancestors 'none'" in policy
        named = re.findall(r'(?:src|href)="([^"#]+)"', reply.body.decode())
        assert set(named) == {"page.css", "page.js", "icon.svg"}
        for name in named:
            asset = await call("GET", f"/_emulator/{name}")
            assert asset.status == 200
            assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", asset.body)


async def test_the_prefix_alone_leads_to_the_page():
    async with serving() as (_, call):
        assert b"<title>Gameye emulator</title>" in (await call("GET", "/_emulator")).body


@in_browser
async def test_it_follows_what_happens():
    async with shown() as (_, call, tab):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        await tab.until("document.querySelector('#sessions .id')?.textContent === 'm-1'")
        await call("DELETE", "/session/m-1")
        await tab.until("document.querySelector('#sessions').textContent.includes('None yet')")
        await tab.until("document.querySelector('#requests').textContent.includes('DELETE /session/m-1')")
        assert tab.complaints == []


@in_browser
async def test_a_log_that_is_open_stays_open_and_grows():
    async with shown() as (emulator, call, tab):
        await call("POST", "/session", json=LAUNCH | {"id": "m-1"})
        emulator.world.write_log("m-1", "one\n")
        await tab.until("document.querySelector('details')")
        await tab.evaluate("document.querySelector('summary').click()")
        emulator.world.write_log("m-1", "two\n")
        await tab.until("document.querySelector('details[open] pre')?.textContent === 'one\\ntwo'")


@in_browser
async def test_a_location_is_filled_and_emptied_by_its_button():
    async with shown(locations={"europe": 3}) as (emulator, _, tab):
        await tab.evaluate("document.querySelector('#room-0').click()")
        await tab.until("document.querySelector('#room-0').textContent === 'Empty'")
        assert not emulator.world.places["europe"].has_room
        await tab.evaluate("document.querySelector('#room-0').click()")
        await tab.until("document.querySelector('#room-0').textContent === 'Fill'")
        assert emulator.world.places["europe"].has_room


@in_browser
async def test_a_fault_is_injected_and_cleared_by_keyboard_alone():
    async with shown() as (emulator, _, tab):
        await tab.evaluate("document.querySelector('[name=count]').focus()")
        await tab.call("Input.insertText", text="3")
        for _ in range(4):
            await tab.press("Tab")
        assert await tab.evaluate("document.activeElement.textContent") == "Inject"
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await tab.evaluate(outline) == "solid"
        await tab.press("Enter", "\r")
        await tab.until("document.querySelector('.inforce')")
        assert list(emulator.faults) == [Fault("latency", count=3)]
        await tab.evaluate("document.querySelector('#heal').focus()")
        await tab.press("Enter", "\r")
        await tab.until("!document.querySelector('.inforce')")
        assert not emulator.faults


@in_browser
async def test_a_refused_fault_is_explained_on_the_page():
    async with shown() as (_, _, tab):
        await tab.evaluate("send('POST', 'faults', {kind: 'refuse', count: 0})")
        assert "must be >= 1" in await tab.evaluate("document.querySelector('#said').textContent")


@in_browser
async def test_what_clients_send_does_not_run():
    async with shown() as (emulator, call, tab):
        await call("POST", "/session", json=LAUNCH | {"id": HOSTILE, "labels": {HOSTILE: HOSTILE}})
        emulator.world.write_log(HOSTILE, HOSTILE)
        await tab.until("document.querySelector('#sessions pre')")
        assert HOSTILE in await tab.evaluate("document.querySelector('#sessions pre').textContent")
        assert await tab.evaluate("document.title") == "Gameye emulator"
        assert tab.complaints == []


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
async def test_it_can_be_read_in_every_light_and_at_every_width(scheme, width):
    """Nothing is cut off at the side, and text stands out from its ground by 4.5 to 1."""
    async with serving() as (emulator, call), browsing() as tab:
        await call("POST", "/session", json=LAUNCH | {"id": "m" * 300, "labels": {"k" * 200: "v" * 200}})
        emulator.world.write_log("m" * 300, "w" * 3_000)
        for status in ("restarting", "dead"):
            await call("POST", "/session", json=LAUNCH | {"id": status})
            emulator.world.set_status(status, status)
        emulator.faults.add(Fault("refuse", location="europe", status=420, count=20, probability=0.5))
        await tab.look_like(width=width, scheme=scheme)
        await tab.open(f"{emulator.url}/_emulator/")
        assert await tab.evaluate("document.documentElement.scrollWidth") == width
        assert await tab.evaluate(FAINT_TEXT) == []


FAINT_TEXT = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return numbers(colour);
    }
    return [255, 255, 255];
  };
  const light = (colour) => colour.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const has_text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!has_text || !element.checkVisibility() || element.closest("script, noscript, option")) continue;
    const [high, low] = [light(numbers(getComputedStyle(element).color)), light(ground(element))]
      .sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${element.tagName} ${element.className} ${contrast.toFixed(2)}`);
  }
  return found;
})()
"""
