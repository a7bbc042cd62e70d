"""Books: streams of updates, each of which means something behind its predecessor only.

Responsible for the order of what is delivered: what must wait, for how long, and what comes too
late. Refuses to apply updates to anything: `okx.chains` does.

`Numbered`: updates name their predecessor (prevSeqId); each is delivered when that has been.
`Timed`, the same before 2023, without numbers: in order of venue time, each as soon as every link
has shown that it has nothing earlier. Both wait at most `HOLE_NS` of data time.
"""

from __future__ import annotations

from collections.abc import Callable

from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame
from recorder.okx.election.links import Group, Link
from recorder.okx.election.memory import Occurrence
from recorder.okx.election.streams import Held, Latest, Plain, StreamState, Told, key_of, told_by

HOLE_NS = 2 * NS_PER_SECOND
"""How long what follows a hole waits for it to be filled, in data time."""

HELD_MAX = 4096
"""Most pushes that wait in one stream; the next one ends the waiting."""

BEYOND = 4
"""Pushes behind a hole that each of several links must have brought to be beyond it."""

_FIRST, _BEGINS = -2, -1  # serials of what a fresh snapshot goes past, and of that snapshot

IsWhole = Callable[[int, str, str], bool]
"""Whether the merged book of (connection, channel, instrument) can take updates."""


class Chained(Plain):
    """A stream of updates: what the two ways to order them have in common."""

    def __init__(
        self, group: Group, channel: str, instrument: str, argument: bytes, is_whole: IsWhole
    ) -> None:
        super().__init__(group, channel, instrument, argument)
        self._is_whole = is_whole
        self._last: int | None = None
        self._last_ts: int | None = None
        self._is_broken = False
        self._serial = 0
        self._held: list[Held] = []

    @property
    def waiting(self) -> int:
        return len(self._held)

    def take(self, frame: Frame, link: Link) -> list[Frame]:
        if not self._held or self.holders:
            return self._take(frame, link)
        # Every link that brought these is gone: what could not follow then never will.
        orphans = [self._out(frame, held.payload) for held in sorted(self._held, key=_place)]
        self._held = []
        return orphans + self._take(frame, link)

    def end(self, link: Link) -> None:
        super().end(link)
        if not self.holders:
            # A book that has stood still begins with bytes that were brought before: no copy.
            self.memory.clear()
            self._last = self._last_ts = None
            self._is_broken = False

    def _take(self, frame: Frame, link: Link) -> list[Frame]:
        now = frame.ts_mono
        self.memory.pass_time(now)
        told = told_by(frame.payload)
        if told is None or not self._is_placed(told):
            return super().take(frame, link)
        occurrence = self._brings(link, self._key(told, frame.payload), now, told.ts)
        if occurrence is not None:
            if self._is_next(told):
                return [self._out(frame, frame.payload)]
            held = self._hold(told, frame, occurrence)
            if held is not None:
                self._held.append(held)
                self._serial += 1
            elif not told.is_snapshot:
                link.tally.late += 1
        return self._release(frame) if self._held else []

    def save(self) -> StreamState:
        saved = super().save()
        saved.last, saved.last_ts = self._last, self._last_ts
        saved.is_broken, saved.serial, saved.held = self._is_broken, self._serial, self._held
        return saved

    def restore(self, saved: StreamState) -> None:
        super().restore(saved)
        self._last, self._last_ts = saved.last, saved.last_ts
        self._is_broken, self._serial = saved.is_broken, saved.serial
        self._held = saved.held
        for held in self._held:
            held.occurrence = self.memory.known(held.occurrence)

    def _begins(self) -> bool:
        """Say whether any snapshot is welcome: there is no whole book to go on with."""
        if self._last_ts is None or self._is_broken:
            return True
        return not self._is_whole(self.group.connection, self.channel, self.instrument)

    def _has_waited(self, now: int) -> bool:
        held = self._held
        return now - held[0].arrived >= HOLE_NS or len(held) > HELD_MAX

    def _is_next(self, told: Told) -> bool:
        """Take what follows what was delivered last, where nothing waits: nearly always."""
        return False

    # What the two kinds decide.

    def _is_placed(self, told: Told) -> bool:
        raise NotImplementedError

    def _key(self, told: Told, payload: bytes) -> bytes:
        raise NotImplementedError

    def _hold(self, told: Told, frame: Frame, occurrence: Occurrence) -> Held | None:
        raise NotImplementedError

    def _release(self, frame: Frame) -> list[Frame]:
        raise NotImplementedError


class Numbered(Chained):
    """Updates that name their predecessor."""

    kind = "numbered"

    def _is_placed(self, told: Told) -> bool:
        return told.seq_id is not None and (told.is_snapshot or told.prev_seq_id is not None)

    def _is_next(self, told: Told) -> bool:
        if self._held or told.is_snapshot or told.prev_seq_id != self._last:
            return False
        self._last, self._last_ts = told.seq_id, told.ts
        return True

    def _key(self, told: Told, payload: bytes) -> bytes:
        prev = -1 if told.is_snapshot else told.prev_seq_id
        return b"%d %d" % (told.seq_id or 0, prev or 0)

    def _hold(self, told: Told, frame: Frame, occurrence: Occurrence) -> Held | None:
        number, last = told.seq_id or 0, self._last
        position = number if told.is_snapshot else told.prev_seq_id or 0
        held = Held(
            position, number, self._serial, told.is_snapshot, told.ts, frame.ts_mono,
            frame.payload, occurrence,
        )  # fmt: skip
        if told.is_snapshot:
            if self._begins():
                return self._begin_with(held, told.ts)
            restarted = last is not None and number < last and told.ts > (self._last_ts or 0)
            if restarted:  # the venue numbers anew, and this link is the first to say so
                return self._begin_with(held, told.ts)
            return held if last is None or number > last else None
        return None if self._is_passed(held) else held

    def _begin_with(self, snapshot: Held, ts: int) -> Held:
        """Have a snapshot be the next; what follows it is delivered again where it was before."""
        if self._last is not None and snapshot.number < self._last:
            self.memory.clear()
        self._last, self._last_ts, self._is_broken = None, ts, False
        for held in self._held:  # what it goes past comes right before it
            if held.position < snapshot.number:
                held.serial = _FIRST
        snapshot.serial = _BEGINS
        return snapshot

    def _release(self, frame: Frame) -> list[Frame]:
        out: list[Frame] = []
        while self._held:
            follower = self._follower()
            if follower is None:
                if not (self._has_waited(frame.ts_mono) or self._is_hopeless()):
                    break
                follower = self._earliest()
                if follower is None:
                    break
                self._is_broken = not follower.is_snapshot
            self._held.remove(follower)
            out.append(self._out(frame, follower.payload))
            if follower.serial == _FIRST:
                continue
            self._last, self._last_ts = follower.number, follower.ts
            if follower.is_snapshot:
                self._is_broken = False
            self._held = [held for held in self._held if not self._is_passed(held)]
        return out

    def _follower(self) -> Held | None:
        """Return what follows what was delivered last; of several what came first."""
        last = self._last
        if last is None:
            first = min(self._held, key=_serial)
            return first if first.serial < 0 or len(self._held) == 1 else None
        for held in self._held:
            if held.position == last and not held.is_snapshot:
                return held
        if not self._is_broken:
            return None
        return min((held for held in self._held if held.is_snapshot), key=_place, default=None)

    def _earliest(self) -> Held | None:
        """Return what comes first of all that waits, behind a hole.

        What is older than the last one delivered, and was not in its way, is of before the venue
        restarted its numbers: it is let go.
        """
        last_ts = self._last_ts
        if last_ts is not None:
            self._held = [held for held in self._held if held.ts >= last_ts]
        numbers = {held.number for held in self._held if held.number != held.position}
        starts = [h for h in self._held if h.is_snapshot or h.position not in numbers]
        return min(starts or self._held, key=_place, default=None)

    def _is_passed(self, held: Held) -> bool:
        """Say whether the stream has gone past something.

        Numbers below the last one mean that, but where the venue has restarted them: then its
        time has gone on.
        """
        last, last_ts = self._last, self._last_ts
        if last is None or last_ts is None or held.number > last or held.position == last:
            return last is not None and held.is_snapshot and held.number == last
        return held.ts <= last_ts

    def _is_hopeless(self) -> bool:
        """Say whether nobody is left that could fill the hole: every live link is beyond it.

        One that is alone is so with its first push, for a socket brings them in order; of several
        each is given some more.
        """
        live = self.group.live
        enough = 1 if len(live) < 2 else BEYOND
        return all(
            sum(held.occurrence.seen & link.bit > 0 for held in self._held) >= enough
            for link in live.values()
        )


class Timed(Chained):
    """Updates without numbers, in order of venue time."""

    kind = "timed"

    def _is_placed(self, told: Told) -> bool:
        return True

    def _key(self, told: Told, payload: bytes) -> bytes:
        return key_of(payload)

    def _hold(self, told: Told, frame: Frame, occurrence: Occurrence) -> Held | None:
        ts = told.ts
        held = Held(
            ts, ts, self._serial, told.is_snapshot, ts, frame.ts_mono, frame.payload, occurrence
        )
        if told.is_snapshot and self._begins():
            self._last_ts = self._last = ts
            self._is_broken = False
            self._held = [other for other in self._held if other.position > ts]
            held.serial = _BEGINS
            return held
        return held if self._last is None or ts >= self._last else None

    def _release(self, frame: Frame) -> list[Frame]:
        out: list[Frame] = []
        live = self.group.live
        self._held.sort(key=_place_in_time)
        while self._held:
            head = self._held[0]
            others = [
                ts for connection, ts in self.holders.items()
                if connection in live and not head.occurrence.seen & live[connection].bit
            ]  # fmt: skip
            is_awaited = any(ts <= head.position for ts in others)
            if head.serial >= 0 and is_awaited and not self._has_waited(frame.ts_mono):
                break
            del self._held[0]
            is_known = any(ts >= head.position for ts in others) and not self._begins()
            if head.serial >= 0 and head.is_snapshot and is_known:
                continue  # another link's updates have come to where it stands
            self._last = self._last_ts = head.position
            out.append(self._out(frame, head.payload))
        return out


def _serial(held: Held) -> tuple[int, int, int]:
    return held.serial, held.ts, held.number


def _place(held: Held) -> tuple[int, bool, int]:
    """Order what waits by venue time: numbers may have been restarted in between."""
    return held.ts, not held.is_snapshot, held.serial


def _place_in_time(held: Held) -> tuple[int, int]:
    return held.position, held.serial


def stream_of(
    kind: str, group: Group, channel: str, instrument: str, argument: bytes, is_whole: IsWhole
) -> Plain:
    """Return a stream of a kind."""
    if kind in (Numbered.kind, Timed.kind):
        chained = Numbered if kind == Numbered.kind else Timed
        return chained(group, channel, instrument, argument, is_whole)
    return (Latest if kind == Latest.kind else Plain)(group, channel, instrument, argument)
