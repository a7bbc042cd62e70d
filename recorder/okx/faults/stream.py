"""Faults put into a stream of recorded frames, by seed.

Responsible for what a client would have received, had these faults happened while the recording
was made. Refuses to read captures, clocks and random sources, and to know speeds and filters: the
same frames give the same stream, whoever asks and however they are cut into chunks.

What a row of the stream holds. A recorded frame keeps its `seq` and its `connection`, always; so
where pushes change places or come late, `seq` falls, and the order of the stream is its own. Stamps
are those of the moment at which the client would have received it, and never fall. A mark
(`Kind.FAULT`) stands before every fault, with the `seq` of the frame it is about. What was never
recorded (a rebuilt snapshot, the rows of a reconnect) has the `seq` of the last recorded frame it
knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from recorder.okx import faults as kinds
from recorder.okx.exchange_frames import CLOSE_REASONS, format_connection_id
from recorder.okx.faults import Scenario, name_of
from recorder.okx.faults.delivery import Delivery, Piece
from recorder.okx.faults.healing import Healing, Key
from recorder.okx.faults.log import FaultLog, Injected
from recorder.okx.faults.plan import SendBinary
from recorder.okx.faults.pushes import changed, corrupted, is_chained_push, message_of
from recorder.okx.faults.streamed import (
    CHANGING,
    ENDING,
    check_streamed,
    detail_of,
    is_update,
)
from recorder.okx.faults.timing import Line, Timing
from recorder.okx.interpreter import Interpreter
from recorder.okx.messages import FaultMark
from recorder.okx.route import is_push, route

_SUBJECTS_MAX = 20_000
_PUSH = b'{"arg":{"channel"'
_STATE = (Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)

_encode = msgspec.json.Encoder().encode


class FaultyStream:
    """Recorded frames in, delivered frames out; it can begin anywhere in a recording.

    Args:
        scenario: what goes wrong; its seed decides faults with a `p`, its `heal` the cure.
        truth, seen: interpreters (of texts, and any) as they stand before the first frame.
        on_fault: is told of every fault as it happens.

    Attributes:
        log: what has happened.

    Raises:
        UsageError: the scenario holds a fault that a recording has no place for.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        truth: Interpreter | None = None,
        seen: Interpreter | None = None,
        on_fault: Callable[[Injected], object] | None = None,
    ) -> None:
        check_streamed(scenario)
        self._faults: list[Any] = list(scenario.faults)
        self._timing = Timing(scenario)
        is_healing = scenario.heal is not None and scenario.heal < float("inf")
        self._heal_ns = round((scenario.heal or 0) * NS_PER_SECOND) if is_healing else None
        self.log = FaultLog(scenario.seed or 0, on_fault)
        self._healing = Healing(
            truth or Interpreter(str), seen or Interpreter(), self.log, self._on_broken
        )
        self._delivery = Delivery(
            lambda piece: self._healing.see(piece.frame, piece.key, piece.fault), self.log
        )
        self._ends_books = any(isinstance(fault, ENDING) for fault in self._faults)
        self._subjects: dict[tuple[str, str | None], tuple[list[tuple[int, Any]], bool]] = {}
        self._lines: dict[int, Line] = {}
        self._losing: dict[Key, tuple[Any, int]] = {}  # the fault, how many more
        self._curing: set[Key] = set()
        self._last: Frame | None = None

    # --- in and out -------------------------------------------------------------------------

    def stream(self, chunks: Iterable[list[Frame]]) -> Iterator[list[Frame]]:
        """Yield what comes of chunks of recorded frames; none is empty."""
        for chunk in chunks:
            out = [delivered for frame in chunk for delivered in self.take(frame)]
            if out:
                yield out
        if rest := self.finish():
            yield rest

    def take(self, frame: Frame) -> list[Frame]:
        """Return what is delivered when a recorded frame comes, in order."""
        self._timing.begin(frame.ts_recv)
        if frame.kind is Kind.RUN:
            self._begin_anew(frame)
        else:
            self._delivery.pass_until(frame.ts_mono)
        self._last = frame
        if frame.kind is Kind.TEXT:
            self._text(frame)
        else:
            self._other(frame)
        return self._taken()

    def finish(self) -> list[Frame]:
        """Return what is still held back when the recording ends, each at its time."""
        if self._last is not None:
            self._delivery.finish(self._last)
        return self._taken()

    def _taken(self) -> list[Frame]:
        out, self._delivery.out = self._delivery.out, []
        return out

    # --- recorded frames --------------------------------------------------------------------

    def _text(self, frame: Frame) -> None:
        line = self._line(frame)
        payload = frame.payload
        channel, instrument = route(payload)
        if channel is None or not (payload.startswith(_PUSH) or is_push(payload)):
            self._healing.record(frame)  # an ack, an error: what is subscribed changes
            self._pass(frame, line)
            return
        line.pushes += 1
        candidates, is_watched = self._subject(channel, instrument)
        if is_watched:
            self._healing.record(frame)
        key = (frame.connection, channel, instrument)
        if line.missed is None and candidates:
            if key in self._losing and self._is_lost(key, payload):
                return
            for place, fault in candidates:
                if self._timing.strikes(place, frame, line, channel) and self._happen(
                    place, fault, frame, key, line
                ):
                    self._timing.take(place, frame.connection)
                    return
        self._pass(frame, line, key, is_seen=is_watched)

    def _pass(
        self, frame: Frame, line: Line | None, key: Key | None = None, *, is_seen: bool = True
    ) -> None:
        """Send a recorded message on as it is, unless its connection is cut."""
        if line is not None and line.missed is not None:
            line.missed += 1
        else:
            self._delivery.send(Piece(frame, key, None, is_seen))

    def _other(self, frame: Frame) -> None:
        kind, connection = frame.kind, frame.connection
        line = self._lines.get(connection)
        if kind in (Kind.BINARY, Kind.SENT):
            if kind is Kind.SENT and (line is None or line.missed is None):
                self._delivery.deliver(Piece(frame))  # what a client says is not held back
            else:
                self._pass(frame, line, is_seen=False)
            return
        is_state = kind in _STATE
        if is_state:
            self._healing.record(frame)
        if kind is Kind.OPENED:
            line = self._line(frame)
            line.opened_mono, line.opened = frame.ts_mono, frame.payload
            line.endpoint = _endpoint_of(frame.payload)
        elif kind is Kind.CLOSED:
            self._delivery.end_line(connection, frame)
            self._forget(connection)
            if line is not None and line.missed is not None and not line.is_silent:
                return  # the client has seen it closed before
        self._delivery.deliver(Piece(frame, None, None, is_state))

    def _forget(self, connection: int) -> None:
        self._lines.pop(connection, None)
        self._healing.forget(connection)
        self._timing.forget(connection)
        for key in [key for key in self._losing if key[0] == connection]:
            del self._losing[key]

    def _begin_anew(self, frame: Frame) -> None:
        """Another process recorded from here on: what is held back comes before it."""
        self._delivery.end_all(self._last or frame)
        for connection in list(self._lines):
            self._forget(connection)
        self._curing.clear()

    # --- does it happen, and what -----------------------------------------------------------

    def _happen(self, place: int, fault: Any, frame: Frame, key: Key, line: Line) -> bool:
        """Let a fault happen to a push; False: it cannot, as things stand."""
        delivery, connection = self._delivery, frame.connection
        if isinstance(fault, kinds.Reorder | kinds.Delay) and delivery.is_busy(key):
            return False
        if isinstance(fault, kinds.Hold) and delivery.is_stalled(connection):
            return False
        other = self._altered(place, fault, frame)
        if other is None:
            return False
        hit = self._mark(fault, frame, key)
        if not isinstance(fault, kinds.ByItself):
            self._healing.hurt(key, hit)
        piece, offset = Piece(other, key, hit, True), frame.ts_recv - frame.ts_mono
        match fault:
            case kinds.Gap(count=count) | kinds.Lose(count=count):
                if count > 1:
                    self._losing[key] = (fault, count - 1)
            case kinds.Repeat():
                delivery.send(Piece(frame, key, None, True))
                delivery.send(piece)
            case kinds.Reorder(by=by):
                delivery.swap(key, piece, by)
            case kinds.Delay(seconds=seconds):
                delivery.hold(key, frame.ts_mono + round(seconds * NS_PER_SECOND), offset)
                delivery.send(piece)
            case kinds.Hold(seconds=seconds):
                until = frame.ts_mono + round(seconds * NS_PER_SECOND)
                delivery.hold((connection,), until, offset)
                delivery.send(piece)
            case kinds.CutOff() | kinds.CloseWith() | kinds.GoSilent():
                self._end(fault, frame, line, hit)
            case kinds.Say() | kinds.SayHuge() | kinds.SayGarbled() | kinds.SayBinary():
                delivery.send(Piece(frame, key, None, True))
                delivery.send(Piece(_said(fault, frame), None, hit, True))
            case _:
                delivery.send(piece)
        return True

    def _altered(self, place: int, fault: Any, frame: Frame) -> Frame | None:
        """Return a push as a fault changes it, itself where it changes none; None: it cannot."""
        if isinstance(fault, CHANGING):
            made = changed(fault, frame.payload)
            return None if made is None else msgspec.structs.replace(frame, payload=made[0])
        if isinstance(fault, kinds.Corrupt):
            payload = corrupted(frame.payload, self._timing.bits(place, frame.seq), fault.bytes)
            return msgspec.structs.replace(frame, payload=payload)
        return frame

    def _is_lost(self, key: Key, payload: bytes) -> bool:
        """Say whether a push is lost because the one before it was; a gap is of updates only."""
        fault, left = self._losing.pop(key)
        if isinstance(fault, kinds.Gap) and not is_update(payload):
            return False
        if left > 1:
            self._losing[key] = (fault, left - 1)
        return True

    def _mark(self, fault: Any, frame: Frame, key: Key) -> Injected:
        """Put a mark into the stream, and into the log."""
        hit = Injected(
            frame.seq, frame.ts_recv, frame.connection, name_of(fault), key[1], key[2],
            detail_of(fault),
        )  # fmt: skip
        self.log.add(hit)
        self._put_mark(frame, hit.fault, key, hit.detail)
        return hit

    def _put_mark(self, at: Frame, fault: str, key: Key, detail: str) -> None:
        payload = _encode(FaultMark(fault, key[1], key[2], detail))
        mark = msgspec.structs.replace(at, kind=Kind.FAULT, payload=payload)
        self._delivery.deliver(Piece(mark))

    # --- ends and cures ---------------------------------------------------------------------

    def _end(self, fault: Any, frame: Frame, line: Line, hit: Injected) -> None:
        """End a connection: this push and what follows is not received."""
        line.missed = 1
        if isinstance(fault, kinds.GoSilent):
            line.is_silent = True
            return
        self._delivery.end_line(frame.connection, frame)
        row: dict[str, Any] = {"code": 1006, "reason": "", "by": "network", "opened": True}
        if isinstance(fault, kinds.CloseWith):
            reason = CLOSE_REASONS.get(fault.code, "") if fault.reason is None else fault.reason
            row |= {"code": fault.code, "reason": reason, "by": "venue"}
        row |= {"endpoint": line.endpoint, "then": "reconnecting", "retry_in_s": fault.away}
        closed = msgspec.structs.replace(frame, kind=Kind.CLOSED, payload=_encode(row))
        self._delivery.deliver(Piece(closed, None, hit, True))
        self._healing.forget(frame.connection)
        until = frame.ts_mono + round(fault.away * NS_PER_SECOND)
        back = partial(self._back, line, frame.connection, hit)
        self._delivery.at(until, frame.ts_recv - frame.ts_mono, back)

    def _back(self, line: Line, connection: int, hit: Injected, mono: int, wall: int) -> None:
        """Connect again: the rows of it, an ack for every argument, and every book anew."""
        if self._lines.get(connection) is not line or self._last is None:
            return  # the recording closed it meanwhile
        at = Frame(self._last.seq, wall, mono, connection, Kind.OPENED, b"")
        self._put_mark(at, "back", (connection, None, None), f"{line.missed} messages missed")
        line.missed, line.opened_mono = None, mono
        opened = line.opened or _encode({"url": None, "endpoint": line.endpoint, "link": 0})
        ident = format_connection_id(hit.seq * 0x9E3779B1 + connection)
        texts = self._healing.answers(connection, ident)
        for kind, payload in [(Kind.OPENED, opened), *((Kind.TEXT, text) for text in texts)]:
            row = msgspec.structs.replace(at, kind=kind, payload=payload)
            self._delivery.deliver(Piece(row, None, None, True))
        for key in self._healing.books(connection):
            self._put_snapshot(key, mono, wall)

    def _on_broken(self, key: Key, frame: Frame) -> None:
        if self._heal_ns is not None and key not in self._curing:
            self._curing.add(key)
            due, offset = frame.ts_mono + self._heal_ns, frame.ts_recv - frame.ts_mono
            self._delivery.at(due, offset, partial(self._cure, key))

    def _cure(self, key: Key, mono: int, wall: int) -> None:
        """Subscribe anew to a book that has broken: a snapshot comes, and nothing older."""
        self._curing.discard(key)
        line = self._lines.get(key[0])
        if line is None or line.missed is not None or not self._healing.is_curable(key):
            return
        until = self._delivery.held_until(key)
        if until is not None:  # nothing comes through: later
            self._curing.add(key)
            self._delivery.at(until, wall - mono, partial(self._cure, key))
            return
        self._delivery.drop_swap(key)
        self._losing.pop(key, None)
        self._put_snapshot(key, mono, wall, mark="a rebuilt snapshot, as if subscribed anew")

    def _put_snapshot(self, key: Key, mono: int, wall: int, mark: str | None = None) -> None:
        found = self._healing.snapshot(key)
        if found is None:
            return
        frame = Frame(found[0], wall, mono, key[0], Kind.TEXT, found[1])
        if mark is not None:
            self._put_mark(frame, "heal", key, mark)
        self.log.healed += 1
        self._delivery.deliver(Piece(frame, key, None, True))

    # --- bookkeeping ------------------------------------------------------------------------

    def _line(self, frame: Frame) -> Line:
        line = self._lines.get(frame.connection)
        if line is None:
            line = self._lines[frame.connection] = Line(frame.ts_mono)
        return line

    def _subject(self, channel: str, instrument: str | None) -> tuple[list[tuple[int, Any]], bool]:
        """Return the faults that may be about an argument, and whether its book is followed."""
        found = self._subjects.get((channel, instrument))
        if found is None:
            if len(self._subjects) >= _SUBJECTS_MAX:
                self._subjects.clear()
            candidates = [
                (place, fault)
                for place, fault in enumerate(self._faults)
                if fault.channel in (None, channel) and fault.instrument in (None, instrument)
            ]
            is_watched = is_chained_push(channel) and (bool(candidates) or self._ends_books)
            found = self._subjects[channel, instrument] = (candidates, is_watched)
        return found


def _said(fault: Any, frame: Frame) -> Frame:
    """Return the message that a fault sends by itself, right behind a push."""
    action = message_of(fault)
    kind = Kind.BINARY if isinstance(action, SendBinary) else Kind.TEXT
    payload: bytes = getattr(action, "payload", b"")
    return msgspec.structs.replace(frame, kind=kind, payload=payload)


def _endpoint_of(payload: bytes) -> str | None:
    try:
        found = msgspec.json.decode(payload).get("endpoint")
    except (msgspec.MsgspecError, AttributeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, str) else None
