"""What a client of a faulty stream sees, beside the truth: when its books break, and their cure.

Responsible for two interpreters over one recording, of the frames as recorded and of those
delivered, for what the second notices, and for what the venue would send a client that subscribes
or connects again. Refuses to decide when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.book import Book
from recorder.event import (
    BookReset,
    BookUpdate,
    ChecksumMismatch,
    Disconnected,
    SequenceGap,
    Unrecognized,
)
from recorder.frame import Frame
from recorder.okx.exchange_frames import ack
from recorder.okx.faults.log import FaultLog, Injected
from recorder.okx.faults.pushes import is_chained_push
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import rebuilt_snapshot
from recorder.okx.subscription import subscription_of

Key = tuple[int, str | None, str | None]
"""Connection, channel, instrument."""

_OPEN_MAX = 1_000  # faults of one book that wait to be noticed


class Healing:
    """The truth and what is seen of it.

    Args:
        truth: an `Interpreter(str)` before the first recorded frame.
        seen: an interpreter before the first delivered frame.
        log: where what is noticed is written.
        on_broken: called with a book's key when it is broken, is not in truth, and was hurt here.
    """

    def __init__(
        self,
        truth: Interpreter,
        seen: Interpreter,
        log: FaultLog,
        on_broken: Callable[[Key, Frame], object],
    ) -> None:
        self._truth = truth
        self._seen = seen
        self._log = log
        self._on_broken = on_broken
        self._hurt: dict[Key, list[Injected]] = {}
        self._troubled: dict[Key, int] = {}  # frame with a recorded gap, the last of each book

    def record(self, frame: Frame) -> None:
        """Step over a frame as it was recorded."""
        for event in self._truth.step(frame):
            if isinstance(event, SequenceGap | BookReset | ChecksumMismatch):
                key = (frame.connection, event.channel, event.instrument)
                if len(self._troubled) >= _OPEN_MAX:
                    self._troubled.clear()
                self._troubled[key] = frame.seq

    def hurt(self, key: Key, fault: Injected) -> None:
        """Remember a fault that a book's chain may notice."""
        if key[1] is not None and is_chained_push(key[1]):
            waiting = self._hurt.setdefault(key, [])
            if len(waiting) < _OPEN_MAX:
                waiting.append(fault)

    def see(self, frame: Frame, key: Key | None, fault: Injected | None) -> None:
        """Step over a frame as it is delivered.

        Args:
            key: of the book it belonged to; None for what is no push of one.
            fault: what was done to it.
        """
        for event in self._seen.step(frame):
            name = type(event).__name__
            if isinstance(event, Unrecognized | Disconnected) and fault is not None:
                self._log.notice(fault, name)
            elif isinstance(event, SequenceGap | BookReset | ChecksumMismatch):
                found = (frame.connection, event.channel, event.instrument)
                if self._troubled.get(found) != frame.seq:
                    for hurt in self._hurt.get(found, ()):
                        self._log.notice(hurt, name)
            elif isinstance(event, BookUpdate) and event.is_snapshot and fault is None:
                self._hurt.pop((frame.connection, event.channel, event.instrument), None)
        if key is None or key not in self._hurt:
            return
        if self.is_curable(key):
            self._on_broken(key, frame)
        elif fault is None and _is_whole(self._seen, key):
            del self._hurt[key]  # the chain goes on: what nobody noticed by now nobody will

    def is_curable(self, key: Key) -> bool:
        """Say whether a book is broken where it is delivered, and whole where it was recorded."""
        return not _is_whole(self._seen, key) and _is_whole(self._truth, key)

    def snapshot(self, key: Key) -> tuple[int, bytes] | None:
        """Return the rebuilt snapshot of a book and the `seq` of the last update it holds."""
        book = _book(self._truth, key)
        if book is None or not book.is_whole:
            return None
        push = subscription_of(self._argument(key))
        return None if push is None else (book.seq, rebuilt_snapshot(push.key, book))

    def answers(self, connection: int, ident: str) -> list[bytes]:
        """Return the acks of everything that was subscribed on a connection."""
        held = self._truth.subscriptions(connection)
        return [ack("subscribe", argument, ident) for argument in held]

    def books(self, connection: int) -> list[Key]:
        """Return the keys of the books of a connection that are kept by updates."""
        return [
            (book.connection, book.channel, book.instrument)
            for book in self._truth.books
            if book.connection == connection and is_chained_push(book.channel)
        ]

    def forget(self, connection: int) -> None:
        """A connection has ended: its books are nobody's any more."""
        for key in [key for key in self._hurt if key[0] == connection]:
            del self._hurt[key]

    def _argument(self, key: Key) -> dict[str, Any]:
        connection, channel, instrument = key
        for argument in self._truth.subscriptions(connection):
            name = argument.get("instId") or argument.get("sprdId")
            if argument.get("channel") == channel and name == instrument:
                return argument
        is_spread = channel is not None and channel.startswith("sprd-")
        return {"channel": channel, "sprdId" if is_spread else "instId": instrument}


def _book(interpreter: Interpreter, key: Key) -> Book | None:
    for book in interpreter.books.of(key[2] or ""):
        if (book.connection, book.channel) == key[:2]:
            return book
    return None


def _is_whole(interpreter: Interpreter, key: Key) -> bool:
    book = _book(interpreter, key)
    return book is not None and book.is_whole
