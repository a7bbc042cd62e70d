"""`Client`: live events of OKX in a program of one's own, nothing stored.

    async with Client() as client:
        await client.subscribe("trades:BTC-USDT", "books:BTC-USDT")
        async for event in client:
            ...

Responsible for what a program may do with live data: subscribe and unsubscribe at any time, several
consumers side by side, a look at how it goes. Refuses to start threads of its own (`call` with
`in_thread` is asked to), to store anything, and to be a second client: sockets, sessions, retries
and events are those of `record` and `watch`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from recorder.book import Books
from recorder.errors import ConnectError, UsageError
from recorder.live.callback import Callback
from recorder.live.changing import ChangingEndpoints
from recorder.live.client_state import ClientState, state_of
from recorder.live.config import Limits, LinkOptions, above_zero
from recorder.live.credentials import credentials_from_environment, keep_secrets_off_the_wire
from recorder.live.nowhere import Nowhere
from recorder.live.patterns import resolve
from recorder.live.pipeline import Pipeline
from recorder.live.routing import route_to_endpoints
from recorder.live.stream import STREAM_BYTES, Stream
from recorder.okx.auth import Credentials
from recorder.okx.hosts import hosts_at, hosts_of
from recorder.okx.instruments import has_pattern
from recorder.okx.subscription import Subscription, parse_subscription


class Client:
    """A client of OKX, to be entered with `async with`, once.

    Args:
        url: base address such as `ws://127.0.0.1:8765/ws/v5`; None means the venue.
        region: `global`, `us` or `eea`; demo_trading: the venue's demo.
        private: log in where a channel needs it; credentials: to log in with, None takes those of
            the environment (`live.credentials`).
        rest: fetch the instrument lists of what is subscribed to: `RestResponse` events.
        resnapshot: hours between two comparisons of every book with the venue's own by REST
            (`BookMismatch`); None or 0: none.
        instruments_file: look patterns up here instead of asking REST.
        connect_timeout: seconds until a `subscribe` whose endpoint cannot be reached is given up;
            None: never.
        number: type of prices and sizes of `async for`: float, Decimal (exact) or str (as sent).
        queue_bytes: memory of the frames that may wait for `async for`.
        notify: called with warnings, one sentence each; must not block.
        link: how sockets are kept.

    Raises:
        UsageError: the arguments; nothing is opened before it is entered.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        region: str = "global",
        demo_trading: bool = False,
        private: bool = False,
        credentials: Credentials | None = None,
        rest: bool = False,
        resnapshot: float | None = None,
        instruments_file: str | os.PathLike[str] | None = None,
        connect_timeout: float | None = None,
        number: type = float,
        queue_bytes: int = STREAM_BYTES,
        notify: Callable[[str], None] = lambda _: None,
        link: LinkOptions | None = None,
    ) -> None:
        above_zero("connect_timeout", connect_timeout)
        self._hosts = (
            hosts_of(region, demo_trading=demo_trading)
            if url is None
            else hosts_at(url, demo_trading=demo_trading)
        )
        if private:
            credentials = credentials or credentials_from_environment(os.environ, notify=notify)
            keep_secrets_off_the_wire(self._hosts)
        self._credentials = credentials if private else None
        self._rest = rest
        self._resnapshot = resnapshot
        self._instruments_file = instruments_file
        self._patience = connect_timeout
        self._number = number
        self._queue_bytes = queue_bytes
        self._notify = notify
        self._link = link or LinkOptions()
        if self._link.redundancy > 1:
            raise UsageError(
                f"expected redundancy 1 of a client, whose subscriptions change, received "
                f"{self._link.redundancy}; `record` and `watch` hold several links"
            )
        self._stop = asyncio.Event()
        self._endpoints: ChangingEndpoints | None = None
        self._failure: BaseException | None = None
        self._is_told = False
        self._streams: dict[Stream, None] = {}
        self._callbacks: dict[Callback, None] = {}
        self._has_looped = False

    # --- the beginning and the end ---------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Make ready; sockets are opened by `subscribe`."""
        if self._endpoints is not None:
            raise UsageError("expected a client that is entered once, received a second entry")
        self._pipeline = pipeline = Pipeline(Nowhere(), may_wait=False, notify=self._notify)
        self._endpoints = ChangingEndpoints(
            pipeline,
            self._hosts,
            (),
            limits=Limits(),
            link=self._link,
            rest=self._rest,
            options={},
            notify=self._notify,
            on_progress=lambda _: None,
            queued_bytes=lambda: sum(item.waiting_bytes for item in self._streams),
            set_status=lambda _: self._forget_unread(),
            credentials=self._credentials,
            resnapshot=self._resnapshot,
        )
        self._main = self._open_stream(self._number, self._queue_bytes, from_start=True)
        self._main.lane.is_silent = True
        self._running = asyncio.create_task(self._endpoints.run(self._stop))
        self._running.add_done_callback(self._on_ended)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every socket properly and end every consumer; nothing is left running.

        Raises:
            RecorderError: what ended the client, where nobody was told of it yet.
        """
        self._stop.set()
        try:
            await asyncio.shield(asyncio.wait([self._running]))
        finally:  # also where that is cancelled: what runs is cut short then
            self._running.cancel()
            for callback in list(self._callbacks):
                await callback.close()
        if error is None and self._failure is not None and not self._is_told:
            raise self._failure

    def _on_ended(self, running: asyncio.Task[None]) -> None:
        """Tell everybody that nothing comes any more, and why."""
        if not running.cancelled():
            self._failure = running.exception()
        self._require().fail_all(
            lambda: (
                self._failure
                or ConnectError("expected an answer of the venue, but the client was left before")
            )
        )
        for stream in list(self._streams):
            stream.lane.finish()
        for callback in self._callbacks:
            callback.finish()
        self._pipeline.tell()

    # --- subscriptions -----------------------------------------------------------------------

    async def subscribe(self, *subscriptions: Subscription | str) -> list[Subscription]:
        """Hold subscriptions, again after each reconnect; return once the venue accepts them.

        Cancelling it takes back what is not accepted yet. Subscribing to what is held is nothing.

        Args:
            subscriptions: `Subscription`s, or texts such as `books:BTC-USDT` or `books:BTC-*-SWAP`.

        Returns:
            What is held by it, patterns looked up.

        Raises:
            UsageError: the arguments; nothing was asked for.
            VenueRefused: the venue refused some (`code`, `refused`); the others are held.
            ConnectError, HandshakeError, AuthError, RestError: no answer can be had.
        """
        endpoints = self._require(is_running=True)
        wanted = _parsed(subscriptions)
        route_to_endpoints(wanted, private=self._credentials is not None)
        wanted = await resolve(wanted, self._hosts, instruments_file=self._instruments_file)
        self._require(is_running=True)
        return await endpoints.subscribe(list(dict.fromkeys(wanted)), patience=self._patience)

    async def unsubscribe(self, *subscriptions: Subscription | str) -> None:
        """Give subscriptions up; return once the venue has confirmed, or its socket is gone.

        They are given up at once, also where this is cancelled. What is not held is nothing. Data
        that the venue sent before it confirmed still comes.

        Raises:
            UsageError: a pattern, or no subscription; `subscribe` returns what it held.
        """
        endpoints = self._require(is_running=True)
        wanted = _parsed(subscriptions)
        for item in wanted:
            if has_pattern(item):
                raise UsageError(
                    f"expected subscriptions without a pattern to give up, received {item}; "
                    f"keep what subscribe() returned"
                )
        await endpoints.unsubscribe(wanted)

    # --- consumers -----------------------------------------------------------------------------

    def __aiter__(self) -> Stream:
        """Loop over every event since the client was entered; a later loop goes on after it.

        What nobody has looped over yet waits, up to `queue_bytes`; once it is more, it is dropped,
        and a first loop begins with what comes next.
        """
        self._require()
        if not self._has_looped:
            self._forget_unread()
            self._has_looped = True
            self._main.lane.is_silent = False
            if self._main.is_closed and self.is_running:
                self._main = self._open_stream(self._number, self._queue_bytes)
        return self._main

    def stream(self, *, number: type | None = None, queue_bytes: int = STREAM_BYTES) -> Stream:
        """Return one more consumer, of every event from now on; `close()` it when done.

        It has a queue, books and an interpreter of its own. One that is too slow misses frames,
        and is told so by one `Lost` with cause `stream too slow`; from there on its books are
        right again. Neither the sockets nor other consumers wait for it.
        """
        self._require(is_running=True)
        return self._open_stream(number or self._number, queue_bytes)

    def call(
        self, handler: object, *, in_thread: bool = False, queue_bytes: int = STREAM_BYTES
    ) -> Callback:
        """Call a handler with every event from now on; `await close()` it when done.

        Args:
            handler: a strategy, as `record` and `replay play` take it, or a coroutine function
                `(event, context)`. Its exceptions are counted and told, and end nothing.
            in_thread: in a thread of its own, for what computes long; else in the event loop.
            queue_bytes: memory of the frames that may wait for it; see `stream`.
        """
        self._require(is_running=True)
        callback = Callback(
            handler,
            state=self._pipeline.state(),
            queue_bytes=queue_bytes,
            in_thread=in_thread,
            on_close=self._forget_callback,
        )
        self._callbacks[callback] = None
        self._pipeline.attach(callback.lane)
        return callback

    # --- what is known -------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        """Whether it was entered and neither left nor ended by an error."""
        return self._endpoints is not None and not self._stop.is_set() and not self._running.done()

    @property
    def books(self) -> Books:
        """Every live order book, as of the event in hand of `async for`; without a loop, of now."""
        self._require()
        return self._main.books if self._has_looped else self._pipeline.books

    @property
    def state(self) -> ClientState:
        """How it goes: connections, subscriptions, consumers, counts."""
        endpoints = self._require()
        lanes = [stream.lane for stream in self._streams]
        lanes += [callback.lane for callback in self._callbacks]
        return state_of(endpoints, self._pipeline, lanes, is_running=self.is_running)

    # --- internals -----------------------------------------------------------------------------

    def _require(self, *, is_running: bool = False) -> ChangingEndpoints:
        """Return the endpoints of a client that was entered.

        Raises:
            UsageError: it was not, or was left. RecorderError: what ended it.
        """
        if self._endpoints is None:
            raise UsageError("expected a client that was entered; write async with Client() as …")
        if is_running and not self.is_running:
            if self._failure is not None:
                self._is_told = True
                raise self._failure
            raise UsageError(
                "expected a running client, received one that was left; enter a new one"
            )
        return self._endpoints

    def _open_stream(self, number: type, queue_bytes: int, *, from_start: bool = False) -> Stream:
        stream = Stream(
            number=number,
            state=None if from_start else self._pipeline.state(),
            queue_bytes=queue_bytes,
            failure=self._tell_failure,
            on_close=self._forget_stream,
        )
        self._streams[stream] = None
        self._pipeline.attach(stream.lane)
        return stream

    def _tell_failure(self) -> BaseException | None:
        self._is_told = True
        return self._failure

    def _forget_stream(self, stream: Stream) -> None:
        self._streams.pop(stream, None)
        self._pipeline.detach(stream.lane)

    def _forget_callback(self, callback: Callback) -> None:
        self._callbacks.pop(callback, None)
        self._pipeline.detach(callback.lane)

    def _forget_unread(self) -> None:
        """Drop what has become too much for a loop that nobody has begun."""
        if not self._has_looped and self._main.lost:
            self._main.close()


def _parsed(subscriptions: Sequence[Subscription | str]) -> list[Subscription]:
    if not subscriptions:
        raise UsageError("expected at least one subscription, received none; e.g. trades:BTC-USDT")
    return [parse_subscription(it) if isinstance(it, str) else it for it in subscriptions]
