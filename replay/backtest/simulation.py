"""Simulation: strategies and the simulated venue as one handler of one stream of events.

Responsible for the order of things at each event: the venue sees it first, then each strategy, with
its own context and account. Refuses to produce events: whoever plays does, so that a backtest is a
replay with this as its strategy; and it can as well listen to a recording being made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from recorder.errors import UsageError
from recorder.event import (
    AccountUpdate,
    BalanceAndPosition,
    BookUpdate,
    Event,
    Fill,
    FundingRate,
    IndexPrice,
    InstrumentUpdate,
    LiquidationWarning,
    MarkPrice,
    OrderUpdate,
    PositionUpdate,
    PriceLimit,
    Quote,
    Trade,
)
from recorder.strategy import GAPS, Adapted, adapt
from replay.backtest.context import BacktestContext
from replay.backtest.exchange import Exchange
from replay.backtest.journal import Journal
from replay.backtest.member import Member
from replay.backtest.results import Results
from replay.backtest.settings import Settings
from replay.backtest.stats import Stats
from replay.backtest.valuation import Valuation

_OF_AN_ACCOUNT = (
    OrderUpdate, Fill, AccountUpdate, PositionUpdate, BalanceAndPosition, LiquidationWarning,
)  # fmt: skip
"""Recorded events of somebody's real account: the strategy has an account of its own here."""


class Simulation:
    """A strategy, or several, trading on recorded markets; itself a strategy.

    Args:
        strategies: see `recorder.strategy`; each item of a list has an account of its own.
        out, keep: see `Results`. known: rules of instruments recorded before the first event.

    Attributes:
        results: the tables. start, end: data time of the first frame and of the last, ns.
        account_events: of the recorded account, not handed on.
    """

    def __init__(
        self,
        strategies: object,
        settings: Settings,
        *,
        out: Path | None = None,
        keep: bool = True,
        known: Iterable[InstrumentUpdate] = (),
    ) -> None:
        several = list(strategies) if isinstance(strategies, (list, tuple)) else [strategies]
        if not several:
            raise UsageError("expected at least one strategy, received none")
        self.settings = settings
        self._adapted: list[Adapted] = [adapt(strategy) for strategy in several]
        self._known = list(known)
        self.results = Results(out, keep=keep)
        self.account_events = 0
        self.start: int | None = None
        self.end: int | None = None
        self.exchange: Exchange | None = None
        self.members: list[Member] = []
        self._journal: Journal | None = None
        self._clock: Any = None
        self._watches: dict[type[Event], Callable[[Any], object]] = {}
        self._handles: list[tuple[Callable[[Event, Any], object], Any]] = []

    def on_start(self, context: Any) -> None:
        """Open the venue and the accounts, then start each strategy.

        Raises:
            UsageError: for the second time: a backtest goes forward only.
        """
        if self.exchange is not None:
            raise UsageError("expected a backtest to run forward once, received a seek or a loop")
        settings, clock = self.settings, context.clock
        self._clock = clock
        self.start = clock.now()
        valuation = Valuation(context, settings.currency)
        self._valuation = valuation
        journal = self._journal = Journal(self.results, valuation, settings.cash)
        exchange = self.exchange = Exchange(settings, context, valuation, journal)
        for rules in self._known:
            exchange.on_instrument(rules)
        names: list[str] = []
        for rank, adapted in enumerate(self._adapted):
            names.append(adapted.names[0])
            again = names.count(names[-1])
            name = names[-1] if again == 1 else f"{names[-1]}-{again}"
            member = Member(rank, name, adapted, settings)
            member.context = BacktestContext(member, context, exchange, journal)
            self.members.append(member)
            journal.begin(member)
        exchange.members = self.members
        self._watches = {
            BookUpdate: exchange.on_book,
            Trade: exchange.on_trade,
            Quote: exchange.on_quote,
            InstrumentUpdate: exchange.on_instrument,
            PriceLimit: exchange.on_limit,
            FundingRate: exchange.on_funding,
            MarkPrice: valuation.on_mark,
            IndexPrice: valuation.on_index,
            **dict.fromkeys(_OF_AN_ACCOUNT, self._drop),
            **dict.fromkeys(GAPS, exchange.on_gap),
        }
        self._handles = [(member.handle, member.context) for member in self.members]
        context.timers.set(clock.now() + settings.sample, lambda _: self._sample(), settings.sample)
        for member in self.members:
            member.adapted.start(member.context)

    def on_event(self, event: Event, _context: Any) -> None:
        """Let the venue see an event, then each strategy."""
        exchange = self.exchange
        assert exchange is not None  # noqa: S101  # on_start came first
        exchange.seq = event.seq
        kind = type(event)
        watch = self._watches.get(kind)
        if watch is not None:
            watch(event)
            if kind in _OF_AN_ACCOUNT:
                return
        for handle, context in self._handles:
            handle(event, context)

    def on_stop(self, _context: Any) -> None:
        """Stop each strategy, take the last sample and write down what is still open."""
        assert self._journal is not None  # noqa: S101  # on_start came first
        for member in self.members:
            member.adapted.stop(member.context)
        self._sample()
        self.end = self._clock.now()
        for member in self.members:
            for order in list(member.orders.values()):
                self._journal.ended(member, order, is_over=False)

    def stats(self) -> list[Stats]:
        """Return each strategy's result; none where nothing was played."""
        if self._journal is None:
            return []
        settings = self.settings
        return [
            self._journal.stats(member, settings.currency, settings.sample)
            for member in self.members
        ]

    def warnings(self) -> list[str]:
        """Return what a reader of the result should know, one sentence each."""
        exchange = self.exchange
        if exchange is None:
            return []
        found = [
            f"orders for {name} were refused: {why}" for name, why in exchange.untradable.items()
        ]
        found += [
            f"{name} was traded, and no funding rate of it is recorded: none was paid"
            for name in self._unfunded(exchange)
        ]
        found += [
            f"{currency} could not be valued in {self.settings.currency} all the time: no price "
            f"of it is recorded, and it counts as nothing there"
            for currency in self._valuation.unpriced
        ]
        if self.account_events:
            found.append(
                f"{self.account_events} recorded events of an account were not handed to the "
                f"strategies, which have accounts of their own"
            )
        return found

    def _unfunded(self, exchange: Exchange) -> list[str]:
        held = {
            name: None
            for member in self.members
            for name, position in member.account.positions.items()
            if position.contract.type == "SWAP"
        }
        return [name for name in held if name not in exchange.funded]

    def _sample(self) -> None:
        assert self._journal is not None  # noqa: S101  # on_start came first
        now = self._clock.now()
        for member in self.members:
            self._journal.sample(member, now)
        if self.exchange is not None:
            self._journal.prices(self.exchange.traded, now)

    def _drop(self, _event: Event) -> None:
        self.account_events += 1
