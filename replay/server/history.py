"""What was pushed in a stretch of a capture: as recorded, of redundant links what was delivered.

Responsible for electing where there is anything to elect from. Refuses to choose the stretch, and
channels of books: who wants a book has the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge

from recorder.capture.block import Selection
from recorder.capture.reader import Capture, ReadReport
from recorder.frame import Frame, Kind

_ROWS = frozenset({Kind.RUN, Kind.OPENED, Kind.CLOSED})


def texts_of(capture: Capture, chosen: Selection, *, elects: bool) -> Iterator[tuple[int, bytes]]:
    """Yield `seq` and payload of the texts of a selection, in order.

    Args:
        chosen: of texts, with its first and last `seq`.
        elects: where there are redundant links, yield their merged stream; False: there are none.
    """
    if not elects:
        for batch in capture.select(chosen, ReadReport()):
            yield from zip(batch.seq, batch.payload, strict=True)
        return
    first_seq = chosen.first_seq or 0
    interpreter = capture.interpreter_before(first_seq, str, report=ReadReport())
    rows = Selection(first_seq=first_seq, last_seq=chosen.last_seq, kinds=_ROWS)
    both = (_frames(capture, selection) for selection in (rows, chosen))
    for frame in merge(*both, key=lambda frame: frame.seq):
        if frame.kind is not Kind.TEXT:
            interpreter.step(frame)
            continue
        elected = interpreter.elected
        for delivered in (frame,) if elected is None else elected.take(frame):
            yield delivered.seq, delivered.payload


def _frames(capture: Capture, chosen: Selection) -> Iterator[Frame]:
    for batch in capture.select(chosen, ReadReport()):
        yield from batch.frames()
