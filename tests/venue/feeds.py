"""What a venue pushes: a seeded market in real time, or the pushes of a capture."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from typing import Protocol

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from recorder.okx.served import push_of
from recorder.okx.subscription import Subscription, parse_subscription
from replay.market.instruments import DEFAULT_INSTRUMENTS, instrument_of, rest_body
from replay.market.venue import Venue as Market
from tests.venue.account import AccountFeed

Emit = Callable[[bytes], None]


class Feed(Protocol):
    """A source of pushes in data time."""

    def arguments(self) -> list[Subscription]:
        """Everything it pushes."""

    def begin(self, now_ns: int, emit: Emit) -> None:
        """Make the first push of every argument, so that there is a state to join."""

    def advance(self, now_ns: int, emit: Emit) -> int | None:
        """Make every push that is due; return when the next one is, None: never."""

    def restart(self, instrument: str | None, now_ns: int) -> None:
        """Count the updates of a book anew from a low number, if that can be done."""

    def instruments(self, kind: str) -> bytes | None:
        """Return the REST body that lists instruments of a type, None: unknown."""


class MarketFeed:
    """A seeded market, and an account that trades in it.

    Args:
        seed: decides everything but the moments.
        instruments: what is traded.
        rate: order activity against the default; 1 is a few hundred pushes a second.
        account: whether the private channels are served as well.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
        rate: float = 1.0,
        account: bool = True,
    ) -> None:
        self._listed = [instrument_of(name) for name in instruments]
        self._seed, self._rate = seed, rate
        self._emit: Emit = lambda payload: None
        self._market = self._make(0)
        self._heap: list[tuple[int, int, Callable[[int], int]]] = []
        self._account = AccountFeed(seed, list(instruments)) if account else None

    def arguments(self) -> list[Subscription]:
        found = [
            Subscription(channel, (("instId", name),)) for channel, name in self._market.channels()
        ]
        return found + ([] if self._account is None else self._account.arguments())

    def begin(self, now_ns: int, emit: Emit) -> None:
        self._emit = emit
        self._market = self._make(now_ns)
        for channel, name in self._market.channels():
            self._market.source(channel, name).start(channel, now_ns)
        actors = self._market.actors()
        self._heap = [(at, rank, actor) for rank, (at, actor) in enumerate(actors)]
        if self._account is not None:
            self._account.begin(now_ns, emit)
            account = self._account
            self._heap.append((now_ns, 10_000, lambda now: account.act(now, self._emit)))
        heapq.heapify(self._heap)

    def advance(self, now_ns: int, emit: Emit) -> int | None:
        self._emit = emit
        heap = self._heap
        while heap[0][0] <= now_ns:
            at, rank, actor = heap[0]
            heapq.heapreplace(heap, (actor(at), rank, actor))
        return heap[0][0]

    def restart(self, instrument: str | None, now_ns: int) -> None:
        name = instrument or next(iter(self._market.markets))
        self._market.markets[name].feed.restart_sequence(now_ns)

    def instruments(self, kind: str) -> bytes | None:
        return rest_body([item for item in self._listed if item.type == kind])

    def _make(self, start_ns: int) -> Market:
        return Market(
            self._listed,
            lambda channel, text: self._emit(text.encode()),
            seed=self._seed,
            rate=round(self._rate * 1_000),
            start_ns=start_ns,
        )


class CaptureFeed:
    """The pushes of a capture, in order, at their distances in time; begun again at the end.

    Books start with a recorded snapshot, so a capture of one session serves as it is.
    """

    def __init__(self, path: str | PathLike[str] | Capture, *, speed: float = 1.0) -> None:
        self._capture = path if isinstance(path, Capture) else Capture(path)
        self._speed = speed
        self._arguments = list(
            dict.fromkeys(push.key for frame in self._frames() if (push := push_of(frame.payload)))
        )
        self._pending: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        self._shift = 0
        self._origin = 0

    def arguments(self) -> list[Subscription]:
        return self._arguments

    def begin(self, now_ns: int, emit: Emit) -> None:
        self._pending = self._frames()
        self._next = next(self._pending, None)
        self._shift = now_ns
        self._origin = 0 if self._next is None else self._next.ts_mono

    def advance(self, now_ns: int, emit: Emit) -> int | None:
        while self._next is not None and self._due(self._next) <= now_ns:
            if push_of(self._next.payload) is not None:
                emit(self._next.payload)
            self._next = next(self._pending, None)
        if self._next is None and self._arguments:
            self.begin(now_ns + NS_PER_SECOND // 10, emit)
        return None if self._next is None else self._due(self._next)

    def restart(self, instrument: str | None, now_ns: int) -> None:
        """A recording cannot be renumbered."""

    def instruments(self, kind: str) -> bytes | None:
        return None

    def _due(self, frame: Frame) -> int:
        return self._shift + round((frame.ts_mono - self._origin) / self._speed)

    def _frames(self) -> Iterator[Frame]:
        return self._capture.frames(kinds=(Kind.TEXT,))


class QuietFeed:
    """Nothing by itself: a test pushes with `Venue.push`."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = [parse_subscription(text).key for text in arguments]

    def arguments(self) -> list[Subscription]:
        return self._arguments

    def begin(self, now_ns: int, emit: Emit) -> None:
        """Nothing is known yet."""

    def advance(self, now_ns: int, emit: Emit) -> int | None:
        return None

    def restart(self, instrument: str | None, now_ns: int) -> None:
        """There is no book."""

    def instruments(self, kind: str) -> bytes | None:
        return None
