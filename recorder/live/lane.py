"""Lane: frames on their way to one consumer of events, bounded, with every loss named.

Responsible for the event loop's side of it: what goes in, what is dropped when the consumer is too
slow, and from which state it goes on afterwards. Refuses to block, to touch the capture, the
sockets or the live interpreter, and to know the consumer: that one takes items out, in a thread of
its own or not.

Theory of operation. The event loop offers every batch of frames before it interprets it. While the
lane has room they go in. When it has none, an episode of loss begins: frames are dropped for this
consumer only, until most of the lane is worked off. Then one item stands for all of them: the
`Lost` event, and the state of the live interpreter at that very frame, from which the consumer's
own goes on. Nothing else passes between the two but counters that one of them writes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.event import Lost
from recorder.frame import NO_CONNECTION, Frame
from recorder.okx.interpreter import Interpreter

FRAME_BYTES = 208
"""Memory of a frame beside its payload's bytes."""

TOLD_MAX = 5
"""How often a person is told of the same thing."""

_RESUME_SHARE = 8  # an episode ends when only this part of the lane is still full
_RESUME_SPACING = 1 * NS_PER_SECOND
_SAVING_SHARE = 50  # saving the state of many books takes tens of ms: at most this part of the time


class Resume(msgspec.Struct, frozen=True):
    """An episode that is over, and the interpreter's state after it; None at the end."""

    lost: Lost
    state: bytes | None


Item: TypeAlias = Sequence[Frame] | Resume
"""What a consumer takes out; None says that nothing more comes."""


class _Episode(msgspec.Struct):
    """What a consumer misses."""

    first_seq: int
    last_seq: int = 0
    ts_recv: int = 0
    count: int = 0
    bytes: int = 0

    def add(self, frames: Sequence[Frame]) -> None:
        self.last_seq, self.ts_recv = frames[-1].seq, frames[-1].ts_recv
        self.count += len(frames)
        self.bytes += sum(len(frame.payload) for frame in frames)


class Lane:
    """One consumer's lane.

    Args:
        put: hands an item to the consumer, None at the end; never blocks.
        queue_bytes: memory of the frames that may wait.
        who: the consumer in a word; its losses have the cause `WHO too slow`.
        solace: what becomes of the frames it misses, in words.

    Attributes:
        lost: frames the consumer did not and will not see. words: told to a person, by and by.
        taken, taken_bytes: what the consumer has worked off; it counts (`took`).
        is_dead: it takes no more, and nothing goes in. is_silent: nobody is told of losses.
    """

    def __init__(
        self,
        put: Callable[[Item | None], object],
        *,
        queue_bytes: int,
        who: str,
        solace: str,
    ) -> None:
        self.lost = 0
        self.words: deque[str] = deque(maxlen=2 * TOLD_MAX)
        self.taken = self.taken_bytes = 0
        self.is_dead = self.is_silent = False
        self._put_item = put
        self._queue_bytes = queue_bytes
        self._who = who
        self._solace = solace
        self._offered_bytes = self._offered = self._episodes = 0
        self._episode: _Episode | None = None
        self._resume_from = 0
        self._is_finished = False

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames offered and not worked off yet."""
        return self._offered_bytes - self.taken_bytes

    @property
    def waiting(self) -> int:
        """Frames offered and not worked off yet."""
        return self._offered - self.taken

    def offer(self, frames: Sequence[Frame], live: Interpreter) -> None:
        """Hand frames over, or drop them where there is no room; never blocks.

        Args:
            frames: the next ones, in order.
            live: an interpreter that has seen everything before them, and none of them.
        """
        size = size_of(frames)
        if self._episode is None:
            if self._has_room(size):
                self._put(frames, size)
                return
            self._begin_episode(frames[0])
        elif self._may_resume():
            began = time.monotonic_ns()
            self._end_episode(live.save())
            ended = time.monotonic_ns()
            self._resume_from = ended + max(_RESUME_SPACING, _SAVING_SHARE * (ended - began))
            self._put(frames, size)
            return
        assert self._episode is not None  # noqa: S101  # narrows for mypy
        self._episode.add(frames)
        self.lost += len(frames)

    def take_words(self) -> list[str]:
        """Return what a person should be told since the last call, one sentence each."""
        words = []
        while self.words:
            words.append(self.words.popleft())
        return words

    def finish(self) -> None:
        """Say that nothing more will be offered; the consumer goes on with what waits."""
        if not self._is_finished:
            self._is_finished = True
            if self._episode is not None:
                self._end_episode(None)
            self._put_item(None)

    def took(self, frame: Frame) -> None:
        """Note that the consumer is done with a frame."""
        self.taken += 1
        self.taken_bytes += len(frame.payload) + FRAME_BYTES

    # --- internals -------------------------------------------------------------------------

    def _has_room(self, size: int) -> bool:
        waiting = self.waiting_bytes
        return not self.is_dead and (waiting == 0 or waiting + size <= self._queue_bytes)

    def _may_resume(self) -> bool:
        if self.is_dead or self.waiting_bytes > self._queue_bytes // _RESUME_SHARE:
            return False
        return time.monotonic_ns() >= self._resume_from

    def _put(self, frames: Sequence[Frame], size: int) -> None:
        self._offered_bytes += size
        self._offered += len(frames)
        self._put_item(frames)

    def _begin_episode(self, frame: Frame) -> None:
        self._episode = _Episode(frame.seq)
        self._episodes += 1
        if self._episodes <= TOLD_MAX and not self.is_dead and not self.is_silent:
            self.words.append(
                f"warning: the {self._who} is too slow: from seq {frame.seq} on it misses frames "
                f"until it has caught up; {self._solace}"
            )

    def _end_episode(self, state: bytes | None) -> None:
        missed, self._episode = self._episode, None
        if missed is not None:
            lost = Lost(
                missed.last_seq, 0, missed.ts_recv, NO_CONNECTION, missed.first_seq,
                missed.last_seq, missed.count, missed.bytes, f"{self._who} too slow",
            )  # fmt: skip
            self._put_item(Resume(lost, state))


def size_of(frames: Sequence[Frame]) -> int:
    """Return the memory that frames take, in bytes."""
    return sum(len(frame.payload) for frame in frames) + FRAME_BYTES * len(frames)
