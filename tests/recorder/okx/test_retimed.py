"""Times moved, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.retimed import retimed


def test_every_time_of_a_push_moves_and_nothing_else():
    push = (
        b'{"arg":{"channel":"orders","instType":"ANY"},"data":[{"ordId":"1790000000000","cTime":'
        b'"1789999999000","uTime":"1790000000051","fillTime":"","px":"1790000000000"}]}'
    )

    assert retimed(push, 1_000) == push.replace(b"1789999999000", b"1790000000000").replace(
        b'"uTime":"1790000000051"', b'"uTime":"1790000001051"'
    )


@pytest.mark.parametrize(
    ("channel", "moved"),
    [
        ("candle1m", 1_790_000_040_000 + 120_000),
        ("mark-price-candle5m", 1_790_000_040_000),
        ("candle1s", 1_790_000_040_000 + 130_000),
        ("index-candle1Dutc", 1_790_000_040_000),
    ],
)
def test_bars_stay_on_their_grid(channel: str, moved: int):
    push = '{"arg":{"channel":"%s","instId":"A-B"},"data":[["%d","1.2","1790000040000"]]}'
    before, after = (push % (channel, time) for time in (1_790_000_040_000, moved))

    assert retimed(before.encode(), 130_500).decode() == after


def test_a_book_keeps_its_numbers():
    push = (
        b'{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[["1.2",'
        b'"1790000000000","0","1"]],"bids":[],"ts":"1790000000200","checksum":0,'
        b'"seqId":1790000000000,"prevSeqId":1789999999999}]}'
    )

    assert retimed(push, -200) == push.replace(b'"ts":"1790000000200"', b'"ts":"1790000000000"')


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress", "every-channel"])
def test_moved_and_moved_back_is_what_was_recorded(datasets: Path, name: str):
    days = 210 * 86_400_000  # whole bars of every length
    for frame in Capture(datasets / name).frames(kinds=[Kind.TEXT]):
        moved = retimed(frame.payload, days)
        assert len(moved) == len(frame.payload)
        assert retimed(moved, -days) == frame.payload
        if b'"ts":"1' in frame.payload or re.search(rb'"[up]Time":"1', frame.payload):
            assert moved != frame.payload
