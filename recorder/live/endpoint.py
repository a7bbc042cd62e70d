"""Endpoint: keep one conversation with one endpoint of the venue alive.

Responsible for when a socket is opened, for trying again by the rules (`live.rules`), and for
replacing a socket that the venue is about to close by another one before it goes. Refuses to speak
on a socket (`live.conversation`), to decide what is sent (`okx.session`) and to store anything.

Theory of operation. One conversation leads. When it ends, the next one is opened after the delay
that the rule for that end names. When the venue announces its end (notice 64008), it leaves: it
stays open beside the next one until that one holds everything it should, books with their
snapshots, and is closed then. If the next one fails, another follows; if the leaving one dies
first, there was only less time. Both are recorded, as two connections: what is told twice is
stored twice, what one of them missed the other has. There are never more than two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from recorder.clock import NS_PER_SECOND
from recorder.event import (
    ConnectionCount,
    Event,
    LoggedIn,
    Subscribed,
    VenueError,
)
from recorder.frame import NO_CONNECTION
from recorder.live.config import LinkOptions
from recorder.live.connection import read_clocks
from recorder.live.conversation import Conversation, Ending, Line
from recorder.live.ending import Cause, Closed
from recorder.live.holding import Holding
from recorder.live.links import Place
from recorder.live.pause import pause_until
from recorder.live.pipeline import Pipeline
from recorder.live.rules import ALL_REFUSED, NOTICE, RETRY_AFTER_MAX, Retry, Rule, rule_of
from recorder.live.schedule import Backoff, ConnectionLimit
from recorder.live.telling import Telling
from recorder.live.watcher import Watcher
from recorder.okx.auth import Credentials
from recorder.okx.session import GiveUp, Refusal, Standing
from recorder.okx.subscription import Subscription

_NOTHING_WANTED = "nothing is subscribed any more"
_NORMAL = 1000  # the close code of a proper end, RFC 6455 section 7.4.1


class Endpoint:
    """One endpoint and what is wanted of it.

    Args:
        name: `public`, `business` or `private`; url: its address.
        wanted: arguments to hold, again after each reconnect.
        credentials: to log in with where an argument needs it; None: never.
        replaces: whether a socket is replaced when the venue announces its end.
        place: among redundant links.

    Attributes:
        state: as in the event `ConnectionState`; since: when that began, wall clock, ns.
        attempts: since a socket was last open.
        times_opened: sockets that were ever open. login_failures: in a row, up to now.
        login_refused: the login cannot succeed. has_logged_in: one ever did. telling: its voice.
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
        credentials: Credentials | None = None,
        replaces: bool = True,
        place: Place | None = None,
    ) -> None:
        self._place = place = place or Place()
        self.name, self.url, self.link = name, url, place.number
        self._holding = Holding(wanted)
        self.state, self.since = "connecting", read_clocks().ts_recv
        self.attempts = self.times_opened = self.login_failures = 0
        self.login_refused = False
        self._line = Line(name, url, options, credentials, place.number, place.address)
        self._pipeline, self._watcher = pipeline, watcher
        self._options, self._limit = options, limit
        self._backoff = Backoff(
            random, first=options.first_delay, longest=options.longest_delay,
            lived=options.lived, later=options.later_delay,
        )  # fmt: skip
        self.telling = Telling(place.named(name), url, notify)
        self._replaces = replaces
        self._leading: Conversation | None = None
        self._leaving: Conversation | None = None
        self._alive: list[Conversation] = []
        self._leaving_timer: asyncio.TimerHandle | None = None
        self._emptied: Conversation | None = None
        self.has_logged_in = False
        self._not_before = place.first_attempt(read_clocks().ts_mono)
        self._stopping = asyncio.Event()
        self._again = True

    # --- what is known ---------------------------------------------------------------------

    @property
    def wanted(self) -> tuple[Subscription, ...]:
        """Arguments to hold, again after each reconnect."""
        return self._holding.wanted

    @property
    def is_over(self) -> bool:
        """Whether it opens no socket any more."""
        return not self._again or self._stopping.is_set()

    @property
    def is_connected(self) -> bool:
        """Whether a socket of it is open."""
        return any(item.is_open for item in (self._leading, self._leaving) if item is not None)

    @property
    def connection(self) -> int:
        """Number of its latest socket or attempt, −1 before any."""
        return NO_CONNECTION if self._leading is None else self._leading.number

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What the venue refused, by the latest conversation."""
        session = None if self._leading is None else self._leading.session
        return () if session is None else session.refusals

    @property
    def all_refused(self) -> bool:
        """Whether the venue refused every argument there is."""
        return 0 < self._holding.distinct <= len(self.refusals)

    def standing(self, subscription: Subscription) -> Standing | None:
        """Return how an argument stands on the sockets that are open; None: not wanted here."""
        sockets = (self._leading, self._leaving)
        return self._holding.standing(subscription, [item for item in sockets if item])

    def holds(self, subscription: Subscription) -> bool:
        """Say whether an open socket may still hold an argument, wanted or not."""
        return any(subscription.key in item.known for item in self._alive)

    @property
    def status(self) -> dict[str, Any]:
        """What `status.json` shows of it."""
        session = None if self._leading is None else self._leading.session
        standings = list(session.standings.values()) if session and self.is_connected else []
        held, refused = standings.count(Standing.HELD), standings.count(Standing.REFUSED)
        return {
            "endpoint": self.name,
            "link": self.link,
            "connection": self.connection,
            "open": self.is_connected,
            "state": self.state,
            "since": self.since,
            "attempts": self.attempts,
            "subscriptions": {
                "held": held,
                "asked": len(self.wanted) - held - refused,
                "refused": refused,
            },
        }

    # --- running ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, converse and connect again until stopped or told not to."""
        try:
            while not self._stopping.is_set() and self._again:
                await self._holding.some.wait()
                await pause_until(self._not_before, self._stopping)
                await pause_until(self._limit.reserve(read_clocks().ts_mono), self._stopping)
                if self._stopping.is_set():
                    break
                self.attempts += 1
                conversation = Conversation(
                    self._line, self._pipeline, self, login_failures=self.login_failures
                )
                self._leading = conversation
                self._alive = [item for item in self._alive if not item.over.is_set()]
                self._alive.append(conversation)
                if self._leaving is not None:
                    conversation.watch_restoring()
                await conversation.leaving.wait()
        finally:
            try:
                for item in self._alive:
                    await item.over.wait()
            finally:  # cancelled once more: nobody waits for a proper end
                for item in self._alive:
                    item.cut()

    def stop(self, reason: str) -> None:
        """Close the sockets properly and do not come back; `run` ends when that is done."""
        self._stopping.set()
        self._holding.some.set()
        for item in self._alive:
            if not item.over.is_set():
                item.close(reason)
                item.leaving.set()

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Hold more arguments, on every socket there is; without one, one is opened."""
        self._holding.add(subscriptions)
        for item in self._alive:
            item.subscribe(subscriptions)

    def unsubscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Leave arguments for good; a socket with none is closed, for the venue would do it."""
        self._holding.remove(subscriptions)
        for item in self._alive:
            item.unsubscribe(subscriptions)
            self._close_if_empty(item)

    def renew_books(self, connection: int) -> None:
        """Ask for fresh snapshots of the books of a connection, -1: of all."""
        for item in self._alive:
            if connection in (NO_CONNECTION, item.number):
                item.renew_books()

    # --- Owner -----------------------------------------------------------------------------

    def on_opened(self, conversation: Conversation) -> None:
        """Note that the venue can be reached."""
        self.times_opened += 1
        self.attempts = 0
        self.telling.opened()
        self._enter("connected")
        self._watcher.on_connected(self)

    def on_event(self, conversation: Conversation, event: Event) -> None:
        """Tell whoever should know."""
        self.telling.hear(event, is_resynced=self._options.resync)
        if isinstance(event, Subscribed):
            self._watcher.on_acked(self)
        elif isinstance(event, LoggedIn):
            self.has_logged_in, self.login_refused = True, False
            self.login_failures = 0
        elif isinstance(event, VenueError | ConnectionCount):
            self._look_whether_refused(conversation)

    def on_talked(self, conversation: Conversation) -> None:
        """Pass it on, and close a socket whose last argument is gone."""
        self._watcher.on_talked(self)
        self._close_if_empty(conversation)

    def on_give_up(self, conversation: Conversation, action: GiveUp) -> None:
        """Pass on that the login cannot succeed."""
        self.login_refused = True
        self._watcher.on_login_refused(self, action, conversation.clock_ahead)
        if conversation is self._leading and conversation.is_open and self.all_refused:
            conversation.close("the login was refused")

    def on_notice(self, conversation: Conversation) -> None:
        """Open the replacement of a socket that the venue will close; once per socket."""
        is_news = conversation is self._leading and not conversation.leaving.is_set()
        if not is_news or not self._replaces or self._stopping.is_set():
            return
        self._backoff.settle(conversation.lived)
        self.login_failures = conversation.login_failures
        leaving = self._leaving
        if leaving is not None and leaving.is_open and not conversation.is_restored:
            # It is to go before it could take over: the other one is worth more.
            conversation.close("closing was announced before it was restored", cause=Cause.CLOSED)
            return
        self._drop_leaving()
        if not self._place.take_turn(lambda: self.on_notice(conversation)):
            return
        self._leaving = conversation
        self._leaving_timer = asyncio.get_running_loop().call_later(
            self._options.replace_timeout, self._drop_leaving
        )
        self._not_before = self._due(self._delay(NOTICE, NOTICE.later, conversation.lived, None))
        conversation.leaving.set()

    def on_restored(self, conversation: Conversation) -> None:
        """Close the socket that this one replaces."""
        self._drop_leaving()

    def on_ended(self, conversation: Conversation, closed: Closed) -> Ending:
        """Say what comes after a socket or an attempt, by the rules."""
        lived = conversation.lived
        if conversation is not self._leading:
            if conversation is self._leaving:
                self._forget_leaving()
            return self._after_leaving(closed)
        self.login_failures = conversation.login_failures
        if self._stopping.is_set() and not (self.all_refused and self.login_refused):
            return self._end(conversation, "closed", None)
        if conversation is self._emptied:  # something may be wanted again by now
            self._not_before = 0
            return self._end(conversation, "reconnecting" if self.wanted else "closed", None)
        if conversation is self._leaving:
            self._forget_leaving()
            self.telling.ended(closed)
            return self._end(conversation, "reconnecting", self._wait_left())
        if self.all_refused and self.login_refused:
            self._again = False
            self.telling.ended(closed)
            return self._end(conversation, "failed", None)
        if self.all_refused and closed.cause is Cause.STOPPED:
            rule, how = ALL_REFUSED, ALL_REFUSED.later
        else:
            rule = rule_of(closed)
            is_first = self.times_opened == 0 or (
                closed.opened and self.times_opened == 1 and not self._backoff.has_lived(lived)
            )
            how = rule.first if is_first else rule.later
        self._again = self._watcher.may_retry(self, closed, rule, how)
        if self._again or closed.code != _NORMAL:  # a proper end, and the last one, is no news
            self.telling.ended(closed)
        if not self._again:
            return self._end(conversation, "failed" if how is Retry.NEVER else "closed", None)
        delay = self._delay(rule, how, lived, closed.retry_after)
        self._not_before = self._due(delay)
        return self._end(conversation, "reconnecting", delay)

    def on_failure(self, error: BaseException) -> None:
        """Pass on what ends the recording."""
        self._watcher.on_failure(error)

    def warn(self, words: str) -> None:
        """Tell a person."""
        self.telling.warn(words)

    # --- internals -----------------------------------------------------------------------

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state, self.since = state, read_clocks().ts_recv

    def _close_if_empty(self, conversation: Conversation) -> None:
        """Close a socket, or give an attempt up, that nothing is wanted of any more."""
        if not self.wanted and not conversation.over.is_set() and not conversation.known:
            self._emptied = conversation
            conversation.close(_NOTHING_WANTED)

    def _end(self, conversation: Conversation, then: str, retry_in: float | None) -> Ending:
        if self._leaving is None or not self._leaving.is_open:
            self._enter(then)
        return Ending(then, retry_in)

    def _look_whether_refused(self, conversation: Conversation) -> None:
        """Leave a socket that holds nothing: the venue would close it after 30 s, for ever."""
        if conversation is not self._leading or not self.all_refused:
            return
        goes_on = self._watcher.on_refused(self)
        if goes_on and conversation.is_open and not self.login_refused:
            conversation.close("every subscription was refused")

    def _after_leaving(self, closed: Closed) -> Ending:
        """Say what comes after a socket whose successor is under way."""
        if self._stopping.is_set():
            return Ending("closed", None)
        if closed.cause is not Cause.STOPPED:
            self.telling.ended(closed)
        if self._leading is not None and self._leading.is_open:
            return Ending("replaced", None)
        self._enter("reconnecting")
        return Ending("reconnecting", self._wait_left())

    def _drop_leaving(self) -> None:
        """Close the socket that was replaced, if there is one."""
        leaving = self._leaving
        self._forget_leaving()
        if leaving is not None and not leaving.over.is_set():
            leaving.close("replaced")

    def _forget_leaving(self) -> None:
        self._leaving = None
        self._place.give_turn()
        if self._leaving_timer is not None:
            self._leaving_timer.cancel()
            self._leaving_timer = None

    def _delay(
        self, rule: Rule, how: Retry, lived: float | None, retry_after: float | None
    ) -> float:
        """Return how long to wait before the next attempt, s."""
        at_least = min(retry_after or 0.0, RETRY_AFTER_MAX)
        if how is Retry.AT_ONCE and (rule is NOTICE or self._backoff.has_lived(lived)):
            return at_least
        if how is Retry.RARELY:
            at_least = max(at_least, self._options.refused_delay)
        is_later = how is Retry.LATER
        return self._backoff.next_delay(lived, is_later=is_later, at_least=at_least)

    def _due(self, delay: float) -> int:
        return read_clocks().ts_mono + round(delay * NS_PER_SECOND)

    def _wait_left(self) -> float:
        return max(self._not_before - read_clocks().ts_mono, 0) / NS_PER_SECOND
