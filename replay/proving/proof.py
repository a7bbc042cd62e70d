"""Proof: one capture gives one stream of events, whichever way they are asked for.

Responsible for running every way there is over the same window, for comparing block digests, and,
where two differ, for narrowing it down to the first block, the first frame or event in it, and both
sides of that. Refuses to repair anything, and to read a clock or the environment: whoever asks for
other processes hands their surroundings in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from recorder.capture.digest import BlockDigest
from recorder.capture.info import CaptureInfo
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.hold import hold_snapshot
from recorder.capture.reading.window import seq_bounds
from recorder.errors import UsageError
from recorder.event import Event
from recorder.frame import Kind
from replay.difference import (
    block_bounds,
    first_differing_block,
    first_event_difference,
    first_frame_difference,
    frame_fields,
)
from replay.proving.evidence import Check, Notes, ProofReport
from replay.proving.forms import forms_of, names_numbers
from replay.proving.surroundings import SURROUNDINGS, Process, Stored
from replay.proving.witness import (
    FAST,
    Blocks,
    Playing,
    Reading,
    Streaming,
    Window,
    Witness,
)


def prove(
    path: str | os.PathLike[str],
    *,
    start: int | None = None,
    end: int | None = None,
    against: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    rewrite: bool = True,
    sleep: Callable[[float], None] = lambda seconds: None,
    on_check: Callable[[Check], object] = lambda check: None,
) -> ProofReport:
    """Hold every way to the events of a capture against reading it from the beginning.

    Args:
        start, end: window of `ts_recv`, ns; of a live capture at most what it holds now.
        against: another capture, or a file of digests (`replay prove --digests`), and nothing else
            is compared.
        environment: of this process; None: start no others.
        rewrite: write the frames anew in each form on disk, in a temporary directory.
        on_check: told each check as it ends.

    Raises:
        NotACapture: there is none. UsageError: `against` is neither.
    """
    capture = Capture(path)
    snapshot, hold = hold_snapshot(capture)
    with hold:
        pinned = capture.pinned(snapshot)
        proof = _Proof(pinned, window_of(pinned, start, end), on_check)
        if against is not None:
            proof.against(Path(against))
            return proof.report
        proof.ways()
        if environment is not None:
            proof.processes(environment)
        if rewrite:
            proof.forms(sleep)
        return proof.report


def window_of(capture: Capture, start: int | None, end: int | None) -> Window:
    """Return what is looked at; of a capture that still grows, what is there now."""
    low, high = seq_bounds(capture, start, end, ReadReport())
    low = max(low, capture.snapshot().first_seq)
    if high is None:
        snapshot = capture.snapshot()
        high = max((source.last_seq for source in snapshot.sealed), default=low - 1)
        if snapshot.journals:
            for batch in capture.batches(first_seq=max(high + 1, low), report=ReadReport()):
                high = max(high, batch.seq[-1])
    return Window(start=start, end=end, first_seq=low, last_seq=high)


def digests_of(path: str | os.PathLike[str], start: int | None, end: int | None) -> Blocks:
    """Return the block digests of a window, read from the nearest checkpoint."""
    capture = Capture(path)
    window = window_of(capture, start, end)
    return Streaming("", capture, window, is_other=True).blocks()


def events_of(
    path: str | os.PathLike[str], start: int | None, end: int | None, block: int
) -> Iterator[Event]:
    """Yield the events of one digest block as `digests_of` saw them."""
    capture = Capture(path)
    return Streaming("", capture, window_of(capture, start, end)).events(*block_bounds(block))


class _Proof:
    def __init__(
        self, capture: Capture, window: Window, on_check: Callable[[Check], object]
    ) -> None:
        self._capture = capture
        self._window = window
        self._on_check = on_check
        self._info: CaptureInfo = capture.info()
        self._first = Reading(capture, window)
        self._notes = Notes(window, self._busiest())
        self._blocks = Reading(capture, window, look=self._notes).blocks()
        frames, events = self._blocks.frames or [], self._blocks.events or []
        self.report = ProofReport(
            path=str(capture.path),
            first_seq=window.first_seq,
            last_seq=window.last_seq,
            frames=sum(block.count for block in frames),
            events=sum(block.count for block in events),
            input_digest=self._blocks.input_digest,
            output_digest=self._blocks.output_digest,
        )

    def _busiest(self) -> str | None:
        channels = sorted(self._info.channels, key=lambda channel: (-channel.frames, channel.name))
        return channels[0].name if channels else None

    # --- what is compared ------------------------------------------------------------------

    def ways(self) -> None:
        """Compare the ways that this process has."""
        capture, window, channel = self._capture, self._window, self._notes.channel
        self._hold(Streaming("streamed (Capture.events)", capture, window))
        self._hold(Playing("played at max", capture, window))
        self._hold(Playing("played at a speed", capture, window, speed=FAST))
        self._hold(
            Playing(
                "played, paused, sent back to the beginning",
                capture,
                window,
                speed=FAST,
                is_steered=True,
            )
        )
        self._hold(Playing("played with Decimal", capture, window, number=Decimal))
        for seq, rest in self._notes.from_middle():
            inside = msgspec.structs.replace(window, first_seq=seq)
            self._hold(
                Streaming(f"begun in the middle, at seq {seq}", capture, inside),
                Blocks(events=rest),
                from_seq=seq,
            )
        if channel is not None:
            first = Reading(capture, window, channel=channel)
            expected = Blocks(events=self._notes.chosen.blocks())
            for witness in (
                Streaming(f"streamed, channel {channel} only", capture, window, channel=channel),
                Playing(f"played, channel {channel} only", capture, window, channel=channel),
            ):
                self._hold(witness, expected, first=first)
        self._live()

    def _live(self) -> None:
        """Compare with what recorders said of the events that they delivered."""
        name = "live: the events that the recorder delivered"
        said = self._info.event_digests
        if not said or self._window.start is not None or self._window.end is not None:
            why = "no recorder left a digest" if not said else "only of whole runs"
            self._tell(Check(name=name, ok=None, note=why))
            return
        if any(run.get("parser", self.report.parser) != self.report.parser for run in said):
            self._tell(Check(name=name, ok=None, note="made by another version of the parser"))
            return
        for run in said:
            found = self._notes.runs.get(int(run["first_seq"]))
            ok = found is not None and (found.count, found.hexdigest()) == (
                run["count"],
                run["digest"],
            )
            note = f"run at seq {run['first_seq']}: {run['count']:,} events"
            self._tell(Check(name=name, ok=ok, note=note))

    def processes(self, environment: Mapping[str, str]) -> None:
        """Compare with processes whose surroundings differ."""
        window = self._window
        arguments = [str(self._capture.path)]
        for option, time in (("--start", window.start), ("--end", window.end)):
            if time is not None:
                arguments += [option, str(time)]
        if self._capture.snapshot().is_live and window.end is None:
            self._tell(Check(name="other processes", ok=None, note="the capture still grows"))
            return
        for name, changed in SURROUNDINGS:
            self._hold(Process(f"another process: {name}", arguments, {**environment, **changed}))

    def forms(self, sleep: Callable[[float], None]) -> None:
        """Compare with the same frames in every form on disk."""
        window, capture = self._window, self._capture
        why = ""
        if window.first_seq > 0 or window.last_seq < 0:
            why = "the window does not begin with frame 0"
        elif names_numbers(capture, window.last_seq):
            why = "a lost row stands for numbers"
        if why:
            self._tell(Check(name="other forms on disk", ok=None, note=why))
            return
        with TemporaryDirectory(prefix="replay-prove-") as scratch:
            forms = forms_of(
                capture, window.last_seq, self._info.raw_bytes, Path(scratch), sleep=sleep
            )
            for form in forms:
                more = list(form.capture.frames(first_seq=window.last_seq + 1))
                if len(more) != form.added or any(f.kind is not Kind.LOST for f in more):
                    note = f"{len(more)} more frames, expected {form.added}"
                    self._tell(Check(name=form.name, ok=False, note=note))
                    continue
                self._hold(Streaming(form.name, form.capture, window, is_other=True))

    def against(self, other: Path) -> None:
        """Compare with another capture, or with digests that were kept."""
        if other.is_file():
            try:
                kept = msgspec.json.decode(other.read_bytes(), type=Blocks)
            except msgspec.MsgspecError as error:
                raise UsageError(
                    f"expected a capture, or digests as `replay prove --digests` prints them, in "
                    f"{other}, but {error}"
                ) from error
            self._hold(Stored(str(other), kept))
            return
        capture = Capture(other)
        window = window_of(capture, self._window.start, self._window.end)
        self._hold(Streaming(str(other), capture, window, is_other=True))

    # --- how -------------------------------------------------------------------------------

    def _hold(
        self,
        witness: Witness,
        expected: Blocks | None = None,
        *,
        first: Witness | None = None,
        from_seq: int = 0,
    ) -> None:
        """Compare a way with the first one, and tell what came of it."""
        ours = expected or self._blocks
        theirs = witness.blocks()
        name = witness.name
        first = first or self._first
        k = _differing(ours.frames, theirs.frames)
        if k is not None:
            self._tell(self._frames_differ(name, first, witness, k))
            return
        k = _differing(ours.events, theirs.events)
        if k is not None:
            self._tell(self._events_differ(name, first, witness, k, from_seq))
            return
        for what, one, two in (
            ("frames", ours.input_digest, theirs.input_digest),
            ("events", ours.output_digest, theirs.output_digest),
        ):
            if one is not None and two is not None and one != two:
                self._tell(Check(name=name, ok=False, note=f"the digests of the {what} differ"))
                return
        counted = theirs.events if theirs.events is not None else self._blocks.events or []
        note = f"{sum(block.count for block in counted):,} events"
        self._tell(Check(name=name, ok=True, note=note))

    def _frames_differ(self, name: str, first: Witness, second: Witness, k: int) -> Check:
        bounds = block_bounds(k)
        note = f"frames differ in digest block {k} (seq {bounds[0]} to {bounds[1]})"
        one, two = first.frames(*bounds), second.frames(*bounds)
        found = first_frame_difference(one, two) if one is not None and two is not None else None
        shown = None if found is None else found.first or found.second
        return Check(name=name, ok=False, note=note, block=k, frame=shown, difference=found)

    def _events_differ(
        self, name: str, first: Witness, second: Witness, k: int, from_seq: int
    ) -> Check:
        low, high = block_bounds(k)
        low = max(low, from_seq)
        note = f"events differ in digest block {k} (seq {low} to {high})"
        one, two = first.events(low, high), second.events(low, high)
        found = first_event_difference(one, two) if one is not None and two is not None else None
        frame = None
        if found is not None:
            seq = found.seq
            frame = next(iter(self._capture.frames(first_seq=seq, last_seq=seq)), None)
        shown = None if frame is None else frame_fields(frame)
        return Check(name=name, ok=False, note=note, block=k, frame=shown, difference=found)

    def _tell(self, check: Check) -> None:
        self.report.checks.append(check)
        self.report.ok = self.report.ok and check.ok is not False
        self._on_check(check)


def _differing(
    ours: Sequence[BlockDigest] | None, theirs: Sequence[BlockDigest] | None
) -> int | None:
    return None if ours is None or theirs is None else first_differing_block(ours, theirs)
