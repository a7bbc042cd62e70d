"""The way of a faulty stream's frames to the client: at once, later, or behind others.

Responsible for what is held back, until when, and for its bounds; for the order in which things
come due; and for the stamps of what comes late. Refuses to decide what is held back, and why.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from recorder.frame import Frame
from recorder.okx.faults.healing import Key
from recorder.okx.faults.log import FaultLog, Injected

HELD_FRAMES_MAX = 100_000
HELD_BYTES_MAX = 64 << 20
"""Most that is held back in all; beyond it the oldest goes on early, and is counted."""

Happening = Callable[[int, int], None]
"""What is done when its time has come; told `ts_mono` and `ts_recv` of that moment."""


class Piece(NamedTuple):
    """A frame on its way.

    Attributes:
        key: its argument; None for what is no push. fault: what was done to it.
        is_seen: an interpreter shall look at it.
    """

    frame: Frame
    key: Key | None = None
    fault: Injected | None = None
    is_seen: bool = False


class _Hold:
    """Frames held back; `offset` makes a wall clock of a monotonic one."""

    def __init__(self, until: int, offset: int) -> None:
        self.until = until
        self.offset = offset
        self.pieces: list[Piece] = []


class _Swap:
    """A push that waits for `left` others to pass."""

    def __init__(self, piece: Piece, left: int) -> None:
        self.piece = piece
        self.left = left


class Delivery:
    """Delivers pieces.

    Args:
        see: is shown every delivered piece that `is_seen`.
        log: counts what had to go early.

    Attributes:
        out: what has been delivered; whoever takes it, clears it.
    """

    def __init__(self, see: Callable[[Piece], object], log: FaultLog) -> None:
        self.out: list[Frame] = []
        self._see = see
        self._log = log
        self._holds: dict[tuple[Any, ...], _Hold] = {}  # by key, or by (connection,)
        self._swaps: dict[Key, _Swap] = {}
        self._due: list[tuple[int, int, int, Happening]] = []
        self._order = 0
        self._frames = self._bytes = 0

    # --- time -------------------------------------------------------------------------------

    def at(self, due: int, offset: int, happening: Happening) -> None:
        """Let something happen at a time of the monotonic clock; of equal times the first first."""
        self._order += 1
        heapq.heappush(self._due, (due, self._order, offset, happening))

    def pass_until(self, mono: int) -> None:
        """Let everything happen that is due until then."""
        while self._due and self._due[0][0] <= mono:
            due, _, offset, happening = heapq.heappop(self._due)
            happening(due, due + offset)

    # --- the way ----------------------------------------------------------------------------

    def send(self, piece: Piece) -> None:
        """Deliver a piece, unless its argument or its connection is held back."""
        hold = self._holding(piece) if self._holds else None
        if hold is None:
            self.deliver(piece)
        else:
            self._keep(hold, piece)
        if self._swaps and piece.key is not None:
            swap = self._swaps.get(piece.key)
            if swap is not None:
                swap.left -= 1
                if swap.left <= 0:
                    del self._swaps[piece.key]
                    self.send(_stamped(swap.piece, piece.frame.ts_mono, piece.frame.ts_recv))

    def deliver(self, piece: Piece) -> None:
        """Deliver a piece now."""
        self.out.append(piece.frame)
        if piece.is_seen:
            self._see(piece)

    def hold(self, key: tuple[Any, ...], until: int, offset: int) -> None:
        """Hold back what is sent of an argument, or of `(connection,)`, until a time."""
        hold = self._holds[key] = _Hold(until, offset)
        self.at(until, offset, partial(self._release_this, key, hold))

    def swap(self, key: Key, piece: Piece, by: int) -> None:
        """Send a piece behind the next so many of its argument."""
        self._swaps[key] = _Swap(piece, by)

    def drop_swap(self, key: Key) -> None:
        """Never send the piece of an argument that waits for others."""
        self._swaps.pop(key, None)

    def is_busy(self, key: Key) -> bool:
        """Say whether something of an argument waits already."""
        return key in self._swaps or key in self._holds

    def held_until(self, key: Key) -> int | None:
        """Return until when an argument, or its connection, is held back; None: it is not."""
        held = [self._holds[k].until for k in (key, (key[0],)) if k in self._holds]
        return max(held, default=None)

    def is_stalled(self, connection: int) -> bool:
        """Say whether a whole connection is held back."""
        return (connection,) in self._holds

    # --- ends -------------------------------------------------------------------------------

    def end_line(self, connection: int, at: Frame) -> None:
        """Deliver all that is held back of a connection: it ends here."""
        keys = [key for key in self._holds if key[0] == connection]
        for key in sorted(keys, key=len, reverse=True):  # arguments, then the connection
            self._release(key, at.ts_mono, at.ts_recv)
        self._end_swaps(connection, at.ts_mono, at.ts_recv)

    def end_all(self, at: Frame) -> None:
        """Deliver all that is held back, and let nothing that is due happen any more."""
        for key in sorted(self._holds, key=len, reverse=True):
            self._release(key, at.ts_mono, at.ts_recv)
        self._end_swaps(None, at.ts_mono, at.ts_recv)
        self._due.clear()

    def finish(self, last: Frame) -> None:
        """Deliver all that is held back, each at its time, which is after the last frame."""
        mono, wall = last.ts_mono, last.ts_recv
        while self._holds:
            key = min(self._holds, key=lambda key: (self._holds[key].until, -len(key)))
            hold = self._holds[key]
            mono, wall = hold.until, hold.until + hold.offset
            self._release(key, mono, wall)
        self._end_swaps(None, mono, wall)

    def _end_swaps(self, connection: int | None, mono: int, wall: int) -> None:
        for key in [key for key in self._swaps if connection in (None, key[0])]:
            self.deliver(_stamped(self._swaps.pop(key).piece, mono, wall))

    # --- what is held back --------------------------------------------------------------------

    def _holding(self, piece: Piece) -> _Hold | None:
        # The argument's own first: what it holds goes to its connection's when it is let go.
        hold = self._holds.get(piece.key) if piece.key is not None else None
        return self._holds.get((piece.frame.connection,)) if hold is None else hold

    def _keep(self, hold: _Hold, piece: Piece) -> None:
        hold.pieces.append(piece)
        self._frames += 1
        self._bytes += len(piece.frame.payload)
        while self._holds and (self._frames > HELD_FRAMES_MAX or self._bytes > HELD_BYTES_MAX):
            oldest = next(iter(self._holds))
            self._log.early += len(self._holds[oldest].pieces)
            self._release(oldest, piece.frame.ts_mono, piece.frame.ts_recv)

    def _release_this(self, key: tuple[Any, ...], hold: _Hold, mono: int, wall: int) -> None:
        if self._holds.get(key) is hold:  # else it went early
            self._release(key, mono, wall)

    def _release(self, key: tuple[Any, ...], mono: int, wall: int) -> None:
        for piece in self._holds.pop(key).pieces:
            self._frames -= 1
            self._bytes -= len(piece.frame.payload)
            released = _stamped(piece, mono, wall)
            outer = self._holds.get((piece.frame.connection,))
            if outer is None:
                self.deliver(released)
            else:
                self._keep(outer, released)


def _stamped(piece: Piece, mono: int, wall: int) -> Piece:
    """Return a piece that is received at another time than it was recorded."""
    return piece._replace(frame=msgspec.structs.replace(piece.frame, ts_mono=mono, ts_recv=wall))
