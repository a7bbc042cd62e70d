"""Rows in flat buffers: the order and the bytes that a plain sort of frames gives."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow.parquet as pq
import pytest

from recorder.capture.batch import batch_of, batch_of_records, index_of, indexes_of
from recorder.capture.block import LoadedBlock, Selection
from recorder.capture.digest import record_runs
from recorder.capture.reader import Capture
from recorder.capture.sealing.pending import PendingRows
from recorder.frame import RECORD, Frame, Kind, encode_record


def test_rows_come_out_sorted_and_the_next_block_is_its_own(make_frames: Any) -> None:
    frames: list[Frame] = make_frames(400)
    pending = PendingRows()
    for chosen in (frames[:250], frames[250:]):
        for start in range(0, len(chosen), 60):
            batch = batch_of(chosen[start : start + 60])
            pending.add(batch, list(zip(batch.channel, batch.instrument, strict=True)))
        assert (pending.rows, pending.first_seq) == (len(chosen), chosen[0].seq)
        assert pending.last_seq == chosen[-1].seq
        assert pending.payload_bytes == sum(len(f.payload) for f in chosen)
        rows = pending.take_table().to_pylist()
        assert pending.rows == pending.payload_bytes == 0

        def key(frame: Frame) -> tuple[Any, ...]:
            channel, instrument = index_of(frame.kind, frame.payload)
            return (channel is not None, channel or "", instrument or "", frame.seq)

        expected = [
            {
                **{n: getattr(f, n) for n in ("seq", "ts_recv", "ts_mono", "connection")},
                "kind": f.kind.label,
                "channel": index_of(f.kind, f.payload)[0],
                "instrument": index_of(f.kind, f.payload)[1],
                "payload": f.payload,
            }
            for f in sorted(chosen, key=key)
        ]
        assert rows == expected


def test_a_block_ends_early_when_its_payloads_fill_it(
    tmp_path: Any, build: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("recorder.capture.sealing.seal.BLOCK_BYTES", 3_000_000)
    frames = [Frame(i, i, i, 0, Kind.TEXT, bytes([i % 256]) * 400_000) for i in range(20)]
    build(tmp_path / "c", frames, chunk=4)
    (source,) = Capture(tmp_path / "c").snapshot().sealed
    file = pq.ParquetFile(tmp_path / "c" / source.path)
    assert file.metadata.num_row_groups > 2
    assert list(Capture(tmp_path / "c").frames()) == frames


def test_records_put_together_by_arrow_are_the_canonical_ones(make_frames: Any) -> None:
    frames: list[Frame] = make_frames(9000, first_seq=65_536 - 8500)
    pending = PendingRows()
    batch = batch_of(frames)
    pending.add(batch, list(zip(batch.channel, batch.instrument, strict=True)))
    table = pending.take_table()
    for name in ("kind", "channel", "instrument"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).dictionary_encode())
    block = LoadedBlock.of(table, Selection())
    assert block is not None
    runs = [(first, count, bytes(records)) for first, count, records in block.record_runs()]
    assert [(first, count) for first, count, _ in runs] == [
        (57_036, 8192), (65_228, 308), (65_536, 500)
    ]  # fmt: skip
    assert b"".join(records for _, _, records in runs) == b"".join(map(encode_record, frames))
    assert runs[2][2] == list(record_runs(frames))[-1][2]


def test_records_become_a_batch_and_nothing_else_does(make_frames: Any) -> None:
    frames: list[Frame] = make_frames(50)
    records = b"".join(map(encode_record, frames))
    batch = batch_of_records(records)
    assert list(batch.frames()) == frames
    index = [index_of(f.kind, f.payload) for f in frames]
    assert indexes_of(batch.kind, batch.payload) == index
    assert list(zip(batch.channel, batch.instrument, strict=True)) == index
    with pytest.raises(ValueError, match="cut short"):
        batch_of_records(records + b"\0" * (RECORD.size - 1))
    with pytest.raises(ValueError, match="out of range"):
        batch_of_records(records[:-1])
    with pytest.raises(ValueError, match="out of range"):
        batch_of_records(struct.pack("<qqqiBI", 0, 0, 0, 0, len(Kind), 0))
