"""Frames of a small made-up market, and captures of them in every form on disk."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from recorder.capture.journal.roll import Roller
from recorder.capture.sealing.seal import Sealer
from recorder.capture.writing.appender import Appender, AppenderOptions
from recorder.capture.writing.creation import open_for_writing
from recorder.frame import Frame, Kind

START = 1_763_769_600_000_000_000  # 2025-11-22T00:00:00Z
STEP = 10_000_000  # 10 ms

Make = Callable[..., list[Frame]]
Build = Callable[..., list[int]]


def _payloads(rng: random.Random, instruments: Sequence[str]) -> list[tuple[Kind, bytes]]:
    """One of everything a frame can be, then market data with unbroken book chains."""
    rows: list[tuple[Kind, bytes]] = [
        (Kind.RUN, b'{"recorder":"test"}'),
        (Kind.OPENED, b'{"url":"ws://127.0.0.1/ws/v5/public","endpoint":"public","link":0}'),
        (Kind.SENT, b'{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}'),
        (
            Kind.TEXT,
            b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a1"}',
        ),
        (Kind.BINARY, bytes(rng.randrange(256) for _ in range(200))),
        (Kind.TEXT, b""),
        (Kind.TEXT, b"pong"),
        (Kind.REST, b'{"code":"0","msg":"","data":[]}'),
        (Kind.CLOCK, b'{"offset":null}'),
        (Kind.TEXT, b'{"arg":{"channel":"trades","instId":"\xff\xfe"},"data":[]}'),
    ]
    for name in instruments:
        book = {
            "arg": {"channel": "books", "instId": name},
            "action": "snapshot",
            "data": [
                {
                    "asks": [[f"{101 + i}", "1", "0", "1"] for i in range(5)],
                    "bids": [[f"{100 - i}", "2", "0", "1"] for i in range(5)],
                    "ts": "1763769600000",
                    "checksum": 0,
                    "seqId": 10,
                    "prevSeqId": -1,
                }
            ],
        }
        rows.append((Kind.TEXT, msgspec.json.encode(book)))
    return rows


@pytest.fixture
def make_frames() -> Make:
    """Return a function that makes `count` frames from `first_seq` on, 10 ms apart."""

    def make(count: int, *, first_seq: int = 0, step_ns: int = STEP, seed: int = 1) -> list[Frame]:
        rng = random.Random(seed)
        instruments = ("BTC-USDT", "ETH-USDT", "SOL-USDT-SWAP")
        rows = _payloads(rng, instruments)
        chain = dict.fromkeys(instruments, 10)
        while len(rows) < count:
            name = rng.choice(instruments)
            if rng.random() < 0.5:
                before, chain[name] = chain[name], chain[name] + rng.randrange(1, 9)
                row = {
                    "arg": {"channel": "books", "instId": name},
                    "action": "update",
                    "data": [
                        {
                            "asks": [[f"{rng.randrange(101, 120)}", "1", "0", "1"]],
                            "bids": [],
                            "ts": "1763769600000",
                            "checksum": 0,
                            "seqId": chain[name],
                            "prevSeqId": before,
                        }
                    ],
                }
            else:
                row = {
                    "arg": {"channel": "trades", "instId": name},
                    "data": [
                        {
                            "instId": name,
                            "tradeId": str(rng.randrange(10**9)),
                            "px": f"{rng.uniform(90, 110):.2f}",
                            "sz": f"{rng.randrange(1, 100)}",
                            "side": "buy",
                            "ts": "1763769600000",
                            "count": "1",
                        }
                    ],
                }
            rows.append((Kind.TEXT, msgspec.json.encode(row)))
        return [
            Frame(
                first_seq + i,
                START + i * step_ns,
                5_000 + i * step_ns,
                -1 if kind in (Kind.RUN, Kind.CLOCK) else 1 if kind is Kind.REST else 0,
                kind,
                payload,
            )
            for i, (kind, payload) in enumerate(rows[:count])
        ]

    return make


@pytest.fixture
def build() -> Build:
    """Return a function that writes frames to a new capture and seals its first segments.

    It returns the numbers of the segments written. `sealed` None seals all of them, in this
    process: the sealer process has tests of its own.
    """

    def do(
        path: Path,
        frames: Sequence[Frame],
        *,
        sealed: int | None = None,
        segment_ns: int = 10**9,
        segment_bytes: int = 64 << 20,
        chunk: int = 37,
        compress: bool = False,
    ) -> list[int]:
        opened = open_for_writing(
            path, append=False, private=False, venue="okx", note=None, reproducible=True
        )
        retired: list[int] = []
        appender = Appender(
            path,
            capture_id=opened.header.id,
            segment=opened.segment,
            next_seq=frames[0].seq if frames else 0,
            roller=Roller(segment_ns=segment_ns, segment_bytes=segment_bytes),
            options=AppenderOptions(sync_s=0.05, compress=compress),
            on_retired=retired.append,
        )
        for start in range(0, len(frames), chunk):
            appender.hand_over(frames[start : start + chunk], 1)
        appender.finish(None)
        os.close(opened.lock_fd)
        assert appender.failure is None
        sealer = Sealer(path)
        for segment in retired if sealed is None else retired[:sealed]:
            sealer.seal(segment)
        return retired

    return do
