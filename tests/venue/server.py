"""A venue with real sockets, real data and faults by scenario: what a client is tested against.

    async with Venue(read_scenario(text), MarketFeed(seed=7), log=path) as venue:
        await record(out, [...], url=venue.url)

Answers are those of `okx.exchange`, faults those of `okx.faults`, pushes those of a feed; the
oracle's log says what every client must have received (`conservation` compares). A test can also
drive it: `venue.push(...)`, `venue.inject(fault)`, `await venue.until(lambda: ...)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from os import PathLike
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from recorder.okx.exchange import ChannelCounts, Login, accept_any_login
from recorder.okx.faults import AnyFault, Scenario
from recorder.okx.faults.plan import Faults, Made
from recorder.okx.subscription import parse_subscription
from tests.venue.feeds import Feed, QuietFeed
from tests.venue.hub import Hub
from tests.venue.oracle import Oracle
from tests.venue.peer import Peer

_STEP_SECONDS = 0.004
_LOOK_SECONDS = 0.25
_STALL_SECONDS = 0.2


class Venue:
    """A running venue; `async with`.

    Args:
        scenario: what goes wrong. feed: what is pushed.
        log: file of the oracle; None keeps its lines in `oracle.lines`.
        login: judge of logins. port: 0 takes a free one. seed: of connection ids.

    Attributes:
        url: for `record(url=…)`. peers: every TCP connection there was, oldest first.
        attempts: (monotonic ns, endpoint) of every handshake.
        failures: mistakes of the venue itself; the first is raised when it ends.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        feed: Feed | None = None,
        *,
        log: str | PathLike[str] | None = None,
        login: Login = accept_any_login,
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.scenario = scenario or Scenario()
        self.feed: Feed = feed or QuietFeed()
        self.oracle = Oracle(log)
        self.hub = Hub()
        self.counts = ChannelCounts()
        self.login = login
        self.seed = seed
        self.port = port
        self.peers: list[Peer] = []
        self.attempts: list[tuple[int, str]] = []
        self.faults = Faults(self.scenario)
        self.failures: list[Exception] = []
        self._told = 0
        self._numbers = 0
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._player: asyncio.Task[None] | None = None
        self._offset = 0

    @property
    def url(self) -> str:
        """Base address of the WebSockets."""
        return f"ws://127.0.0.1:{self.port}/ws/v5"

    async def __aenter__(self) -> Venue:
        loop = asyncio.get_running_loop()
        for subscription in self.feed.arguments():
            self.hub.serve(subscription)
        self.feed.begin(time.time_ns(), self.hub.take)
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.oracle.note("venue", url=self.url, seed=self.scenario.seed)
        self._player = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._player is not None
        self._player.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._player
        self._server.close()
        for peer in self.peers:
            peer.stop()
        await self.until(lambda: all(peer.is_gone for peer in self.peers))
        await self._server.wait_closed()
        self.oracle.close()
        if self.failures and error is None:
            raise self.failures[0]

    # --- for tests --------------------------------------------------------------------------

    @property
    def made(self) -> list[Made]:
        """The faults that have happened."""
        return self.faults.made

    def connections(self, endpoint: str | None = None) -> list[Peer]:
        """Every WebSocket there was (of an endpoint), oldest first."""
        opened = [peer for peer in self.peers if peer.number >= 0]
        return [peer for peer in opened if endpoint in (None, peer.endpoint)]

    def holders(self, subscription: str) -> list[Peer]:
        """Return the open connections that hold an argument, given as `books:BTC-USDT`."""
        argument = parse_subscription(subscription).argument
        return [peer for peer in self.connections() if peer.is_open and peer.holds(argument)]

    async def until(self, is_met: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until something about the connections is true."""
        async with asyncio.timeout(timeout):
            while not is_met():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.05)

    def push(self, payload: bytes) -> None:
        """Push to everybody who holds its argument."""
        self.hub.take(payload)

    def inject(self, fault: AnyFault) -> None:
        """Add a fault now; one that comes by itself happens at once where it applies."""
        self.faults.add(fault)
        for peer in self.connections():
            peer.tick()

    # --- for peers --------------------------------------------------------------------------

    def next_number(self) -> int:
        """Number a WebSocket."""
        self._numbers += 1
        return self._numbers - 1

    def changed(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()

    def lost(self, peer: Peer) -> None:
        """A TCP connection is gone."""
        peer.note_end()
        self.changed()

    def tell_faults(self) -> None:
        """Write the new faults to the oracle."""
        for made in self.faults.made[self._told :]:
            self.oracle.note(
                "fault",
                connection=made.connection,
                endpoint=made.endpoint,
                fault=made.fault,
                detail=made.detail,
            )
        if self._told != len(self.faults.made):
            self._told = len(self.faults.made)
            self.changed()

    def restart(self, instrument: str | None) -> None:
        """Let the feed count a book anew."""
        self.feed.restart(instrument, time.time_ns())

    def rest(self, target: str) -> tuple[int, bytes]:
        """Answer a REST request."""
        parts = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        body: bytes | None = None
        if parts.path == "/api/v5/public/time":
            body = _body([{"ts": str(time.time_ns() // 1_000_000)}])
        elif parts.path == "/api/v5/public/instruments":
            body = self.feed.instruments(query.get("instType", ""))
        elif parts.path in ("/api/v5/market/books", "/api/v5/market/books-full"):
            depth = query.get("sz", "1")
            body = self.hub.book_body(query.get("instId", ""), int(depth) if depth.isdigit() else 1)
        if body is None:
            return 404, msgspec.json.encode({"code": "51001", "data": [], "msg": "not here"})
        return 200, body

    async def _play(self) -> None:
        """Let the feed push in real time."""
        while True:
            now = time.time_ns()
            due = self.feed.advance(now, self.hub.take)
            wait = _LOOK_SECONDS if due is None else (due - time.time_ns()) / 1e9
            wait = min(max(wait, _STEP_SECONDS), _LOOK_SECONDS)
            begun = time.monotonic()
            await asyncio.sleep(wait)
            late = time.monotonic() - begun - wait
            if late > _STALL_SECONDS:
                self.oracle.note("stall", seconds=round(late, 3))


def _body(data: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode({"code": "0", "data": data, "msg": ""})
