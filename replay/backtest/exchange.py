"""Exchange: the simulated venue: markets, accounts, and the way there and back.

Responsible for routing requests and answers with their latency, for money and for funding. Refuses
to match (`market`) and to show a strategy anything early: answers wait as timers of data time.

Every answer is due at the venue's time of what happened plus the way back, never before data time
and never before an earlier answer to the same strategy.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import msgspec

from recorder.event import (
    BookUpdate,
    Event,
    FundingRate,
    InstrumentUpdate,
    PriceLimit,
    Quote,
    Trade,
)
from recorder.okx import orders as okx
from recorder.okx.contracts import Contract, contract_of, to_units
from recorder.okx.orders import Refusal
from recorder.strategy import Context
from recorder.trading import Order
from replay.backtest import statement
from replay.backtest.journal import Journal
from replay.backtest.market import Market, Request
from replay.backtest.member import Member
from replay.backtest.resting import Resting, Taken
from replay.backtest.settings import Settings
from replay.backtest.valuation import Valuation

FIRST_INDEX = 1_000_000
"""`index` of the first simulated event beside a frame's own ones."""


class Exchange:
    """All markets and all members.

    Attributes:
        instruments: rules by instrument, as recorded until now.
        seq: of the latest frame. funded: swaps with a recorded rate for a coming settlement.
    """

    def __init__(
        self,
        settings: Settings,
        stream: Context,
        valuation: Valuation,
        journal: Journal,
    ) -> None:
        self.settings = settings
        self.queue = settings.queue
        self.instruments: dict[str, InstrumentUpdate] = {}
        self.members: list[Member] = []
        self.seq = -1
        self.untradable: dict[str, str] = {}
        # Books are asked for each time: a live stream has new ones after a loss.
        self._stream, self._clock, self._timers = stream, stream.clock, stream.timers
        self._valuation, self._journal = valuation, journal
        self._markets: dict[str, Market] = {}
        self._busy: dict[str, Market] = {}
        self._quotes: dict[str, Quote] = {}
        self._limits: dict[str, tuple[float | None, float | None]] = {}
        self._funding: dict[tuple[str, int], float] = {}
        self.funded: dict[str, None] = {}
        self._order_ids = self._trade_ids = self._requests = 0
        self._index = FIRST_INDEX
        self._index_seq = -1

    # --- what is recorded ----------------------------------------------------------------------

    def on_book(self, event: BookUpdate) -> None:
        """Let a market with orders see an update."""
        market = self._busy.get(event.instrument)
        if market is not None:
            market.on_book(event, self._stream.books.get(event.instrument))
            self._rest(market)

    def on_trade(self, event: Trade) -> None:
        """Let a market with orders see a trade."""
        self._valuation.on_trade(event)
        market = self._busy.get(event.instrument)
        if market is not None:
            market.on_trade(event)
            self._rest(market)

    def on_quote(self, event: Quote) -> None:
        """Remember a quote; let a market with orders see it."""
        self._quotes[event.instrument] = event
        market = self._busy.get(event.instrument)
        if market is not None:
            market.on_quote(event)
            self._rest(market)

    def on_gap(self, _event: Event) -> None:
        """Distrust what cannot notice a loss itself."""
        self._quotes.clear()
        for market in self._busy.values():
            market.gap()

    def on_instrument(self, event: InstrumentUpdate) -> None:
        """Take an instrument's rules over."""
        self.instruments[event.instrument] = event

    def on_limit(self, event: PriceLimit) -> None:
        """Take an instrument's price limits over."""
        in_force = event.enabled is not False
        self._limits[event.instrument] = (
            (event.buy_limit, event.sell_limit) if in_force else (None, None)
        )

    def on_funding(self, event: FundingRate) -> None:
        """Settle at the time named, at the rate named last before it."""
        time, rate = event.funding_time, event.funding_rate
        if time is None or rate is None or time <= self._clock.now():
            return
        key = (event.instrument, time)
        if key not in self._funding:
            self._timers.set(time, lambda _: self._settle(*key))
        self._funding[key] = rate
        self.funded[event.instrument] = None

    # --- requests ------------------------------------------------------------------------------

    def place(self, member: Member, order: Order) -> None:
        """Let an order travel to its market."""
        contract = self._contract(order.instrument)
        if isinstance(contract, Refusal):
            there, back = self.settings.latency.draw(member.random, 0)
            refusal, time = contract, self._clock.now() + there
            self._journal.refused(member, order, refusal.code, refusal.message)
            self._answer(member, time, back, [statement.refused(order, refusal, time)])
            return
        self._order_ids += 1
        book = self._stream.books.get(order.instrument)
        is_whole = book is not None and book.is_whole
        mid = book.mid() if book is not None and is_whole else None
        resting = Resting(
            self._order_ids, order.id, member, contract, order.kind, order.side == "buy", None, 0,
            0, None if mid is None else round(2 * mid / float(contract.tick)),
        )  # fmt: skip
        refusal_of_order: Refusal | None = okx.trades_now(contract.rules, order.kind)
        if order.price is not None:
            ticks = okx.ticks_of(contract, order.price)
            if isinstance(ticks, Refusal):
                refusal_of_order = refusal_of_order or ticks
            else:
                resting.price = ticks
        lots = okx.lots_of(contract, order.size, order.kind)
        if isinstance(lots, Refusal):
            refusal_of_order = refusal_of_order or lots
        else:
            resting.lots = lots
        member.orders[order.id] = resting
        self._journal.sent(member, order)
        self._send("place", member, resting, refusal=refusal_of_order)

    def cancel(self, member: Member, order: Order) -> None:
        """Let a cancellation travel."""
        resting = member.orders.get(order.id)
        if resting is not None:
            self._send("cancel", member, resting)

    def amend(self, member: Member, order: Order, price: Any, size: Any) -> None:
        """Let an amendment travel; price and size as Decimal, None leaves it."""
        resting = member.orders.get(order.id)
        if resting is None:
            return
        contract = resting.contract
        ticks = None if price is None else okx.ticks_of(contract, price)
        lots = None if size is None else okx.lots_of(contract, size, resting.kind)
        refusal = next((item for item in (ticks, lots) if isinstance(item, Refusal)), None)
        self._requests += 1
        self._send(
            "amend", member, resting, refusal=refusal, request_id=f"a{self._requests}",
            price=ticks if isinstance(ticks, int) else None,
            lots=lots if isinstance(lots, int) else None,
        )  # fmt: skip

    def _send(self, what: str, member: Member, order: Resting, **more: Any) -> None:
        name = order.contract.instrument
        market = self._markets[name]
        book = self._stream.books.get(name)
        if name not in self._busy:
            market.begin(book, self._quotes.get(name))
            self._busy[name] = market
        delay = market.recorded.feed_delay(book)
        there, back = self.settings.latency.draw(member.random, delay)
        time = member.arrives = max(self._clock.now() + there, member.arrives)
        market.send(Request(what, order, time, back, **more))
        # By then what the venue sent until the arrival has been received, as far as one can tell.
        self._timers.set(time + max(back, delay), lambda _: self._arrive(market, time))

    def _arrive(self, market: Market, time: int) -> None:
        market.arrive(time)
        self._rest(market)

    def _rest(self, market: Market) -> None:
        """Look at a market no longer when it holds no order."""
        if not market.pending and not market.resting:
            self._busy.pop(market.contract.instrument, None)

    def _contract(self, name: str) -> Contract | Refusal:
        """Return an instrument by its newest rules, as far as it can be traded."""
        rules, market = self.instruments.get(name), self._markets.get(name)
        if rules is None:
            self.untradable.setdefault(name, "its rules are not recorded")
            return okx.NO_INSTRUMENT
        if market is not None and (market.contract.rules == rules or self._is_in_use(name)):
            return market.contract
        contract = contract_of(rules)
        if isinstance(contract, str):
            self.untradable.setdefault(name, contract)
            return okx.NO_INSTRUMENT
        self._markets[name] = Market(contract, self)
        return contract

    @property
    def traded(self) -> Iterable[str]:
        """Instruments for which an order was sent."""
        return self._markets

    def _is_in_use(self, name: str) -> bool:
        """Tell whether orders or positions count in an instrument's present ticks and lots."""
        if name in self._busy:
            return True
        held = (member.account.positions.get(name) for member in self.members)
        return any(position is not None and position.lots for position in held)

    # --- what markets ask ----------------------------------------------------------------------

    def limits(self, instrument: str) -> tuple[float | None, float | None]:
        """Return the highest price of a buy and the lowest of a sell, where limits are recorded."""
        return self._limits.get(instrument, (None, None))

    def affords(self, order: Resting, price: int, lots: int) -> bool:
        """Tell whether an order's owner has what it needs."""
        member: Member = order.owner
        others = [
            other
            for other in member.orders.values()
            if other is not order and other.state in (okx.LIVE, okx.PARTIAL)
        ]
        return member.account.affords(order.contract, price, lots, others, is_buy=order.is_buy)

    def fill(
        self, order: Resting, price: int, lots: int, execution: str, time: int, mid: int | None
    ) -> None:
        """Book a fill and tell the owner."""
        member: Member = order.owner
        contract, account = order.contract, member.account
        rate = self.settings.rate(contract, execution)
        change = account.fill(contract, price, lots, rate, time, is_buy=order.is_buy)
        order.cost += change.value
        order.fee += change.fee
        order.fee_currency = change.fee_currency
        order.pnl += change.pnl
        self._trade_ids += 1
        last = Taken(
            price, lots, execution, self._trade_ids, time, change.fee, change.fee_currency,
            change.pnl, change.value, mid,
        )  # fmt: skip
        answer: list[Event] = [statement.fill(order, last), statement.order_update(order, last)]
        position = account.positions.get(contract.instrument)
        if position is not None:
            mark = self._valuation.mark(contract.instrument)
            answer.append(statement.position_update(position, mark))
        changed = (contract.base, contract.quote) if contract.is_spot else (contract.settle,)
        answer.append(self._cash(member, changed, time))
        due = self._answer(member, time, self._way_back(order), answer, order)
        self._journal.filled(member, order, last, due)
        if not order.left:
            self._ended(member, order)

    def tell(self, order: Resting, time: int, request: Request | None = None) -> None:
        """Tell the owner that an order changed, or that a request was refused."""
        member: Member = order.owner
        shown = order
        if request is not None and request.refusal is not None:
            shown = copy(order)
            shown.code, shown.message = request.refusal.code, request.refusal.message
            if request.what == "place":
                order.code, order.message = shown.code, shown.message
        back = self._way_back(order) if request is None else request.response
        request_id = "" if request is None else request.request_id
        update = statement.order_update(shown, None, request_id=request_id)
        self._answer(member, time, back, [update], order)
        if order.state in (okx.CANCELED, okx.REJECTED):
            self._ended(member, order)

    def _ended(self, member: Member, order: Resting) -> None:
        if member.orders.pop(order.client_id, None) is not None:
            self._journal.ended(member, order)

    def _way_back(self, order: Resting) -> int:
        name = order.contract.instrument
        delay = self._markets[name].recorded.feed_delay(self._stream.books.get(name))
        member: Member = order.owner
        return self.settings.latency.draw(member.random, delay)[1]

    # --- answers -------------------------------------------------------------------------------

    def _answer(
        self,
        member: Member,
        time: int,
        back: int,
        events: list[Event],
        order: Resting | None = None,
    ) -> int:
        """Deliver events when they are due; return that time, ns."""
        due = member.answered = max(time + back, self._clock.now(), member.answered)
        if order is not None:
            order.answered = order.answered or due
        self._timers.set(due, lambda _: self._deliver(member, events))
        return due

    def _deliver(self, member: Member, events: list[Event]) -> None:
        now = self._clock.now()
        if self._index_seq != self.seq:
            self._index_seq, self._index = self.seq, FIRST_INDEX
        for event in events:
            placed = msgspec.structs.replace(event, seq=self.seq, index=self._index, ts_recv=now)
            self._index += 1
            member.take(placed)
            member.handle(placed, member.context)

    def _cash(self, member: Member, currencies: tuple[str, ...], time: int) -> Event:
        account = member.account
        return statement.account_update(
            (
                (name, account.cash.get(name, 0), account.touched.get(name, 0))
                for name in currencies
            ),
            time,
        )

    # --- funding -------------------------------------------------------------------------------

    def _settle(self, instrument: str, time: int) -> None:
        rate = to_units(self._funding.pop((instrument, time)))
        market = self._markets.get(instrument)
        mark = self._valuation.mark(instrument)
        if market is None or mark is None:
            return
        for member in self.members:
            paid = member.account.settle(market.contract, mark, rate, time)
            if paid is None:
                continue
            position = member.account.positions[instrument]
            self._journal.funded(member, position, paid, rate, time)
            answer = [
                statement.position_update(position, mark),
                self._cash(member, (market.contract.settle,), time),
            ]
            back = self.settings.latency.draw(member.random, 0)[1]
            self._answer(member, time, back, answer)
