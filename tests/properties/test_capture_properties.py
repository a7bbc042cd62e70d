"""Any frames in, the same frames out, in whatever form they lie on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.capture.batch import index_of
from recorder.capture.digest import FrameDigest
from recorder.capture.journal.roll import Roller
from recorder.capture.reader import Capture
from recorder.capture.sealing.seal import Sealer
from recorder.capture.verify import verify
from recorder.capture.writing.appender import Appender, AppenderOptions
from recorder.capture.writing.creation import open_for_writing
from recorder.frame import KINDS, Frame, Kind

CHANNELS = ("trades", "books", "tickers")
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")

pushes = st.builds(
    lambda channel, instrument, n: (
        Kind.TEXT,
        b'{"arg":{"channel":"%s","instId":"%s"},"data":[{"n":%d}]}'
        % (channel.encode(), instrument.encode(), n),
    ),
    st.sampled_from(CHANNELS),
    st.sampled_from(INSTRUMENTS),
    st.integers(0, 99),
)
anything = st.tuples(st.sampled_from(KINDS), st.binary(max_size=60))


@st.composite
def captures(draw: st.DrawFn) -> list[Frame]:
    """Frames with any payloads, wall clocks that step, and a monotonic clock of several boots."""
    rows = draw(st.lists(st.one_of(pushes, anything), min_size=1, max_size=60))
    mono, frames = 0, []
    for seq, (kind, payload) in enumerate(rows):
        mono = draw(st.integers(0, 4)) + draw(st.sampled_from((mono, mono, mono, 0)))
        wall = draw(st.integers(-(10**15), 10**15)) * 1000
        connection = draw(st.integers(-1, 3))
        frames.append(Frame(seq, wall, mono, connection, kind, payload))
    return frames


def write(
    root: Path, frames: list[Frame], *, chunk: int, sealed: int, segment_ns: int, size: int
) -> None:
    opened = open_for_writing(
        root, append=False, private=False, venue="okx", note=None, reproducible=True
    )
    retired: list[int] = []
    appender = Appender(
        root,
        capture_id=opened.header.id,
        segment=0,
        next_seq=0,
        roller=Roller(segment_ns=segment_ns, segment_bytes=size),
        options=AppenderOptions(sync_s=1, compress=chunk % 2 == 0),
        on_retired=retired.append,
    )
    for start in range(0, len(frames), chunk):
        appender.hand_over(frames[start : start + chunk], 0)
    appender.finish(None)
    os.close(opened.lock_fd)
    assert appender.failure is None
    sealer = Sealer(root)
    for segment in retired[:sealed]:
        sealer.seal(segment)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    frames=captures(),
    chunk=st.integers(1, 20),
    sealed=st.integers(0, 30),
    segment_ns=st.integers(1, 60),
    size=st.integers(1, 3000),
    channels=st.none() | st.sets(st.sampled_from(CHANNELS)),
    instruments=st.none() | st.sets(st.sampled_from(INSTRUMENTS)),
    connections=st.none() | st.sets(st.integers(-1, 3)),
    kinds=st.none() | st.sets(st.sampled_from(KINDS)),
    bounds=st.tuples(st.integers(0, 60), st.none() | st.integers(0, 60)),
    window=st.tuples(*[st.none() | st.integers(-(10**15), 10**15)] * 2),
)
def test_reading_is_the_inverse_of_writing(
    frames: list[Frame],
    chunk: int,
    sealed: int,
    segment_ns: int,
    size: int,
    channels: set[str] | None,
    instruments: set[str] | None,
    connections: set[int] | None,
    kinds: set[Kind] | None,
    bounds: tuple[int, int | None],
    window: tuple[int | None, int | None],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "c"
        write(root, frames, chunk=chunk, sealed=sealed, segment_ns=segment_ns, size=size)
        capture = Capture(root)
        assert list(capture.frames()) == frames
        digest = FrameDigest()
        digest.update(frames)
        assert capture.info().input_digest == digest.hexdigest()
        assert [p.cause for p in verify(root).problems] == []

        first, last = bounds
        found = capture.frames(
            channels=channels,
            instruments=instruments,
            connections=connections,
            kinds=kinds,
            first_seq=first,
            last_seq=last,
        )
        expected = []
        for f in frames:
            channel, instrument = index_of(f.kind, f.payload)
            if (
                f.seq >= first
                and (last is None or f.seq <= last)
                and (channels is None or channel in channels)
                and (instruments is None or instrument in instruments)
                and (connections is None or f.connection in connections)
                and (kinds is None or f.kind in kinds)
            ):
                expected.append(f)
        assert list(found) == expected

        start, end = (None if t is None else t * 1000 for t in window)
        if start is None or end is None or start <= end:
            low = next(
                (i for i, f in enumerate(frames) if start is None or f.ts_recv >= start),
                len(frames),
            )
            high = next(
                (
                    i
                    for i, f in enumerate(frames)
                    if i >= low and end is not None and f.ts_recv >= end
                ),
                len(frames),
            )
            assert list(capture.frames(start=start, end=end)) == frames[low:high]
