"""A slow reader may find one file after the other gone before it has read a frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.capture import reader
from recorder.capture.reader import Capture
from recorder.errors import Damage


def test_it_lists_again_as_often_as_segments_move(
    tmp_path: Path, make_frames: Any, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = make_frames(50)
    build(tmp_path / "c", frames)
    serve, failures = reader.serve, 3

    def moving(*arguments: Any) -> Iterator[Any]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise reader.SourceGone(f"journal/{failures:06}.wal", 0)
        return serve(*arguments)

    monkeypatch.setattr(reader, "serve", moving)
    assert list(Capture(tmp_path / "c").frames()) == frames
    failures = 1000  # it does not try for ever
    with pytest.raises(Damage, match="disappeared"):
        list(Capture(tmp_path / "c").frames())
