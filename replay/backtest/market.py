"""Market: one instrument at the simulated venue: orders arrive, match, rest and leave.

Responsible for matching against the recorded book and the recorded trades. Refuses to touch money
(`account`), to know latency, and to act on what it cannot know: while the book is not whole nothing
trades and nothing new is taken.

Time. What is recorded has two times: when the venue sent it, and when it was received. An order
that arrives at the venue at a time meets the book as the venue had it then: it comes before the
first recorded update the venue sent later, though the strategy has yet to receive earlier ones.
Where no later update says that this time has passed, the exchange tells it through `arrive`.

Own impact is ignored: what an order takes from the recorded book is there again for the next one,
and the others do as they did. What it may take in all is bounded: a resting order gets no more
than what recorded trades at or beyond its price left, or what was quoted across it.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Protocol

import msgspec

from recorder.book import Book
from recorder.event import BookUpdate, Quote, Trade
from recorder.okx import orders as okx
from recorder.okx.contracts import Contract
from recorder.okx.orders import Refusal
from replay.backtest import queues
from replay.backtest.depth import Side
from replay.backtest.recorded import AGAIN, NOTHING, Recorded
from replay.backtest.resting import Resting

_IDS_KEPT = 512
_BIDS, _ASKS = True, False


class Request(msgspec.Struct):
    """What a strategy asks of the venue.

    Attributes:
        what: `place`, `cancel` or `amend`; time: of arrival, venue time, ns.
        response: how long the answer takes, ns.
        price, lots: new ones of an amendment; refusal: found before any book is asked.
    """

    what: str
    order: Resting
    time: int
    response: int
    price: int | None = None
    lots: int | None = None
    request_id: str = ""
    refusal: Refusal | None = None


class Desk(Protocol):
    """What a market asks of the exchange."""

    queue: str

    def affords(self, order: Resting, price: int, lots: int) -> bool: ...
    def limits(self, instrument: str) -> tuple[float | None, float | None]: ...
    def fill(
        self, order: Resting, price: int, lots: int, execution: str, time: int, mid: int | None
    ) -> None: ...
    def tell(self, order: Resting, time: int, request: Request | None = None) -> None: ...


class Market:
    """Orders of all strategies in one instrument.

    Attributes:
        resting: in the order of arrival; pending: requests under way, by time of arrival.
        recorded: what the recording tells of the instrument; depth: its book.
    """

    def __init__(self, contract: Contract, desk: Desk) -> None:
        self.contract = contract
        self.recorded = Recorded(contract)
        self.depth = self.recorded.depth
        self.resting: list[Resting] = []
        self.pending: list[tuple[int, int, Request]] = []
        self._desk = desk
        self._sent = 0
        self._trade_channel: str | None = None
        self._seen: deque[str] = deque(maxlen=_IDS_KEPT)

    @property
    def is_busy(self) -> bool:
        """Whether any order is under way or resting."""
        return bool(self.pending or self.resting)

    # --- what is recorded ----------------------------------------------------------------------

    def begin(self, book: Book | None, quote: Quote | None) -> None:
        """Take over the book of the moment; called when the first order is sent."""
        self._seen.clear()
        self.recorded.begin(book, quote)

    def on_book(self, event: BookUpdate, book: Book | None) -> None:
        """Let the venue send an update; the interpreter's book has taken it over already."""
        recorded = self.recorded
        time = recorded.venue_time(event.ts_event, event.ts_recv)
        self._arrive_before(time)
        what = recorded.look_at(event, book)
        if what == NOTHING:
            return
        if what == AGAIN:
            self._requeue()
        else:
            bids, asks = recorded.sides(event)
            self._levels_changed(bids, asks, is_snapshot=event.is_snapshot)
            recorded.put(bids, asks, is_snapshot=event.is_snapshot)
        self._run_over(time)

    def on_quote(self, event: Quote) -> None:
        """Let the venue send a quote; it is the book where no depth is recorded."""
        time = self.recorded.venue_time(event.ts_event, event.ts_recv)
        self._arrive_before(time)
        if not self.recorded.has_only_quotes:
            return
        if self.recorded.is_whole:
            self._levels_changed(*self.recorded.quote_sides(event), is_snapshot=True)
            self.recorded.take_quote(event)
        else:
            self.recorded.take_quote(event)
            self._requeue()
        self._run_over(time)

    def on_trade(self, event: Trade) -> None:
        """Let a recorded trade go through the queues it came to."""
        time = self.recorded.venue_time(event.ts_event, event.ts_recv)
        self._arrive_before(time)
        if self._trade_channel is None:
            self._trade_channel = event.channel
        if event.channel != self._trade_channel or event.trade_id in self._seen:
            return  # told by another channel or connection too
        self._seen.append(event.trade_id)
        if not self.resting or not self.recorded.is_whole:
            return
        price, left = self.depth.ticks(event.price), self.depth.lots(event.size)
        is_bid = event.side == "sell"
        for order in self._by_priority(is_bid):
            if time <= order.since or order.price is None:
                continue
            if order.price == price:
                left = queues.traded(order, left, is_late=self.recorded.shows(event))
            elif (order.price > price) is is_bid:
                order.ahead = 0  # the price has gone through this level
            else:
                break
            lots = min(left, order.left)
            if lots:
                left -= lots
                self._fill(order, order.price, lots, okx.MAKER, time, self.depth.double_mid())
            if not left:
                break

    def gap(self) -> None:
        """Say that something was lost."""
        self.recorded.distrust_quotes()

    # --- requests ------------------------------------------------------------------------------

    def send(self, request: Request) -> None:
        """Let a request travel."""
        self._sent += 1
        heappush(self.pending, (request.time, self._sent, request))

    def arrive(self, until: int) -> None:
        """Let every request arrive whose time of arrival is not after this, venue time."""
        while self.pending and self.pending[0][0] <= until:
            self._handle(heappop(self.pending)[2])

    def _arrive_before(self, time: int) -> None:
        while self.pending and self.pending[0][0] < time:
            self._handle(heappop(self.pending)[2])

    def _handle(self, request: Request) -> None:
        order, time = request.order, request.time
        if request.what == "place":
            self._place(request)
        elif order not in self.resting:
            nothing = okx.NOTHING_TO_CANCEL if request.what == "cancel" else okx.NOTHING_TO_AMEND
            request.refusal = nothing
            self._desk.tell(order, time, request)
        elif request.what == "cancel":
            self._end(order, time, okx.BY_USER, request)
        else:
            self._amend(request)

    def _place(self, request: Request) -> None:
        order, time = request.order, request.time
        order.created = order.updated = order.since = time
        refusal = request.refusal or self._refusal(order, order.price, order.lots)
        if refusal is not None:
            request.refusal = refusal
            order.state = okx.REJECTED
            self._desk.tell(order, time, request)
            return
        if order.kind == "post_only" and self._would_take(order, order.price):
            self._end(order, time, okx.POST_ONLY_WOULD_TAKE, request)
            return
        met = self.depth.walk(order.lots, order.price, is_buy=order.is_buy)
        if order.kind == "fok" and sum(lots for _, lots in met) < order.lots:
            self._end(order, time, okx.FOK_NOT_FILLED, request)
            return
        order.state = okx.LIVE
        if order.kind in ("limit", "post_only"):
            self._desk.tell(order, time, request)
        self._take(order, met, time)

    def _take(self, order: Resting, met: list[tuple[int, int]], time: int) -> None:
        """Fill what the order meets, then let the rest of it stand or go."""
        mid = self.depth.double_mid()
        if met or order.price is not None:
            self._prevent_self_trade(order, order.price if order.price is not None else met[-1][0])
        for price, lots in met:
            self._fill(order, price, lots, okx.TAKER, time, mid)
        if not order.left:
            return
        if order.kind in ("market", "ioc", "fok"):
            self._end(order, time, okx.IOC_LEFT_OVER, None)
        else:
            self._rest(order)

    def _rest(self, order: Resting) -> None:
        level = self.depth.level(order.price or 0, is_bid=order.is_buy)
        order.ahead = queues.ahead_at(self._desk.queue, level)
        order.traded = order.credit = order.crossed = 0
        self.resting.append(order)

    def _amend(self, request: Request) -> None:
        order, time = request.order, request.time
        price = order.price if request.price is None else request.price
        lots = order.lots if request.lots is None else request.lots
        if request.refusal is None and lots <= order.filled:
            request.refusal = okx.WRONG_SIZE
        if request.refusal is None:
            self.resting.remove(order)  # its own size is no other order's
            request.refusal = self._refusal(order, price, lots - order.filled)
            if request.refusal is None and order.kind == "post_only":
                request.refusal = okx.AMEND_WOULD_TAKE if self._would_take(order, price) else None
            self.resting.append(order)
            self.resting.sort(key=lambda other: (other.since, other.id))
        if request.refusal is not None:
            self._desk.tell(order, time, request)
            return
        keeps_its_place = price == order.price and lots <= order.lots
        order.price, order.lots, order.updated = price, lots, time
        order.amended += 1
        self._desk.tell(order, time, request)
        if keeps_its_place:
            return
        self.resting.remove(order)
        order.since = time
        self._take(order, self.depth.walk(order.left, price, is_buy=order.is_buy), time)

    def _refusal(self, order: Resting, price: int | None, lots: int) -> Refusal | None:
        """Return why the venue does not take an order of this price and size."""
        if not self.recorded.is_whole:
            return okx.TIMED_OUT
        if price is not None:
            highest, lowest = self._desk.limits(self.contract.instrument)
            limit = highest if order.is_buy else lowest
            worst = None if limit is None else self.depth.ticks(limit)
            if worst is not None and (price > worst if order.is_buy else price < worst):
                return okx.OUT_OF_LIMIT
        met = self.depth.walk(lots, price, is_buy=order.is_buy) if price is None else []
        reckoned = price if price is not None else (met[-1][0] if met else 0)
        return None if self._desk.affords(order, reckoned, lots) else okx.NO_BALANCE

    def _would_take(self, order: Resting, price: int | None) -> bool:
        if price is None:
            return True
        opposite = [other.price for other in self.resting if other.is_buy is not order.is_buy]
        best = self.depth.best_ask() if order.is_buy else self.depth.best_bid()
        prices = [other for other in (best, *opposite) if other is not None]
        return any(price >= other if order.is_buy else price <= other for other in prices)

    def _prevent_self_trade(self, order: Resting, worst: int) -> None:
        """Cancel own resting orders that an order would meet (`stpMode` cancel_maker)."""
        for other in list(self.resting):
            if (
                other.owner is order.owner
                and other.is_buy is not order.is_buy
                and other.price is not None
                and (worst >= other.price if order.is_buy else worst <= other.price)
            ):
                self._end(other, order.updated, okx.SELF_TRADE, None)

    # --- fills ---------------------------------------------------------------------------------

    def _fill(
        self, order: Resting, price: int, lots: int, execution: str, time: int, mid: int | None
    ) -> None:
        order.filled += lots
        order.updated = max(order.updated, time)
        order.state = okx.PARTIAL if order.left else okx.FILLED
        if not order.left and order in self.resting:
            self.resting.remove(order)
        self._desk.fill(order, price, lots, execution, time, mid)

    def _end(self, order: Resting, time: int, source: str, request: Request | None) -> None:
        if order in self.resting:
            self.resting.remove(order)
        order.state, order.cancel_source, order.updated = okx.CANCELED, source, time
        self._desk.tell(order, time, request)

    def _by_priority(self, is_bid: bool) -> list[Resting]:  # noqa: FBT001  # a side
        orders = [order for order in self.resting if order.is_buy is is_bid]
        if len(orders) > 1:
            orders.sort(key=lambda o: (-(o.price or 0) if is_bid else o.price or 0, o.since, o.id))
        return orders

    def _run_over(self, time: int) -> None:
        """Fill resting orders across which others quote: those would have met them first."""
        if not self.resting:
            return
        for is_bid in (_BIDS, _ASKS):
            orders = self._by_priority(is_bid)
            if not orders:
                continue
            best = self.depth.best_ask() if is_bid else self.depth.best_bid()
            used = 0
            for order in orders:
                if best is None or order.price is None or order.since >= time:
                    continue
                if order.price < best if is_bid else order.price > best:
                    break
                quoted = self.depth.quoted(order.price, is_buy=is_bid)
                lots = min(order.left, max(0, quoted - used - order.crossed))
                if lots:
                    used += lots
                    order.crossed += lots
                    self._fill(order, order.price, lots, okx.MAKER, time, self.depth.double_mid())

    def _requeue(self) -> None:
        """Put every resting order where it may stand after nobody knows what."""
        for order in self.resting:
            level = self.depth.level(order.price or 0, is_bid=order.is_buy)
            order.ahead = queues.ahead_at(self._desk.queue, level)
            order.traded = order.credit = 0

    def _levels_changed(self, bids: Side, asks: Side, *, is_snapshot: bool) -> None:
        """Move resting orders on as their levels change; before the depth does."""
        for order in self.resting:
            side = bids if order.is_buy else asks
            price = order.price or 0
            new = side.get(price)
            if new is None:
                if not is_snapshot or not side:
                    continue
                worst = min(side) if order.is_buy else max(side)
                if price < worst if order.is_buy else price > worst:
                    continue  # the snapshot does not reach so far
                new = 0
            old = (self.depth.bids if order.is_buy else self.depth.asks).get(price, 0)
            queues.level_changed(self._desk.queue, order, old, new)
