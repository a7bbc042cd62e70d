"""`replay.difference`: the first place where two streams differ, and both sides of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from recorder.capture.digest import BlockDigest
from recorder.capture.reader import Capture
from recorder.event import BookUpdate, Event, Trade, encode_event
from recorder.frame import Kind
from replay.difference import (
    block_bounds,
    difference_lines,
    field_differences,
    first_differing_block,
    first_event_difference,
    first_frame_difference,
    frame_line,
)


@pytest.fixture(scope="module")
def btc(datasets: Path) -> Capture:
    return Capture(datasets / "btc-calm")


@pytest.fixture(scope="module")
def events(btc: Capture) -> list[Event]:
    return list(btc.events(last_seq=400))


def changed(events: list[Event], kind: type[Event], **fields: object) -> tuple[list[Event], Event]:
    at = next(n for n, event in enumerate(events) if n > 20 and type(event) is kind)
    other = list(events)
    other[at] = msgspec.structs.replace(events[at], **fields)
    return other, events[at]


def test_equal_streams_have_no_difference(btc: Capture, events: list[Event]) -> None:
    assert first_event_difference(events, map(encode_event, events)) is None
    assert first_event_difference([], []) is None
    assert first_frame_difference(btc.frames(last_seq=50), btc.frames(last_seq=50)) is None


def test_the_first_event_that_differs_is_shown_field_by_field(events: list[Event]) -> None:
    other, trade = changed(events, Trade, price=1.5, side="nobody")
    found = first_event_difference(events, other)
    assert found is not None
    assert (found.seq, found.index, found.ts_recv) == (trade.seq, trade.index, trade.ts_recv)
    assert isinstance(trade, Trade)
    assert [(f.field, f.first, f.second) for f in found.fields] == [
        ("price", msgspec.json.encode(trade.price).decode(), "1.5"),
        ("side", f'"{trade.side}"', '"nobody"'),
    ]
    text = "\n".join(difference_lines(found, ("live", "replayed")))
    assert f"event seq {trade.seq}, index {trade.index}" in text
    assert "replayed  1.5" in text


def test_a_level_of_a_book_is_named(events: list[Event]) -> None:
    update = next(e for e in events if isinstance(e, BookUpdate) and len(e.bids) > 2)
    bids = list(update.bids)
    bids[2] = msgspec.structs.replace(bids[2], size=-0.0)
    other = msgspec.structs.replace(update, bids=bids)
    found = first_event_difference([update], [other])
    assert found is not None
    assert [field.field for field in found.fields] == ["bids[2].size"]
    shorter = msgspec.structs.replace(update, bids=update.bids[:-1])
    found = first_event_difference([update], [shorter])
    assert found is not None
    assert (found.fields[0].field, found.fields[0].second) == (
        f"bids[{len(update.bids) - 1}]",
        "(absent)",
    )


def test_an_event_that_one_side_lacks_is_shown_alone(events: list[Event]) -> None:
    missing = [*events[:30], *events[31:]]
    found = first_event_difference(events, missing)
    assert found is not None
    assert (found.seq, found.index) == (events[30].seq, events[30].index)
    assert found.second is None
    assert found.fields == []
    assert "(none)" in "\n".join(difference_lines(found))
    ended = first_event_difference(events[:30], events)
    assert ended is not None
    assert ended.first is None


def test_frames_are_compared_with_every_field(btc: Capture) -> None:
    frames = list(btc.frames(kinds=[Kind.TEXT], last_seq=40))
    other = list(frames)
    other[7] = msgspec.structs.replace(frames[7], payload=b"\xff", ts_mono=1)
    found = first_frame_difference(frames, other)
    assert found is not None
    assert found.seq == frames[7].seq
    assert [f.field for f in found.fields] == ["ts_mono", "payload", "payload_hex"]
    assert str(frames[7].seq) in frame_line(frames[7])
    found = first_frame_difference(frames, frames[1:])
    assert found is not None
    assert (found.seq, found.second) == (frames[0].seq, None)


def test_blocks_are_compared_without_reading_anything() -> None:
    blocks = [BlockDigest(k, 10, f"{k:064x}") for k in (0, 1, 3)]
    assert first_differing_block(blocks, list(blocks)) is None
    assert first_differing_block(blocks, blocks[:2]) == 3
    assert first_differing_block(blocks, [blocks[0], blocks[2]]) == 1
    other = [*blocks[:2], BlockDigest(3, 11, blocks[2].digest)]
    assert first_differing_block(blocks, other) == 3
    assert block_bounds(3) == (196_608, 262_143)


def test_any_two_json_values_can_be_compared() -> None:
    first = {"a": [1, {"b": None}], "c": 0.0, "d": 1}
    second = {"a": [1, {"b": "x"}, 2], "c": -0.0, "e": 1}
    assert [(f.field, f.first, f.second) for f in field_differences(first, second)] == [
        ("a[1].b", "null", '"x"'),
        ("a[2]", "(absent)", "2"),
        ("c", "0.0", "-0.0"),
        ("d", "1", "(absent)"),
        ("e", "(absent)", "1"),
    ]
