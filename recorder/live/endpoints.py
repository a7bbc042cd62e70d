"""Endpoints: all conversations of one recording, from the first row to the last.

Responsible for which endpoints are needed, for the instrument lists at the start, for when a
recording ends, and for ending it without losing a frame. Refuses to know the wire: that is `okx`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from recorder.clock import NS_PER_SECOND
from recorder.errors import AuthError, ConnectError
from recorder.live.config import Limits, LinkOptions
from recorder.live.connection import read_clocks
from recorder.live.ending import Closed
from recorder.live.endpoint import Endpoint
from recorder.live.failures import login_refused, no_websocket, venue_refused
from recorder.live.links import Place, links_of, on_every_link, places, refused_everywhere
from recorder.live.pipeline import Pipeline
from recorder.live.report import Progress, never_held, run_row
from recorder.live.resnapshot import Resnapshot
from recorder.live.rest_exchange import RestExchange
from recorder.live.routing import route_to_endpoints
from recorder.live.rules import ALL_REFUSED, Retry, Rule
from recorder.live.schedule import ConnectionLimit
from recorder.okx.auth import Credentials
from recorder.okx.hosts import Hosts
from recorder.okx.instruments import instrument_requests
from recorder.okx.session import GiveUp, Refusal
from recorder.okx.subscription import Subscription


class Endpoints:
    """Run the sessions of one recording.

    Args:
        pipeline: where everything goes.
        hosts: where the venue is.
        subscriptions: what to hold.
        limits: when to end. link: how sockets are kept.
        rest: fetch the instrument lists at the start.
        options: for the `run` row, as the user gave them; without secrets.
        notify: told one sentence when a person should know something.
        on_progress: called once a second.
        trouble: says what keeps finished segments from being sealed, None if nothing does.
        take_notes: gives what happened to the disk since the last call, a sentence each.
        credentials: to log in with; None: no login.
        resnapshot: hours between two comparisons of every book with the venue's; None: none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        hosts: Hosts,
        subscriptions: Sequence[Subscription],
        *,
        limits: Limits,
        link: LinkOptions,
        rest: bool,
        options: Mapping[str, Any],
        notify: Callable[[str], None],
        on_progress: Callable[[Progress], None],
        queued_bytes: Callable[[], int],
        set_status: Callable[[Mapping[str, Any]], None],
        trouble: Callable[[], Exception | None] = lambda: None,
        take_notes: Callable[[], Sequence[str]] = tuple,
        credentials: Credentials | None = None,
        resnapshot: float | None = None,
    ) -> None:
        self.stopped_by = ""
        self._pipeline = pipeline
        self._hosts = hosts
        self._subscriptions = tuple(dict.fromkeys(subscriptions))
        self._limits = limits
        self._open_timeout = link.open_timeout
        self._rest = rest
        self._resnapshot = resnapshot
        self._options = options
        self._notify = notify
        self._on_progress = on_progress
        self._queued_bytes = queued_bytes
        self._set_status = set_status
        self._trouble = trouble
        self._take_notes = take_notes
        self._told_trouble = False
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._login_error: AuthError | None = None
        self._was_connected = False
        self._duration_timer: asyncio.TimerHandle | None = None
        self._started = read_clocks().ts_mono
        self._exchange = RestExchange(pipeline, hosts, notify)
        pipeline.on_full = lambda: self._end("frame count reached")
        pipeline.on_loss = self._renew_books
        self._credentials = credentials
        self._link = link
        self._limit, self._random = ConnectionLimit(), Random()  # jitter, not secrecy
        self._endpoints = [
            self._new_endpoint(name, wanted, place)
            for name, wanted in self._routed(self._subscriptions).items()
            for place in places(link.redundancy)
        ]
        self._running: dict[Endpoint, asyncio.Task[None]] = {}
        self._others: list[asyncio.Task[None]] = []

    @property
    def seconds(self) -> float:
        """Time since the start, s."""
        return (read_clocks().ts_mono - self._started) / NS_PER_SECOND

    @property
    def refusals(self) -> list[Refusal]:
        """What the venue refused, by the latest conversations."""
        return refused_everywhere(self._endpoints)

    @property
    def never_held(self) -> list[Subscription]:
        """What could not even be asked for; see `report.never_held`."""
        return on_every_link(self._endpoints, never_held)

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set or a limit is reached; then close every socket properly.

        Raises:
            StartError: no socket could be opened in time, or the venue refused for good.
            RecorderError: the disk takes no more.
        """
        endpoints = [
            {"endpoint": item.name, "url": item.url, "link": item.link} for item in self._endpoints
        ]
        self._pipeline.begin(run_row(self._options, endpoints), read_clocks())
        loop = asyncio.get_running_loop()
        patience = self._limits.connect_timeout
        timers = []
        if patience is not None:
            timers.append(loop.call_later(patience, self._give_up, patience))
        if self._limits.duration is not None:
            # A duration also counts while nothing can be reached.
            latest = self._open_timeout if patience is None else patience
            timers.append(loop.call_later(latest, self._start_duration))
        for item in self._endpoints:
            self._start(item)
        others = self._others
        others += [asyncio.create_task(self._watch(stop)), asyncio.create_task(self._keep_house())]
        if self._rest:
            paths = instrument_requests(self._subscriptions)
            others.append(asyncio.create_task(self._fetch_instruments(paths)))
        if self._resnapshot:
            others.append(asyncio.create_task(self._compare_books(self._resnapshot)))
        try:
            await self._ended.wait()
        finally:
            for timer in timers:
                timer.cancel()
            if self._duration_timer is not None:
                self._duration_timer.cancel()
            for endpoint in self._endpoints:
                endpoint.stop(self.stopped_by or "stopped")
            try:
                results = await asyncio.gather(*self._running.values(), return_exceptions=True)
            finally:
                for task in others:
                    task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        self._raise_failure(results)

    # --- Watcher ---------------------------------------------------------------------------

    def on_connected(self, endpoint: Endpoint) -> None:
        """Note that the venue can be reached at all."""
        self._was_connected = True

    def on_acked(self, endpoint: Endpoint) -> None:
        """Let the duration begin."""
        self._start_duration()

    def on_talked(self, endpoint: Endpoint) -> None:
        """Nobody waits for answers here."""

    def on_refused(self, endpoint: Endpoint) -> bool:
        """End when the venue refused everything there is, in the first conversations."""
        if all(item.all_refused and item.times_opened == 1 for item in self._endpoints):
            self.on_failure(venue_refused(self.refusals, "at least one subscription"))
        return not self._ended.is_set()

    def on_login_refused(self, endpoint: Endpoint, action: GiveUp, ahead: float | None) -> None:
        """End if no login ever worked here; else what needs it is refused from now on."""
        error = login_refused(endpoint.url, action, ahead)
        if any(link.has_logged_in for link in links_of(endpoint, self._endpoints)):
            self._login_error = error
            endpoint.warn(f"{error}; what needs it is not recorded any more")
        else:
            self.on_failure(error)

    def may_retry(self, endpoint: Endpoint, closed: Closed, rule: Rule, how: Retry) -> bool:
        """Decide whether an endpoint is tried again."""
        if self._ended.is_set():
            return False
        others = [link for link in links_of(endpoint, self._endpoints) if link is not endpoint]
        # Where another link of it was ever open, there is a WebSocket: this one is tried again.
        if how is Retry.NEVER and not any(link.times_opened for link in others):
            self.on_failure(no_websocket(endpoint.url, closed, rule))
            return False
        if not self._limits.until_closed:
            return True
        return rule is not ALL_REFUSED and not (closed.opened and closed.by != "recorder")

    def on_failure(self, error: BaseException) -> None:
        """End the recording because of an error."""
        if self._failure is None and not self._ended.is_set():
            self._failure = error
        self._end("stopped by an error")

    # --- internals -------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        if not self._ended.is_set():
            self.stopped_by = reason
            self._ended.set()

    def _give_up(self, patience: float) -> None:
        if not self._was_connected:
            self.on_failure(
                ConnectError(
                    f"expected a connection to {self._unreachable(f'within {patience:g} s')}; "
                    f"check the address and the network, or raise --connect-timeout"
                )
            )

    def _unreachable(self, when: str, tried: Sequence[Endpoint] | None = None) -> str:
        """Say which addresses were tried, that none answered, and what the last attempts met."""
        tried = self._endpoints if tried is None else tried
        addresses = ", ".join(item.url for item in tried)
        met = dict.fromkeys(item.telling.unreachable for item in tried if item.telling.unreachable)
        words = f" ({', '.join(met)})" if met else ""
        return f"{addresses} {when}, received none{words}"

    def _start_duration(self) -> None:
        if self._limits.duration is not None and self._duration_timer is None:
            loop = asyncio.get_running_loop()
            self._duration_timer = loop.call_later(
                self._limits.duration, self._end, "duration reached"
            )

    def _renew_books(self, connection: int) -> None:
        """Have books begin anew that lost updates on the way to the disk: no session sees that."""
        for endpoint in self._endpoints:
            endpoint.renew_books(connection)

    def _routed(self, subscriptions: Sequence[Subscription]) -> dict[str, list[Subscription]]:
        if not subscriptions:
            return {}
        return route_to_endpoints(subscriptions, private=self._credentials is not None)

    def _new_endpoint(
        self, name: str, wanted: Sequence[Subscription], place: Place | None = None
    ) -> Endpoint:
        return Endpoint(
            name, self._hosts.endpoint(name), wanted, self._pipeline, self,
            options=self._link, limit=self._limit, random=self._random, notify=self._notify,
            credentials=self._credentials, replaces=not self._limits.until_closed,
            place=place,
        )  # fmt: skip

    def _start(self, endpoint: Endpoint) -> None:
        if endpoint in self._running:
            return
        task = self._running[endpoint] = asyncio.create_task(endpoint.run())
        task.add_done_callback(self._on_stopped)

    def _on_stopped(self, task: asyncio.Task[None]) -> None:
        """Look, when an endpoint has ended by itself, what becomes of the whole."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_failure(error)
        self._look_whether_over()

    def _look_whether_over(self) -> None:
        """End when all endpoints have ended by themselves."""
        if all(task.done() for task in self._running.values()):
            if self._login_error is not None and all(it.login_refused for it in self._endpoints):
                self.on_failure(self._login_error)
            self._end("closed by the venue")

    def _raise_failure(self, results: Sequence[BaseException | None]) -> None:
        if self._failure is None:
            for result in results:
                if isinstance(result, Exception):
                    self._failure = result
        never = self.stopped_by == "duration reached" and not self._was_connected
        if self._failure is None and never:
            self._failure = ConnectError(
                f"expected a connection to {self._unreachable('while recording')}; "
                f"check the address and the network"
            )
        if self._failure is not None:
            raise self._failure

    async def _watch(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._end("stopped")

    async def _keep_house(self) -> None:
        """Once a second: look at the clocks, say how it goes."""
        self._set_status({"connections": [item.status for item in self._endpoints]})
        while True:
            await asyncio.sleep(1.0)
            stamp = read_clocks()
            try:
                self._pipeline.tick(stamp)
                self._set_status({"connections": [item.status for item in self._endpoints]})
                self._tell_trouble()
            except Exception as error:  # noqa: BLE001  # ends the recording, with its own words
                self.on_failure(error)
                return
            self._on_progress(
                Progress(
                    seconds=self.seconds,
                    counts=self._pipeline.counts,
                    queued_bytes=self._queued_bytes(),
                    connected=sum(item.is_connected for item in self._endpoints),
                    wanted=len(self._endpoints),
                    now=stamp.ts_recv,
                )
            )

    def _tell_trouble(self) -> None:
        """Warn when sealing begins to fail, and again after it has worked in between.

        What the disk does is told as it comes.
        """
        for note in self._take_notes():
            self._notify(f"disk: {note}")
        trouble = self._trouble()
        if trouble is not None and not self._told_trouble:
            self._notify(f"warning: {trouble}; recording goes on, and each segment tries again")
        self._told_trouble = trouble is not None

    async def _fetch_instruments(self, paths: Sequence[str]) -> None:
        """Record instrument lists; a failure is a row and a warning, never the end."""
        for path in paths:
            try:
                await self._exchange.get(path, "no instruments")
            except Exception as error:  # noqa: BLE001  # the disk; ends the recording
                self.on_failure(error)
                return

    async def _compare_books(self, hours: float) -> None:
        """Compare every book with the venue's own, again and again."""
        try:
            await Resnapshot(self._exchange, self._pipeline, hours=hours).run()
        except Exception as error:  # noqa: BLE001  # the disk; ends the recording
            self.on_failure(error)
