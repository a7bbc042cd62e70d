"""Sealed segments: their form, their metadata, and that they prove what they hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from recorder.capture.batch import batch_of
from recorder.capture.digest import FrameDigest
from recorder.capture.reader import Capture
from recorder.capture.sealing.pending import PendingRows
from recorder.capture.sealing.seal import Sealer
from recorder.capture.segment import (
    BUSY_LEVEL,
    EASY_BYTES_PER_S,
    LEVEL,
    SegmentWriter,
    level_for,
)
from recorder.capture.verify import verify
from recorder.errors import Damage
from recorder.frame import Frame, Kind, encode_record
from recorder.okx.interpreter import Interpreter


def sealed_files(root: Path) -> list[Path]:
    return [root / source.path for source in Capture(root).snapshot().sealed]


def meta_of(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata
    return json.loads(metadata[b"recorder"])  # type: ignore[no-any-return]


def test_the_name_holds_range_and_hash(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(250))
    path = sealed_files(tmp_path / "c")[1]
    digest = hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()
    assert path.name == f"000001-100-199-{digest[:16]}.parquet"
    assert path.parent.name == "date=2025-11-22"


def test_metadata_says_what_is_inside(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(250)
    build(tmp_path / "c", frames)
    interpreter = Interpreter()
    for number, path in enumerate(sealed_files(tmp_path / "c")):
        chosen = frames[number * 100 : (number + 1) * 100]
        meta = meta_of(path)
        state = interpreter.save()
        assert meta["checkpoint"] == hashlib.blake2b(state, digest_size=32).hexdigest()
        events = sum(len(interpreter.step(frame)) for frame in chosen)
        assert (meta["segment"], meta["count"], meta["events"]) == (number, len(chosen), events)
        assert (meta["first_seq"], meta["last_seq"]) == (chosen[0].seq, chosen[-1].seq)
        assert (meta["start"], meta["end"]) == (chosen[0].ts_recv, chosen[-1].ts_recv)
        assert meta["raw_bytes"] == sum(len(frame.payload) for frame in chosen)
        assert meta["blocks"] == [[len(chosen), 1, chosen[0].seq, chosen[-1].seq]]
        assert sum(meta["kinds"].values()) == len(chosen)
        trades = [f for f in chosen if b'"channel":"trades","instId":"' in f.payload]
        trades = [f for f in trades if f.payload.isascii()]
        assert meta["channels"]["trades"]["frames"] == len(trades)


def test_carried_digests_cover_the_block_from_its_beginning(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(250)
    build(tmp_path / "c", frames)
    for number, path in enumerate(sealed_files(tmp_path / "c")):
        carried = meta_of(path)["carried"]
        if number == 0:
            assert carried is None
            continue
        whole = hashlib.blake2b(digest_size=32)
        upto = frames[: (number + 1) * 100]
        for f in upto:
            whole.update(encode_record(f))
        assert carried == [0, len(upto), whole.hexdigest()]


def test_rows_are_sorted_and_duckdb_reads_them(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, segment_ns=10**12)
    (path,) = sealed_files(tmp_path / "c")
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT seq, ts_recv, ts_mono, connection, kind, channel, instrument, payload "
            "FROM read_parquet(?, hive_partitioning = false)",
            [str(path)],
        ).fetchall()
    keys = [
        (row[5] is not None, row[5] or "", row[6] is not None, row[6] or "", row[0]) for row in rows
    ]
    assert keys == sorted(keys)
    by_seq = sorted(rows)
    assert [(r[0], r[1], r[2], r[3], r[4], r[7]) for r in by_seq] == [
        (f.seq, f.ts_recv, f.ts_mono, f.connection, f.kind.label, f.payload) for f in frames
    ]


def test_encodings_are_the_specified_ones(tmp_path: Path, make_frames: Any, build: Any) -> None:
    build(tmp_path / "c", make_frames(300), segment_ns=10**12)
    (path,) = sealed_files(tmp_path / "c")
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert all(column.compression == "ZSTD" for column in columns.values())
    for name in ("seq", "ts_recv", "ts_mono", "connection"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings
        assert columns[name].is_stats_set
    for name in ("kind", "channel", "instrument"):
        assert columns[name].has_dictionary_page
        assert columns[name].is_stats_set
    assert set(columns["payload"].encodings) <= {"PLAIN", "RLE"}
    assert not columns["payload"].has_dictionary_page
    assert not columns["payload"].is_stats_set


def test_the_level_is_chosen_by_how_fast_the_data_came() -> None:
    second = 10**9
    assert level_for(EASY_BYTES_PER_S, second) == LEVEL
    assert level_for(EASY_BYTES_PER_S + 1, second) == BUSY_LEVEL
    assert level_for(EASY_BYTES_PER_S, second - 1) == BUSY_LEVEL
    assert level_for(1, -5) == BUSY_LEVEL  # a clock that fell says nothing


def test_calm_data_is_compressed_harder_and_reads_the_same(
    tmp_path: Path, make_frames: Any
) -> None:
    """Through the one difference that counts: the same frames, a thousand times as fast."""
    sizes, digests = [], []
    for name, step_ns in (("calm", 10**7), ("busy", 10**4)):
        frames = make_frames(3_000, step_ns=step_ns)
        path = tmp_path / f"{name}.parquet"
        pending = PendingRows()
        batch = batch_of(frames)
        pending.add(batch, list(zip(batch.channel, batch.instrument, strict=True)))
        writer = SegmentWriter(path, level=level_for(pending.payload_bytes, pending.mono_ns))
        writer.add(pending)
        writer.abandon()
        group = pq.ParquetFile(path).metadata.row_group(0)
        sizes.append(group.column(7).total_compressed_size)
        digests.append(hashlib.blake2b(b"".join(pq.read_table(path)["payload"].to_pylist())))
    assert sizes[0] < sizes[1]
    assert digests[0].digest() == digests[1].digest()


def test_many_blocks_and_digest_blocks(tmp_path: Path, build: Any, monkeypatch: Any) -> None:
    """A segment of several sorted blocks, over a digest block's end; one journal for all."""
    monkeypatch.setattr("recorder.capture.sealing.seal.BLOCK_ROWS", 30_000)
    frames = [
        Frame(
            i,
            10**18 + i,
            i,
            0,
            Kind.TEXT,
            b'{"arg":{"channel":"c%d","instId":"i"},"data":[{"n":%d}]}' % (i % 7, i),
        )
        for i in range(70_000)
    ]
    build(tmp_path / "c", frames, chunk=8192)
    (path,) = sealed_files(tmp_path / "c")
    meta = meta_of(path)
    assert [block[0] for block in meta["blocks"]] == [30_000, 30_000, 10_000]
    assert [(k, count) for k, count, _ in meta["digests"]] == [(0, 65_536), (1, 4_464)]
    capture = Capture(tmp_path / "c")
    assert list(capture.frames()) == frames
    assert [f.seq for f in capture.frames(first_seq=29_990, last_seq=30_010)] == list(
        range(29_990, 30_011)
    )
    digest = FrameDigest()
    digest.update(frames)
    assert capture.info().input_digest == digest.hexdigest()


def test_a_journal_that_is_not_whole_is_not_sealed(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    build(tmp_path / "c", make_frames(100), sealed=0)
    path = tmp_path / "c/journal/000000.wal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(Damage, match="journal/000000"):
        Sealer(tmp_path / "c").seal(0)
    assert path.exists()
    assert sealed_files(tmp_path / "c") == []
    assert list((tmp_path / "c").rglob("*.tmp")) == []


def test_a_segment_whose_sealer_died_after_the_commit_is_not_sealed_twice(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    frames = make_frames(300)
    build(tmp_path / "c", frames, sealed=0)
    journal = tmp_path / "c/journal/000000.wal"
    kept = journal.read_bytes()
    name = Sealer(tmp_path / "c").seal(0)
    for left in (b"", kept):  # killed before and after the journal was deleted
        if left:
            journal.write_bytes(left)
        sealer = Sealer(tmp_path / "c")
        assert sealer.seal(0) == name
        assert not journal.exists()
    sealer.seal(1)
    sealer.seal(2)
    assert len(sealed_files(tmp_path / "c")) == 3
    assert list(Capture(tmp_path / "c").frames()) == frames
    assert verify(tmp_path / "c").ok


def test_info_is_the_same_in_every_form(tmp_path: Path, make_frames: Any, build: Any) -> None:
    frames = make_frames(500)
    digest = FrameDigest()
    digest.update(frames)
    infos = []
    for name, sealed in (("j", 0), ("m", 3), ("s", None)):
        build(tmp_path / name, frames, sealed=sealed)
        info = Capture(tmp_path / name).info()
        assert info.input_digest == digest.hexdigest()
        assert info.journal_frames == {"j": 500, "m": 200, "s": 0}[name]
        assert info.segments == {"j": 0, "m": 3, "s": 5}[name]
        fields = msgspec.to_builtins(info)
        for field in ("path", "segments", "journal_frames", "disk_bytes", "journal_bytes"):
            del fields[field]
        del fields["checkpoint_bytes"]
        infos.append(fields)
    assert infos[0] == infos[1] == infos[2]
    assert infos[0]["start"] == frames[0].ts_recv
    assert infos[0]["end"] == frames[-1].ts_recv
    assert [channel["name"] for channel in infos[0]["channels"]] == ["books", "trades"]
    assert [channel["instruments"] for channel in infos[0]["channels"]] == [3, 3]


def test_info_names_a_segment_that_cannot_be_read(
    tmp_path: Path, make_frames: Any, build: Any
) -> None:
    build(tmp_path / "c", make_frames(300))
    path = sealed_files(tmp_path / "c")[1]
    path.write_bytes(path.read_bytes()[:-50])
    info = Capture(tmp_path / "c").info()
    assert (info.frames, info.input_digest, info.exit_code) == (200, None, 1)
    assert [problem.segment for problem in info.problems] == [1]
