"""Endpoint: keep one conversation with one endpoint of the venue alive.

Responsible for connecting, for carrying a session's actions out, for flow control, and for trying
again. Refuses to decide what is sent (that is `okx.session`) and to store anything itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from recorder.clock import NS_PER_SECOND
from recorder.event import Event, Notice, SequenceGap, Subscribed, VenueError
from recorder.frame import Kind
from recorder.live.config import LinkOptions
from recorder.live.connection import Closed, Connection, Stamp, read_clocks
from recorder.live.framing import Message
from recorder.live.pipeline import Pipeline
from recorder.live.schedule import Backoff, ConnectionLimit
from recorder.okx.session import Action, Close, Refusal, Send, Session, Standing
from recorder.okx.subscription import Subscription

_CONGESTION_LOOK_SECONDS = 0.02
_WARNINGS_TOLD = 20
_NORMAL = 1000  # the close code of a proper end, RFC 6455 section 7.4.1


class Watcher(Protocol):
    """Who is told how the endpoints fare."""

    def on_connected(self, endpoint: Endpoint) -> None:
        """A socket is open."""

    def on_acked(self, endpoint: Endpoint) -> None:
        """The venue accepted an argument."""

    def on_refused(self, endpoint: Endpoint) -> None:
        """The venue said no to an argument."""

    def on_disconnected(self, endpoint: Endpoint, closed: Closed) -> bool:
        """A socket, or an attempt, is over; return whether to try again."""

    def on_failure(self, error: BaseException) -> None:
        """Recording cannot go on: the disk takes no more, or the program is wrong."""


class Endpoint:
    """One endpoint and what is wanted of it.

    Args:
        name: `public` or `business`; url: its address.
        wanted: arguments to hold, again after each reconnect.
    """

    def __init__(
        self,
        name: str,
        url: str,
        wanted: Sequence[Subscription],
        pipeline: Pipeline,
        watcher: Watcher,
        *,
        options: LinkOptions,
        limit: ConnectionLimit,
        random: Random,
        notify: Callable[[str], None],
    ) -> None:
        self.name = name
        self.url = url
        self.wanted = tuple(wanted)
        self.times_opened = 0
        self._pipeline = pipeline
        self._watcher = watcher
        self._options = options
        self._limit = limit
        self._backoff = Backoff(
            random,
            first=options.first_delay,
            longest=options.longest_delay,
            lived=options.lived,
        )
        self._notify = notify
        self._session: Session | None = None
        self._connection: Connection | None = None
        self._attempt: asyncio.Task[Closed] | None = None
        self._number = -1
        self._opened_at = 0
        self._timer: asyncio.Handle | None = None
        self._is_paused = False
        self._stopping = asyncio.Event()
        self._again = True
        self._told: str | None = None
        self._warnings = 0

    @property
    def is_connected(self) -> bool:
        """Whether its socket is open."""
        return self._connection is not None and self._connection.is_open

    @property
    def connection(self) -> int:
        """Number of its latest socket or attempt, −1 before any."""
        return self._number

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What the venue refused, by the latest conversation."""
        return () if self._session is None else self._session.refusals

    @property
    def all_refused(self) -> bool:
        """Whether the venue refused every argument."""
        if self._session is None:
            return False
        return all(item is Standing.REFUSED for item in self._session.standings.values())

    async def run(self) -> None:
        """Connect, converse and connect again until stopped or told not to."""
        while not self._stopping.is_set() and self._again:
            await self._pause_until(self._limit.reserve(read_clocks().ts_mono))
            if self._stopping.is_set():
                return
            lived = await self._converse()
            if self._again and not self._stopping.is_set():
                delay = self._backoff.next_delay(lived)
                await self._pause_until(read_clocks().ts_mono + round(delay * NS_PER_SECOND))

    def stop(self, reason: str) -> None:
        """Close the socket properly and do not come back; `run` ends when that is done."""
        self._stopping.set()
        if self._connection is not None and self._connection.opened:
            self._connection.close(reason)
        elif self._attempt is not None:
            self._attempt.cancel()

    # --- one conversation ----------------------------------------------------------------

    async def _converse(self) -> float | None:
        """Run one connection; return how long it lived, s, None where it never opened."""
        self._number = self._pipeline.new_connection()
        self._session = None
        self._is_paused = False
        options = self._options
        self._connection = Connection(
            self.url,
            self,
            open_timeout=options.open_timeout,
            close_timeout=options.close_timeout,
            tls=options.tls,
        )
        self._attempt = asyncio.get_running_loop().create_task(self._connection.run())
        try:
            closed = await self._attempt
        except asyncio.CancelledError:
            if self._stopping.is_set() and self._attempt.cancelled():
                return None
            raise
        finally:
            self._set_timer(None)
        self._again = self._watcher.on_disconnected(self, closed)
        if self._again or closed.code != _NORMAL:  # a proper end, and the last one, is no news
            self._tell(closed)
        if not closed.opened:
            return None
        return (read_clocks().ts_mono - self._opened_at) / NS_PER_SECOND

    def on_opened(self, stamp: Stamp) -> None:
        """Record it, and begin to talk once the messages of the same read are taken."""
        self.times_opened += 1
        self._told = None
        self._opened_at = stamp.ts_mono
        row = {"url": self.url, "endpoint": self.name, "link": 0}
        self._guard(lambda: self._pipeline.row(self._number, Kind.OPENED, row, stamp))
        options = self._options
        self._session = Session(
            self.wanted,
            stamp.ts_mono,
            ping_after=round(options.ping_after * NS_PER_SECOND),
            pong_timeout=round(options.pong_timeout * NS_PER_SECOND),
            resync=options.resync,
        )
        self._watcher.on_connected(self)
        self._timer = asyncio.get_running_loop().call_soon(self._tick)

    def on_messages(self, messages: list[Message], stamp: Stamp) -> None:
        """Take what one read brought, and answer where the session wants to."""
        try:
            events = self._pipeline.received(self._number, messages, stamp)
        except Exception as error:  # noqa: BLE001  # told to whoever can end the recording
            self._watcher.on_failure(error)
            return
        session = self._session
        if session is None:
            return
        session.heard(stamp.ts_mono)
        for event in events:
            self._converse_about(event, session, stamp.ts_mono)
        if self._pipeline.congested and not self._is_paused and self.is_connected:
            self._is_paused = True
            self._pipeline.counts.pauses += 1
            assert self._connection is not None  # noqa: S101  # narrows for mypy
            self._connection.pause_reading()
            asyncio.get_running_loop().call_later(_CONGESTION_LOOK_SECONDS, self._resume)

    def on_closed(self, closed: Closed, stamp: Stamp) -> None:
        """Record how it ended; the one `closed` row of this socket."""
        if closed.oversize is not None:
            lost = {
                "connection": self._number,
                "first_seq": None,
                "last_seq": None,
                "count": 1,
                "bytes": closed.oversize,
                "cause": "message too long",
            }
            self._guard(lambda: self._pipeline.row(self._number, Kind.LOST, lost, stamp))
        row = {
            "code": closed.code,
            "reason": closed.reason,
            "by": closed.by,
            "opened": closed.opened,
        }
        self._guard(lambda: self._pipeline.row(self._number, Kind.CLOSED, row, stamp))

    # --- internals -----------------------------------------------------------------------

    def _converse_about(self, event: Event, session: Session, now: int) -> None:
        actions = session.handle(event, now)
        if isinstance(event, Subscribed):
            self._watcher.on_acked(self)
        elif isinstance(event, VenueError):
            self._warn(f"the venue said {event.code}: {event.message}")
            self._watcher.on_refused(self)
        elif isinstance(event, Notice):
            self._warn(f"the venue announces {event.code}: {event.message}")
        elif isinstance(event, SequenceGap):
            self._warn(
                f"updates of {event.channel} {event.instrument} are missing between "
                f"{event.expected_seq_id} and {event.prev_seq_id}"
                f"{'; subscribing anew' if self._options.resync else ''}"
            )
        self._perform(actions)
        if not isinstance(event, Subscribed):  # an ack only moves deadlines away
            self._set_timer(session.deadline)

    def _perform(self, actions: Sequence[Action]) -> None:
        connection = self._connection
        for action in actions:
            if connection is None or not connection.is_open:
                return
            if isinstance(action, Send):
                payload = action.payload
                stamp = read_clocks()
                self._guard(lambda: self._pipeline.sent(self._number, payload, stamp))  # noqa: B023
                connection.send(payload)
            elif isinstance(action, Close):
                self._notify(f"warning: {self.name}: {action.reason}; connecting again")
                connection.close(action.reason)

    def _tick(self) -> None:
        session = self._session
        if session is None or not self.is_connected:
            return
        now = read_clocks().ts_mono
        if self._is_paused:
            session.heard(now)  # silence that we made ourselves proves nothing
        self._perform(session.tick(now))
        self._set_timer(session.deadline)

    def _set_timer(self, deadline: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self.is_connected:
            delay = max(deadline - read_clocks().ts_mono, 0) / NS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(delay + 0.001, self._tick)

    def _resume(self) -> None:
        if not self._is_paused or not self.is_connected:
            return
        if self._pipeline.congested:
            asyncio.get_running_loop().call_later(_CONGESTION_LOOK_SECONDS, self._resume)
            return
        self._is_paused = False
        if self._session is not None:
            self._session.heard(read_clocks().ts_mono)
        assert self._connection is not None  # noqa: S101  # narrows for mypy
        self._connection.resume_reading()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # told to whoever can end the recording
            self._watcher.on_failure(error)

    def _warn(self, words: str) -> None:
        """Tell a person, but not thousands of times: the capture holds every one."""
        self._warnings += 1
        if self._warnings <= _WARNINGS_TOLD:
            self._notify(f"warning: {self.name}: {words}")
        elif self._warnings == _WARNINGS_TOLD + 1:
            self._notify(f"warning: {self.name}: more of these; they are in the capture")

    def _tell(self, closed: Closed) -> None:
        """Say once, not once per attempt, that an endpoint cannot be reached or was lost."""
        words = f"{closed.code} {closed.reason}".strip() if closed.code else closed.reason
        if closed.opened and closed.by != "recorder":
            self._notify(f"warning: {self.name}: closed by the {closed.by} ({words})")
        elif not closed.opened and words != self._told:
            self._told = words
            self._notify(f"warning: {self.name}: cannot connect to {self.url} ({words})")

    async def _pause_until(self, moment: int) -> None:
        """Wait until a monotonic time, ns, or until stopped."""
        delay = (moment - read_clocks().ts_mono) / NS_PER_SECOND
        if delay > 0:
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            except TimeoutError:
                return
