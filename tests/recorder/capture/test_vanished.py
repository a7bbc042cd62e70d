"""Segments that were deleted from the end are declared before a recorder goes on behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter
from recorder.errors import ExitCode
from recorder.frame import Frame, Kind


@pytest.mark.parametrize("kept", [3, 0])
def test_a_lost_row_stands_for_them(
    tmp_path: Path, make_frames: Any, build: Any, kept: int
) -> None:
    root = tmp_path / "c"
    frames = make_frames(600)
    build(root, frames)
    for source in Capture(root).snapshot().sealed[kept:]:
        (root / source.path).unlink()
    assert Capture(root).info().exit_code == ExitCode.FAILED
    for _ in range(2):  # the second finds nothing to do
        with CaptureWriter(root, append=True) as writer:
            seq, segment = writer.next_seq, 7
    assert seq == 100 * kept + 1
    with CaptureWriter(root, append=True) as writer:
        later = frames[-1].ts_recv
        writer.write([Frame(seq, later, later, 5, Kind.TEXT, b"pong")])
    found = list(Capture(root).frames())
    assert found[:-2] == frames[: 100 * kept]
    lost = found[-2]
    assert (lost.kind, lost.seq, lost.connection) == (Kind.LOST, 100 * kept, -1)
    assert msgspec.json.decode(lost.payload) == {
        "connection": -1,
        "first_seq": None,
        "last_seq": None,
        "count": None,
        "bytes": None,
        "cause": f"segments {kept} to 5 missing",
    }
    if kept:
        assert (lost.ts_recv, lost.ts_mono) == (frames[299].ts_recv, frames[299].ts_mono)
    info, verified = Capture(root).info(), verify(root)
    assert (info.problems, info.lost_rows, info.exit_code) == ([], 1, ExitCode.LOSS)
    assert (verified.problems, verified.exit_code) == ([], ExitCode.LOSS)
    assert Capture(root).snapshot().sealed[-1].segment == segment
