"""A live recording says once what the venue sends anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recorder.capture.writer import CaptureWriter
from recorder.frame import Kind
from recorder.live.connection import Stamp
from recorder.live.pipeline import Pipeline

S = 1_000_000_000
ROW = '{"instId":"E","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1"'


def push(more: str = "") -> tuple[Kind, bytes]:
    text = f'{{"arg":{{"channel":"trades","instId":"E"}},"data":[{ROW}{more}}}]}}'
    return Kind.TEXT, text.encode()


def test_a_new_field_is_told_once_and_recorded(tmp_path: Path) -> None:
    words: list[str] = []
    writer = CaptureWriter(tmp_path / "c")
    pipeline = Pipeline(writer, notify=words.append)
    pipeline.begin({}, Stamp(S, S))
    number = pipeline.new_connection()
    batches: Sequence[tuple[int, tuple[Kind, bytes]]] = (
        (2 * S, push()),
        (2 * S + 1, push(',"mood":"x"')),  # within the second: not looked at
        (4 * S, push(',"mood":"x"')),
        (6 * S, push(',"mood":"x"')),
        (6 * S, (Kind.TEXT, b"pong")),
    )
    for at, message in batches:
        pipeline.received(number, [message], Stamp(at, at))
    pipeline.tick(Stamp(7 * S, 7 * S))
    pipeline.close()
    (told,) = [word for word in words if "something new" in word]
    assert "trades: data.mood" in told
    assert pipeline.counts.text == len(batches)
