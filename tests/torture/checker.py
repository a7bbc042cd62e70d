"""The one judge of every goal: what a capture holds against what the oracle sent.

Responsible for the promise: recovered frames are the sent ones up to some point, or with gaps that
`lost` rows name exactly; nothing wrong, doubled or silently missing; every reader agrees; recovery
is complete, repeatable and leaves nothing to do. Refuses to know what happened to the capture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.digest import FrameDigest
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.recover import recover
from recorder.capture.verify import verify
from recorder.errors import NotACapture
from recorder.frame import Frame, Kind

Truth = Callable[[int], Frame]
"""Frame by seq, as sent. A seq that was given to a `lost` row is not asked for."""


class Wrong(AssertionError):
    """The promise was broken; the text says how."""


class Lost(msgspec.Struct):
    """What a `lost` row says."""

    connection: int
    first_seq: int | None
    last_seq: int | None
    count: int | None
    bytes: int | None
    cause: str


class Verdict(msgspec.Struct, kw_only=True):
    """What was found after recovery.

    Attributes:
        next_seq: after the last frame that was sent and is there.
        kept: sent frames found. declared: sum of the counts of `lost` rows. rows: `lost` rows.
    """

    next_seq: int = 0
    kept: int = 0
    declared: int = 0
    rows: list[Lost] = []


def expect(is_so: object, what: str) -> None:
    """Raise where the promise does not hold."""
    if not is_so:
        raise Wrong(what)


def compare(path: Path, truth: Truth, report: ReadReport | None = None) -> Verdict:
    """Read every frame and compare it with the oracle's."""
    verdict = Verdict(rows=[])
    following = 0
    for frame in Capture(path).frames(report=report):
        if frame.kind is Kind.LOST:
            row = msgspec.json.decode(frame.payload, type=Lost)
            verdict.rows.append(row)
            expect(frame.seq == following, f"lost row at {frame.seq}, expected {following}")
            following = frame.seq + 1
            if row.first_seq is not None and row.last_seq is not None:
                expect(row.first_seq == frame.seq, f"lost row {row} at {frame.seq}")
                expect(row.count == row.last_seq - row.first_seq + 1, f"lost row {row}")
                following = row.last_seq + 1
            verdict.declared += row.count or 0
            continue
        if report is None or not report.problems:
            expect(frame.seq == following, f"frame {frame.seq} follows {following - 1}")
        sent = truth(frame.seq)
        expect(frame == sent, f"frame {frame.seq} differs: {frame!r:.300} sent {sent!r:.300}")
        following = frame.seq + 1
        verdict.kept += 1
        verdict.next_seq = following
    return verdict


def tree(root: Path) -> dict[str, bytes]:
    """Return every file of a capture but LOCK."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != layout.LOCK_FILE
    }


def judge(path: Path, truth: Truth, *, at_least: int, is_clean: bool = False) -> Verdict:
    """Judge a capture whose recorder is dead, then recover it and judge it again.

    Args:
        at_least: every frame up to this seq must be there (-1: none).
        is_clean: the recorder ended in order: nothing may be lost or left to do.
    """
    try:
        layout.read_header(path)
    except NotACapture:  # it died before it was one: nothing was promised
        expect(at_least < 0, f"no capture, though frame {at_least} was published")
        return Verdict()
    before = compare(path, truth, ReadReport())
    expect(before.next_seq > at_least, f"unrecovered: {before.next_seq - 1} < {at_least}")
    verify(path)
    digest = Capture(path).info().input_digest
    report = recover(path)
    verdict = settled(path, truth)
    expect(
        digest is None or report.holes > 1 or digest == _digest_without(path, report.holes),
        f"recovery of {report.frames} frames changed the digest by more than {report.holes} rows",
    )
    expect(verdict.next_seq >= before.next_seq, "recovery lost what could be read before it")
    expect(verdict.next_seq > at_least, f"recovered: {verdict.next_seq - 1} < {at_least}")
    if is_clean:
        expect(not verdict.rows, f"a clean end, but {verdict.rows}")
    return verdict


def _digest_without(path: Path, last: int) -> str:
    """Return the digest of a capture but for its last rows, which recovery added."""
    digest, held = FrameDigest(), []
    for frame in Capture(path).frames():
        held.append(frame)
        if len(held) > last:
            digest.update([held.pop(0)])
    return digest.hexdigest()


def settled(path: Path, truth: Truth) -> Verdict:
    """Judge a recovered capture: whole, sealed, and a second recovery changes nothing."""
    verdict = compare(path, truth)
    found = verify(path)
    expect(found.ok, f"verify after recovery: {found.problems[:3]}")
    expect(found.lost_rows == len(verdict.rows), "verify counts other lost rows")
    info = Capture(path).info()
    expect(info.input_digest == found.input_digest, "info and verify disagree on the digest")
    expect(info.frames == found.frames == verdict.kept + len(verdict.rows), "counts disagree")
    expect(info.lost == verdict.declared, "info sums other losses")
    expect(not layout.list_journals(path), "a journal is left")
    expect(not list(path.rglob("*.tmp")), f"left: {list(path.rglob('*.tmp'))}")
    segments = [name.segment for name in layout.list_sealed(path)]
    expect(len(set(segments)) == len(segments), "a segment is sealed twice")
    files = tree(path)
    again = recover(path)
    expect((again.frames, again.holes) == (0, 0), f"a second recovery did {again}")
    expect(tree(path) == files, "a second recovery changed files")
    return verdict
