"""Playing: one run of `play`, from its first frame to its report.

Responsible for where a replay begins, goes on and ends (seeks, loops, recorders it follows), for
its pace and for what it tells meanwhile. Refuses to open captures (`streams` does) and to hand
frames over (`passage` does).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns, sleep

from recorder.capture.reading.follow import Patience
from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.event import EVENT_TYPES, Event
from recorder.frame import Frame
from recorder.okx.faults.log import together
from recorder.strategy import Adapted, adapt
from replay.controls import Controls
from replay.feed import Wanted
from replay.lateness import Lateness
from replay.pace import Pace
from replay.pacer import Pacer
from replay.passage import Passage, rare_collections
from replay.play_report import PlayReport, Progress
from replay.source import Source
from replay.steering import Steering
from replay.streams import Streams

_PROGRESS_NS = 100 * NS_PER_MS


class Replay:
    """One run of `play`: its state, so that the loops can be small."""

    def __init__(
        self,
        sources: list[Source],
        strategy: object | None,
        pace: Pace,
        wanted: Wanted,
        *,
        max_gap: int | None,
        loop: int | None,
        follow: bool,
        lateness: Lateness | None,
        controls: Controls | None,
        on_progress: Callable[[Progress], object] | None,
        with_digest: bool,
    ) -> None:
        self.sources = sources
        self.pace = pace
        self.wanted = wanted
        self.on_progress = on_progress
        self.with_digest = with_digest
        self.types: dict[type[Event], int] = {}
        self.strategy: Adapted = adapt(self._count if strategy is None else strategy)
        self.lateness = lateness
        self.pacer = Pacer(
            pace.speed,
            max_gap=max_gap,
            rate=pace.rate,
            is_merged=len(sources) > 1,
            lateness=lateness,
            sleep=self._nap,
        )
        self.steering: Steering | None = None
        if controls is not None:
            self.steering = Steering(controls, self.pacer.schedule, show=self._show)
            if pace.stepwise:
                self.steering.stand_still()
        self.is_paced = pace.speed is not None or self.steering is not None
        self.is_plain = not (self.is_paced or wanted.is_filtered)
        self.streams = Streams(sources, follow=follow, at_full_speed=self.is_plain and not follow)
        self.patience = Patience()
        self.is_live = False
        self.timers_fired = 0
        self.timers_left = 0
        self._times_left = loop
        self._restarts = -1
        self._last: Frame | None = None
        self._next: Frame | None = None  # the first one of all, or after a seek
        self._shown = 0
        self._passage: Passage | None = None

    def run(self) -> PlayReport:
        """Play all of it, as often as asked for, from wherever it is sent."""
        began = monotonic_ns()
        start = self.wanted.start
        with rare_collections():
            while True:
                played = self._play_from(start)
                if self.steering is not None:
                    if self.steering.is_stopped:
                        break
                    target = self.steering.take_target()
                    if target is not None:
                        start = max(target, self.wanted.start or target)
                        continue
                if self._times_left is not None:
                    self._times_left -= 1
                if not played or self._times_left == 0:
                    break
                start = self.wanted.start
            if self._passage is not None:
                self._passage.end(self.strategy.stop)
        return self._report((monotonic_ns() - began) / NS_PER_SECOND)

    def _play_from(self, start: int | None) -> bool:
        """Play from a time on, until the end or until sent elsewhere; tell whether any was there.

        The digests are of what was played since the last such beginning.
        """
        wanted = self.wanted._replace(start=start)
        self.is_live = False
        parts = self.streams.open(wanted, self._idle)
        if parts is None:
            return False
        self._last, self._next = None, self.streams.first
        self._restarts += 1
        passage = Passage(
            self.sources,
            self.strategy.handle,
            is_filtered=wanted.is_filtered,
            restarts=self._restarts,
        )
        if self._next is not None:
            passage.begin(self.strategy.start, self._next.ts_recv)
        schedule = self.pacer.schedule
        schedule.seek()
        if self.pace.speed is None and self._next is not None:
            schedule.due(self._next, monotonic_ns())
        for frames, ranks in parts:
            if self.steering is not None and self.steering.is_leaving:
                break
            if frames:
                self.patience.news()
                self._play(passage, frames, ranks)
            else:
                self._idle()
        self.timers_fired += passage.context.timers.fired
        self.timers_left = passage.context.timers.left
        self._passage = passage
        return True

    def _play(self, passage: Passage, frames: list[Frame], ranks: list[int] | None) -> None:
        is_paced = self.is_paced
        if self.is_plain and ranks is None:
            (passage.play_digesting if self.with_digest else passage.play_all)(frames)
        elif self.is_plain and ranks is not None and not self.with_digest:
            passage.play_merged(frames, ranks)
        else:
            seen = passage.play_each(
                frames,
                ranks,
                turn=self._turn() if is_paced else None,
                look=self._look if self.on_progress is not None and is_paced else None,
            )
            frames = frames[:seen]
        if not frames:
            return
        if ranks is not None:
            self.streams.order.update(bytes(ranks[: len(frames)]))
        if not is_paced:
            self._account(frames)
        elif self.steering is not None:
            self.steering.catch_up()
        self._last = frames[-1]
        self._show(monotonic_ns())

    def _turn(self) -> Callable[[Frame], bool]:
        """Return what waits for a frame's turn."""
        return self.pacer.wait if self.steering is None else self.steering.take_turn

    def _idle(self) -> bool:
        """Wait a little for what a recorder writes next; tell whether to go on waiting."""
        self.is_live = True
        self.pacer.schedule.starve()
        seconds = self.patience.grow()
        if self.steering is None:
            sleep(seconds)
        else:
            self.steering.rest(seconds)
        self._show(monotonic_ns())
        return self.steering is None or not self.steering.is_leaving

    def _account(self, chunk: list[Frame]) -> None:
        """Let the schedule of a replay at max know how much data time has passed."""
        schedule, now = self.pacer.schedule, monotonic_ns()
        first, last = self._last or chunk[0], chunk[-1]
        mono, wall = last.ts_mono - first.ts_mono, last.ts_recv - first.ts_recv
        # Where both clocks agree it does not matter whether a run began in between; and of merged
        # sources only the latest receive time counts.
        agrees = self._last and abs(mono - wall) < 100 * NS_PER_MS
        for frame in [last] if agrees or len(self.sources) > 1 else chunk:
            schedule.due(frame, now)
        schedule.sent(now)

    def _count(self, event: Event, _context: object) -> None:
        kind = type(event)
        self.types[kind] = self.types.get(kind, 0) + 1

    def _nap(self, seconds: float) -> None:
        """Sleep, but not longer than a person waits for a sign of life."""
        sleep(min(seconds, _PROGRESS_NS / NS_PER_SECOND))
        self._show(monotonic_ns())

    def _look(self, frame: Frame) -> None:
        self._last = frame
        self._show(monotonic_ns())

    def _show(self, now: int) -> None:
        frame = self._last or self._next
        if self.on_progress is None or now - self._shown < _PROGRESS_NS or frame is None:
            return
        self._shown = now
        schedule = self.pacer.schedule
        self.on_progress(
            Progress(
                frame.seq,
                frame.ts_recv + schedule.waited(now),
                sum(source.frames for source in self.sources),
                sum(source.events for source in self.sources),
                schedule.achieved_speed(now),
                is_paused=schedule.is_paused,
                speed=schedule.speed,
                lag=schedule.lag,
                is_live=self.is_live,
            )
        )

    def _report(self, seconds: float) -> PlayReport:
        sources = self.streams.summaries()
        injected = [source.faults for source in sources if source.faults is not None]
        return PlayReport(
            frames=sum(source.frames for source in sources),
            events=sum(source.events for source in sources),
            seconds=seconds,
            requested_speed=self.pace.label,
            achieved_speed=self.pacer.achieved_speed(),
            max_lag_ms=self.pacer.schedule.max_lag / NS_PER_MS,
            input_digest=self.streams.digest([source.input_digest for source in sources]),
            output_digest=self.streams.digest([source.output_digest for source in sources]),
            types={kind.__name__: self.types[kind] for kind in EVENT_TYPES if kind in self.types},
            restarts=max(self._restarts, 0),
            lost_rows=sum(source.lost_rows for source in sources),
            torn_tail=any(source.torn_tail for source in sources),
            problems=[problem for source in sources for problem in source.problems],
            sources=sources,
            timers_fired=self.timers_fired,
            timers_left=self.timers_left,
            lateness=None if self.lateness is None else self.lateness.report(),
            faults=together(injected) if injected else None,
        )
