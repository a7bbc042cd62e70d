"""A headless Chromium, driven over its DevTools socket: for tests of the page.

Responsible for finding one, starting it with a profile of its own and ending it. Refuses to install
one: Debian has it as `chromium-headless-shell` (or `chromium`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_START_S = 200


def find_browser() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab.

    Attributes:
        problems: what the page threw or logged as an error.
        requests: every address it asked for.
    """

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._number = 100
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        await self._socket.send(json.dumps({**request, "sessionId": self._session}))
        async with asyncio.timeout(_START_S):
            while True:
                message = json.loads(await self._socket.recv())
                if message.get("id") == self._number:
                    if "error" in message:
                        raise RuntimeError(f"{method}: {message['error']}")
                    return dict(message["result"])
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(params["exceptionDetails"])[:600])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(params["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])

    async def show(self, *, width: int, height: int, scheme: str = "light") -> None:
        """Be of this size, in `light` or `dark`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def open(self, url: str, *, width: int, height: int) -> None:
        """Show an address at this size."""
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.call(f"{domain}.enable")
        await self.show(width=width, height=height)
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Look until an expression is true in the page; return it."""
        async with asyncio.timeout(_START_S):
            while not (value := await self.value(expression)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return value

    async def press(self, key: str) -> None:
        """Press and release one key."""
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def click(self, x: float, y: float) -> None:
        """Click somewhere."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    async def picture(self, path: Path) -> None:
        """Keep what is seen as a PNG."""
        result = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(result["data"]))  # noqa: ASYNC240  # a test may wait


@asynccontextmanager
async def browsing(browser: str, profile: Path) -> AsyncIterator[Page]:
    """Start a browser with one tab; it is killed at the end, whatever happens."""
    process = await asyncio.create_subprocess_exec(
        browser,
        *_OPTIONS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # it has children, which are to end with it
    )
    try:
        address = await _address(process, profile / "DevToolsActivePort")
        async with connect(address, max_size=None, ping_interval=None) as socket:
            yield await _tab(socket)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _address(process: asyncio.subprocess.Process, said: Path) -> str:
    """Return where the browser listens: it writes a file when it does."""
    async with asyncio.timeout(_START_S):
        while True:
            assert process.returncode is None, "the browser ended"
            with suppress(FileNotFoundError):
                lines = said.read_text().split()  # noqa: ASYNC240  # some bytes
                if len(lines) == 2:
                    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.05)


async def _tab(socket: ClientConnection) -> Page:
    async def ask(number: int, method: str, **params: Any) -> dict[str, Any]:
        await socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(_START_S):
            while (message := json.loads(await socket.recv())).get("id") != number:
                pass
        return dict(message["result"])

    target = await ask(1, "Target.createTarget", url="about:blank")
    session = await ask(2, "Target.attachToTarget", targetId=target["targetId"], flatten=True)
    return Page(socket, session["sessionId"])
