"""What the venue tells one account about its trading bots and its lead trading.

Responsible for the types of grids, of recurring buys and of lead trading; `recorder.event` states
the conventions. Refuses floats: these numbers are money, always Decimal.

Fields are those of the OKX API docs, "Grid Trading", "Recurring Buy" and "Copy Trading" as of
2026-07. Texts of a known list (`state`, `cancel_type`, …) are kept as sent.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from recorder.event.root import Event


class BotRebate(msgspec.Struct, frozen=True, gc=False):
    """A rebate paid to a bot, in `currency`."""

    rebate: Decimal | None
    currency: str | None


class BotTrigger(msgspec.Struct, frozen=True, gc=False):
    """A condition on which a bot starts or stops.

    Attributes:
        action: `start` or `stop`; strategy: `instant`, `price` or `rsi`.
        trigger_type: how it came about, `manual` or `auto`; trigger_time: when, ns.
        delay: seconds after the condition is met, as sent.
        trigger_price: strategy `price` only, quote currency.
        timeframe, threshold, condition, period: strategy `rsi` only, as sent.
        stop_type: what a stop does with the position, as sent.
    """

    action: str | None
    strategy: str | None
    trigger_type: str | None
    trigger_time: int | None
    delay: str | None
    trigger_price: Decimal | None
    timeframe: str | None
    threshold: str | None
    condition: str | None
    period: str | None
    stop_type: str | None


class GridBotUpdate(Event, frozen=True, gc=False):
    """A grid bot after a change, and at intervals; `ts_event` is when the venue pushed it.

    Attributes:
        channel: `grid-orders-spot` or `grid-orders-contract`.
        state: `starting`, `running`, `stopping`, `stopped`, `no_close_position` (contracts).
        bot_type: `grid` or `contract_grid`; run_type: `1` arithmetic, `2` geometric.
        max_price, min_price: ends of the grid, quote currency; grid_count: how many steps.
        run_price: at the launch, quote currency; amount_per_grid: base currency or contracts.
        min_profit_rate, max_profit_rate: expected a grid, fractions.
        take_profit_price, stop_loss_price: that trigger, quote currency.
        take_profit_ratio, stop_loss_ratio: that trigger, fractions (contracts).
        investment, total_pnl, grid_profit, float_profit: quote currency; pnl_ratio: a fraction.
        annualized_rate, total_annualized_rate: fractions, of the grid and of all.
        trade_count, arbitrage_count, active_order_count: how many.
        cancel_type: why it stopped, `0` not, `1` by hand, `2` take profit, `3` stop loss, …
        stop_type: what the stop does with the holding, as sent; stop_result: of selling it.
        quote_size, base_size: invested (spot); current_quote_size, current_base_size: held now.
        profit: available now, quote currency (spot).
        direction: `long`, `short` or `neutral`; has_base_position: one was opened at the start.
        margin: in use, USDT; equity, available_equity, order_frozen: USDT (contracts).
        leverage, actual_leverage: multiples; liquidation_price: quote currency (contracts).
        fee, funding_fee: so far, USDT, negative is paid (contracts).
        profit_sharing_ratio: a fraction, None for ordinary bots; copy_type: `0` ordinary, …
    """

    ts_event: int | None
    instrument: str
    channel: str
    instrument_type: str | None
    algo_id: str
    client_algo_id: str | None
    bot_type: str | None
    state: str
    run_type: str | None
    max_price: Decimal | None
    min_price: Decimal | None
    grid_count: int | None
    run_price: Decimal | None
    amount_per_grid: Decimal | None
    min_profit_rate: Decimal | None
    max_profit_rate: Decimal | None
    take_profit_price: Decimal | None
    stop_loss_price: Decimal | None
    take_profit_ratio: Decimal | None
    stop_loss_ratio: Decimal | None
    investment: Decimal | None
    total_pnl: Decimal | None
    pnl_ratio: Decimal | None
    grid_profit: Decimal | None
    float_profit: Decimal | None
    annualized_rate: Decimal | None
    total_annualized_rate: Decimal | None
    trade_count: int | None
    arbitrage_count: int | None
    active_order_count: int | None
    cancel_type: str | None
    stop_type: str | None
    stop_result: str | None
    quote_size: Decimal | None
    base_size: Decimal | None
    current_quote_size: Decimal | None
    current_base_size: Decimal | None
    profit: Decimal | None
    direction: str | None
    has_base_position: bool | None
    margin: Decimal | None
    equity: Decimal | None
    available_equity: Decimal | None
    order_frozen: Decimal | None
    leverage: Decimal | None
    actual_leverage: Decimal | None
    liquidation_price: Decimal | None
    fee: Decimal | None
    funding_fee: Decimal | None
    profit_sharing_ratio: Decimal | None
    copy_type: str | None
    tag: str | None
    trade_quote_currency: str | None
    rebates: tuple[BotRebate, ...]
    triggers: tuple[BotTrigger, ...]
    create_time: int | None
    update_time: int | None
    uid: str | None


class GridPositionUpdate(Event, frozen=True, gc=False):
    """The position of a contract grid; `ts_event` is when the venue pushed it.

    Attributes:
        position: contracts, negative is short in `net` mode; notional_usd: US dollars.
        average_price, mark_price, last, liquidation_price: quote currency.
        unrealized_pnl, initial_margin, maintenance_margin: in `currency`.
        unrealized_pnl_ratio, margin_ratio: fractions; leverage: multiple.
        adl: rank in auto-deleveraging as sent, `1` lowest to `5`.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    algo_id: str
    client_algo_id: str | None
    position_side: str | None
    margin_mode: str | None
    position: Decimal | None
    currency: str | None
    average_price: Decimal | None
    mark_price: Decimal | None
    last: Decimal | None
    liquidation_price: Decimal | None
    leverage: Decimal | None
    notional_usd: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    margin_ratio: Decimal | None
    unrealized_pnl: Decimal | None
    unrealized_pnl_ratio: Decimal | None
    adl: str | None
    create_time: int | None
    update_time: int | None
    uid: str | None


class GridOrderUpdate(Event, frozen=True, gc=False):
    """An order that a grid bot placed, after a change; `ts_event` is when the venue pushed it.

    Attributes:
        state: `live`, `partially_filled`, `filled`, `cancelling` or `canceled`.
        price, average_price: quote currency; size, filled_size: base currency or contracts.
        contract_value: of one contract, in its currency (derivatives).
        fee: negative is paid, in `fee_currency`; rebate: in `rebate_currency`.
        pnl: of this order, in the currency of settlement; leverage: multiple.
        group_id: of the orders of one step of the grid.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    algo_id: str
    client_algo_id: str | None
    bot_type: str | None
    group_id: str | None
    order_id: str
    order_type: str | None
    trade_mode: str | None
    side: str | None
    position_side: str | None
    state: str
    price: Decimal | None
    size: Decimal | None
    filled_size: Decimal | None
    average_price: Decimal | None
    contract_value: Decimal | None
    leverage: Decimal | None
    fee: Decimal | None
    fee_currency: str | None
    rebate: Decimal | None
    rebate_currency: str | None
    pnl: Decimal | None
    tag: str | None
    create_time: int | None
    update_time: int | None
    uid: str | None


class RecurringBuyPart(msgspec.Struct, frozen=True, gc=False):
    """One currency of a recurring buy.

    Attributes:
        ratio: its share of each buy, a fraction; amount: bought so far, in `currency`.
        average_price, price: bought at and now; profit: all in the currency of investment.
        min_price, max_price: bought only between them; None where there is no limit.
    """

    currency: str
    ratio: Decimal | None
    amount: Decimal | None
    average_price: Decimal | None
    price: Decimal | None
    profit: Decimal | None
    min_price: Decimal | None
    max_price: Decimal | None


class RecurringBuyUpdate(Event, frozen=True, gc=False):
    """A recurring buy after a change, and at intervals; `ts_event` is when it was pushed.

    Attributes:
        state: `running`, `stopping`, `stopped` or `pause`; name: as its owner called it.
        period: `monthly`, `weekly`, `daily` or `hourly`; day, hour, time, time_zone: when, as
            sent; time_type, minutes: finer times, as sent.
        amount: of each buy, in `currency`; invested: so far, in `currency`; cycles: buys so far.
        total_pnl, market_value: in `currency`; pnl_ratio, annualized_rate: fractions.
        parts: what is bought; next_time: when again, ns.
    """

    ts_event: int | None
    instrument_type: str | None
    algo_id: str
    client_algo_id: str | None
    bot_type: str | None
    state: str
    name: str | None
    period: str | None
    day: str | None
    hour: str | None
    time: str | None
    time_zone: str | None
    time_type: str | None
    minutes: str | None
    amount: Decimal | None
    invested: Decimal | None
    currency: str | None
    cycles: int | None
    total_pnl: Decimal | None
    pnl_ratio: Decimal | None
    annualized_rate: Decimal | None
    market_value: Decimal | None
    tag: str | None
    trade_quote_currency: str | None
    parts: tuple[RecurringBuyPart, ...]
    next_time: int | None
    create_time: int | None
    update_time: int | None
    uid: str | None


class LeadTradingNotice(Event, frozen=True, gc=False):
    """A lead trade was refused; the venue sends no time of its own.

    Attributes:
        info_type: why, `1` highest position reached, `2` daily number reached, `3` too little
            equity in USDT.
        instrument: None where it does not matter; position_id: of the lead position.
        trader_code: of the lead trader; max_daily_trades: allowed; min_equity: needed, USDT.
    """

    instrument: str | None
    instrument_type: str | None
    info_type: str
    side: str | None
    position_side: str | None
    position_id: str | None
    trader_code: str | None
    max_daily_trades: int | None
    min_equity: Decimal | None
    uid: str | None
