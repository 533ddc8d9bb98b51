"""A real browser without a window, spoken to in its own DevTools protocol."""

import asyncio
import base64
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from attrs import define, field

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


@define(eq=False)
class Tab:
    """One tab; `complaints` holds what its console was told."""

    _socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(factory=list)
    _last: int = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("method") in {
                "Runtime.exceptionThrown",
                "Log.entryAdded",
                "Runtime.consoleAPICalled",
            }:
                self.complaints.append(str(message["params"]))
            if message.get("id") == self._last:
                assert "error" not in message, message
                return message["result"]

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true, looking after each change of the document."""
        await self.evaluate(
            f"""new Promise((resolve) => {{
                const look = () => ({condition}) && (watch.disconnect(), resolve());
                const watch = new MutationObserver(look);
                const everything = {{subtree: true, childList: true, attributes: true, characterData: true}};
                watch.observe(document, everything);
                look();
            }})"""
        )

    async def open(self, url: str) -> None:
        """Go somewhere, and wait until the page says that it is live."""
        await self.call("Page.navigate", url=url)
        await self.until("document.getElementById('link')?.dataset.state === 'live'")

    async def look_like(self, *, width: int, height: int = 1200, scheme: str = "light") -> None:
        """Take a size and a colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        await self.call(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    async def press(self, key: str, text: str = "") -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=codes[key], text=text
            )

    async def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """A tab of a browser that was started for it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            *_FLAGS,
            f"--user-data-dir={folder}",
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(60):
                port = await _debugging_port(browser)
                async with (
                    aiohttp.ClientSession() as http,
                    http.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer,
                    http.ws_connect((await answer.json())["webSocketDebuggerUrl"], max_msg_size=0) as socket,
                ):
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.call(f"{domain}.enable")
                    yield tab
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            await browser.communicate()


async def _debugging_port(browser: asyncio.subprocess.Process) -> int:
    assert browser.stderr is not None
    async for line in browser.stderr:
        if line.startswith(b"DevTools listening on ws://"):
            return int(line.split(b":")[2].split(b"/")[0])
    raise AssertionError("the browser did not start")
