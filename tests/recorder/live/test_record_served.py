"""Close the circle: serve a capture on loopback, record it through a real socket, compare.

The served captures are sessions OKX really sent, and the committed simulated ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.capture.digest import EventDigest
from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.verify import verify
from recorder.errors import ExitCode
from recorder.event import Subscribed
from recorder.frame import Kind
from recorder.live import LinkOptions, RecordReport, record
from recorder.okx.subscription import subscription_of
from replay.server import serve

STILL = LinkOptions(resync=False)
"""A recorded gap is part of what is compared: it must not be repaired."""


def pushes_of(path: Path) -> dict[bytes, list[bytes]]:
    """Data pushes per argument object, exact bytes, in order."""
    found: dict[bytes, list[bytes]] = {}
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        if frame.payload.startswith(b'{"arg"'):
            end = frame.payload.index(b"}") + 1
            found.setdefault(frame.payload[:end], []).append(frame.payload)
    return found


async def record_served(source: Path, out: Path, **options: Any) -> RecordReport:
    acked = [event for event in Capture(source).events() if isinstance(event, Subscribed)]
    wanted = dict.fromkeys(subscription_of(event.argument) for event in acked)
    async with serve(
        source, port=0, speed="max", at_end="close", wait_for_subscribers=len(wanted)
    ) as server:
        return await record(
            out, [item for item in wanted if item is not None], url=server.url, rest=False,
            until_closed=True, digest=True, link=STILL, **options,
        )  # fmt: skip


def check_circle(source: Path, out: Path, report: RecordReport) -> None:
    assert pushes_of(out) == pushes_of(source), "byte for byte, per argument"
    digest = EventDigest()
    digest.update(Capture(out).events())
    assert report.output_digest == digest.hexdigest(), "live events are replayed events"
    assert report.lost == 0
    assert report.exit_code is ExitCode.DONE
    assert verify(out).ok


@pytest.mark.parametrize(
    ("name", "books"),
    [
        ("2021-07-22-tbt-link-a", 1_504),
        ("2021-07-22-tbt-link-b", 1_446),
        ("2022-05-13-books-trades-tickers", 290),
    ],
)
async def test_what_okx_really_sent(
    real_traffic: Path, tmp_path: Path, name: str, books: int
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    import_sessions([real_traffic / "sessions" / f"{name}.jsonl"], source)
    report = await record_served(source, out)
    check_circle(source, out, report)
    checksums = verify(out).checksums
    assert (checksums["match"], checksums["mismatch"]) == (books, 0)


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress"])
async def test_the_simulated_captures(datasets: Path, tmp_path: Path, name: str) -> None:
    source, out = datasets / name, tmp_path / "out"
    report = await record_served(source, out)
    check_circle(source, out, report)
    assert report.gaps == Capture(source).info().gaps
