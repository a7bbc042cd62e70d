"""What the venue tells one account: balances, positions, orders, fills and risks.

Responsible for the types of the private channels; `recorder.event` states the conventions. Refuses
floats: these numbers are money, always Decimal, whatever number type the parser was built for.

`uid` is the account the venue named in the push. A snapshot may come in several pages: it is
complete with the page that `is_last_page`. Instrument sizes are contracts for derivatives and base
currency for spot and margin; amounts without another word are in the currency of their row.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from recorder.event.root import Event


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One currency of an account; amounts in that currency unless told otherwise.

    Attributes:
        equity: everything of the currency; equity_usd: the same in US dollars.
        discounted_equity: in US dollars, as far as it counts as margin.
        cash: cash balance; available: free to use; frozen: held by orders and bots.
        liability: borrowed; interest: owed on it.
        usd_price: of one unit, in US dollars.
    """

    currency: str
    equity: Decimal | None
    equity_usd: Decimal | None
    discounted_equity: Decimal | None
    cash: Decimal | None
    available: Decimal | None
    available_equity: Decimal | None
    frozen: Decimal | None
    order_frozen: Decimal | None
    fixed: Decimal | None
    isolated_equity: Decimal | None
    liability: Decimal | None
    cross_liability: Decimal | None
    isolated_liability: Decimal | None
    unrealized_pnl: Decimal | None
    unrealized_pnl_liability: Decimal | None
    isolated_unrealized_pnl: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    margin_ratio: Decimal | None
    notional_leverage: Decimal | None
    interest: Decimal | None
    max_loan: Decimal | None
    borrow_frozen: Decimal | None
    usd_price: Decimal | None
    strategy_equity: Decimal | None
    copy_trading_equity: Decimal | None
    smart_sync_equity: Decimal | None
    reward: Decimal | None
    spot_balance: Decimal | None
    spot_isolated_balance: Decimal | None
    spot_in_use: Decimal | None
    user_spot_in_use: Decimal | None
    max_spot_in_use: Decimal | None
    open_average_price: Decimal | None
    accumulated_average_price: Decimal | None
    spot_unrealized_pnl: Decimal | None
    spot_unrealized_pnl_ratio: Decimal | None
    total_pnl: Decimal | None
    total_pnl_ratio: Decimal | None
    twap_risk: str | None
    forced_repayment_type: str | None
    collateral_restriction: str | None
    collateral_auto_conversion: str | None
    auto_lend_status: str | None
    auto_lend_amount: Decimal | None
    collateral_enabled: bool | None
    collateral_restricted: bool | None
    update_time: int | None


class AccountUpdate(Event, frozen=True, gc=False):
    """State of an account; amounts in US dollars, by currency in `balances`.

    An event push holds only the currencies that changed, a snapshot only those that are not zero.

    Attributes:
        total_equity, isolated_equity, adjusted_equity, available_equity: in US dollars.
        order_frozen, borrow_frozen: margin held by orders and by borrowing, US dollars.
        initial_margin, maintenance_margin: US dollars; margin_ratio: a fraction.
        notional_usd, notional_usd_borrow, notional_usd_futures: US dollars.
        notional_usd_option, notional_usd_swap: US dollars.
        unrealized_pnl: US dollars; delta: US dollars; delta_leverage: against equity.
        delta_neutral_status: `0` normal, `1` transfer restricted, `2` delta reducing.
        balances: one per currency.
        event_type: `snapshot` (first and periodic) or `event_update`; None before 2025-03-12.
        page: page of a snapshot, from 1; is_last_page: nothing of it follows.
    """

    ts_event: int | None
    total_equity: Decimal | None
    isolated_equity: Decimal | None
    adjusted_equity: Decimal | None
    available_equity: Decimal | None
    order_frozen: Decimal | None
    borrow_frozen: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    margin_ratio: Decimal | None
    notional_usd: Decimal | None
    notional_usd_borrow: Decimal | None
    notional_usd_futures: Decimal | None
    notional_usd_option: Decimal | None
    notional_usd_swap: Decimal | None
    unrealized_pnl: Decimal | None
    delta: Decimal | None
    delta_leverage: Decimal | None
    delta_neutral_status: str | None
    balances: tuple[Balance, ...]
    uid: str | None
    event_type: str | None
    page: int | None
    is_last_page: bool | None


class CloseOrder(msgspec.Struct, frozen=True, gc=False):
    """A take-profit or stop-loss order attached to a position.

    Attributes:
        take_profit_type, stop_loss_type: price that triggers: `last`, `index` or `mark`.
        close_fraction: of the position, 1 closes all.
    """

    algo_id: str | None
    take_profit_price: Decimal | None
    take_profit_type: str | None
    stop_loss_price: Decimal | None
    stop_loss_type: str | None
    close_fraction: Decimal | None


class PositionUpdate(Event, frozen=True, gc=False):
    """A position; `ts_event` is when the venue pushed it, `update_time` when it last changed.

    Attributes:
        position: contracts (margin: currency `position_currency`); negative is short where
            `position_side` is `net`; available_position: that can be closed now.
        hedged_position: contracts offset by an opposite position.
        average_price, unsettled_average_price, breakeven_price: entry prices, quote currency.
        liquidation_price, usd_price: quote currency and US dollars.
        leverage: multiple; notional_usd: US dollars.
        margin, initial_margin, maintenance_margin: in `currency`; margin_ratio: a fraction.
        unrealized_pnl, unrealized_pnl_last: by mark and by last price, in `currency`.
        unrealized_pnl_ratio, unrealized_pnl_last_ratio: fractions of the margin.
        realized_pnl, settled_pnl, pnl, fee, funding_fee, liquidation_penalty: in `currency`.
        liability: in `liability_currency`; interest: in `currency`.
        base_borrowed, base_interest, base_balance: base currency.
        quote_borrowed, quote_interest, quote_balance: quote currency.
        option_value: in `currency`; pending_close_liability: in `liability_currency`.
        spot_in_use, user_spot_in_use, max_spot_in_use: in `spot_in_use_currency`.
        delta_bs, gamma_bs, vega_bs, theta_bs: Black-Scholes, US dollars.
        delta_pa, gamma_pa, vega_pa, theta_pa: price-adjusted, in units of the coin.
        adl: rank in auto-deleveraging as sent, `1` lowest to `5`.
        event_type: `snapshot` (first and periodic) or `event_update`; None before 2025-03-12.
        page: page of a snapshot, from 1; is_last_page: nothing of it follows.
        subscribed_as: the subscription's instrument where it is another one (after a rename).
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    position_id: str | None
    position_side: str | None
    margin_mode: str | None
    position: Decimal | None
    available_position: Decimal | None
    hedged_position: Decimal | None
    position_currency: str | None
    currency: str | None
    average_price: Decimal | None
    unsettled_average_price: Decimal | None
    breakeven_price: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    last: Decimal | None
    liquidation_price: Decimal | None
    usd_price: Decimal | None
    leverage: Decimal | None
    notional_usd: Decimal | None
    margin: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    margin_ratio: Decimal | None
    unrealized_pnl: Decimal | None
    unrealized_pnl_ratio: Decimal | None
    unrealized_pnl_last: Decimal | None
    unrealized_pnl_last_ratio: Decimal | None
    realized_pnl: Decimal | None
    settled_pnl: Decimal | None
    pnl: Decimal | None
    fee: Decimal | None
    funding_fee: Decimal | None
    liquidation_penalty: Decimal | None
    liability: Decimal | None
    liability_currency: str | None
    interest: Decimal | None
    base_borrowed: Decimal | None
    base_interest: Decimal | None
    base_balance: Decimal | None
    quote_borrowed: Decimal | None
    quote_interest: Decimal | None
    quote_balance: Decimal | None
    option_value: Decimal | None
    pending_close_liability: Decimal | None
    spot_in_use: Decimal | None
    spot_in_use_currency: str | None
    user_spot_in_use: Decimal | None
    max_spot_in_use: Decimal | None
    delta_bs: Decimal | None
    gamma_bs: Decimal | None
    vega_bs: Decimal | None
    theta_bs: Decimal | None
    delta_pa: Decimal | None
    gamma_pa: Decimal | None
    vega_pa: Decimal | None
    theta_pa: Decimal | None
    adl: str | None
    trade_id: str | None
    reference_id: str | None
    reference_type: str | None
    close_orders: tuple[CloseOrder, ...]
    create_time: int | None
    update_time: int | None
    uid: str | None
    event_type: str | None
    page: int | None
    is_last_page: bool | None
    subscribed_as: str | None = None


class EmptySnapshot(Event, frozen=True, gc=False):
    """A push of an account's channel without a row: the venue says that there is nothing.

    So begins the `positions` of an account that has none.

    Attributes:
        argument: the whole argument of the push.
        event_type: `snapshot` or `event_update`; None where not sent.
        page: page of a snapshot, from 1; is_last_page: nothing of it follows.
    """

    channel: str
    argument: dict[str, Any]
    uid: str | None
    event_type: str | None
    page: int | None
    is_last_page: bool | None


class CashChange(msgspec.Struct, frozen=True, gc=False):
    """Cash of one currency after a change; `update_time` in ns."""

    currency: str
    cash: Decimal | None
    update_time: int | None


class PositionChange(msgspec.Struct, frozen=True, gc=False):
    """A position after a change; units as in `PositionUpdate`."""

    instrument: str
    instrument_type: str | None
    position_id: str | None
    position_side: str | None
    margin_mode: str | None
    position: Decimal | None
    position_currency: str | None
    currency: str | None
    average_price: Decimal | None
    unsettled_average_price: Decimal | None
    settled_pnl: Decimal | None
    trade_id: str | None
    update_time: int | None


class TradeReference(msgspec.Struct, frozen=True, gc=False):
    """A trade that caused a change."""

    instrument: str
    trade_id: str | None


class BalanceAndPosition(Event, frozen=True, gc=False):
    """Cash and positions changed together, and why.

    Attributes:
        event_type: `snapshot`, `filled`, `liquidation`, `funding_fee`, `transferred`, …
        balances: cash per currency; positions: those that changed; trades: that caused it.
    """

    ts_event: int | None
    event_type: str | None
    balances: tuple[CashChange, ...]
    positions: tuple[PositionChange, ...]
    trades: tuple[TradeReference, ...]
    uid: str | None


class OrderUpdate(Event, frozen=True, gc=False):
    """An order after a change; `ts_event` is the venue's time of the change.

    The venue may send one change twice: fills are one per (`instrument`, `trade_id`).

    Attributes:
        order_type: `limit`, `market`, `post_only`, `fok`, `ioc`, …; trade_mode: `cash`, …
        state: `live`, `partially_filled`, `filled`, `canceled` or `mmp_canceled`.
        price: in quote currency; size: base currency or contracts, or as `size_unit` says.
        size_unit: `base_ccy` or `quote_ccy`, spot market orders only.
        filled_size: so far; average_price: of all fills, quote currency.
        fill_price, fill_size, trade_id, fill_time: of the last fill; None without one.
        fill_fee: of the last fill, negative is paid, in `fill_fee_currency`; fill_pnl: of it.
        execution: `T` taker or `M` maker.
        fee: so far, negative is paid, in `fee_currency`; rebate: in `rebate_currency`.
        pnl: realized, in the settlement currency; leverage: multiple.
        notional_usd, fill_notional_usd: US dollars.
        price_usd, fill_price_usd: options, US dollars.
        price_volatility, fill_price_volatility, fill_mark_volatility: annual fractions.
        fill_forward_price, fill_mark_price, fill_index_price: at the last fill.
        stop_loss_price, take_profit_price: that trigger; stop_loss_order_price,
            take_profit_order_price: of the order then placed, -1 is market.
        code, message: of a refused amendment, `0` is success.
        attached: attached orders, texts as sent, blank members left out.
        subscribed_as: the subscription's instrument where it is another one (after a rename).
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    order_id: str
    client_order_id: str | None
    tag: str | None
    side: str | None
    position_side: str | None
    order_type: str | None
    trade_mode: str | None
    state: str
    price: Decimal | None
    size: Decimal | None
    size_unit: str | None
    currency: str | None
    filled_size: Decimal | None
    average_price: Decimal | None
    fill_price: Decimal | None
    fill_size: Decimal | None
    trade_id: str | None
    fill_time: int | None
    fill_fee: Decimal | None
    fill_fee_currency: str | None
    fill_pnl: Decimal | None
    execution: str | None
    fee: Decimal | None
    fee_currency: str | None
    rebate: Decimal | None
    rebate_currency: str | None
    pnl: Decimal | None
    leverage: Decimal | None
    notional_usd: Decimal | None
    fill_notional_usd: Decimal | None
    last: Decimal | None
    price_type: str | None
    price_usd: Decimal | None
    price_volatility: Decimal | None
    fill_price_usd: Decimal | None
    fill_price_volatility: Decimal | None
    fill_mark_volatility: Decimal | None
    fill_forward_price: Decimal | None
    fill_mark_price: Decimal | None
    fill_index_price: Decimal | None
    stop_loss_price: Decimal | None
    stop_loss_type: str | None
    stop_loss_order_price: Decimal | None
    take_profit_price: Decimal | None
    take_profit_type: str | None
    take_profit_order_price: Decimal | None
    is_take_profit_limit: bool | None
    reduce_only: bool | None
    quick_margin_type: str | None
    self_trade_id: str | None
    self_trade_mode: str | None
    category: str | None
    source: str | None
    cancel_source: str | None
    amend_source: str | None
    amend_result: str | None
    request_id: str | None
    code: str | None
    message: str | None
    outcome: str | None
    trade_quote_currency: str | None
    algo_id: str | None
    client_algo_id: str | None
    attached_client_algo_id: str | None
    linked_algo: dict[str, Any] | None
    attached: tuple[dict[str, Any], ...]
    create_time: int | None
    uid: str | None
    subscribed_as: str | None = None


class AlgoOrderUpdate(Event, frozen=True, gc=False):
    """A conditional or algorithmic order after a change; `ts_event` is the venue's time of it.

    Attributes:
        channel: `orders-algo` (trigger, oco, conditional, chase) or `algo-advance` (iceberg,
            twap, move_order_stop).
        state: `live`, `pause`, `effective`, `canceled`, `order_failed`, …
        size: base currency or contracts; actual_size, actual_price: of the order placed.
        close_fraction: of the position, 1 closes all.
        trigger_price, order_price: quote currency, -1 is market.
        stop_loss_price, take_profit_price: that trigger; stop_loss_order_price,
            take_profit_order_price: of the order then placed, -1 is market.
        price_limit, price_spread: quote currency; price_variance: a fraction.
        size_limit: of one slice; interval: between slices, seconds as sent; count: slices.
        callback_ratio: a fraction; callback_spread: quote currency.
        active_price, move_trigger_price: of a trailing stop, quote currency.
        chase_value, max_chase_value: distance or fraction, as the type beside it says.
        notional_usd: US dollars; leverage: multiple; last: last price, quote currency.
        fail_code: why it failed, `0` or None where it did not.
        order_ids: of the orders it placed; sub_algo_ids: of a chase order's algorithmic orders.
        attached: attached orders, texts as sent, blank members left out.
        trigger_time, push_time, create_time: ns since the Unix epoch.
    """

    ts_event: int | None
    instrument: str
    channel: str
    instrument_type: str | None
    algo_id: str
    client_algo_id: str | None
    order_id: str | None
    client_order_id: str | None
    order_ids: tuple[str, ...]
    sub_algo_ids: tuple[str, ...]
    tag: str | None
    side: str | None
    position_side: str | None
    order_type: str | None
    trade_mode: str | None
    state: str
    size: Decimal | None
    size_unit: str | None
    currency: str | None
    close_fraction: Decimal | None
    leverage: Decimal | None
    notional_usd: Decimal | None
    last: Decimal | None
    trigger_price: Decimal | None
    trigger_type: str | None
    order_price: Decimal | None
    stop_loss_price: Decimal | None
    stop_loss_type: str | None
    stop_loss_order_price: Decimal | None
    take_profit_price: Decimal | None
    take_profit_type: str | None
    take_profit_order_price: Decimal | None
    actual_price: Decimal | None
    actual_size: Decimal | None
    actual_side: str | None
    reduce_only: bool | None
    quick_margin_type: str | None
    is_borrow_mode: bool | None
    advance_order_type: str | None
    chase_type: str | None
    chase_value: Decimal | None
    max_chase_type: str | None
    max_chase_value: Decimal | None
    price_limit: Decimal | None
    price_spread: Decimal | None
    price_variance: Decimal | None
    size_limit: Decimal | None
    interval: str | None
    count: int | None
    callback_ratio: Decimal | None
    callback_spread: Decimal | None
    active_price: Decimal | None
    move_trigger_price: Decimal | None
    amend_on_trigger: str | None
    amend_result: str | None
    request_id: str | None
    fail_code: str | None
    trade_quote_currency: str | None
    linked_order: dict[str, Any] | None
    attached: tuple[dict[str, Any], ...]
    trigger_time: int | None
    push_time: int | None
    create_time: int | None
    uid: str | None


class Fill(Event, frozen=True, gc=False):
    """A fill of an own order in the book, ahead of the order's update (`fills`).

    Attributes:
        price: in quote currency; size: base currency or contracts; side: of the own order.
        execution: `T` taker or `M` maker; count: fills in this push (takers, by price).
        client_order_id: `0` unless it is a positive 64-bit integer.
    """

    ts_event: int | None
    instrument: str
    trade_id: str
    order_id: str
    client_order_id: str | None
    price: Decimal
    size: Decimal
    side: str
    execution: str | None
    count: int | None
    uid: str | None


class LiquidationWarning(Event, frozen=True, gc=False):
    """A position is at risk of liquidation; `ts_event` is when the venue pushed it.

    Attributes:
        position: contracts (margin: `position_currency`), negative is short in `net` mode.
        mark_price: in quote currency; leverage: multiple; margin_ratio: a fraction.
    """

    ts_event: int | None
    instrument: str
    instrument_type: str | None
    position_id: str | None
    position_side: str | None
    margin_mode: str | None
    position: Decimal | None
    position_currency: str | None
    currency: str | None
    leverage: Decimal | None
    mark_price: Decimal | None
    margin_ratio: Decimal | None
    create_time: int | None
    update_time: int | None
    uid: str | None


class Greeks(Event, frozen=True, gc=False):
    """Greeks of the account's assets in one currency.

    Attributes:
        delta_bs, gamma_bs, vega_bs, theta_bs: Black-Scholes, US dollars.
        delta_pa, gamma_pa, vega_pa, theta_pa: price-adjusted, in units of the currency.
    """

    ts_event: int | None
    currency: str
    delta_bs: Decimal | None
    gamma_bs: Decimal | None
    vega_bs: Decimal | None
    theta_bs: Decimal | None
    delta_pa: Decimal | None
    gamma_pa: Decimal | None
    vega_pa: Decimal | None
    theta_pa: Decimal | None
    uid: str | None
