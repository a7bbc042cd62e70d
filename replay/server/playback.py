"""The clock of a served capture: where it is, what is due, what it has been told.

Responsible for walking through the capture in `seq` order, for sending each frame to its receivers
when it is due, for obeying orders between two frames, and for bounded buffers. Refuses to own the
listening socket and the conversations (`shell`), to know who receives what (`switchboard`), and to
change a byte.

Theory of operation. Late frames go at once; order never changes. Frames that are due in one turn
are put together and written once per client, before anything else runs (`_flush`). Requests are
answered between two frames, so a client sees a clean cut. At max speed the clock waits for clients
that are full; at any other speed a client whose buffer is over the bound is closed with 4005, as
OKX does; and whoever asks without reading is not answered meanwhile. After a
seek, and where a loop wraps, every subscribed argument starts as if it had just been subscribed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from recorder.capture.reader import Capture, ReadReport
from recorder.capture.reading.follow import Patience
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from recorder.okx.exchange_frames import is_notice, readdressed
from recorder.okx.interpreter import Interpreter
from recorder.okx.retimed import retimed
from recorder.okx.served_account import ACCOUNT_CHANNELS, AccountState
from recorder.okx.subscription import Subscription
from replay.pacer import Schedule
from replay.server.accounts import account_states_before
from replay.server.catalogue import Catalogue
from replay.server.client import Client, text_frame
from replay.server.controls import ServedControls
from replay.server.reading import Reading
from replay.server.recorded_end import ending_of
from replay.server.settings import Settings
from replay.server.shift import NowShift
from replay.server.survey import last_pushes_before
from replay.server.switchboard import Switchboard
from replay.server.wire_faults import WireFaults
from replay.steering import Steering

_TURN_FRAMES = 64  # frames between two chances for everybody else
_TURN_BYTES = 256 << 10  # and so many bytes
_ROOM_BYTES = 1 << 20  # unsent bytes of a client above which the clock waits, at max speed
BURST = 8
"""How often `buffer_bytes` a client may have unsent, however it comes about."""
_POLL_S = 0.0005
_LOOKS_MIN = 400
_REST_S = 3_600.0
_MISHAPS = (Kind.TEXT, Kind.CLOSED)


class Playback:
    """One walk, or several, through a capture.

    Args:
        clients: those connected now; the shell adds and removes them.

    Attributes:
        board: who receives what, at the position reached.
        now: `ts_recv` of the frame sent last, ns; 0 before any.
        frames, sent, too_slow: what was done so far.
        placed: not set while it is on its way to a position.
        is_ended: all has been sent. finished: it was once.
    """

    def __init__(
        self,
        capture: Capture,
        catalogue: Catalogue,
        settings: Settings,
        controls: ServedControls,
        clients: dict[Client, None],
        *,
        log: Callable[[str], None],
    ) -> None:
        self.board: Switchboard[Client] = Switchboard(catalogue)
        self.wire_faults = WireFaults(settings.scenario)
        self.now = 0
        self.frames = self.sent = self.too_slow = 0
        self.placed = asyncio.Event()
        self.is_ended = False
        self.finished = asyncio.Event()
        self.schedule = Schedule(settings.speed)
        self._capture = capture
        self._catalogue = catalogue
        self._settings = settings
        self._clients = clients
        self._controls = controls
        self._steering = Steering(controls, self.schedule, show=lambda now: None)
        self._log = log
        self._reading = Reading(capture, is_followed=settings.at_end == "follow", log=log)
        self._patience = Patience()
        self._moved = NowShift(lambda: self.schedule.speed) if settings.retime else None
        self._served: dict[Client, None] = {}  # who has something pending
        self._pending_bytes = 0
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def time(self) -> int:
        """Where in the recording the clock is, ns: also between two frames."""
        return self.now + self.schedule.waited(time.monotonic_ns()) if self.now else 0

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to another position, which its state does not tell yet."""
        steering = self._steering
        is_stepping = steering.is_stepping and not self.is_ended
        return not self.placed.is_set() or steering.is_leaving or is_stepping

    async def run(self) -> None:
        """Serve the capture from its start to its end, and from wherever it is sent."""
        if self._settings.start_paused or self._settings.wait_for_subscribers:
            self._steering.stand_still()
        start = self._settings.start
        try:
            while not self._steering.is_stopped:
                is_whole = await self._play_from(start)
                target = self._steering.take_target()
                if target is not None:
                    start = self._within(target)
                    continue
                start = self._settings.start
                if is_whole and (self._settings.at_end != "loop" or not self.now):
                    self._log("the capture has been served to its end")
                    self.is_ended = True
                    self.finished.set()
                    if self._settings.at_end == "close":
                        break
                    start = self._within(await self._sent_elsewhere())
                    self.is_ended = False
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for task in list(self._tasks):
                task.cancel()

    def _within(self, target: int | None) -> int | None:
        """Return a time that a frame follows: behind the end means the last frame."""
        end = self._catalogue.end
        return target if target is None or end is None else min(target, end)

    async def _sent_elsewhere(self) -> int | None:
        """Wait at the end for an order that leads away from it."""
        while True:
            self._steering.obey()
            target = self._steering.take_target()
            if target is not None or self._steering.is_stopped:
                return target
            await self._controls.given(_REST_S)

    async def _play_from(self, start: int | None) -> bool:
        """Play from a time on; tell whether the end was reached."""
        self.placed.clear()
        parts = self._reading.ahead(start)
        is_placed = False
        try:
            async for frames in parts:
                if not frames:
                    self.placed.set()
                    if not await self._starve():
                        return False
                    continue
                if not is_placed:
                    is_placed = True
                    await self._rewind(frames[0].seq)
                    self.now = frames[0].ts_recv
                    self.placed.set()
                self._patience.news()
                if not await self._play(frames):
                    return False
            if not is_placed and start is None:
                self._log("the capture holds nothing to serve")
            return True
        finally:
            self.placed.set()
            await parts.aclose()

    async def _starve(self) -> bool:
        """Wait a little for what a recorder adds; False: it is to go on elsewhere."""
        self.schedule.starve()
        self._steering.obey()
        if self._steering.is_leaving:
            return False
        await self._controls.given(self._patience.grow())
        return True

    async def _rewind(self, seq: int) -> None:
        """Stand before frame `seq`, with the books as they were there."""
        interpreter, accounts = Interpreter(str), None
        if seq > 0:
            report = ReadReport()
            interpreter = await asyncio.to_thread(
                self._capture.interpreter_before, seq, str, report=report
            )
            accounts = await asyncio.to_thread(
                self._accounts_before, seq, elects=interpreter.elected is not None
            )
        self.schedule.seek()
        is_beginning = seq <= self._capture.snapshot().first_seq
        self.board.rewind(seq, interpreter, accounts, is_beginning=is_beginning)
        self.look_back()

    def dress(self, payload: bytes, channel: str | None = None) -> bytes:
        """Return a push as it goes out: as recorded, or with its times moved to now.

        Args:
            channel: whose rows these are, where the payload does not say so itself.
        """
        moved = self._moved
        return payload if moved is None else retimed(payload, moved.shift_ms(self.now), channel)

    def look_back(self) -> None:
        """Find the last pushes that newcomers wait for and that lie before the place sought."""
        if self.board.sought and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_back())
            self._keep(self._looking)

    async def _look_back(self) -> None:
        board = self.board
        while board.sought:
            sought, seeks = dict(board.sought), board.seeks
            board.sought.clear()
            wanted = {channel.push for channel in sought}
            last = await asyncio.to_thread(
                last_pushes_before,
                self._capture,
                wanted,
                board.position,
                elects=board.elects,
            )
            if board.seeks == seeks:
                for channel, receivers in sought.items():
                    board.found(channel, receivers, last.get(channel.push))

    def _accounts_before(self, seq: int, *, elects: bool) -> dict[Subscription, AccountState]:
        """Return the states of the account channels as they stood before frame `seq`."""
        channels = set(ACCOUNT_CHANNELS)
        if self._catalogue.is_complete:  # else who comes later may ask for any of them
            channels &= self.board.channels
        if not channels or seq == 0:
            return {}
        pushes = self.board.pushes_of(channels) if self._catalogue.is_complete else None
        return account_states_before(self._capture, channels, seq, pushes=pushes, elects=elects)

    async def _play(self, frames: list[Frame]) -> bool:
        """Send frames, each when it is due; False: it is to go on elsewhere."""
        schedule, controls = self.schedule, self._controls
        for turn, frame in enumerate(frames):
            if schedule.speed is None and not schedule.is_paused and not controls.pending:
                if turn % _TURN_FRAMES == 0 or frame.kind is Kind.RUN:
                    now = time.monotonic_ns()
                    schedule.due(frame, now)
                    self._steering.played(frame, now)
            elif not await self._turn(frame):
                return False
            self.now = frame.ts_recv
            if self._settings.reproduce and frame.kind in _MISHAPS:
                self._reproduce(frame)
            for delivered in self.board.deliver(frame):
                receivers = self.board.play(delivered)
                if receivers:
                    self._hand_out(receivers, delivered)
            if turn % _TURN_FRAMES == 0 or self._pending_bytes > _TURN_BYTES:
                await self._flush()
                await asyncio.sleep(0)
        await self._flush()
        self._catalogue.end = max(self._catalogue.end or 0, self.now)
        return True

    async def _turn(self, frame: Frame) -> bool:
        """Return True when the frame is due, False when the clock is to go on elsewhere."""
        while True:
            now = time.monotonic_ns()
            wait = self._steering.wait_for(frame, now)
            if wait == 0:
                self._steering.played(frame, now)
                return True
            await self._flush()
            if wait is None:
                return False
            await self._controls.given(wait / NS_PER_SECOND)

    def _reproduce(self, frame: Frame) -> None:
        """Let a recorded notice or disconnect happen to those whom it would have happened to."""
        if frame.kind is Kind.TEXT:
            if is_notice(frame.payload):
                for client in self.board.holders(frame.connection):
                    connection_id = client.conversation.connection_id
                    client.push(readdressed(frame.payload, connection_id))
            return
        end = ending_of(frame.payload)
        if end is None:
            return
        for client in self.board.holders(frame.connection):
            self._log(f"a client of {client.endpoint} is cut off with {end.code}, as was recorded")
            self.board.forget(client)
            if end.is_sent:
                self._keep(asyncio.create_task(client.cut_off(end.code, end.reason)))
            else:
                client.drop()

    def _hand_out(self, receivers: list[Client], frame: Frame) -> None:
        """Put a push where `_flush` finds it, for every receiver; with faults it goes at once."""
        self.frames += 1
        self.sent += len(receivers)
        if self.wire_faults.is_any:
            for client in list(receivers):
                self.wire_faults.push(client, frame)
        else:
            payload = frame.payload if self._moved is None else self.dress(frame.payload)
            wire = text_frame(payload)
            for client in receivers:
                client.pending.append(wire)
        self._served |= dict.fromkeys(receivers)
        self._pending_bytes += len(frame.payload)

    async def _flush(self) -> None:
        """Write what is pending, a client at a time; then see who cannot take it."""
        if not self._served:
            return
        served, self._served, self._pending_bytes = self._served, {}, 0
        for client in served:
            client.flush()
        if self._settings.rules.idle_ns is not None:
            now = time.monotonic_ns()
            for client in served:
                client.conversation.pushed(now)
        is_max = self.schedule.speed is None
        limit = _ROOM_BYTES if is_max else self._settings.buffer_bytes
        full = [client for client in served if client.unsent > limit]
        for client in full:
            if not is_max or not await self._has_room(client):
                self.cut_off(client)

    async def until_room(self, client: Client) -> None:
        """Answer a client that asks and asks only as fast as it reads."""
        if client.unsent > _ROOM_BYTES and not await self._has_room(client):
            self.cut_off(client)

    async def _has_room(self, client: Client) -> bool:
        """Wait for a full client; False: it takes nothing at all.

        Time alone does not say so: after this process, or the machine, has slept, clients first
        get a chance to take something.
        """
        least, since, looks = client.unsent, time.monotonic(), 0
        # Nobody is told when a transport's buffer shrinks to a given size: look often.
        while client in self._clients and client.unsent > _ROOM_BYTES // 4:
            await asyncio.sleep(_POLL_S)
            looks += 1
            if client.unsent < least:
                least, since, looks = client.unsent, time.monotonic(), 0
            elif looks > _LOOKS_MIN and time.monotonic() - since > self._settings.patience:
                return False
        return True

    def cut_off(self, client: Client) -> None:
        """Close a client that does not take what it asked for."""
        if client.is_closing:
            return
        self.too_slow += 1
        self.board.forget(client)
        self._log(f"a client of {client.endpoint} is too slow: closed with 4005")
        client.close_soon(4005, "Connection write buffer is full")

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
