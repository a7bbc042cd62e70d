"""A live recording says once what the venue sends anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter
from recorder.event import Event, NoveltySeen
from recorder.frame import Kind
from recorder.live.connection import Stamp
from recorder.live.pipeline import Pipeline
from replay.sql import connect

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
    assert told.startswith("warning: ")
    assert pipeline.counts.text == len(batches)


def test_a_novelty_is_an_event_and_a_row_of_the_ledger(tmp_path: Path) -> None:
    seen: list[Event] = []
    pipeline = Pipeline(CaptureWriter(tmp_path / "c"), handler=lambda event, _: seen.append(event))
    pipeline.begin({}, Stamp(S, S))
    number = pipeline.new_connection()
    for at in (2 * S, 4 * S, 6 * S):
        pipeline.received(number, [push(',"mood":"x"')], Stamp(at, at))
    pipeline.close()
    (live,) = [event for event in seen if isinstance(event, NoveltySeen)]
    (replayed,) = [e for e in Capture(tmp_path / "c").events() if isinstance(e, NoveltySeen)]
    assert live == replayed
    assert (live.connection, live.channel, live.what) == (number, "trades", "data.mood")
    (message,) = Capture(tmp_path / "c").frames(
        first_seq=live.message_seq, last_seq=live.message_seq
    )
    assert b"mood" in message.payload
    assert message.seq < live.seq
    assert live.ts_recv == message.ts_recv
    rows = connect(tmp_path / "c").sql(
        "select seq, type, channel, cause from ledger where type = 'NoveltySeen'"
    )
    assert rows.fetchall() == [(live.seq, "NoveltySeen", "trades", "data.mood")]
    assert verify(tmp_path / "c").ok
