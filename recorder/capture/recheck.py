"""Recheck: everything that follows from frames, worked out once more beside what was stored.

Responsible for the one interpreter of a verification: checkpoints compared with the state it has
where they stand, counts, event digests of recorders, and what a market would not do. Refuses to
read files of frames (`verify` does) and to go on from a state that is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec

from recorder.capture import layout
from recorder.capture.batch import FrameBatch
from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.digest import EventDigest, digest_of
from recorder.capture.reading.serve import Problem
from recorder.capture.sealing.tally import Tally, integrity_counts
from recorder.capture.segment import SegmentMeta
from recorder.errors import Damage
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.novelty import Census, Novelty
from recorder.okx.parser import PARSER_VERSION
from recorder.okx.validation import Validator


class _Due(msgspec.Struct, frozen=True):
    """Something inside a sealed file that is to be compared before `seq`.

    Attributes:
        digest: of the checkpoint there, None if it was not kept. inside: `seq`, where the
            checkpoint is one inside a segment.
        recorded: what the recorder of a joined segment that ends there said of its events.
    """

    seq: int
    segment: int
    digest: str | None
    recorded: dict[str, int | str] | None = None
    inside: int | None = None


class Recheck:
    """Frames in seq order through one interpreter, and everything that can be held against it.

    Attributes:
        problems: what did not agree. integrity: the interpreter's counts so far.
        validation: breaches per rule. new_fields: what no type knows.
        compared: checkpoints read so far.
    """

    def __init__(self, root: Path, *, with_events: bool) -> None:
        self._root = root
        self._interpreter: Interpreter | None = Interpreter()
        self._validator = Validator()
        self._census = Census()
        self._with_events = with_events
        self._run: EventDigest | None = None
        self._due: list[_Due] = []
        self.problems: list[Problem] = []
        self.compared: set[int] = set()
        self._counts: dict[str, int] = {}
        self._latest = 0

    # --- state -----------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop the state: frames are missing, or their order is not known."""
        self._run = None
        self._due.clear()
        if self._interpreter is not None:
            self._add_counts(self._interpreter)
            self._interpreter = None

    @property
    def integrity(self) -> dict[str, int]:
        """The interpreter's counts over everything it saw."""
        counts = dict(self._counts)
        if self._interpreter is not None:
            for name, count in integrity_counts(self._interpreter.integrity).items():
                counts[name] = counts.get(name, 0) + count
        return counts

    @property
    def validation(self) -> dict[str, int]:
        """Breaches per rule, the most frequent first."""
        return dict(sorted(self._validator.counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def new_fields(self) -> list[Novelty]:
        """What the venue sent that no type knows, by channel and place."""
        return self._census.found

    def _add_counts(self, interpreter: Interpreter) -> None:
        for name, count in integrity_counts(interpreter.integrity).items():
            self._counts[name] = self._counts.get(name, 0) + count

    # --- frames ----------------------------------------------------------------------------

    def add(self, batch: FrameBatch, tally: Tally) -> None:
        """Interpret frames and count them."""
        at = 0
        while self._due and self._due[0].seq <= batch.seq[-1]:
            due = self._due.pop(0)
            inside = at
            while inside < len(batch) and batch.seq[inside] < due.seq:
                inside += 1
            if inside > at:
                tally.add(batch.part(at, inside), self._stepping())
            self._judge(due)
            at = inside
        if at < len(batch):
            tally.add(batch.part(at, len(batch)) if at else batch, self._stepping())

    def _judge(self, due: _Due) -> None:
        if due.digest is not None:
            self._compare(due.segment, due.seq, due.digest, is_comparable=True, inside=due.inside)
        if not self.check_events(due.recorded, str(PARSER_VERSION)):
            self._problem(due.segment, "events are not those the recorder delivered", due.seq)

    def _stepping(self) -> Callable[[Frame], list[Event]] | None:
        return None if self._interpreter is None else self._step

    def _step(self, frame: Frame) -> list[Event]:
        interpreter = self._interpreter
        if interpreter is None:
            return []
        events = interpreter.step(frame)
        self._census.take(frame)
        if self._with_events:
            if frame.kind is Kind.RUN:
                self._run = EventDigest()
            if self._run is not None:
                self._run.update(events)
        take, connection = self._validator.take, frame.connection
        for event in events:
            take(event, connection)
        return events

    # --- what was stored -------------------------------------------------------------------

    def before(self, meta: SegmentMeta) -> None:
        """Compare the checkpoint of a sealed segment; the next frames are its own."""
        is_comparable = meta.parser == str(PARSER_VERSION)
        self._due = []
        for before, part in pairwise(meta.joined or () if is_comparable else ()):
            digest = part.checkpoint if part.has_checkpoint else None
            if digest is not None or before.recorded is not None:
                self._due.append(_Due(part.first_seq, part.segment, digest, before.recorded))
        self._due += [
            _Due(one.seq, one.segment, one.digest, inside=one.seq)
            for one in (meta.inner_checkpoints or () if is_comparable else ())
        ]
        self._due.sort(key=lambda due: due.seq)
        self._compare(meta.segment, meta.first_seq, meta.checkpoint, is_comparable=is_comparable)

    def behind(self, segment: int, seq: int | None, meta: SegmentMeta) -> None:
        """Compare the checkpoint that sealing the last segment left for the one after it."""
        is_comparable = meta.parser == str(PARSER_VERSION)
        with suppress(FileNotFoundError):  # nothing needs it
            self._compare(segment, seq, None, is_comparable=is_comparable)

    def look_at_the_rest(self) -> None:
        """Read checkpoints that nothing refers to: they must at least be whole."""
        for segment in layout.list_checkpoints(self._root):
            if segment not in self.compared:
                with suppress(FileNotFoundError):  # it expired, or was joined away
                    self._compare(segment, None, None, is_comparable=False)

    def check_counts(self, meta: SegmentMeta, tally: Tally) -> bool:
        """Tell whether the counts of a segment are what its frames give."""
        if self._interpreter is None or meta.parser != str(PARSER_VERSION):
            return True
        found = (tally.events, tally.gaps, tally.unrecognized, tally.lost_rows, tally.lost)
        return found == (meta.events, meta.gaps, meta.unrecognized, meta.lost_rows, meta.lost)

    def check_times(self, meta: SegmentMeta, tally: Tally) -> bool:
        """Tell whether a segment says the highest time so far; too low a one would hide frames."""
        self._latest = max(self._latest, tally.max_ts_recv)
        latest = meta.latest_ts_recv
        return meta.max_ts_recv >= tally.max_ts_recv and (
            latest is msgspec.UNSET or latest >= self._latest
        )

    def check_events(self, recorded: dict[str, int | str] | None, parser: str) -> bool:
        """Tell whether the recorder's own event digest is what its frames give.

        True where that cannot be known: its beginning was not read, or another parser made it.
        """
        run = self._run
        if recorded is None or run is None or parser != str(PARSER_VERSION):
            return True
        if run.first_seq != recorded["first_seq"]:
            return True
        return (run.count, run.hexdigest()) == (recorded["count"], recorded["digest"])

    def _compare(
        self,
        segment: int,
        seq: int | None,
        digest: str | None,
        *,
        is_comparable: bool,
        inside: int | None = None,
    ) -> None:
        if inside is None:
            self.compared.add(segment)
        try:
            state = read_checkpoint(self._root, segment, inside)
        except FileNotFoundError:
            if digest is None:
                raise
            if inside is None:  # one inside a segment is a convenience
                self._problem(segment, "checkpoint missing", seq)
            return
        except Damage as damage:
            self._problem(segment, damage.cause, seq, inside)
            return
        if digest is not None and digest_of(state) != digest:
            self._problem(segment, "checkpoint does not match its digest", seq, inside)
        elif not is_comparable:
            return  # another parser's state: right for that one, not comparable with this one's
        elif self._interpreter is None:
            try:
                self._interpreter = Interpreter.restore(state)
            except ValueError as error:
                self._problem(segment, str(error), seq, inside)
        elif self._interpreter.save() != state:
            cause = "checkpoint is not the state that the frames before it give"
            self._problem(segment, cause, seq, inside)

    def _problem(
        self, segment: int, cause: str, seq: int | None, inside: int | None = None
    ) -> None:
        file = layout.checkpoint_file(segment, inside)
        self.problems.append(Problem(file, segment, seq, None, cause))
