"""Goal: what went wrong in a recording that ended well is told while it runs, and in its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recorder.capture.writer import CaptureWriter
from recorder.errors import ExitCode
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.connection import Stamp
from recorder.live.pipeline import Pipeline
from recorder.okx.faults import Refuse, Scenario
from tests.venue.feeds import MarketFeed
from tests.venue.server import Venue

FAST = LinkOptions(first_delay=0.02, longest_delay=0.05, close_timeout=2)

SNAPSHOT = (
    b'{"arg":{"channel":"books","instId":"ABC-USDT"},"action":"snapshot","data":[{"asks":'
    b'[["1.3","4","0","1"]],"bids":[["1.2","7","0","2"]],"ts":"1790000000100","checksum":0,'
    b'"seqId":50,"prevSeqId":-1}]}'
)
BODY = (
    b'{"code":"0","msg":"","data":[{"asks":[["1.3","4","0","1"]],"bids":[["1.2","9","0","2"]],'
    b'"ts":"1790000000100","seqId":50}]}'
)


async def test_what_was_never_held_is_in_the_report_and_in_the_exit_code(tmp_path: Path) -> None:
    scenario = Scenario(faults=(Refuse(endpoint="business", status=503, times=0),))
    feed = MarketFeed(seed=5, instruments=["BTC-USDT"], rate=0.3, account=False)
    statuses: list[dict[str, Any]] = []

    def look(progress: object) -> None:
        statuses.append(json.loads((tmp_path / "c" / "status.json").read_text()))

    async with Venue(scenario, feed) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT", "candle1m:BTC-USDT"],
            url=venue.url, link=FAST, rest=False, duration=2.2, on_progress=look,
        )  # fmt: skip
    business = [item for item in statuses[-1]["connections"] if item["endpoint"] == "business"]
    assert business[0]["subscriptions"] == {"held": 0, "asked": 1, "refused": 0}
    assert report.never_held == ["candle1m:BTC-USDT"]
    assert report.exit_code is ExitCode.LOSS
    assert report.refused == []


async def test_what_only_awaits_its_answer_at_the_end_is_no_loss(tmp_path: Path) -> None:
    feed = MarketFeed(seed=5, instruments=["BTC-USDT"], rate=0.3, account=False)
    async with Venue(Scenario(), feed) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT", "candle1m:BTC-USDT"],
            url=venue.url, link=FAST, rest=False, frames=1,
        )  # fmt: skip
    assert (report.never_held, report.exit_code) == ([], ExitCode.DONE)


def test_a_book_that_is_not_the_venues_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    writer = CaptureWriter(tmp_path / "c")
    pipeline = Pipeline(writer, notify=told.append)
    stamps = iter(Stamp(1_790_000_000_000_000_000 + n, n) for n in range(100))
    pipeline.begin({}, next(stamps))
    pipeline.row(0, Kind.OPENED, {"url": "ws://x", "endpoint": "public", "link": 0}, next(stamps))
    pipeline.received(0, [(Kind.TEXT, SNAPSHOT)], next(stamps))
    for connection in (1, 2):
        line = b"GET /api/v5/market/books?instId=ABC-USDT&sz=400 HTTP/1.1"
        pipeline.sent(connection, line, next(stamps))
        pipeline.body(connection, BODY, next(stamps))
    pipeline.tell()
    writer.close()
    warnings = [line for line in told if "ABC-USDT" in line]
    assert len(warnings) == 1
    assert "first bid 1.2 with 7.0 here and 9.0 at the venue (seqId 50)" in warnings[0]
