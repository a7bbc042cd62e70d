"""Who receives which recorded push, and what a newcomer needs first.

Responsible for the channels of a served capture, their subscribers, the books that snapshots are
rebuilt from, and the position in the capture. Refuses to own sockets and clocks: receivers are
anything with `endpoint` and `push`, frames come in as arguments.

Theory of operation. Every recorded push belongs to one `Channel` (endpoint and argument), made
when somebody asks for it or when it is pushed. A receiver that joins before the channel's first
push gets recorded pushes only. One that joins later gets, for a chained book, one rebuilt snapshot
and then every recorded push; where the book is not whole at that moment (a recorded gap or
disconnect) it starts with the recorded snapshot that ends the gap. The state of an account starts
with one joined snapshot; tickers, candles and the like with the last push, again. Others go on.

Redundant links are elected (`okx.election`), frame by frame: `deliver` gives what is played at a
frame, the merged stream, which has one connection number while any of its links is open. Where a
capture holds other parallel connections with the same argument, the one whose push came first
owns the channel until it closes; pushes of the others are duplicates and are not served.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic

from recorder.book import Book
from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import (
    answers,
    is_chained,
    is_snapshot,
    push_of,
    rebuilt_snapshot,
)
from recorder.okx.served_account import AccountState
from recorder.okx.subscription import Subscription, subscription_of
from replay.server.catalogue import Catalogue
from replay.server.channel import Channel, R

_PUSH = b'{"arg":'
_HEAD_BYTES_MAX = 1_024
_HEADS_MAX = 65_536
_REST = (Kind.SENT, Kind.REST)
_CATALOGUED = (Kind.OPENED, *_REST)
_DEEPEST = ("books", "books-l2-tbt", "books50-l2-tbt")  # of one sequence and one liquidity


class Switchboard(Generic[R]):
    """All channels of a capture, at one position in it.

    Attributes:
        position: `seq` of the next frame. seeks: how often it was sent elsewhere.
        sought: channels whose last push lies before the place that was sought, with those who
            wait for it; `found` gives it to them. Emptied by whoever looks.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.position = self.seeks = 0
        self.sought: dict[Channel[R], list[R]] = {}
        self._catalogue = catalogue
        self._interpreter = Interpreter(str)
        self._channels: dict[tuple[str, Subscription], Channel[R]] = {}
        self._held: dict[R, dict[Subscription, None]] = {}
        self._by_head: dict[tuple[int, bytes], Channel[R]] = {}
        self._closed: list[Frame] = []
        self._accounts: dict[Subscription, AccountState] = {}  # of channels nobody asked for yet
        self._origin: int | None = None  # position of the last seek; None: from the beginning

    @property
    def channels(self) -> set[str]:
        """The names of the channels that have been pushed, as far as is known."""
        return {push.channel for _, push in (*self._catalogue.first, *self._channels)}

    def pushes_of(self, channels: Collection[str]) -> list[Subscription]:
        """The arguments of these channels, as their pushes name them, as far as is known."""
        known = dict.fromkeys(push for _, push in (*self._catalogue.first, *self._channels))
        return [push for push in known if push.channel in channels]

    def knows(self, endpoint: str, argument: Mapping[str, Any]) -> bool:
        """Say whether an ack or a push of this argument is recorded on this endpoint."""
        return identity(argument) in self._catalogue.known[endpoint]

    def surveyed(self) -> None:
        """Take note that the catalogue knows more than before: where connections went."""
        self._by_head.clear()

    def rewind(
        self,
        position: int,
        interpreter: Interpreter,
        accounts: Mapping[Subscription, AccountState] | None = None,
        *,
        is_beginning: bool,
    ) -> None:
        """Stand before frame `position`; every receiver starts as if it had just subscribed.

        Args:
            position: `seq` of the next frame.
            interpreter: of texts (`Interpreter(str)`), as it stood before that frame.
            accounts: states of account channels before that frame, where there is anything.
            is_beginning: nothing lies before it.
        """
        self.position = position
        self.seeks += 1
        self._origin = None if is_beginning else position
        self._interpreter = interpreter
        self._closed.clear()
        self.sought.clear()
        self._accounts = dict(accounts or {})
        for channel in self._channels.values():
            receivers = channel.receivers + channel.waiting
            channel.owner = channel.last = None
            channel.has_begun = self._may_have_begun(channel)
            if channel.account is not None:
                push = channel.push
                channel.account = self._accounts.pop(push, None) or AccountState(push.channel)
            channel.receivers, channel.waiting = [], []
            for receiver in receivers:
                self._join(channel, receiver)

    def subscribe(self, receiver: R, argument: Mapping[str, Any]) -> None:
        """Let a receiver have an argument from here on, with a snapshot where one is needed."""
        asked = identity(argument)
        if asked is None:
            return
        self._held.setdefault(receiver, {})[asked] = None
        self._channel(receiver.endpoint, asked)
        for channel in self._channels_of(receiver, asked):
            if receiver not in channel.receivers and receiver not in channel.waiting:
                self._join(channel, receiver)

    def unsubscribe(self, receiver: R, argument: Mapping[str, Any]) -> None:
        """Send a receiver no more of an argument."""
        asked = identity(argument)
        held = self._held.get(receiver, {})
        if asked is None or asked not in held:
            return
        del held[asked]
        for channel in self._channels_of(receiver, asked):
            if not any(answers(channel.push, other) for other in held):
                channel.remove(receiver)

    def forget(self, receiver: R) -> None:
        """Send a receiver nothing more at all."""
        self._held.pop(receiver, None)
        for channel in self._channels.values():
            channel.remove(receiver)

    def found(self, channel: Channel[R], receivers: list[R], payload: bytes | None) -> None:
        """Give those who wait for a channel's last push this one, unless a newer one came."""
        if payload is None or channel.last is not None:
            return
        channel.last = payload
        for receiver in receivers:
            if receiver in channel.receivers:
                receiver.push(payload)

    @property
    def elects(self) -> bool:
        """Whether anything before the position was brought by several links."""
        return self._interpreter.elected is not None

    def deliver(self, frame: Frame) -> Sequence[Frame]:
        """Return what is to be played at a frame: it, or what is elected at it, in order."""
        elected = self._interpreter.elected
        if elected is None or frame.kind is not Kind.TEXT:
            return (frame,)
        self.position = frame.seq + 1
        self._close()
        return elected.take(frame)

    def play(self, frame: Frame) -> list[R]:
        """Pass a frame: return who must be sent its payload; state and position move behind it.

        Args:
            frame: as `deliver` gave it.
        """
        self.position = frame.seq + 1
        if frame.kind is Kind.CLOSED:
            # Held back until something follows: the end of a recording is no disconnect, and its
            # last books are what there is to know.
            is_over = self._is_over_without(frame.connection)
            self._closed.append(frame)
            if is_over:
                self._release(frame)
            return []
        self._close()
        if frame.kind is not Kind.TEXT:
            if frame.kind in _CATALOGUED:
                self._catalogue.take(frame, is_now=True)
            if frame.kind not in _REST:
                self._interpreter.step(frame)
            if frame.kind is Kind.RUN:
                self._release(frame)
            return []
        channel = self._channel_of(frame)
        if channel is None:
            return []
        channel.has_begun = True
        if channel.is_chained:
            elected = self._interpreter.elected
            if elected is None:
                self._interpreter.step(frame)
            else:
                elected.apply(frame)
        if channel.owner != frame.connection:
            if channel.owner is not None:
                return []
            channel.owner = frame.connection
        if channel.repeats_last:
            channel.last = frame.payload
        if channel.account is not None:
            channel.account.take(frame.payload)
        if channel.waiting and is_snapshot(frame.payload):
            channel.receivers += channel.waiting
            channel.waiting = []
        return channel.receivers

    def holders(self, connection: int) -> list[R]:
        """Return who holds anything that ends with a recorded connection."""
        found: dict[R, None] = {}
        if not self._is_over_without(connection):
            return []
        owner = self._owner_of(connection)
        for channel in self._channels.values():
            if channel.owner == owner:
                found |= dict.fromkeys((*channel.receivers, *channel.waiting))
        return list(found)

    def instruments(self) -> list[str]:
        """Return the instruments of which a book has been pushed."""
        pushes = {push for _, push in (*self._catalogue.first, *self._channels)}
        books = [push.instrument for push in pushes if is_chained(push.channel)]
        return sorted({name for name in books if name is not None})

    def book(self, instrument: str) -> Book | None:
        """Return the deepest whole book of an instrument at this position, None: there is none."""
        whole = [book for book in self._interpreter.books.of(instrument) if book.is_whole]
        ranked = [book for channel in _DEEPEST for book in whole if book.channel == channel]
        return ranked[0] if ranked else None

    def _close(self) -> None:
        """Step over what was held back."""
        for closed in self._closed:
            self._interpreter.step(closed)
        self._closed.clear()

    def _is_over_without(self, connection: int) -> bool:
        """Say whether nothing goes on to bring what a connection did: no other link is open."""
        elected = self._interpreter.elected
        if elected is None:
            return True
        return {closed.connection for closed in self._closed}.issuperset(
            elected.partners(connection)
        )

    def _owner_of(self, connection: int) -> int:
        """Return the number that what a connection brings is served as."""
        elected = self._interpreter.elected
        return connection if elected is None else elected.connection_of(connection)

    def _channel(self, endpoint: str, push: Subscription) -> Channel[R]:
        """Return the channel of an argument; a new one has those who asked for it."""
        channel = self._channels.get((endpoint, push))
        if channel is None:
            channel = self._channels[endpoint, push] = Channel(endpoint, push)
            channel.has_begun = self._may_have_begun(channel)
            channel.account = self._accounts.pop(push, None) or channel.account
            for receiver, held in self._held.items():
                is_meant = receiver.endpoint == endpoint
                if is_meant and any(answers(push, asked) for asked in held):
                    self._join(channel, receiver)
        return channel

    def _may_have_begun(self, channel: Channel[R]) -> bool:
        """Say whether something was pushed before the place that was sought, as far as known."""
        if self._origin is None:
            return False
        first = self._catalogue.first.get((channel.endpoint, channel.push))
        return first is None or first < self._origin

    def _channels_of(self, receiver: R, asked: Subscription) -> list[Channel[R]]:
        return [
            channel
            for (endpoint, push), channel in self._channels.items()
            if endpoint == receiver.endpoint and answers(push, asked)
        ]

    def _join(self, channel: Channel[R], receiver: R) -> None:
        if channel.is_chained:
            snapshot = self._snapshot(channel)
            if snapshot is None and channel.has_begun:
                channel.waiting.append(receiver)
                return
            if snapshot is not None:
                receiver.push(snapshot)
        elif channel.account is not None:
            whole = channel.account.first_push()
            if whole is not None:
                receiver.push(whole)
        elif channel.last is not None:
            receiver.push(channel.last)
        elif channel.repeats_last and channel.has_begun:
            self.sought.setdefault(channel, []).append(receiver)
        channel.receivers.append(receiver)

    def _snapshot(self, channel: Channel[R]) -> bytes | None:
        """Return a snapshot of the book as it stands, None where nobody can know it now."""
        push = channel.push
        name = push.instrument or push.get("sprdId") or ""
        for book in self._interpreter.books.of(name):
            is_meant = book.channel == push.channel and channel.owner in (None, book.connection)
            if is_meant and book.is_whole:
                if all(self._owner_of(one.connection) != book.connection for one in self._closed):
                    channel.owner = book.connection
                return rebuilt_snapshot(push, book)
        return None

    def _channel_of(self, frame: Frame) -> Channel[R] | None:
        """Return the channel a text belongs to, None for acks, errors and pongs."""
        payload = frame.payload
        head: tuple[int, bytes] | None = None
        if payload.startswith(_PUSH):
            # Some bytes beyond the argument, so that an ack's head is never taken for a push's.
            end = payload.find(b"}") + 10
            if end < _HEAD_BYTES_MAX:
                head = (frame.connection, payload[:end])
                found = self._by_head.get(head)
                if found is not None:
                    return found
        push = push_of(payload)
        if push is None:
            return None
        self._catalogue.take(frame)
        endpoint = self._catalogue.endpoint_of(frame.connection, push)
        channel = self._channel(endpoint, push)
        if head is not None:
            if len(self._by_head) >= _HEADS_MAX:
                self._by_head.clear()
            self._by_head[head] = channel
        return channel

    def _release(self, frame: Frame) -> None:
        """Let other connections serve what a closed one (a new run: any) has served."""
        owner = self._owner_of(frame.connection)
        for channel in self._channels.values():
            if frame.kind is Kind.RUN or channel.owner == owner:
                channel.owner = None


def identity(argument: Mapping[str, Any]) -> Subscription | None:
    """Return what makes two arguments the same subscription."""
    found = subscription_of(argument)
    return None if found is None else found.key
