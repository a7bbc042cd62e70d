"""Outlets: sinks that a replay feeds, the same ones a recording does (docs/sinks.md).

Responsible for giving each sink what it lacks of what is played: a whole capture moves its
position, so that a second time adds nothing; a part of one, or one with jumps, is merged into what
is there. Refuses to pace: where a sink is slow, the replay waits for it.

    with Outlets("captures/btc", ["timescale:postgresql://me@db/market"]) as outlets:
        play("captures/btc", [strategy, outlets])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Any

from recorder.book import Books
from recorder.capture.reading.resume import capture_key, resume
from recorder.errors import SinkDown
from recorder.event import Event
from recorder.sinks import Missed, Position, Record
from recorder.sinks.addresses import parse_address, sink_of
from recorder.sinks.runner import INDEX_MAX, Counts, Runner, earliest, sentence
from replay.source import Named, captures_of

PATIENCE_S = 60.0
"""How long a sink that was reached may fail before the replay gives up."""

EXPIRED = "expired before it was fed"
_TOGETHER = 512


class Outlets:
    """Sinks of one replay, to be played into as a strategy is.

    Args:
        captures: those that are played, in the same order.
        addresses: of the sinks; each gets every capture.
        is_whole: every frame of them is played, from the first one on.
        at_once: hand over event by event: something is looked at while it is played slowly.
        tell: told one sentence when a person should know something.
    """

    def __init__(
        self,
        captures: Named | Sequence[Named],
        addresses: Sequence[str],
        *,
        is_whole: bool = True,
        at_once: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        opened = captures_of(captures)
        self._lanes: list[list[_Lane]] = [[] for _ in opened]
        try:
            for rank, capture in enumerate(opened):
                for address in dict.fromkeys(addresses):
                    lane = _Lane(address, capture_key(capture), at_once=at_once, tell=tell)
                    self._lanes[rank].append(lane)
                    lane.begin(capture, is_whole=is_whole)
        except BaseException:
            self.leave()
            raise

    def __enter__(self) -> Outlets:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.leave()

    def on_event(self, event: Event, context: Any) -> None:
        """Hand over one event of a replay."""
        rank = context.source
        for lane in self._lanes[rank]:
            if context.restarts:
                lane.runner.is_partial = True  # there was a jump: what is played has a hole
            lane.take(event, context.books_of[rank])

    def finish(self) -> list[tuple[str, Counts]]:
        """Wait until every sink has everything; return how each did, by its address.

        Raises:
            SinkDown, SinkRefused: one gave up.
        """
        try:
            for lane in self._all:
                lane.finish()
        finally:
            self.leave()
        return self.counts

    @property
    def counts(self) -> list[tuple[str, Counts]]:
        """How each sink is doing, by its address without what is secret."""
        return [(lane.name, lane.runner.counts) for lane in self._all]

    def leave(self) -> None:
        """Let go of what waits."""
        for lane in self._all:
            lane.runner.leave()

    @property
    def _all(self) -> list[_Lane]:
        return [lane for lanes in self._lanes for lane in lanes]


class _Lane:
    """One sink and one capture."""

    def __init__(
        self, address: str, capture: str, *, at_once: bool, tell: Callable[[str], None]
    ) -> None:
        parsed = parse_address(address)
        self.name = parsed.masked
        self.runner = Runner(
            sink_of(address),
            capture,
            monotonic=monotonic,
            tell=lambda words: tell(sentence(self.name, words)),
            scrub=parsed.scrub,
            patience=PATIENCE_S,
        )
        self._together = 1 if at_once else _TOGETHER
        self._stands: Position | None = None
        self._records: list[Record] = []
        self._taken = 0
        self._last: Event | None = None

    def begin(self, capture: Any, *, is_whole: bool) -> None:
        """Look where the sink stands; a part of a capture leaves that as it is."""
        self.runner.is_partial = not is_whole
        begin = resume(capture, self.runner.open())
        if begin.is_torn and not begin.is_short:  # of an earlier copy, the sink has it all
            frame = begin.last_common
            self.runner.rewind(
                None if frame is None else Position(frame.seq, INDEX_MAX, frame.ts_recv)
            )
            begin = resume(capture, self.runner.open())
        self._stands = earliest(self.runner.open())
        if begin.missed is not None and is_whole:
            first_seq, last_seq, ts_recv = begin.missed
            self.runner.counts.missed += last_seq - first_seq + 1
            self._records.append(Missed(last_seq, 0, ts_recv, first_seq, last_seq, EXPIRED))

    def take(self, event: Event, books: Books) -> None:
        self.runner.chosen((event,), books, self._records)
        self._last = event
        self._taken += 1
        if self._taken >= self._together:
            self._push()

    def finish(self) -> None:
        self._push()
        if not self.runner.settle() or not self.runner.finish(PATIENCE_S):
            self._went_back()

    def _push(self) -> None:
        records, last, stands = self._records, self._last, self._stands
        self._records, self._taken = [], 0
        if last is None:
            return
        if stands is not None:
            records = [item for item in records if not stands.has(item.seq, item.index)]
            if stands.has(last.seq, last.index):
                return
        if not self.runner.put(records, Position(last.seq, last.index, last.ts_recv)):
            self._went_back()

    def _went_back(self) -> None:
        raise SinkDown(
            f"expected {self.name} to keep what it had, but it stands earlier than before; play "
            f"again: it is given what it lacks"
        )
