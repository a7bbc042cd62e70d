"""Conservation: a capture against the venue's log; nothing missing, nothing invented, in order.

What must be stored of a connection follows from how it ended (`how` of the log's `ended` line).
A message counts as `handed` once the kernel of the venue's machine has taken all its bytes; over
loopback nothing between the two kernels can lose it, only a TCP reset or a client that stops
reading can.

| how        | what happened                                    | must be stored             |
| ---------- | ------------------------------------------------ | -------------------------- |
| `close`    | the client's close frame was read                | all handed (1)             |
| `eof`      | all was sent, then the stream ended (FIN)        | all handed                 |
| `inside`   | the same, with half of a message more            | all handed, not the half   |
| `broken`   | bytes that are no frame were sent, nothing after | all handed before          |
| `hang`     | the venue fell silent and reads no more          | all handed                 |
| `reset`    | TCP reset: unread bytes may be destroyed         | a prefix                   |
| `vanished` | the client was gone without a close frame        | a prefix (2)               |
| `stopped`  | the venue was ended while it was open            | a prefix                   |

(1) a prefix where the capture says that the recorder itself gave up waiting for the venue's close
frame (`closed` by `recorder` with code 1006, or no `closed` row: it was killed).
(2) only if the capture agrees: `closed` by `recorder`, or no `closed` row. If it blames the
network or the venue for an end the venue did not make, that is a problem.

Always: what is stored is byte-exact (BLAKE2b) and in the order of sending; without `lost` rows it
is a prefix, so what was cut is at the end; with `lost` rows that name the connection exactly their
`count` may be missing elsewhere. Messages that the venue's process had not wholly handed over when
the connection broke (`pending`) may follow. Sockets are matched by the `connId` in their acks,
else by what was sent on them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from recorder.capture.reader import Capture
from recorder.frame import Frame, Kind
from tests.venue.oracle import hash_of

_CONNECTION_ID = re.compile(rb'"connId":"([0-9a-f]{8})"\}$')
_PREFIX = ("reset", "vanished", "stopped", "")
# The venue allows 3 a second. A client counts when it dials, the venue when it reads: on a busy
# machine some come late and bunched, so only a storm is a problem here.
_HANDSHAKES_PER_SECOND = 6
_HANDSHAKE_WINDOW_NS = 1_000_000_000

Message = tuple[str, int, str]
"""Kind, bytes, hash."""


@dataclass
class Sent:
    """One WebSocket as the venue saw it."""

    number: int
    endpoint: str
    id: str
    messages: list[Message] = field(default_factory=list)
    pending: list[Message] = field(default_factory=list)
    received: list[str | None] = field(default_factory=list)
    how: str = ""


@dataclass
class Stored:
    """One connection as the capture holds it."""

    number: int
    endpoint: str
    id: str | None = None
    messages: list[Message] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    closed: dict[str, Any] | None = None
    lost: int = 0


@dataclass
class Verdict:
    """What the comparison found; good without problems."""

    problems: list[str] = field(default_factory=list)
    connections: int = 0
    handed: int = 0
    stored: int = 0
    cut: int = 0
    declared: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        good = "conserved" if not self.problems else f"{len(self.problems)} PROBLEMS"
        return (
            f"{good}: {self.connections} connections, {self.handed} messages handed over, "
            f"{self.stored} stored, {self.cut} cut by resets and kills, {self.declared} declared "
            f"lost" + "".join(f"\n  {problem}" for problem in self.problems)
        )


def check(
    capture: str | PathLike[str], log: str | PathLike[str] | Iterable[dict[str, Any]]
) -> Verdict:
    """Compare a capture with the log of the only venue it was recorded from."""
    return compare(Capture(capture).frames(), list(_lines(log)))


def compare(frames: Iterable[Frame], lines: list[dict[str, Any]]) -> Verdict:
    """Compare the frames of a capture, in `seq` order, with the lines of the log."""
    sent = _read_log(lines)
    stored, rest = _read_frames(frames)
    verdict = Verdict(
        connections=len(sent),
        handed=sum(len(item.messages) for item in sent),
        stored=sum(len(item.messages) for item in stored),
        faults=[line for line in lines if line["what"] == "fault"],
    )
    for venue, recorder in _matched(sent, stored, verdict):
        _compare(venue, recorder, verdict)
    answered = {line["hash"] for line in lines if line["what"] == "rest"}
    if not rest <= answered:
        verdict.problems.append(f"{len(rest - answered)} REST bodies are stored that nobody sent")
    verdict.problems += _too_fast(lines)
    return verdict


def _compare(venue: Sent, recorder: Stored, verdict: Verdict) -> None:
    name = f"connection {venue.number} ({venue.endpoint}, capture's {recorder.number})"
    stored, wanted = recorder.messages, venue.messages
    closed = recorder.closed
    is_killed = closed is None
    gave_up = closed is not None and closed["by"] == "recorder" and closed["code"] == 1006
    if venue.how == "vanished" and not (is_killed or closed["by"] == "recorder"):
        verdict.problems.append(f"{name}: the client was gone, but the capture says {closed}")
    may_be_cut = venue.how in _PREFIX or is_killed or (venue.how == "close" and gave_up)
    missing = len(wanted) - len(stored)
    every = wanted + venue.pending
    if stored == every[: len(stored)]:
        if missing <= 0:
            pass
        elif may_be_cut:
            verdict.cut += missing
        elif recorder.lost == missing:
            verdict.declared += missing
        else:
            verdict.problems.append(
                f"{name}, ended by {venue.how}: {len(wanted)} messages were handed over, the last "
                f"{missing} are not stored; closed {closed}"
            )
    elif recorder.lost and _is_within(stored, every):
        declared = recorder.lost
        verdict.declared += declared
        if missing != declared and not may_be_cut:
            verdict.problems.append(f"{name}: {missing} are missing, {declared} declared lost")
    else:
        place = next(
            (i for i, pair in enumerate(zip(stored, every, strict=False)) if pair[0] != pair[1]),
            min(len(stored), len(every)),
        )
        verdict.problems.append(
            f"{name}: message {place} differs: sent {every[place : place + 1]}, "
            f"stored {stored[place : place + 1]}; {len(every)} sent, {len(stored)} stored"
        )
    heard, said = venue.received, recorder.sent
    is_same = len(heard) <= len(said) and all(
        a is None or a == b for a, b in zip(heard, said, strict=False)
    )
    if not is_same and not is_killed:
        verdict.problems.append(f"{name}: what the client said is not what is stored as sent")


def _matched(
    sent: list[Sent], stored: list[Stored], verdict: Verdict
) -> Iterable[tuple[Sent, Stored]]:
    """Pair both sides' connections; what cannot be paired is a problem if it holds anything."""
    by_id = {item.id: item for item in sent}
    left = {item.number: item for item in sent}
    anonymous = []
    for item in stored:
        if item.id is None:
            anonymous.append(item)
        elif item.id in by_id and by_id[item.id].number in left:
            yield left.pop(by_id[item.id].number), item
        else:
            verdict.problems.append(f"connection {item.number}: nobody sent under id {item.id}")
    for item in anonymous:
        fitting = (
            venue
            for venue in left.values()
            if venue.endpoint == item.endpoint
            and (venue.messages + venue.pending)[: len(item.messages)] == item.messages
        )
        found = next(fitting, None)
        if found is not None:
            yield left.pop(found.number), item
        elif item.messages:
            verdict.problems.append(
                f"connection {item.number} ({item.endpoint}) holds {len(item.messages)} messages "
                f"that no socket sent in this order"
            )
    for venue in left.values():
        if venue.messages and venue.how not in _PREFIX:
            verdict.problems.append(
                f"connection {venue.number} ({venue.endpoint}, ended by {venue.how}) is not in "
                f"the capture, with {len(venue.messages)} messages"
            )


def _read_log(lines: list[dict[str, Any]]) -> list[Sent]:
    found: dict[int, Sent] = {}
    for line in lines:
        what = line["what"]
        if what == "opened":
            number = line["connection"]
            found[number] = Sent(number, line["endpoint"], line["id"])
        elif what in ("frame", "pending"):
            item = found[line["connection"]]
            messages = item.messages if what == "frame" else item.pending
            messages.append((line["kind"], line["bytes"], line["hash"]))
        elif what == "received":
            found[line["connection"]].received.append(line["hash"])
        elif what == "ended":
            found[line["connection"]].how = line["how"]
    return list(found.values())


def _read_frames(frames: Iterable[Frame]) -> tuple[list[Stored], set[str]]:
    found: dict[int, Stored] = {}
    rest: set[str] = set()
    for frame in frames:
        item = found.get(frame.connection)
        if frame.kind is Kind.OPENED:
            endpoint = json.loads(frame.payload)["endpoint"]
            found[frame.connection] = Stored(frame.connection, endpoint)
        elif frame.kind is Kind.REST:
            rest.add(hash_of(frame.payload))
        elif frame.kind is Kind.LOST:
            row = json.loads(frame.payload)
            lossy = found.get(row["connection"])
            if lossy is not None and row["count"] is not None:
                lossy.lost += row["count"]
        elif item is None:
            continue
        elif frame.kind in (Kind.TEXT, Kind.BINARY):
            kind = "text" if frame.kind is Kind.TEXT else "binary"
            item.messages.append((kind, len(frame.payload), hash_of(frame.payload)))
            if item.id is None and (match := _CONNECTION_ID.search(frame.payload)):
                item.id = match[1].decode()
        elif frame.kind is Kind.SENT:
            item.sent.append(hash_of(frame.payload))
        elif frame.kind is Kind.CLOSED:
            item.closed = json.loads(frame.payload)
    return list(found.values()), rest


def _is_within(stored: list[Message], sent: list[Message]) -> bool:
    """Say whether what is stored is what was sent with pieces left out."""
    remaining = iter(sent)
    return all(message in remaining for message in stored)


def _too_fast(lines: list[dict[str, Any]]) -> list[str]:
    """Say where a client made far more handshakes in a second than one address is allowed."""
    stalls = [line["at"] for line in lines if line["what"] == "stall"]
    at = [
        line["at"]
        for line in lines
        if line["what"] == "attempt"
        # What piled up while the venue got no time says nothing about the client.
        and not any(abs(line["at"] - stall) < 2_000_000_000 for stall in stalls)
    ]
    worst = max(
        (sum(1 for other in at if 0 <= other - first < _HANDSHAKE_WINDOW_NS) for first in at),
        default=0,
    )
    if worst <= _HANDSHAKES_PER_SECOND:
        return []
    return [f"{worst} handshakes within a second, a storm"]


def _lines(log: str | PathLike[str] | Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    if isinstance(log, (str, PathLike)):
        with Path(log).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)
    else:
        yield from log
