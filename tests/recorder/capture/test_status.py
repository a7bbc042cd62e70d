"""`status.json` is a courtesy: it never stops, and never stops anybody."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture import layout, status
from recorder.capture.status import StatusFile
from recorder.capture.writer import CaptureWriter

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def often(monkeypatch: Any) -> None:
    monkeypatch.setattr(status, "_EVERY_S", 0.01)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert holds()


def test_a_look_that_fails_is_not_the_last_one(tmp_path: Path) -> None:
    looks = iter([{"seq": 0}, ZeroDivisionError, {"seq": 2}])

    def current() -> dict[str, int]:
        look: Any = next(looks, {"seq": 3})
        if isinstance(look, dict):
            return look
        raise look

    file = StatusFile(tmp_path, current)
    until(lambda: msgspec.json.decode((tmp_path / "status.json").read_bytes()) == {"seq": 3})
    file.close()
    assert not (tmp_path / "status.json").exists()


def test_a_disk_that_answers_no_more_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(status, "_HANG_S", 0.1)
    gate, hangs = threading.Event(), threading.Event()
    looks: list[int] = []

    def current() -> dict[str, int]:
        looks.append(0)
        if len(looks) > 1:
            hangs.set()
            gate.wait(PATIENCE_S)
        return {}

    file = StatusFile(tmp_path, current)
    assert hangs.wait(PATIENCE_S)
    began = time.monotonic()
    file.close()
    assert time.monotonic() - began < PATIENCE_S / 2
    gate.set()
    file._thread.join(PATIENCE_S)


def test_notes_that_nobody_takes_are_bounded_and_the_latest_shown(tmp_path: Path) -> None:
    with CaptureWriter(tmp_path / "c") as writer:
        drain = writer._appender._drain
        for number in range(1_000):
            drain.notes.append(f"note {number}")
        until(lambda: not drain.notes)
        shown = msgspec.json.decode((tmp_path / "c/status.json").read_bytes())["notes"]
        told = writer.take_notes()
    assert len(told) == 100
    assert told[-1] == "note 999"
    assert len(shown) <= 10


def test_on_a_full_disk_nothing_stale_is_left(tmp_path: Path, monkeypatch: Any) -> None:
    seq = iter(range(1_000_000))
    full = threading.Event()
    replace = layout.replace_file

    def refusing(path: Path, content: bytes, **options: Any) -> None:
        if full.is_set():
            (path.with_name(path.name + layout.UNFINISHED)).write_bytes(b"")
            raise OSError(errno.ENOSPC, "no space left on device")
        replace(path, content, **options)

    monkeypatch.setattr(layout, "replace_file", refusing)
    file = StatusFile(tmp_path, lambda: {"seq": next(seq)})
    full.set()
    until(lambda: list(tmp_path.glob("status.json*")) in ([], [tmp_path / "status.json.tmp"]))
    full.clear()
    until((tmp_path / "status.json").exists)
    file.close()
