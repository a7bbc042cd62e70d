"""Feeding a sink from a capture: from where it stands to the end, and on while it is recorded.

Responsible for reading on in the capture without a seam, for the interpreter on the way, and for
telling a sink what it can no longer be given. Refuses to queue anything beside the capture, and to
know what a sink does: `recorder.sinks.runner` runs it.
"""

from __future__ import annotations

import time

from recorder.capture.block import Selection
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.follow import Patience, following_batches
from recorder.capture.reading.resume import Resumption, resume
from recorder.okx.interpreter import Interpreter
from recorder.sinks import Missed, Position, Record
from recorder.sinks.runner import INDEX_MAX, Runner, earliest

EXPIRED = "expired before it was fed"


def feed(capture: Capture, runner: Runner, *, history_seconds: float | None = None) -> None:
    """Feed a sink everything it lacks, until the recorder has ended.

    Where nothing records, until the end of what there is. Returns when the sink has it all.

    Raises:
        SinkDown, SinkRefused: it gave up, or was left.
    """
    while True:
        stands = runner.open()
        begin = resume(capture, stands, history_seconds=history_seconds)
        if begin.is_torn:
            frame = begin.last_common
            runner.rewind(None if frame is None else Position(frame.seq, INDEX_MAX, frame.ts_recv))
        elif _Feeding(capture, runner, begin, earliest(stands)).run() and runner.settle():
            return


class _Feeding:
    """One way through the capture, until its end or until the sink goes back."""

    def __init__(
        self, capture: Capture, runner: Runner, begin: Resumption, stands: Position | None
    ) -> None:
        self.capture = capture
        self.runner = runner
        self.first_seq = begin.first_seq
        self.stands = stands
        self.report = ReadReport()
        self.told = 0  # problems of the report that the sink knows
        self.records: list[Record] = []
        if begin.missed is not None:
            self._miss(*begin.missed, EXPIRED)

    def run(self) -> bool:
        """Feed; tell whether the end was reached."""
        interpreter: Interpreter | None = None
        patience = Patience()
        wanted = Selection(first_seq=self.first_seq)
        for batch in following_batches(self.capture, wanted, report=self.report):
            if batch is None:
                self.runner.check()
                time.sleep(patience.grow())
                continue
            patience.news()
            first = batch.seq[0]
            if len(self.report.problems) > self.told:
                self._miss_problems(first, batch.ts_recv[0])
                interpreter = None
            if interpreter is None:
                interpreter = self.capture.interpreter_before(first, report=ReadReport())
            step, chosen, books = interpreter.step, self.runner.chosen, interpreter.books
            reached: Position | None = None
            for frame in batch.frames():
                events = step(frame)
                if events:
                    chosen(events, books, self.records)
                reached = Position(frame.seq, max(len(events) - 1, 0), frame.ts_recv)
            if reached is not None and not self._put(reached):
                return False
        return True

    def _put(self, reached: Position) -> bool:
        """Hand over what was read, but for what the sink has."""
        records, stands = self.records, self.stands
        self.records = []
        if stands is not None:
            records = [item for item in records if not stands.has(item.seq, item.index)]
            if stands.has(reached.seq, reached.index):
                return True
            self.stands = None  # everything from here on is new
        return self.runner.put(records, reached)

    def _miss_problems(self, next_seq: int, ts_recv: int) -> None:
        for problem in self.report.problems[self.told :]:
            if problem.last_seq is not None and problem.last_seq < self.first_seq:
                continue
            last_seq = next_seq - 1 if problem.last_seq is None else problem.last_seq
            first_seq = last_seq if problem.first_seq is None else problem.first_seq
            self._miss(first_seq, last_seq, ts_recv, problem.cause)
        self.told = len(self.report.problems)

    def _miss(self, first_seq: int, last_seq: int, ts_recv: int, cause: str) -> None:
        self.runner.counts.missed += last_seq - first_seq + 1
        self.records.append(Missed(last_seq, 0, ts_recv, first_seq, last_seq, cause))
