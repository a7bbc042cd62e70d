"""Books asked for by REST while recording, compared live and again in the replay."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from recorder.capture.reader import Capture
from recorder.event import BookMismatch, Event
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.okx.faults import DeleteUnknown, Refuse, Scenario
from recorder.okx.interpreter import Interpreter
from tests.venue.feeds import MarketFeed
from tests.venue.server import Venue

FAST = LinkOptions(first_delay=0.02, longest_delay=0.05, close_timeout=2)


def interpreted(root: Path) -> tuple[Interpreter, list[Event]]:
    """What has been written so far, and what it means."""
    interpreter = Interpreter()
    events = [event for frame in Capture(root).frames() for event in interpreter.step(frame)]
    return interpreter, events


async def test_every_book_is_compared_and_the_status_shows_the_states(tmp_path: Path) -> None:
    """Two instruments, a first request that fails, and what a monitor sees meanwhile."""
    scenario = Scenario(
        faults=(DeleteUnknown(times=0), Refuse(endpoint="rest", status=429, times=4))
    )
    feed = MarketFeed(seed=5, instruments=["BTC-USDT", "ETH-USDT"], rate=0.3, account=False)
    stop, told, statuses = asyncio.Event(), list[str](), list[dict[str, object]]()
    root = tmp_path / "c"

    def look(progress: object) -> None:
        statuses.append(json.loads((root / "status.json").read_text()))

    async with Venue(scenario, feed) as venue:
        task = asyncio.create_task(
            record(
                root, ["books:BTC-USDT", "books:ETH-USDT"], url=venue.url, link=FAST, stop=stop,
                resnapshot=1 / 3_600, notify=told.append, on_progress=look,
            )
        )  # fmt: skip

        def asked() -> set[str]:
            lines = [line for line in venue.oracle.lines if line["what"] == "rest"]
            good = [line["target"] for line in lines if line["status"] == 200]
            return {target for target in good if target.startswith("/api/v5/market/books")}

        await venue.until(lambda: len(asked()) == 2 and len(statuses) > 1)
        assert asked() == {
            "/api/v5/market/books?instId=BTC-USDT&sz=400",
            "/api/v5/market/books?instId=ETH-USDT&sz=400",
        }
        await venue.until(lambda: interpreted(root)[0].integrity.books_match >= 1)
        stop.set()
        await task
    assert sum("by REST" in line for line in told) >= 1
    capture = Capture(root)
    interpreter, events = interpreted(root)
    integrity = interpreter.integrity
    assert integrity.books_match >= 1
    assert integrity.books_mismatch == 0
    assert not [event for event in events if isinstance(event, BookMismatch)]
    failed = [
        json.loads(f.payload)
        for f in capture.frames()
        if f.kind is Kind.CLOSED and b"429" in f.payload
    ]
    assert all("then" not in row for row in failed), "a REST exchange is no state of an endpoint"
    (connection,) = statuses[-1]["connections"]
    assert connection["state"] == "connected"
    assert connection["subscriptions"] == {"held": 2, "asked": 0, "refused": 0}
    assert connection["attempts"] == 0
    assert isinstance(connection["since"], int)
