"""ChangingEndpoints: the endpoints of a `Client`, whose arguments come and go.

Responsible for answering whoever subscribes: when the venue has accepted everything, or why it
does not. Refuses to end the client because of something one caller asked for, and to keep what was
refused, or given up before it was accepted: the caller has been told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from recorder.errors import ConnectError, StartError
from recorder.live.ending import Closed
from recorder.live.endpoint import Endpoint
from recorder.live.endpoints import Endpoints
from recorder.live.failures import login_refused, no_websocket, venue_refused
from recorder.live.rules import Retry, Rule
from recorder.okx.channels import channel_of
from recorder.okx.instruments import instrument_requests
from recorder.okx.session import GiveUp, Refusal, Standing
from recorder.okx.subscription import Subscription


class _Asked:
    """What one caller waits for.

    Attributes:
        waiting: not answered yet. fresh: not wanted before this call.
    """

    def __init__(self, items: Iterable[Subscription], fresh: Iterable[Subscription]) -> None:
        self.waiting = dict.fromkeys(items)
        self.fresh = set(fresh)
        self.refusals: list[Refusal] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class ChangingEndpoints(Endpoints):
    """Endpoints that live as long as their client, wanted or not; see `Endpoints`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asked: list[_Asked] = []
        self._left: list[asyncio.Future[None]] = []
        self._login_errors: dict[str, StartError] = {}
        self._fetched: dict[str, None] = {}

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Those that there are."""
        return self._endpoints

    async def subscribe(
        self, subscriptions: Sequence[Subscription], *, patience: float | None
    ) -> list[Subscription]:
        """Hold arguments; return those that are held once each is answered.

        Cancelled, or where it fails: what was new and is not held yet is wanted no more.

        Args:
            patience: seconds until an endpoint without an open socket is given up; None: never.

        Raises:
            VenueRefused: some were refused; the others are held.
            ConnectError, HandshakeError, AuthError: no answer can be had.
        """
        known = {item.key for endpoint in self._endpoints for item in endpoint.wanted}
        asked = _Asked(subscriptions, [it for it in subscriptions if it.key not in known])
        self._asked.append(asked)
        for name, wanted in self._routed(subscriptions).items():
            self._endpoint(name).subscribe(wanted)
        self._fetch_instruments_of(subscriptions)
        timer = None
        if patience is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(patience, self._lose_patience, asked, patience)
        self._look()
        try:
            await asked.done
        finally:
            self._asked.remove(asked)
            if timer is not None:
                timer.cancel()
            elsewhere = {item for other in self._asked for item in other.waiting}
            self._drop([i for i in asked.waiting if i in asked.fresh and i not in elsewhere])
        return [item for item in subscriptions if self.standing(item) is Standing.HELD]

    async def unsubscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Give arguments up at once, and wait until no socket holds them any more."""
        self._drop(subscriptions)
        self._look()
        while any(self._holds(item) for item in subscriptions) and not self._ended.is_set():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._left.append(turn)
            try:
                await turn
            finally:
                if turn in self._left:
                    self._left.remove(turn)

    def standing(self, subscription: Subscription) -> Standing | None:
        """Return how an argument stands, None where it is not wanted."""
        found = (endpoint.standing(subscription) for endpoint in self._endpoints)
        return next((how for how in found if how is not None), None)

    def fail_all(self, error: Callable[[], BaseException]) -> None:
        """Answer everybody who waits: there will be no other answer."""
        for asked in self._asked:
            asked.fail(error())
        self._turn()

    # --- Watcher ---------------------------------------------------------------------------

    def on_talked(self, endpoint: Endpoint) -> None:
        """Answer those whose arguments have been answered."""
        self._look()

    def on_refused(self, endpoint: Endpoint) -> bool:
        """Answer those who asked; the client goes on."""
        self._look()
        return not self._ended.is_set()

    def on_login_refused(self, endpoint: Endpoint, action: GiveUp, ahead: float | None) -> None:
        """Tell those who asked for what needs the login; what was held is told as a warning."""
        error = login_refused(endpoint.url, action, ahead)
        self._login_errors[endpoint.name] = error
        if not self._fail_those_at(endpoint, lambda: error, needs_login=True):
            endpoint.warn(f"{error}; what needs it is not received any more")

    def may_retry(self, endpoint: Endpoint, closed: Closed, rule: Rule, how: Retry) -> bool:
        """Tell those who asked that there is nothing there; go on with the rest, if any."""
        if how is not Retry.NEVER or self._ended.is_set():
            return super().may_retry(endpoint, closed, rule, how)
        self._fail_those_at(endpoint, lambda: no_websocket(endpoint.url, closed, rule))
        if endpoint.wanted:
            return super().may_retry(endpoint, closed, rule, how)
        return False

    # --- internals -------------------------------------------------------------------------

    def _look_whether_over(self) -> None:
        """An endpoint that has ended is made anew when somebody wants something of it."""

    def _endpoint(self, name: str) -> Endpoint:
        found = next((item for item in self._endpoints if item.name == name), None)
        if found is not None and not found.is_over and not self._running[found].done():
            return found
        if found is not None:
            self._endpoints.remove(found)
        self._running = {item: task for item, task in self._running.items() if not task.done()}
        endpoint = self._new_endpoint(name, () if found is None else found.wanted)
        self._endpoints.append(endpoint)
        self._start(endpoint)
        return endpoint

    def _fetch_instruments_of(self, subscriptions: Sequence[Subscription]) -> None:
        if self._rest:
            paths = [it for it in instrument_requests(subscriptions) if it not in self._fetched]
            self._fetched |= dict.fromkeys(paths)
            self._others.append(asyncio.create_task(self._fetch_instruments(paths)))

    def _look(self) -> None:
        """See who is answered by now."""
        if not self._asked:
            self._turn()
            return
        refused: list[Subscription] = []
        reasons = {refusal.subscription.key: refusal for refusal in self.refusals}
        for asked in self._asked:
            for item in list(asked.waiting):
                how = self.standing(item)
                if how is Standing.REFUSED:
                    refused.append(item)
                    asked.refusals.append(reasons.get(item.key) or Refusal(item, "", "refused"))
                if how in (Standing.HELD, Standing.REFUSED, None):
                    del asked.waiting[item]
            if not asked.waiting and not asked.done.done():
                if asked.refusals:
                    asked.done.set_exception(self._error_of(asked.refusals))
                else:
                    asked.done.set_result(None)
        self._drop(refused)
        self._turn()

    def _error_of(self, refusals: Sequence[Refusal]) -> StartError:
        channels = [channel_of(refusal.subscription.channel) for refusal in refusals]
        if all(channel.login and channel.endpoint in self._login_errors for channel in channels):
            return self._login_errors[channels[0].endpoint]
        return venue_refused(refusals, "each of these subscriptions")

    def _turn(self) -> None:
        """Let those look who wait for something to be left."""
        turns, self._left = self._left, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)

    def _drop(self, subscriptions: Sequence[Subscription]) -> None:
        for endpoint in self._endpoints:
            wanted = {item.key for item in endpoint.wanted}
            mine = [item for item in subscriptions if item.key in wanted]
            if mine:
                endpoint.unsubscribe(mine)

    def _holds(self, subscription: Subscription) -> bool:
        return self.standing(subscription) is None and any(
            endpoint.holds(subscription) for endpoint in self._endpoints
        )

    def _fail_those_at(
        self, endpoint: Endpoint, error: Callable[[], BaseException], *, needs_login: bool = False
    ) -> bool:
        """Answer those who wait for something there; say whether there were any."""
        found = False
        for asked in self._asked:
            mine = [
                item
                for item in asked.waiting
                if channel_of(item.channel).endpoint == endpoint.name
                and (channel_of(item.channel).login or not needs_login)
            ]
            if mine and not asked.done.done():
                found = True
                asked.fail(error())
                self._drop([item for item in mine if item in asked.fresh])
        return found

    def _lose_patience(self, asked: _Asked, patience: float) -> None:
        names = {channel_of(item.channel).endpoint for item in asked.waiting}
        silent = [it for it in self._endpoints if it.name in names and not it.is_connected]
        if silent:
            met = self._unreachable(f"within {patience:g} s", silent)
            asked.fail(
                ConnectError(
                    f"expected a connection to {met}; "
                    f"check the address and the network, or raise connect_timeout"
                )
            )
