"""The page of a served capture, in a real browser, with a real client connected beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from replay.server import serve
from tests.replay.server.browser import NAMES, browsing, find_browser


async def until(is_met: Callable[[], bool]) -> None:
    async with asyncio.timeout(200):
        while not is_met():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_page_shows_and_controls_a_replay(datasets: Path, tmp_path: Path):
    browser = find_browser()
    if browser is None:
        pytest.skip(
            f"no browser here: expected one of {', '.join(NAMES)} on the path; "
            f"on Debian: apt-get install chromium-headless-shell"
        )
    books = {"channel": "books", "instId": "ETH-USDT"}
    async with (
        serve(datasets / "eth-stress", port=0, speed=1, start_paused=True) as server,
        connect(f"{server.url}/public", max_queue=None, compression=None) as client,
        browsing(browser, tmp_path / "profile") as page,
    ):
        await client.send(json.dumps({"op": "subscribe", "args": [books]}))
        here = f"127.0.0.1:{server.port}"
        await page.open(f"http://{here}/", width=1280, height=1000)

        await page.until("document.title === 'eth-stress · replay'")
        await page.until("document.querySelector('#state').dataset.state === 'paused'")
        assert await page.value("document.querySelector('#url').textContent") == server.url
        await page.until("document.querySelector('#who table')?.rows[1].cells[2].innerText === '1'")

        # The timeline, with what happened.
        await page.until("document.querySelectorAll('#events button').length === 5")
        told = await page.value("document.querySelector('#events').innerText")
        assert "gap in books ETH-USDT" in told
        assert "public disconnected by network, code 1006, for 3.6 s" in told

        # To what happened first and on by one frame: the ladder is the server's own book.
        await page.press("]")
        await until(lambda: server.status().position > 0 and not server.is_moving)
        before = server.status().position
        await page.press(".")
        await until(lambda: server.status().position > before and not server.is_moving)
        assert (server.status().time or "").startswith("2026-11-02T08:00:09")
        await page.until("document.querySelector('#clock').textContent.startsWith('08:00:09')")
        book = server.book("ETH-USDT")
        assert book is not None
        cells = "[...document.querySelectorAll('.rung > :first-child')]"
        asks, bids = book.asks(12), book.bids(12)
        prices = [float(level.price) for level in [*reversed(asks), *bids]]
        await page.until(f"{cells}.map(cell => Number(cell.innerText)).join() === {prices}.join()")

        # A click in the middle of the strip, a speed, play, pause.
        box = await page.value(
            "(r => [r.x + r.width / 2, r.y + r.height / 2])"
            "(document.querySelector('#timeline').getBoundingClientRect())"
        )
        await page.click(*box)
        await until(lambda: (server.status().time or "").startswith("2026-11-02T08:00:30"))
        await page.until("document.querySelector('#clock').textContent.startsWith('08:00:30')")
        assert server.status().state == "paused"
        await page.value("document.querySelector('#speeds [data-speed=\"2\"]').click()")
        await page.until("document.querySelector('[data-speed=\"2\"]').ariaPressed === 'true'")
        assert server.status().speed == 2.0
        before = server.status().sent
        await page.press(" ")
        await until(lambda: server.status().sent > before)
        await page.until("document.querySelector('#state').dataset.state === 'playing'")
        await page.press(" ")
        await page.until("document.querySelector('#state').dataset.state === 'paused'")
        assert server.status().state == "paused"

        # It fits on a screen and on a phone, threw nothing, and asked nothing but this server.
        for scheme, width, height in (
            ("light", 1280, 1000),
            ("dark", 1280, 1000),
            ("dark", 390, 1500),
        ):
            await page.show(width=width, height=height, scheme=scheme)
            await page.until(f"innerWidth === {width}")
            assert await page.value("document.documentElement.scrollWidth <= innerWidth")
            await page.picture(tmp_path / f"{scheme}-{width}.png")
        assert page.problems == []
        addresses = [address for address in page.requests if not address.startswith("data:")]
        assert {address.split("/")[2] for address in addresses} == {here}
