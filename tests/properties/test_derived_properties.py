"""Captures made from captures: windows intersect, joining changes nothing, however it is cut."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.capture.digest import EventDigest, FrameDigest
from recorder.capture.expiry.retention import expire_oldest
from recorder.capture.reader import Capture
from recorder.capture.reshape.compact import compact
from recorder.capture.reshape.slice import slice_capture
from recorder.capture.verify import verify
from recorder.capture.writer import CaptureWriter, WriterOptions
from recorder.frame import Frame, Kind

LAST = 239
NOW = 2_000_000_000_000_000_000
FEW = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def market(count: int) -> list[Frame]:
    """A book that a snapshot begins and updates continue, a hundred of them a second."""
    start = 1_763_769_600_000_000_000
    frames = []
    for seq in range(count):
        action, before = ("snapshot", -1) if seq == 0 else ("update", seq)
        payload = (
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":'
            b'[["%d","1","0","1"]],"bids":[["%d","%d","0","1"]],"ts":"1763769600000",'
            b'"seqId":%d,"prevSeqId":%d}]}'
            % (action.encode(), 101 + seq % 7, 100 - seq % 5, seq % 3, seq + 1, before)
        )
        at = seq * 10_000_000
        frames.append(Frame(seq, start + at, 7 + at, 0, Kind.TEXT, payload))
    return frames


@pytest.fixture(scope="module")
def whole() -> Iterator[Path]:
    """A capture of many short segments."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "c"
        with CaptureWriter(root, options=WriterOptions(segment_seconds=0.2)) as writer:
            writer.write(market(LAST + 1))
        yield root


def digests(root: Path) -> tuple[str, str]:
    frames, events = FrameDigest(), EventDigest()
    frames.update(Capture(root).frames())
    events.update(Capture(root).events())
    return frames.hexdigest(), events.hexdigest()


windows = st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(sorted)


@FEW
@given(outer=windows, inner=windows)
def test_a_slice_of_a_slice_is_the_slice_of_both_windows(
    whole: Path, outer: list[int], inner: list[int]
) -> None:
    low, high = max(outer[0], inner[0]), min(outer[1], inner[1])
    if low > high:
        return
    with TemporaryDirectory() as folder:
        once, twice = Path(folder) / "once", Path(folder) / "twice"
        slice_capture(whole, Path(folder) / "o", first_seq=outer[0], last_seq=outer[1])
        slice_capture(Path(folder) / "o", twice, first_seq=inner[0], last_seq=inner[1])
        slice_capture(whole, once, first_seq=low, last_seq=high)
        assert digests(once) == digests(twice)
        assert Capture(once).info().input_digest == Capture(twice).info().input_digest
        expected = list(Capture(whole).events(first_seq=low, last_seq=high))
        assert list(Capture(twice).events()) == expected
        state = Capture(whole).interpreter_before(low).save()
        assert Capture(twice).interpreter_before(low).save() == state


@FEW
@given(spans=st.lists(st.sampled_from([0.3, 0.5, 0.7, 1.1, 60.0]), min_size=1, max_size=3),
       expired=st.booleans())  # fmt: skip
def test_joining_in_any_steps_changes_no_digest(
    whole: Path, spans: list[float], expired: bool
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder) / "c"
        shutil.copytree(whole, root)
        if expired:
            expire_oldest(root, 1, now_ns=NOW)
        before, info = digests(root), Capture(root).info()
        for span in spans:
            compact(root, clock=lambda: NOW, sleep=lambda _: None, span_s=span, grace_s=0.0)
        assert digests(root) == before
        after = Capture(root).info()
        assert (after.input_digest, after.events, after.integrity, after.channels) == (
            info.input_digest, info.events, info.integrity, info.channels
        )  # fmt: skip
        assert verify(root).problems == []
