"""Goal: no mistake in the parser passes a check, and the frame that is named is the right one.

Method: ten mistakes, each made in the source of the parser before it is imported. Which frame shows
one first is worked out here from the JSON of the frames alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from recorder.frame import Kind
from replay.regression.checking import check
from tests.replay.invented_session import Invented, write_capture

ROOT = Path(__file__).resolve().parents[3]
PUSHES = "recorder.okx.pushes"


class Mutation(NamedTuple):
    """A mistake: where, what, which message shows it, and in which field of which event."""

    old: str
    new: str
    channel: str
    shows: Callable[[dict[str, Any]], Any]
    type: str
    field: str


def of_trades(expression: str, instead: str, shows: Callable[[Any], Any], field: str) -> Mutation:
    row = "row.px, row.sz, row.side, row.count, row.source, row.seq_id,"
    return Mutation(row, row.replace(expression, instead), "trades", shows, "Trade", field)


BOOK = 'channel, push.action == "snapshot", row.bids, row.asks, row.seq_id,\n                    row.prev_seq_id, row.checksum,'  # noqa: E501
CANDLE = "frame.seq, index, frame.ts_recv, row.ts * NS, instrument, channel, interval,\n            row.open, row.high, row.low, row.close, row.volume"  # noqa: E501

MUTATIONS = {
    "swapped sides": Mutation(
        BOOK, BOOK.replace("row.bids, row.asks", "row.asks, row.bids"), "books",
        lambda m: m["data"][0]["asks"] or m["data"][0]["bids"], "BookUpdate", "bids",
    ),
    "lost level": Mutation(
        BOOK, BOOK.replace("row.asks", "row.asks[:-1]"), "books",
        lambda m: m["data"][0]["asks"], "BookUpdate", "asks",
    ),
    "wrong scale": of_trades("row.sz", "row.sz * 1000", lambda m: True, "size"),
    "dropped timestamp": Mutation(
        "frame.seq, index, frame.ts_recv, None if ts is None else ts * NS, row.inst_id,",
        "frame.seq, index, frame.ts_recv, None, row.inst_id,", "tickers",
        lambda m: True, "Ticker", "ts_event",
    ),
    "merged trades": Mutation(
        "            asked = push.arg.inst_id\n            index = 0",
        "            asked = push.arg.inst_id\n            del rows[:-1]\n            index = 0",
        "trades", lambda m: len(m["data"]) > 1, "Trade", "(missing)",
    ),
    "off-by-one candle column": Mutation(
        CANDLE,
        CANDLE.replace("row.open, row.high, row.low, row.close, row.volume",
                       "row.high, row.low, row.close, row.volume, row.volume"),
        "candle", lambda m: True, "Candle", "open",
    ),
    "ignored action": Mutation(
        BOOK, BOOK.replace('push.action == "snapshot"', "False"), "books",
        lambda m: m["action"] == "snapshot", "BookUpdate", "is_snapshot",
    ),
    "wrong aggressor": of_trades(
        "row.side", '{"buy": "sell", "sell": "buy"}[row.side]', lambda m: True, "side"
    ),
    "float rounding": of_trades(
        "row.px", "round(row.px)", lambda m: any(float(r["px"]) % 1 for r in m["data"]), "price"
    ),
    "stale checksum": Mutation(
        BOOK, BOOK.replace("row.checksum", 'globals().setdefault("stale", row.checksum)'), "books",
        lambda m: m["data"][0]["checksum"] != 0, "BookUpdate", "checksum",
    ),
}  # fmt: skip


def add_legacy_book(session: Invented) -> None:
    """Add a snapshot and an update of the time before 2026-06-23, with real checksums."""
    bids, asks = [["99", "1", "0", "1"]], [["101", "2", "0", "1"]]
    for action, size in (("snapshot", "1"), ("update", "5.50")):
        bids[0][1] = size
        text = f"99:{size}:101:2"
        unsigned = crc32(text.encode())
        row = {"asks": asks if action == "snapshot" else [], "bids": bids, "ts": "1650000000000",
               "checksum": unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned}  # fmt: skip
        argument = {"channel": "books-l2-tbt", "instId": "OLD-USDT"}
        session.text({"arg": argument, "action": action, "data": [row]}, connection=900)


@pytest.fixture(scope="module")
def session() -> Invented:
    made = Invented(350, seed=5)
    add_legacy_book(made)
    return made


@pytest.fixture(scope="module")
def capture(session: Invented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_capture(tmp_path_factory.mktemp("mutations") / "c", session.frames)
    report = check(path, update=True)
    assert report.new
    assert check(path, expect=path.with_name("figures.json"), update=True, figures_only=True).new
    assert check(path).ok
    return path


def first_shown(session: Invented, mutation: Mutation) -> int:
    """Return the seq of the first frame in which a mistake shows, from its JSON alone."""
    for frame in session.frames:
        if frame.kind is Kind.TEXT and frame.payload.startswith(b'{"arg"'):
            message = json.loads(frame.payload)
            if message["arg"]["channel"].startswith(mutation.channel) and mutation.shows(message):
                return frame.seq
    raise AssertionError("the session must hold such a frame")


def test_every_mistake_is_caught_at_its_first_frame(session: Invented, capture: Path) -> None:
    mutations = [(PUSHES, mutation.old, mutation.new) for mutation in MUTATIONS.values()]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("mutated.py"), capture,
         capture.with_name("figures.json")],
        input=json.dumps(mutations).encode(), capture_output=True, timeout=250, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(MUTATIONS) == 10
    for (name, mutation), (whole, figures) in zip(MUTATIONS.items(), reports, strict=True):
        seq = first_shown(session, mutation)
        for report in (whole, figures):
            assert not report["ok"], name
            assert (report["first"]["seq"], report["first"]["last_seq"]) == (seq, seq), name
            assert report["first"]["payload"] == session.frames[seq].payload.decode()
        assert {"type": mutation.type, "field": mutation.field, "seq": seq} in whole["kinds"], name
        assert figures["frames_differing"] == whole["frames_differing"], name
        assert mutation.type in figures["totals"], name
        (event, *_) = whole["first"]["events"]
        if mutation.field != "(missing)":
            fields = {field["field"].split("[")[0]: field for field in event["fields"]}
            assert fields[mutation.field]["first"] != fields[mutation.field]["second"]
