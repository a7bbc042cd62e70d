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
from recorder.errors import AuthError, ConnectError, HandshakeError, UsageError, VenueRefused
from recorder.live.config import Limits, LinkOptions
from recorder.live.connection import read_clocks
from recorder.live.conversation import LINK
from recorder.live.ending import Closed
from recorder.live.endpoint import Endpoint
from recorder.live.pipeline import Pipeline
from recorder.live.report import Progress, never_held, run_row
from recorder.live.resnapshot import Resnapshot
from recorder.live.rest_exchange import RestExchange
from recorder.live.rules import ALL_REFUSED, Retry, Rule
from recorder.live.schedule import ConnectionLimit
from recorder.okx.auth import VALID_SECONDS, Credentials
from recorder.okx.channels import ENDPOINTS, channel_of
from recorder.okx.hosts import Hosts
from recorder.okx.instruments import instrument_requests
from recorder.okx.login import login_cause
from recorder.okx.session import GiveUp, Refusal
from recorder.okx.subscription import Subscription

_REFUSALS_TOLD = 3
_CLOCK_CODES = ("60004", "60006")


def route_to_endpoints(
    subscriptions: Sequence[Subscription], *, private: bool = False
) -> dict[str, list[Subscription]]:
    """Sort subscriptions, each once, by the endpoint that serves them.

    Without a login `books-l2-tbt` and `books50-l2-tbt` are let through: the venue wants one for
    them on its public socket and will say so, a local replay server of an old session does not.

    Raises:
        UsageError: there are none, or one needs a login and there is none.
    """
    if not subscriptions:
        raise UsageError(
            "expected at least one subscription, received none; "
            "e.g. --subscribe books:BTC-USDT --subscribe trades:BTC-USDT"
        )
    found: dict[str, list[Subscription]] = {name: [] for name in ENDPOINTS}
    for subscription in dict.fromkeys(subscriptions):
        channel = channel_of(subscription.channel)
        if channel.login and not channel.is_book and not private:
            raise UsageError(
                f"expected channels without a login, received {channel.name}, which is an "
                f"account's own; log in with --private"
            )
        found[channel.endpoint].append(subscription)
    return {name: wanted for name, wanted in found.items() if wanted}


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
        limit, random = ConnectionLimit(), Random()  # jitter, not secrecy
        self._endpoints = [
            Endpoint(
                name, hosts.endpoint(name), wanted, pipeline, self,
                options=link, limit=limit, random=random, notify=notify, credentials=credentials,
                replaces=not limits.until_closed,
            )
            for name, wanted in route_to_endpoints(
                subscriptions, private=credentials is not None
            ).items()
        ]  # fmt: skip

    @property
    def seconds(self) -> float:
        """Time since the start, s."""
        return (read_clocks().ts_mono - self._started) / NS_PER_SECOND

    @property
    def refusals(self) -> list[Refusal]:
        """What the venue refused, by the latest conversations."""
        return [refusal for endpoint in self._endpoints for refusal in endpoint.refusals]

    @property
    def never_held(self) -> list[Subscription]:
        """What could not even be asked for; see `report.never_held`."""
        return [item for endpoint in self._endpoints for item in never_held(endpoint)]

    async def run(self, stop: asyncio.Event) -> None:
        """Record until `stop` is set or a limit is reached; then close every socket properly.

        Raises:
            StartError: no socket could be opened in time, or the venue refused for good.
            RecorderError: the disk takes no more.
        """
        endpoints = [
            {"endpoint": item.name, "url": item.url, "link": LINK} for item in self._endpoints
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
        conversations = [asyncio.create_task(item.run()) for item in self._endpoints]
        others = [asyncio.create_task(self._watch(stop)), asyncio.create_task(self._keep_house())]
        if self._rest:
            others.append(asyncio.create_task(self._fetch_instruments()))
        if self._resnapshot:
            others.append(asyncio.create_task(self._compare_books(self._resnapshot)))
        try:
            await self._until_ended(conversations)
        finally:
            for timer in timers:
                timer.cancel()
            if self._duration_timer is not None:
                self._duration_timer.cancel()
            for endpoint in self._endpoints:
                endpoint.stop(self.stopped_by or "stopped")
            results = await asyncio.gather(*conversations, return_exceptions=True)
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
            refusals = self.refusals
            shown = "; ".join(
                f"{item.code} for {item.subscription} ({item.message})"
                for item in refusals[:_REFUSALS_TOLD]
            )
            more = len(refusals) - _REFUSALS_TOLD
            self.on_failure(
                VenueRefused(
                    f"expected the venue to accept at least one subscription, received {shown}"
                    f"{f' and {more} more' if more > 0 else ''}; {ALL_REFUSED.hint}",
                    code=refusals[0].code,
                )
            )
        return not self._ended.is_set()

    def on_login_refused(self, endpoint: Endpoint, action: GiveUp, ahead: float | None) -> None:
        """End if no login ever worked here; else what needs it is refused from now on."""
        words = " ".join(part for part in (action.code, action.message.rstrip(".")) if part)
        error = AuthError(
            f"expected a login at {endpoint.url}, received {words}: "
            f"{login_cause(action.code)}{_clock_words(action.code, ahead)}",
            code=action.code,
        )
        if endpoint.has_logged_in:
            self._login_error = error
            endpoint.warn(f"{error}; what needs it is not recorded any more")
        else:
            self.on_failure(error)

    def may_retry(self, endpoint: Endpoint, closed: Closed, rule: Rule, how: Retry) -> bool:
        """Decide whether an endpoint is tried again."""
        if self._ended.is_set():
            return False
        if how is Retry.NEVER:
            hint = f"; {rule.hint}" if rule.hint else ""
            words = f"{closed.code} {closed.reason}" if closed.opened else closed.reason
            self.on_failure(
                HandshakeError(
                    f"expected a WebSocket at {endpoint.url}, received {words}{hint}",
                    status=None if closed.opened else closed.code,
                )
            )
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

    def _unreachable(self, when: str) -> str:
        """Say which addresses were tried, that none answered, and what the last attempts met."""
        addresses = ", ".join(item.url for item in self._endpoints)
        met = dict.fromkeys(item.unreachable for item in self._endpoints if item.unreachable)
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

    async def _until_ended(self, conversations: Sequence[asyncio.Task[None]]) -> None:
        """Wait for the end, or for all endpoints to have ended by themselves."""
        ended = asyncio.create_task(self._ended.wait())
        pending: set[asyncio.Task[Any]] = set(conversations)
        while pending and not self._ended.is_set():
            done, _ = await asyncio.wait({ended, *pending}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & pending:
                pending.discard(task)
                if task.exception() is not None:
                    self.on_failure(task.exception() or RuntimeError())
        ended.cancel()
        if self._login_error is not None and all(item.login_refused for item in self._endpoints):
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

    async def _fetch_instruments(self) -> None:
        """Record the instrument lists; a failure is a row and a warning, never the end."""
        for path in instrument_requests(self._subscriptions):
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


def _clock_words(code: str, ahead: float | None) -> str:
    """Say how far the clock is off, where that is what the refusal is about and it is known."""
    if code not in _CLOCK_CODES:
        return ""
    if ahead is None:
        return "; check that this machine's clock is right, and set it by NTP"
    if abs(ahead) < VALID_SECONDS:
        return "; by the venue's answers this machine's clock is right, the network may be slow"
    side = "ahead of" if ahead > 0 else "behind"
    return f"; this machine's clock is {abs(ahead):.0f} s {side} the venue's, set it by NTP"
