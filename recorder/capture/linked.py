"""Linked: whether a capture has redundant links.

Responsible for answering without reading it: whoever may skip frames must know, for where there are
links what is delivered at one frame depends on others. Refuses to guess: in doubt it says yes.
"""

from __future__ import annotations

import msgspec

from recorder.capture import layout
from recorder.capture.checkpoint import read_checkpoint
from recorder.capture.reader import Capture
from recorder.errors import Damage
from recorder.event import Connected
from recorder.frame import Kind
from recorder.okx.election import links_in_run
from recorder.okx.parser import parse


class _Peek(msgspec.Struct):
    """The one field of a saved interpreter that says it; `okx.checkpoint` has the others."""

    election: msgspec.Raw | None = None


_peek = msgspec.msgpack.Decoder(_Peek).decode


def has_links(capture: Capture) -> bool:
    """Say whether anything in a capture, as it is now, was brought by several links.

    An interpreter that has once met links says so in its state for ever: the last checkpoint
    answers for all that is sealed. Behind it there is a minute of frames at most.
    """
    sealed = capture.snapshot().sealed
    first_seq = 0
    if sealed:
        try:
            newest = layout.list_checkpoints(capture.path)[-1]
            if newest <= sealed[-1].segment:  # a derived capture may end without one
                return _has_rows(capture, 0)
            state = _peek(read_checkpoint(capture.path, newest))
        except (Damage, FileNotFoundError, IndexError, msgspec.MsgspecError):
            return True
        if state.election is not None and bytes(state.election) != b"\xc0":
            return True
        first_seq = sealed[-1].last_seq + 1
    return _has_rows(capture, first_seq)


def _has_rows(capture: Capture, first_seq: int) -> bool:
    try:
        for frame in capture.frames(first_seq=first_seq, kinds=(Kind.RUN, Kind.OPENED)):
            if frame.kind is Kind.RUN and links_in_run(frame.payload):
                return True
            if any(type(event) is Connected and event.link for event in parse(frame)):
                return True
    except Damage:
        return True
    return False
