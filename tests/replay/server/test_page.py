"""The page of a served capture, in a real browser, with a real client connected beside it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from replay.server import serve
from tests.replay.server.browser import NAMES, browsing, find_browser


@pytest.mark.parametrize(
    ("scheme", "width", "height"), [("light", 1280, 1000), ("dark", 390, 1500)]
)
async def test_the_page_shows_and_controls_a_replay(
    datasets: Path, tmp_path: Path, scheme: str, width: int, height: int
):
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
        await page.open(f"http://{here}/", width=width, height=height, scheme=scheme)

        await page.until("document.title === 'eth-stress · replay'")
        await page.until("document.querySelector('#state').dataset.state === 'paused'")
        assert await page.value("document.querySelector('#url').textContent") == server.url
        await page.until("document.querySelector('#who table')?.rows[1].cells[2].innerText === '1'")

        # The timeline, with what happened.
        await page.until("document.querySelectorAll('#events button').length === 5")
        told = await page.value("document.querySelector('#events').innerText")
        assert "gap in books ETH-USDT" in told
        assert "public disconnected by network, code 1006, for 3.6 s" in told

        # To the gap and on by one frame: the ladder is the server's own book.
        await page.press("]")
        await page.until("document.querySelector('#clock').textContent.startsWith('08:00:09')")
        await page.press(".")
        await page.until("document.querySelectorAll('.rung').length > 0")
        book = server.book("ETH-USDT")
        assert book is not None
        rungs = 8 if width < 620 else 12
        assert await page.until("document.querySelectorAll('.rung').length") == 2 * rungs
        best = "Number(document.querySelectorAll('.rung.bid > :first-child')[0].innerText)"
        top = book.best_bid()
        assert top is not None
        assert await page.value(best) == float(top.price)

        # A click in the middle of the strip, a speed, play, pause.
        box = await page.value(
            "(r => [r.x + r.width / 2, r.y + r.height / 2])"
            "(document.querySelector('#timeline').getBoundingClientRect())"
        )
        await page.click(*box)
        await page.until("document.querySelector('#clock').textContent.startsWith('08:00:30')")
        assert server.status().state == "paused"
        await page.value("document.querySelector('#speeds [data-speed=\"2\"]').click()")
        await page.until("document.querySelector('[data-speed=\"2\"]').ariaPressed === 'true'")
        assert server.status().speed == 2.0
        before = server.status().sent
        await page.press(" ")
        await page.until("document.querySelector('#state').textContent === 'playing 2×'")
        async with asyncio.timeout(60):
            while server.status().sent == before:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await page.press(" ")
        await page.until("document.querySelector('#state').dataset.state === 'paused'")
        assert server.status().state == "paused"

        # It fits, it threw nothing, and it asked for nothing but this server.
        assert await page.value("document.documentElement.scrollWidth <= innerWidth")
        await page.picture(tmp_path / f"{scheme}-{width}.png")
        assert page.problems == []
        assert {
            address.split("/")[2] for address in page.requests if not address.startswith("data:")
        } == {here}
