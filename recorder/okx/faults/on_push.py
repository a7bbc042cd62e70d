"""The data pushes of one connection of a venue, with the faults that are about pushes.

Responsible for which pushes are lost, changed, sent again, late or behind others. Refuses to know
the rest of a conversation (`okx.faults.conversation` does) and to own a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from recorder.clock import NS_PER_SECOND
from recorder.okx import faults as kinds
from recorder.okx.exchange import Send
from recorder.okx.faults import Fault
from recorder.okx.faults.plan import Action, Faults, Made, is_about_subject
from recorder.okx.faults.pushes import changed, corrupted
from recorder.okx.faults.streamed import can_hit

Subject = tuple[str, str]


class PushFaults:
    """What is sent of the pushes of one connection.

    Args:
        faults: the scenario's state.
        later: takes what is to be sent at a time.
        made: says what has happened, for the record.
    """

    def __init__(
        self,
        faults: Faults,
        later: Callable[[int, Action], None],
        made: Callable[[Fault, int, str], Made],
    ) -> None:
        self._faults = faults
        self._later = later
        self._made = made
        self._fresh: set[Subject] = set()
        self._losing: dict[Subject, int] = {}
        self._late: dict[Subject, int] = {}  # until when a push, and what follows, is held back
        self._behind: dict[Subject, tuple[bytes, int]] = {}  # waits for so many others

    def begin(self, subject: Subject) -> None:
        """An argument was subscribed: nothing of what was before matters."""
        self._fresh.add(subject)
        for waiting in (self._losing, self._behind):
            waiting.pop(subject, None)

    def sent(
        self,
        mine: Iterable[tuple[int, int, Any]],
        subject: Subject,
        payload: bytes,
        now_ns: int,
        number: int,
    ) -> list[bytes]:
        """Return what is sent of a push, now.

        Args:
            mine: (when, place, fault) of the faults of pushes that can happen, by time.
            number: of the push; the dice of a fault with a `p` are thrown by it.
        """
        if self._losing.get(subject):
            self._losing[subject] -= 1
            return []
        is_first = subject in self._fresh
        self._fresh.discard(subject)
        out = self._happened(mine, subject, payload, now_ns, number, is_first=is_first)
        if out is None:
            out = [payload]
            waiting = self._behind.pop(subject, None)
            if waiting is not None and waiting[1] > 1:
                self._behind[subject] = (waiting[0], waiting[1] - 1)
            elif waiting is not None:
                out.append(waiting[0])
        due = self._late.get(subject)
        if due is not None:
            if now_ns < due:
                for item in out:
                    self._later(due, Send(item))
                return []
            del self._late[subject]
        return out

    def _happened(
        self,
        mine: Iterable[tuple[int, int, Any]],
        subject: Subject,
        payload: bytes,
        now_ns: int,
        number: int,
        *,
        is_first: bool,
    ) -> list[bytes] | None:
        """Return what a fault makes of a push; None: none happens to it."""
        channel = subject[0]
        for due, place, fault in mine:
            if due > now_ns:
                break
            if not is_about_subject(fault, subject) or not can_hit(fault, channel, payload):
                continue
            if isinstance(fault, kinds.OldFirst) and not is_first:
                continue
            if isinstance(fault, kinds.Delay | kinds.Reorder) and (
                subject in self._behind or subject in self._late
            ):
                continue
            if not self._faults.strikes(place, fault, number):
                continue
            sent = self._made_of(fault, place, subject, payload, now_ns, number)
            if sent is not None:
                about = f"{channel} {subject[1]}".strip()
                self._faults.take(place, self._made(fault, now_ns, about))
                return sent
        return None

    def _made_of(
        self, fault: Any, place: int, subject: Subject, payload: bytes, now_ns: int, number: int
    ) -> list[bytes] | None:
        match fault:
            case kinds.Gap(count=count) | kinds.Lose(count=count):
                self._losing[subject] = count - 1
                return []
            case kinds.Reorder(by=by):
                self._behind[subject] = (payload, by)
                return []
            case kinds.Delay(seconds=seconds):
                self._late[subject] = now_ns + round(seconds * NS_PER_SECOND)
                return [payload]
            case kinds.Corrupt(bytes=count):
                bits = self._faults.chance.draw(place, ~number)
                return [corrupted(payload, bits, count)]
        return changed(fault, payload)
