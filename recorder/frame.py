"""Frame: one thing that happened on one connection, exactly as it happened.

Responsible for the frame itself, its kinds and its canonical bytes (the record that the journal
stores and the digests hash). Refuses to know what a payload means: that is `okx.parser`.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec

NO_CONNECTION = -1
"""`connection` of rows that belong to no connection (`run`, `clock`, some `lost`)."""


class Kind(IntEnum):
    """What a frame is. The integer is on disk and in digests: add, never renumber."""

    TEXT = 0  # received text message, exact bytes
    BINARY = 1  # received binary message, exact bytes
    SENT = 2  # outgoing message, exact; secrets of a login replaced by ***
    REST = 3  # body of a REST response
    OPENED = 4  # {url, endpoint, link}
    CLOSED = 5  # {code, reason, by, opened}; also for a connect that failed
    LOST = 6  # {connection, first_seq, last_seq, count, bytes, cause}
    RUN = 7  # a recorder starts: versions, options, boot id
    CLOCK = 8  # a clock step, or the periodic clock sample
    FAULT = 9  # never stored: where a replay put a fault on purpose {fault, channel, …}

    @property
    def label(self) -> str:
        """The kind's name in files, SQL and JSON, e.g. `text`."""
        return LABELS[self] if self < len(LABELS) else self.name.lower()


KINDS: tuple[Kind, ...] = tuple(kind for kind in Kind if kind is not Kind.FAULT)
"""Kind of each stored code; indexing this is the fast way from an integer to a member."""

LABELS: tuple[str, ...] = tuple(kind.name.lower() for kind in KINDS)
"""Label of each stored kind, indexed by its code."""

KIND_OF_LABEL: dict[str, Kind] = {kind.label: kind for kind in KINDS}


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One row of a capture.

    Attributes:
        seq: position in the capture, from 0, without holes; the only order there is.
        ts_recv: wall clock at the socket read, ns since the Unix epoch, UTC. May step back.
        ts_mono: monotonic clock read together with it, ns, arbitrary origin per boot;
            never falls along `seq` within one run.
        connection: number of the socket (or attempt, or REST exchange), from 0, never reused in
            a capture; `NO_CONNECTION` for rows of none.
        kind: see `Kind`.
        payload: exact bytes for messages, a JSON object (UTF-8) for the other kinds.
    """

    seq: int
    ts_recv: int
    ts_mono: int
    connection: int
    kind: Kind
    payload: bytes


RECORD = struct.Struct("<qqqiBI")
"""Header of the canonical record: seq, ts_recv, ts_mono, connection, kind, payload length.

The record is this header followed by the payload. The journal stores records, digests hash
them, so a digest can be taken over journal bytes as they are.
"""


def encode_record(frame: Frame) -> bytes:
    """Return the canonical record of a frame (33 bytes and the payload)."""
    payload = frame.payload
    return (
        RECORD.pack(
            frame.seq,
            frame.ts_recv,
            frame.ts_mono,
            frame.connection,
            frame.kind,
            len(payload),
        )
        + payload
    )
