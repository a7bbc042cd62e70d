"""Conversation: one socket and the session on it, from the attempt to its last row.

Responsible for carrying a session's actions out, for the rows that tell of the socket, for the
login request (built here, stored masked, kept nowhere) and for flow control. Refuses to decide what
is sent (`okx.session`) and what comes after it (`live.endpoint`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from recorder.clock import NS_PER_SECOND
from recorder.event import Event, Notice
from recorder.frame import Kind
from recorder.live.config import LinkOptions
from recorder.live.connection import Connection, Stamp, read_clocks
from recorder.live.ending import Cause, Closed
from recorder.live.framing import Message
from recorder.live.pipeline import Pipeline
from recorder.okx.auth import Credentials, login_request, mask_login
from recorder.okx.session import Action, Close, GiveUp, LogIn, Send, Session
from recorder.okx.standing import SERVICE_UPGRADE
from recorder.okx.subscription import Subscription

_CONGESTION_LOOK_SECONDS = 0.02


class Line(NamedTuple):
    """What the conversations of one endpoint have in common.

    Attributes:
        name: `public`, `business` or `private`; url: its address.
        options: how a socket is kept.
        credentials: to log in with where an argument needs it; None: never.
        link: number of the redundant link. address: see `dial`.
    """

    name: str
    url: str
    options: LinkOptions
    credentials: Credentials | None
    link: int = 0
    address: int | None = None


class Ending(NamedTuple):
    """What comes after a socket.

    Attributes:
        then: `reconnecting`, `failed`, `closed` or `replaced`.
        retry_in: seconds until the next attempt, at the least; None where none follows.
    """

    then: str
    retry_in: float | None


class Owner(Protocol):
    """The endpoint; every call is synchronous and must be quick."""

    @property
    def wanted(self) -> tuple[Subscription, ...]:
        """Arguments to hold, as of now."""

    def on_opened(self, conversation: Conversation) -> None:
        """The socket is open."""

    def on_event(self, conversation: Conversation, event: Event) -> None:
        """The session has taken an event of this socket."""

    def on_talked(self, conversation: Conversation) -> None:
        """The session has answered, asked or given up asking: arguments may stand differently."""

    def on_give_up(self, conversation: Conversation, action: GiveUp) -> None:
        """The login cannot succeed."""

    def on_notice(self, conversation: Conversation) -> None:
        """The venue will close this socket soon."""

    def on_restored(self, conversation: Conversation) -> None:
        """Everything wanted is held, books have their snapshots; told once, where asked for."""

    def on_ended(self, conversation: Conversation, closed: Closed) -> Ending:
        """The socket, or the attempt, is over; say what comes next."""

    def on_failure(self, error: BaseException) -> None:
        """Recording cannot go on."""

    def warn(self, words: str) -> None:
        """Tell a person."""


class Conversation:
    """One attempt at one conversation.

    Attributes:
        number: of its connection. session: None before the socket is open.
        over: set when it has ended. leaving: set when it has ended, or is about to.
        is_restored: it can stand in for another one.

    Args:
        login_failures: logins that failed in a row before this one.
    """

    def __init__(
        self, line: Line, pipeline: Pipeline, owner: Owner, *, login_failures: int = 0
    ) -> None:
        self.number = pipeline.new_connection()
        self.session: Session | None = None
        self.over = asyncio.Event()
        self.leaving = asyncio.Event()
        self.is_restored = False
        self._line = line
        self._pipeline = pipeline
        self._owner = owner
        self._login_failures = login_failures
        self._opened_at = self._opened_wall = 0
        self._watches_restoring = False
        self._is_paused = False
        self._timer: asyncio.Handle | None = None
        options = line.options
        self._connection = Connection(
            line.url,
            self,
            open_timeout=options.open_timeout,
            close_timeout=options.close_timeout,
            tls=options.tls,
            address=line.address,
        )
        self._attempt = asyncio.get_running_loop().create_task(self._connection.run())
        self._attempt.add_done_callback(self._on_done)

    @property
    def is_open(self) -> bool:
        """Whether its socket is open."""
        return self._connection.is_open

    @property
    def known(self) -> Collection[Subscription]:
        """Keys of what the open socket holds, asks for, or is leaving."""
        return self.session.known if self.session is not None and self.is_open else ()

    @property
    def login_failures(self) -> int:
        """Logins that failed in a row, for the conversation after this one."""
        return self._login_failures if self.session is None else self.session.login_failures

    @property
    def lived(self) -> float | None:
        """How long the socket has been open, s; None where it never was."""
        if not self._connection.opened:
            return None
        return (read_clocks().ts_mono - self._opened_at) / NS_PER_SECOND

    @property
    def clock_ahead(self) -> float | None:
        """How far this machine's clock was ahead of the venue's at the handshake, s, to a second.

        None where the venue told no `Date`.
        """
        theirs = self._connection.venue_time
        return None if theirs is None else self._opened_wall / NS_PER_SECOND - theirs

    def watch_restoring(self) -> None:
        """Tell the owner when everything wanted is held and every book is there."""
        self._watches_restoring = True
        self._look_whether_restored()

    def close(self, reason: str, *, cause: Cause = Cause.STOPPED) -> None:
        """Close the socket properly, or give the attempt up."""
        if self._connection.opened:
            self._connection.close(reason, cause=cause)
        else:
            self._attempt.cancel()

    def cut(self) -> None:
        """End it without waiting for the venue; nothing where it has ended."""
        self._attempt.cancel()

    def renew_books(self) -> None:
        """Ask for fresh snapshots of all books held here."""
        self._change(lambda session, now: session.renew_books(now))

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Hold more arguments; before the socket is open, whoever opens it asks for them."""
        self._change(lambda session, now: session.subscribe(subscriptions, now))

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Leave arguments for good."""
        self._change(lambda session, now: session.unsubscribe(subscriptions, now))

    # --- Listener --------------------------------------------------------------------------

    def on_opened(self, stamp: Stamp) -> None:
        """Record it, and begin to talk once the messages of the same read are taken."""
        self._opened_at = stamp.ts_mono
        self._opened_wall = stamp.ts_recv
        line, options = self._line, self._line.options
        row = {"url": line.url, "endpoint": line.name, "link": line.link}
        self._guard(lambda: self._pipeline.row(self.number, Kind.OPENED, row, stamp))
        self.session = Session(
            self._owner.wanted,
            stamp.ts_mono,
            log_in=line.credentials is not None,
            login_failures=self._login_failures,
            ping_after=round(options.ping_after * NS_PER_SECOND),
            pong_timeout=round(options.pong_timeout * NS_PER_SECOND),
            resync=options.resync,
            has_book=lambda subscription: self._pipeline.has_book(self.number, subscription),
        )
        self._owner.on_opened(self)
        self._timer = asyncio.get_running_loop().call_soon(self._tick)

    def on_messages(self, messages: list[Message], stamp: Stamp) -> None:
        """Take what one read brought, and answer where the session wants to."""
        try:
            events = self._pipeline.received(self.number, messages, stamp)
        except Exception as error:  # noqa: BLE001  # told to whoever can end the recording
            self._owner.on_failure(error)
            return
        session = self.session
        if session is None:
            return
        session.heard(stamp.ts_mono)
        if events or self._watches_restoring:
            self._converse(lambda: self._take_in(session, events, stamp.ts_mono))
        if self._pipeline.congested and not self._is_paused and self.is_open:
            self._is_paused = True
            self._pipeline.counts.pauses += 1
            self._connection.pause_reading()
            asyncio.get_running_loop().call_later(_CONGESTION_LOOK_SECONDS, self._resume)

    def on_closed(self, closed: Closed, stamp: Stamp) -> None:
        """Record how it ended, and what comes next; the one `closed` row of this socket."""
        self._guard(lambda: self._tell_the_end(closed, stamp))
        self.over.set()
        self.leaving.set()

    # --- internals -----------------------------------------------------------------------

    def _change(self, change: Callable[[Session, int], list[Action]]) -> None:
        session = self.session
        if session is not None and self.is_open:
            self._converse(lambda: self._perform(change(session, read_clocks().ts_mono)))
            self._set_timer(session.deadline)

    def _take_in(self, session: Session, events: Sequence[Event], now: int) -> None:
        """Let the session answer what it should know, and the owner hear of it."""
        for event in events:
            self._perform(session.handle(event, now))
            self._owner.on_event(self, event)
            if isinstance(event, Notice) and event.code == SERVICE_UPGRADE:
                self._owner.on_notice(self)
        if events:
            self._set_timer(session.deadline)
            self._owner.on_talked(self)
        if self._watches_restoring:
            self._look_whether_restored()

    def _tell_the_end(self, closed: Closed, stamp: Stamp) -> None:
        self._set_timer(None)
        session = self.session
        if session is not None:
            for action in session.closed(closed.code, closed.reason, stamp.ts_mono):
                if isinstance(action, GiveUp):
                    self._owner.on_give_up(self, action)
        then, retry_in = self._owner.on_ended(self, closed)
        if closed.opened and closed.cause is not Cause.STOPPED:
            self._pipeline.counts.disconnects += 1
        if closed.oversize is not None:
            lost = {
                "connection": self.number,
                "first_seq": None,
                "last_seq": None,
                "count": 1,
                "bytes": closed.oversize,
                "cause": "message too long",
            }
            self._guard(lambda: self._pipeline.row(self.number, Kind.LOST, lost, stamp))
        row = {
            "code": closed.code,
            "reason": closed.reason,
            "by": closed.by,
            "opened": closed.opened,
            "endpoint": self._line.name,
            "link": self._line.link,
            "then": then,
            "retry_in_s": None if retry_in is None else round(retry_in, 3),
        }
        self._guard(lambda: self._pipeline.row(self.number, Kind.CLOSED, row, stamp))

    def _on_done(self, attempt: asyncio.Task[Closed]) -> None:
        """See to it that every conversation ends, also one that was stopped before it began."""
        if self.over.is_set():
            return
        error = None if attempt.cancelled() else attempt.exception()
        if error is not None:
            self._owner.on_failure(error)
        words = "stopped before it began" if error is None else "stopped by an error"
        self.on_closed(Closed(None, words, "recorder", False, Cause.STOPPED), read_clocks())

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, GiveUp):
                self._owner.on_give_up(self, action)
            elif not self._connection.is_open:
                continue
            elif isinstance(action, Send):
                payload, stamp = action.payload, read_clocks()
                self._guard(lambda: self._pipeline.sent(self.number, payload, stamp))  # noqa: B023
                self._connection.send(payload)
            elif isinstance(action, LogIn):
                self._log_in(action.request_id)
            elif isinstance(action, Close):
                self._owner.warn(f"{action.reason}; connecting again")
                self._connection.close(action.reason, cause=Cause.SILENCE)

    def _log_in(self, request_id: str) -> None:
        """Send a login and store its masked form.

        No variable holds the request while anything can raise through here, so that no traceback
        shows it, not even one with the variables of its frames.
        """
        credentials = self._line.credentials
        if credentials is None:
            return
        stamp = read_clocks()
        epoch_s = stamp.ts_recv // NS_PER_SECOND
        masked = mask_login(login_request(credentials, epoch_s, request_id))
        self._guard(lambda: self._pipeline.sent(self.number, masked, stamp))
        problem = None
        try:
            self._connection.send(login_request(credentials, epoch_s, request_id))
        except Exception as error:  # noqa: BLE001  # its traceback would hold the request
            problem = type(error).__name__
        if problem is not None:
            self._owner.on_failure(RuntimeError(f"the login could not be sent ({problem})"))

    def _tick(self) -> None:
        session = self.session
        if session is not None and self.is_open:
            self._converse(lambda: self._tick_session(session))

    def _tick_session(self, session: Session) -> None:
        now = read_clocks().ts_mono
        if self._is_paused:
            session.heard(now)  # silence that we made ourselves proves nothing
        self._perform(session.tick(now))
        self._set_timer(session.deadline)
        self._owner.on_talked(self)
        if self._watches_restoring:
            self._look_whether_restored()

    def _look_whether_restored(self) -> None:
        if not self.is_restored and self.session is not None and self.session.is_restored:
            self.is_restored, self._watches_restoring = True, False
            self._owner.on_restored(self)

    def _set_timer(self, deadline: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None and self.is_open:
            delay = max(deadline - read_clocks().ts_mono, 0) / NS_PER_SECOND
            self._timer = asyncio.get_running_loop().call_later(delay + 0.001, self._tick)

    def _resume(self) -> None:
        if not self._is_paused or not self.is_open:
            return
        if self._pipeline.congested:
            asyncio.get_running_loop().call_later(_CONGESTION_LOOK_SECONDS, self._resume)
            return
        self._is_paused = False
        if self.session is not None:
            self.session.heard(read_clocks().ts_mono)
        self._connection.resume_reading()

    def _converse(self, work: Callable[[], None]) -> None:
        """Do what the session wants; a fault of ours there costs the socket, not the recording."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # without this the pings would end unsaid
            self._owner.warn(f"the recorder made a mistake ({error!r}); report this")
            self._connection.abort("a mistake of the recorder")

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # told to whoever can end the recording
            self._owner.on_failure(error)
