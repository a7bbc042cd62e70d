"""Witness: one way to get events out of a capture, so that ways can be held against each other.

Responsible for the ways there are in this process (read, streamed, played at any speed, steered,
begun in the middle), each as digests of its blocks and, where they differ, as the frames and events
of one block. Refuses to compare: `proving.proof` does. Other processes: `proving.surroundings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from recorder.capture.digest import BLOCK_SHIFT, BlockDigest, PartDigests, fold, record_runs
from recorder.capture.reader import Capture, ReadReport
from recorder.errors import CheckFailed
from recorder.event import Event, encode_event
from recorder.frame import Frame, encode_record
from recorder.okx.interpreter import Interpreter
from recorder.strategy import Context
from replay.controls import Controls
from replay.player import play

FAST = Fraction(10) ** 9
"""A speed at which every frame is late, and so paced without ever being waited for."""

_STEER_EVERY = 1000


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What is proved: `ts_recv` bounds as in `Capture.frames`, ns, and the seqs they come to.

    Attributes:
        first_seq, last_seq: inclusive; last_seq is below first_seq where there is no frame.
    """

    start: int | None
    end: int | None
    first_seq: int
    last_seq: int


class Blocks(msgspec.Struct, kw_only=True):
    """What a witness saw, as digests; None where it cannot tell.

    Attributes:
        frames, events: digest of each block. input_digest, output_digest: of everything.
    """

    frames: list[BlockDigest] | None = None
    events: list[BlockDigest] | None = None
    input_digest: str | None = None
    output_digest: str | None = None


class Witness(Protocol):
    """One way to the events of a capture."""

    name: str

    def blocks(self) -> Blocks:
        """Go through all of it."""

    def frames(self, first_seq: int, last_seq: int) -> Iterable[Frame] | None:
        """Give the frames of a range, inclusive; None: they are nobody else's."""

    def events(self, first_seq: int, last_seq: int) -> Iterable[Event | bytes] | None:
        """Give the events of a range in the way that is witnessed; None: it cannot."""


class EventBlocks:
    """Digests of events, block by block."""

    def __init__(self) -> None:
        self._parts = PartDigests()

    def add(self, events: Iterable[Event]) -> None:
        """Add events in order."""
        for event in events:
            self._parts.update(event.seq >> BLOCK_SHIFT, 1, encode_event(event) + b"\n")

    def add_encoded(self, seq: int, count: int, lines: bytes) -> None:
        """Add the events of one frame as JSON lines."""
        if count:
            self._parts.update(seq >> BLOCK_SHIFT, count, lines)

    def blocks(self) -> list[BlockDigest]:
        """Return what was added; call once, at the end."""
        return self._parts.blocks()


class Look(Protocol):
    """Somebody who is told what a reading comes across."""

    def __call__(
        self, frame: Frame, channel: str | None, events: list[Event], lines: bytes
    ) -> object:
        """See a frame, its channel and its events, these as JSON lines too."""


class Reading:
    """Frames read in order, through an interpreter that has seen everything before them.

    The one the others are held against: it uses no checkpoint where the window begins with the
    capture's first frame.

    Args:
        channel: give the events of this one only. look: told everything by `blocks`.
    """

    def __init__(
        self,
        capture: Capture,
        window: Window,
        *,
        channel: str | None = None,
        look: Look | None = None,
    ) -> None:
        self.name = "read from the beginning"
        self._capture = capture
        self._window = window
        self._channel = channel
        self._look = look

    def _steps(self, last_seq: int) -> Iterator[tuple[Frame, str | None, list[Event]]]:
        first_seq = self._window.first_seq
        state = Interpreter()
        if first_seq > 0:
            state = self._capture.interpreter_before(first_seq, report=ReadReport())
        step = state.step
        for batch in self._capture.batches(
            first_seq=first_seq, last_seq=last_seq, report=ReadReport()
        ):
            for frame, channel in zip(batch.frames(), batch.channel, strict=True):
                yield frame, channel, step(frame)

    def blocks(self) -> Blocks:
        """Read and interpret all of it."""
        frames, events, look = PartDigests(), EventBlocks(), self._look
        for frame, channel, found in self._steps(self._window.last_seq):
            frames.update(frame.seq >> BLOCK_SHIFT, 1, encode_record(frame))
            lines = b"".join([encode_event(event) + b"\n" for event in found])
            if self._channel is None or channel == self._channel:
                events.add_encoded(frame.seq, len(found), lines)
            if look is not None:
                look(frame, channel, found, lines)
        return whole(frames.blocks(), events.blocks())

    def frames(self, first_seq: int, last_seq: int) -> Iterable[Frame]:
        """Read a range."""
        return _frames(self._capture, self._window, first_seq, last_seq)

    def events(self, first_seq: int, last_seq: int) -> Iterator[Event]:
        """Interpret from the beginning up to there."""
        for frame, channel, found in self._steps(min(last_seq, self._window.last_seq)):
            if frame.seq >= first_seq and (self._channel is None or channel == self._channel):
                yield from found


class Streaming:
    """`Capture.events`, from any frame on: the state comes from the nearest checkpoint.

    Args:
        channel: only of this one. is_other: the frames are not those of the first witness.
    """

    def __init__(
        self,
        name: str,
        capture: Capture,
        window: Window,
        *,
        channel: str | None = None,
        is_other: bool = False,
    ) -> None:
        self.name = name
        self._capture = capture
        self._window = window
        self._channels = None if channel is None else [channel]
        self._is_other = is_other

    def blocks(self) -> Blocks:
        """Stream all of it."""
        events = EventBlocks()
        window = self._window
        events.add(self.events(window.first_seq, window.last_seq))
        if not self._is_other:
            return whole(None, events.blocks())
        frames = PartDigests()
        for first, count, records in record_runs(self.frames(window.first_seq, window.last_seq)):
            frames.update(first >> BLOCK_SHIFT, count, records)
        return whole(frames.blocks(), events.blocks())

    def frames(self, first_seq: int, last_seq: int) -> Iterable[Frame]:
        """Read a range."""
        return _frames(self._capture, self._window, first_seq, last_seq)

    def events(self, first_seq: int, last_seq: int) -> Iterator[Event]:
        """Stream from where the window begins, and give those of a range."""
        last_seq = min(last_seq, self._window.last_seq)
        for event in self._capture.events(
            first_seq=self._window.first_seq,
            last_seq=last_seq,
            channels=self._channels,
            report=ReadReport(),
        ):
            if event.seq >= first_seq:
                yield event


class Playing:
    """What a strategy is given by `play`.

    Args:
        speed: as for `play`. number: of prices and sizes. channel: only of this one.
        is_steered: pause, resume, change the speed and seek back to the beginning on the way.
    """

    def __init__(
        self,
        name: str,
        capture: Capture,
        window: Window,
        *,
        speed: str | Fraction = "max",
        number: type = float,
        channel: str | None = None,
        is_steered: bool = False,
    ) -> None:
        self.name = name
        self._capture = capture
        self._window = window
        self._speed = speed
        self._number = number
        self._channels = None if channel is None else [channel]
        self._is_steered = is_steered

    def blocks(self) -> Blocks:
        """Play all of it."""
        seen = _Seen(EventBlocks)
        report = self._play(seen)
        if self._number is not float:
            return Blocks(input_digest=report[0], output_digest=report[1])
        found = whole(None, seen.sink.blocks())
        found.input_digest = report[0]
        if report[1] != found.output_digest:
            raise CheckFailed(
                f"expected `play` to report the digest of the events that it delivers "
                f"({self.name}), received another one; this is a fault of the program"
            )
        return found

    def _play(self, seen: _Seen[Any]) -> tuple[str | None, str | None]:
        controls = Controls() if self._is_steered else None
        if controls is not None:
            seen.steer = controls
        report = play(
            self._capture,
            seen,
            speed=self._speed,
            start=self._window.start,
            end=self._window.end,
            channels=self._channels,
            number=self._number,
            digest=True,
            controls=controls,
        )
        return report.input_digest, report.output_digest

    def frames(self, first_seq: int, last_seq: int) -> None:
        """The frames are those of every reader."""

    def events(self, first_seq: int, last_seq: int) -> Iterable[Event] | None:
        """Play all of it again, and keep what falls into a range."""
        if self._number is not float:
            return None
        seen = _Seen(lambda: _Kept(first_seq, last_seq))
        self._play(seen)
        return list(seen.sink.kept)


class _Sink(Protocol):
    def add(self, events: Iterable[Event]) -> None: ...


S = TypeVar("S", bound=_Sink)


class _Kept:
    """The events of one block, which bounds them."""

    def __init__(self, first_seq: int, last_seq: int) -> None:
        self.kept: list[Event] = []
        self._range = range(first_seq, last_seq + 1)

    def add(self, events: Iterable[Event]) -> None:
        self.kept += [event for event in events if event.seq in self._range]


class _Seen(Generic[S]):
    """A strategy that hands on what it is given; begins anew where the replay does."""

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self.sink = make()
        self.steer: Controls | None = None
        self._restarts = 0
        self._count = 0

    def on_event(self, event: Event, context: Context) -> None:
        restarts = getattr(context, "restarts", 0)
        if restarts != self._restarts:
            self._restarts, self.sink = restarts, self._make()
        self.sink.add((event,))
        self._count += 1
        if self.steer is not None and self._count % _STEER_EVERY == 0:
            self._obstruct(self.steer, event)

    def _obstruct(self, controls: Controls, event: Event) -> None:
        turn = self._count // _STEER_EVERY
        if turn == 2:
            controls.seek(0)
        elif turn % 2:
            controls.pause()
            controls.resume()
        else:
            controls.change_speed(FAST * turn)


def _frames(capture: Capture, window: Window, first_seq: int, last_seq: int) -> Iterable[Frame]:
    return capture.frames(
        first_seq=max(first_seq, window.first_seq),
        last_seq=min(last_seq, window.last_seq),
        report=ReadReport(),
    )


def whole(frames: list[BlockDigest] | None, events: list[BlockDigest]) -> Blocks:
    """Return blocks with the digests of everything."""
    return Blocks(
        frames=frames,
        events=events,
        input_digest=None if frames is None else fold(frames),
        output_digest=fold(events),
    )
