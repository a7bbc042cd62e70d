"""Evidence: what a proof takes down and what it tells.

Responsible for the report with its checks, and for what one reading of a capture notes for the ways
that see a part of it only. Refuses to compare: `replay.proving.proof` does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from recorder.capture.digest import BlockDigest, EventDigest
from recorder.errors import ExitCode
from recorder.event import Event
from recorder.frame import Frame, Kind
from recorder.okx.parser import PARSER_VERSION
from replay.difference import EventDifference, FrameDifference
from replay.proving.witness import EventBlocks, Window


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One way, held against reading from the beginning.

    Attributes:
        name: the way. ok: the digests are equal; None: it could not be tried, `note` says why.
        block: the first digest block in which they differ.
        frame: the frame in which they differ, as a JSON object; difference: both sides of it.
    """

    name: str
    ok: bool | None
    note: str = ""
    block: int | None = None
    frame: dict[str, Any] | None = None
    difference: EventDifference | FrameDifference | None = None


class ProofReport(msgspec.Struct, kw_only=True):
    """What `prove` found; the JSON of `replay prove --json`.

    Attributes:
        ok: no way differs. first_seq, last_seq: of the frames looked at, inclusive.
        input_digest, output_digest: of all of them; equal to those of `replay play`.
        parser: the version that made the events.
    """

    path: str
    ok: bool = True
    first_seq: int = 0
    last_seq: int = -1
    frames: int = 0
    events: int = 0
    input_digest: str | None = None
    output_digest: str | None = None
    parser: str = str(PARSER_VERSION)
    checks: list[Check] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """0 all ways agree, 1 one does not."""
        return ExitCode.DONE if self.ok else ExitCode.FAILED


class Notes:
    """What one reading takes down for the ways that see a part only.

    Attributes:
        channel: the one whose events are in `chosen`. runs: events by the seq of their first one.
    """

    def __init__(self, window: Window, channel: str | None) -> None:
        third = (window.last_seq - window.first_seq) // 3
        starts = [window.first_seq + third, window.first_seq + 2 * third] if third > 0 else []
        self._middle = [(seq, EventBlocks()) for seq in starts]
        self._run: EventDigest | None = None
        self.channel = channel
        self.chosen = EventBlocks()
        self.runs: dict[int, EventDigest] = {}

    def __call__(
        self, frame: Frame, channel: str | None, events: list[Event], lines: bytes
    ) -> None:
        if channel is not None and channel == self.channel:
            self.chosen.add_encoded(frame.seq, len(events), lines)
        for seq, blocks in self._middle:
            if frame.seq >= seq:
                blocks.add_encoded(frame.seq, len(events), lines)
        if frame.kind is Kind.RUN:
            self._run = EventDigest()
        if self._run is not None and events:
            if self._run.first_seq is None:
                self.runs[events[0].seq] = self._run
            self._run.update(events)

    def from_middle(self) -> list[tuple[int, list[BlockDigest]]]:
        """Return where readings begin that do not see the beginning, and what they must give."""
        return [(seq, blocks.blocks()) for seq, blocks in self._middle]
