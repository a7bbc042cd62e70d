"""`watch`: live events as they come, with nothing stored.

Responsible for running a client without a capture, and for handing its events to a loop that may
be slower than the venue. Refuses to print, and to drop anything: while too much is waiting, bytes
stay in the kernel and the venue has to wait, too.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence

from recorder.book import Books
from recorder.event import Event
from recorder.live.config import Limits, LinkOptions
from recorder.live.credentials import credentials_from_environment, keep_secrets_off_the_wire
from recorder.live.endpoints import Endpoints
from recorder.live.nowhere import Nowhere
from recorder.live.patterns import resolve
from recorder.live.pipeline import Pipeline
from recorder.live.routing import route_to_endpoints
from recorder.live.stream import STREAM_BYTES, Stream
from recorder.okx.auth import Credentials
from recorder.okx.hosts import Hosts, hosts_at, hosts_of
from recorder.okx.session import Refusal
from recorder.okx.subscription import Subscription, parse_subscription


def watch(
    subscriptions: Sequence[Subscription | str],
    *,
    url: str | None = None,
    region: str = "global",
    demo_trading: bool = False,
    private: bool = False,
    credentials: Credentials | None = None,
    instruments_file: str | os.PathLike[str] | None = None,
    duration: float | None = None,
    frames: int | None = None,
    until_closed: bool = False,
    connect_timeout: float | None = None,
    number: type = float,
    notify: Callable[[str], None] = lambda _: None,
    stop: asyncio.Event | None = None,
    link: LinkOptions | None = None,
) -> Watch:
    """Return live events of OKX, to be looped over; nothing is stored.

        async for event in watch(["tickers:BTC-USDT", "candle1m:BTC-USDT"]):
            print(event)

    They are the events a recording would deliver: the same parser and interpreter make them, and
    disconnects and gaps are among them. Sockets open when the loop begins and close when it ends,
    also by `break`. A loop slower than the venue makes the venue wait; nothing is dropped here.

    Args:
        subscriptions: `Subscription`s, or texts such as `books:BTC-USDT` or `books:BTC-*-SWAP`.
        url: base address such as `ws://127.0.0.1:8765/ws/v5`; None means the venue.
        region: `global`, `us` or `eea`; demo_trading: the venue's demo.
        private: log in where a channel needs it; credentials: to log in with, None takes those
            of the environment (`live.credentials`).
        instruments_file: look patterns up here instead of asking REST.
        duration: seconds from the first ack; frames: received text messages; until_closed: end
            when the venue closed every socket. The first limit that is reached ends the loop.
        connect_timeout: seconds until a venue that cannot be reached is given up; None: never.
        number: type of prices and sizes: float, Decimal (exact) or str (as sent).
        notify: called with warnings, one sentence each.
        stop: set it to end the loop. link: how sockets are kept.

    Raises:
        UsageError: the arguments; at once. The loop raises StartError where the venue cannot be
            reached in time or refuses for good.
    """
    wanted = [parse_subscription(item) if isinstance(item, str) else item for item in subscriptions]
    route_to_endpoints(wanted, private=private)
    hosts = (
        hosts_of(region, demo_trading=demo_trading)
        if url is None
        else hosts_at(url, demo_trading=demo_trading)
    )
    if private:
        credentials = credentials or credentials_from_environment(os.environ, notify=notify)
        keep_secrets_off_the_wire(hosts)
    limits = Limits(
        duration=duration,
        frames=frames,
        until_closed=until_closed,
        connect_timeout=connect_timeout,
    )
    return Watch(
        wanted,
        hosts,
        limits=limits,
        link=link or LinkOptions(),
        credentials=credentials if private else None,
        instruments_file=instruments_file,
        number=number,
        notify=notify,
        stop=stop,
    )


class Watch:
    """Events of a running client, one after another; see `watch`.

    Attributes:
        books: every live order book, as it stood when the event in hand came.
    """

    def __init__(
        self,
        wanted: Sequence[Subscription],
        hosts: Hosts,
        *,
        limits: Limits,
        link: LinkOptions,
        credentials: Credentials | None,
        instruments_file: str | os.PathLike[str] | None,
        number: type,
        notify: Callable[[str], None],
        stop: asyncio.Event | None,
    ) -> None:
        self._stream = Stream(number=number, queue_bytes=STREAM_BYTES, is_patient=True)
        self._pipeline = Pipeline(
            Nowhere(lambda: self._stream.is_behind), text_limit=limits.frames, notify=notify
        )
        self._wanted = wanted
        self._hosts = hosts
        self._limits = limits
        self._link = link
        self._credentials = credentials
        self._instruments_file = instruments_file
        self._notify = notify
        self._stop = stop
        self._endpoints: Endpoints | None = None

    @property
    def books(self) -> Books:
        """Every live order book, as it stood when the event in hand came."""
        return self._stream.books

    @property
    def is_caught_up(self) -> bool:
        """Whether nothing waits behind the event in hand: the moment to flush what was printed."""
        return self._stream.is_caught_up

    @property
    def refusals(self) -> list[Refusal]:
        """What the venue refused so far."""
        return [] if self._endpoints is None else self._endpoints.refusals

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Connect, and give one event after another until the end."""
        wanted = await resolve(self._wanted, self._hosts, instruments_file=self._instruments_file)
        stream, pipeline = self._stream, self._pipeline
        self._endpoints = endpoints = self._new_endpoints(wanted)
        pipeline.attach(stream.lane)
        # Its own, so that leaving this loop does not set the caller's.
        stop = asyncio.Event()
        asked = asyncio.create_task(self._pass_on(stop))
        running = asyncio.create_task(endpoints.run(stop))
        running.add_done_callback(lambda _: stream.lane.finish())
        try:
            async for event in stream:
                yield event
            await running  # raises what ended it
        finally:
            stop.set()
            asked.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _new_endpoints(self, wanted: Sequence[Subscription]) -> Endpoints:
        return Endpoints(
            self._pipeline,
            self._hosts,
            wanted,
            limits=self._limits,
            link=self._link,
            rest=False,
            options={},
            notify=self._notify,
            on_progress=lambda _: None,
            queued_bytes=lambda: self._stream.waiting_bytes,
            set_status=lambda _: None,
            credentials=self._credentials,
        )

    async def _pass_on(self, stop: asyncio.Event) -> None:
        if self._stop is not None:
            await self._stop.wait()
            stop.set()
