"""A simulated recording session: sockets, requests, latency and mishaps around a market.

Responsible for the session as a recorder would have stored it: the `run` row, the instrument
list, connections, requests and acks (spoken by `okx.exchange`), pushes with their receive times,
losses, disconnects, and the client's pings and resyncs. Refuses to read a clock and to write
files: time is data time, and the same arguments give the same frames on every machine.

Theory of operation. A heap holds (time, rank, actor). The earliest actor acts at its time and says
when it wants to act again; actors of the venue come first, then what the session does. Pushes of
an actor become frames: receive time = venue time + latency, never before the frame received last
(the network does not reorder). Frames collect in a batch that is handed out when it is full.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec

from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.errors import UsageError
from recorder.frame import NO_CONNECTION, Frame, Kind
from recorder.okx.auth import Credentials, judge, login_request, mask_login
from recorder.okx.channels import CHANNELS
from recorder.okx.exchange import (
    Conversation,
    Reply,
    Send,
    Started,
    Stopped,
    argument_key,
    format_connection_id,
    service_notice,
)
from recorder.okx.instruments import instrument_requests
from recorder.okx.subscription import Subscription, build_requests
from replay.market.everything import Offer, Source
from replay.market.instruments import DEFAULT_INSTRUMENTS, instrument_of, rest_body
from replay.market.venue import Venue
from replay.simulation.mishaps import Mishaps
from replay.simulation.network import LATENCY_NS, UPLINK_NS, Link
from replay.simulation.scenario import Scenario, check_arguments, scenario_of

DEFAULT_START = 1_793_606_400 * NS_PER_SECOND
"""2026-11-02T08:00:00Z: a fixed start, for a seed alone shall decide a capture."""
VERSION = 1
"""Rises whenever the same arguments give other frames than before."""

_BATCH = 4_096
_URL = "wss://simulated.invalid:8443/ws/v5"
_MONO_ORIGIN = 5_000 * NS_PER_SECOND  # as if the machine had been up for a while
_PING_AFTER = 15 * NS_PER_SECOND
_RECONNECT_AFTER = 1_200 * NS_PER_MS
_CREDENTIALS = Credentials("simulated-key", "simulated-secret", "simulated-passphrase")
"""Known to both ends of the simulation; a capture holds them masked, as every recorded login."""


class SimulatedSession:
    """One simulated recording; iterate `batches()` once."""

    def __init__(
        self,
        *,
        seed: int,
        instruments: Sequence[str] = DEFAULT_INSTRUMENTS,
        channels: Sequence[str] | None = None,
        duration: float | None = None,
        frames: int | None = None,
        rate: float = 1.0,
        start: int = DEFAULT_START,
        scenario: str | Scenario = "mixed",
        private: bool = False,
    ) -> None:
        """Prepare; arguments are those of `replay.simulation.simulator.simulate`.

        Raises:
            UsageError: an argument makes no sense.
        """
        names = list(dict.fromkeys(instruments))
        check_arguments(names, duration, frames, rate, seed)
        if duration is None and frames is None:
            duration = 60.0
        length = None if duration is None else round(duration * NS_PER_SECOND)
        self._end = None if length is None else start + length
        self._frame_limit = frames
        self._scenario = scenario_of(scenario, length) if isinstance(scenario, str) else scenario
        self._options = {
            "version": VERSION,
            "seed": seed,
            "instruments": names,
            "channels": None if channels is None else list(channels),
            "rate": rate,
            "scenario": scenario if isinstance(scenario, str) else "custom",
            **({"private": True} if private else {}),
        }
        self._instruments = [instrument_of(name) for name in names]
        self._random = Random(seed ^ 0x5E551014)  # the network's, apart from the market's
        self._start = start
        self._now = self._last = start
        self._offset = start - _MONO_ORIGIN
        self._seq = self._connections = 0
        self._out: list[Frame] = []
        self._heap: list[tuple[int, int, Callable[[int], int | None]]] = []
        self._rank = 1_000
        self._links: dict[str, Link] = {}  # by endpoint
        self._link_of: dict[str, Link] = {}  # by channel
        self._recent: list[Link] = []  # open, or closed in the batch in hand
        self._venue = Venue(
            self._instruments, self._push, seed=seed, rate=round(rate * 1_000), start_ns=start
        )
        self._endpoint_of = {name: channel.endpoint for name, channel in CHANNELS.items()}
        self._mishaps = Mishaps(
            self._scenario, self._venue, self._later,
            announce=self._announce, disconnect=self._break,
        )  # fmt: skip
        self._offer = Offer(self._venue, self._push, seed)
        if self._scenario.has_every_channel:
            self._offer.add_every_channel()
        else:
            self._offer.add_markets()
            if private:
                self._offer.add_account()
        self._sources: dict[Any, Source] = {
            argument_key(asked.argument): source for asked, source in self._offer.sources.items()
        }
        self._wanted = self._select(channels)

    def batches(self) -> Iterator[list[Frame]]:
        """Yield the frames in `seq` order, a few thousand at a time."""
        self._open_session()
        heap, end, out = self._heap, self._end, self._out
        # Every open connection will need one row more.
        limit = (1 << 62) if self._frame_limit is None else self._frame_limit
        while self._seq + len(self._links) < limit:
            now, rank, actor = heap[0]
            if end is not None and now >= end:
                break
            self._now = now
            again = actor(now)
            if again is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (again, rank, actor))
            if len(out) >= _BATCH and self._seq + len(self._links) < limit:
                yield self._hand_out()
                out = self._out
        if end is not None and (not heap or heap[0][0] >= end):
            self._now = end
        self._end_session(limit)
        yield self._hand_out()

    # --- the session ------------------------------------------------------------------------

    def _open_session(self) -> None:
        self._row(NO_CONNECTION, Kind.RUN, {"simulator": self._options})
        every = [subscription for wanted in self._wanted.values() for subscription in wanted]
        for path in instrument_requests(every):
            number = self._next_connection()
            self._add(number, Kind.SENT, f"GET {path} HTTP/1.1".encode())
            self._now += 40 * NS_PER_MS
            kind = path.partition("instType=")[2]
            listed = [item for item in self._instruments if item.type == kind]
            self._add(number, Kind.REST, rest_body(listed))
        actors = self._venue.actors() + self._offer.actors
        self._heap = [(at, rank, actor) for rank, (at, actor) in enumerate(actors)]
        heapq.heapify(self._heap)
        for market in self._venue.markets.values():
            market.feed.on_gap = self._resync_of(market.instrument.id)
        for number, endpoint in enumerate(self._wanted):
            # The venue takes three connections a second: a client opens them one by one.
            self._later(50 * NS_PER_MS * (number + 1), partial(self._connect, endpoint))
        self._mishaps.schedule(self._start, self._now)

    def _end_session(self, limit: int) -> None:
        """Close what is open; cut what the last actor made beyond the limit of rows."""
        kept = min(self._seq, limit)
        while kept > 1 and kept + len(self._open_at(kept)) > limit:
            kept -= 1
        links = self._open_at(kept)
        if kept < self._seq:
            del self._out[kept - self._seq :]
            self._seq = kept
            self._last = self._now = self._out[-1].ts_recv
        for link in links:
            self._close(link, 1000, "recorder")

    def _open_at(self, seq: int) -> list[Link]:
        """Return the connections that are open before row `seq`."""
        return [
            link
            for link in self._recent
            if link.opened_seq < seq and (link.is_open or link.closed_seq >= seq)
        ]

    def _hand_out(self) -> list[Frame]:
        out, self._out = self._out, []
        self._recent = [link for link in self._recent if link.is_open]
        return out

    def _select(self, channels: Sequence[str] | None) -> dict[str, list[Subscription]]:
        """Return what each endpoint is asked for, in the order of asking."""
        known = list(dict.fromkeys(asked.channel for asked in self._offer.sources))
        for channel in channels or ():
            if channel not in known:
                raise UsageError(
                    f"expected channels out of {', '.join(known)}, received {channel!r}"
                )
        wanted: dict[str, list[Subscription]] = {}
        for asked in self._offer.sources:
            if channels is None or asked.channel in channels:
                wanted.setdefault(self._endpoint_of[asked.channel], []).append(asked)
        return wanted

    # --- connections ------------------------------------------------------------------------

    def _connect(self, endpoint: str, now: int) -> None:
        number = self._next_connection()
        served = {argument_key(item.argument) for item in self._wanted[endpoint]}
        conversation = Conversation(
            endpoint,
            format_connection_id(self._random.getrandbits(32)),
            lambda argument: argument_key(argument) in served,
            endpoint_of=self._endpoint_of.get,
            needs_login=_needs_login,
            login=judge(_CREDENTIALS),
            now_ns=self._now,
        )
        link = self._links[endpoint] = Link(number, endpoint, conversation)
        self._recent.append(link)
        for item in self._wanted[endpoint]:
            self._link_of[item.channel] = link
        link.opened_seq = self._seq
        opened = {"url": f"{_URL}/{endpoint}", "endpoint": endpoint, "link": 0}
        self._row(number, Kind.OPENED, opened)
        link.heard_at = self._last
        wanted = self._wanted[endpoint]
        self._ask(link, [item for item in wanted if not _needs_login(item.argument)])
        if any(_needs_login(item.argument) for item in wanted):
            login = login_request(_CREDENTIALS, self._now // NS_PER_SECOND, link.next_id())
            self._send(link, login, stored=mask_login(login))
        self._later(_PING_AFTER, lambda now: self._watch(link))

    def _ask(self, link: Link, wanted: list[Subscription]) -> None:
        for request in build_requests("subscribe", wanted, link.next_id):
            self._send(link, request.payload)

    def _ask_the_rest(self, link: Link) -> None:
        """Ask for what needs a login, once it is accepted."""
        if link.is_open:
            wanted = self._wanted[link.endpoint]
            self._ask(link, [item for item in wanted if _needs_login(item.argument)])

    def _send(self, link: Link, payload: bytes, stored: bytes | None = None) -> None:
        """Let the client send; the venue answers when it has received it."""
        self._add(link.number, Kind.SENT, payload if stored is None else stored)
        self._later(UPLINK_NS, lambda now: self._answer(link, payload))

    def _answer(self, link: Link, payload: bytes) -> None:
        if not link.is_open:
            return
        was_logged_in = link.conversation.is_logged_in
        for reply in link.conversation.receive(payload, self._now):
            self._obey(link, reply)
        if link.conversation.is_logged_in and not was_logged_in:
            seen = self._last - self._now + NS_PER_MS
            self._later(seen, lambda now: self._ask_the_rest(link))

    def _obey(self, link: Link, reply: Reply) -> None:
        if isinstance(reply, Send):
            self._deliver(link, reply.payload)
        elif isinstance(reply, Started):
            # The initial push comes 2 to 60 ms after the ack.
            wait = 2 * NS_PER_MS + self._random.getrandbits(26) % (58 * NS_PER_MS)
            argument = reply.argument
            self._later(wait, lambda now: self._start_pushes(link, argument))
        elif isinstance(reply, Stopped):
            self._sources[argument_key(reply.argument)].stop(reply.argument["channel"])

    def _start_pushes(self, link: Link, argument: dict[str, Any]) -> None:
        if link.is_open and link.conversation.holds(argument):
            self._sources[argument_key(argument)].start(argument["channel"], self._now)

    def _watch(self, link: Link) -> int | None:
        """Send a text ping when nothing has come for a while; the venue closes after 30 s."""
        if not link.is_open:
            return None
        due = link.heard_at + _PING_AFTER
        if due > self._now:
            return due
        self._send(link, b"ping")
        return self._now + _PING_AFTER

    def _close(self, link: Link, code: int, by: str) -> None:
        link.is_open = False
        link.closed_seq = self._seq
        for item in self._wanted[link.endpoint]:
            self._offer.sources[item].stop(item.channel)
        self._row(link.number, Kind.CLOSED, {"code": code, "reason": "", "by": by, "opened": True})

    # --- scenario ---------------------------------------------------------------------------

    def _announce(self) -> None:
        link = self._links.get("public")
        if link is not None and link.is_open:
            self._deliver(link, service_notice(link.conversation.connection_id))

    def _break(self) -> None:
        """Break the public socket; the client comes back after a while."""
        link = self._links.get("public")
        if link is None or not link.is_open:
            return
        self._close(link, 1006, "network")
        wait = _RECONNECT_AFTER
        for _ in range(self._scenario.failed_connects):
            self._later(wait, lambda now: self._fail_to_connect())
            wait += 2 * _RECONNECT_AFTER
        self._later(wait, partial(self._connect, "public"))

    def _fail_to_connect(self) -> None:
        row = {"code": None, "reason": "connection refused", "by": "network", "opened": False}
        self._row(self._next_connection(), Kind.CLOSED, row)

    def _resync_of(self, name: str) -> Callable[[], None]:
        """Return what a client does about a gap: leave the channel, then subscribe anew."""
        subscription = Subscription("books", (("instId", name),))

        def ask(link: Link, operation: str) -> None:
            if link.is_open:
                for request in build_requests(operation, [subscription], link.next_id):
                    self._send(link, request.payload)

        def resync() -> None:
            # A client acts when the frame is there; it subscribes again when the ack is there.
            link = self._links["public"]
            seen = self._last - self._now + NS_PER_MS
            self._later(seen, lambda now: ask(link, "unsubscribe"))
            self._later(seen + 25 * NS_PER_MS, lambda now: ask(link, "subscribe"))

        return resync

    # --- frames -----------------------------------------------------------------------------

    def _push(self, channel: str, text: str) -> None:
        """Take a push of the venue: it arrives on the socket of its endpoint."""
        self._deliver(self._link_of[channel], text.encode())

    def _deliver(self, link: Link, payload: bytes) -> None:
        draw = self._random.getrandbits(26)
        at = self._now + LATENCY_NS[draw & 255] + (draw >> 8)
        if at > self._last:
            self._last = at
        else:
            at = self._last
        link.heard_at = at
        seq = self._seq
        self._seq = seq + 1
        self._out.append(Frame(seq, at, at - self._offset, link.number, Kind.TEXT, payload))

    def _row(self, connection: int, kind: Kind, body: dict[str, Any]) -> None:
        self._add(connection, kind, msgspec.json.encode(body))

    def _add(self, connection: int, kind: Kind, payload: bytes) -> None:
        """Add a row of the client's own: stamped now, but not before what it has received."""
        at = self._last = max(self._last, self._now)
        self._out.append(Frame(self._seq, at, at - self._offset, connection, kind, payload))
        self._seq += 1

    def _next_connection(self) -> int:
        self._connections += 1
        return self._connections - 1

    def _later(self, wait_ns: int, act: Callable[[int], object]) -> None:
        """Let something happen once, `wait_ns` from now (again if it returns a time)."""
        self._rank += 1
        heapq.heappush(self._heap, (self._now + wait_ns, self._rank, _actor(act)))


def _needs_login(argument: dict[str, Any]) -> bool:
    return CHANNELS[argument["channel"]].login


def _actor(act: Callable[[int], object]) -> Callable[[int], int | None]:
    def actor(now: int) -> int | None:
        again = act(now)
        return again if isinstance(again, int) else None

    return actor
