"""Statement: what the simulated venue tells an account, as the events a live account gets.

Responsible for filling in the types of `recorder.event.account`; a field the simulation has nothing
to say about is None. Refuses to compute: it writes down what orders and accounts are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from recorder.event import AccountUpdate, Balance, Fill, OrderUpdate, PositionUpdate
from recorder.event.root import Event
from recorder.okx.contracts import to_decimal
from recorder.okx.orders import REJECTED, Refusal
from recorder.trading import Order
from replay.backtest.account import Position
from replay.backtest.resting import Resting, Taken

UID = "backtest"
EVENT_UPDATE = "event_update"

T = TypeVar("T", bound=Event)
_BLANK: dict[type, dict[str, Any]] = {
    kind: dict.fromkeys(kind.__struct_fields__)
    for kind in (OrderUpdate, Fill, PositionUpdate, AccountUpdate, Balance)
}


def order_update(order: Resting, last: Taken | None, *, request_id: str = "") -> OrderUpdate:
    """Return an order's push; its frame's fields are filled in by who delivers it."""
    contract = order.contract
    fields = _BLANK[OrderUpdate] | {
        "ts_event": order.updated,
        "instrument": contract.instrument,
        "instrument_type": contract.type,
        "order_id": str(order.id),
        "client_order_id": order.client_id,
        "side": _side(order),
        "position_side": "" if contract.is_spot else "net",
        "order_type": order.kind,
        "trade_mode": "cash" if contract.is_spot else "cross",
        "state": order.state,
        "price": None if order.price is None else contract.price(order.price),
        "size": contract.size(order.lots),
        "size_unit": "base_ccy" if contract.is_spot and order.kind == "market" else None,
        "filled_size": contract.size(order.filled),
        "average_price": contract.average(order.cost, order.filled),
        "fee": to_decimal(order.fee),
        "fee_currency": order.fee_currency or None,
        "pnl": to_decimal(order.pnl),
        "reduce_only": False,
        "category": "normal",
        "cancel_source": order.cancel_source or None,
        "request_id": request_id or None,
        "code": order.code or "0",
        "message": order.message,
        "attached": (),
        "create_time": order.created,
        "uid": UID,
    }
    if request_id:
        fields |= {"amend_source": "1", "amend_result": "-1" if order.code else "0"}
    if last is not None:
        fields |= {
            "fill_price": contract.price(last.price),
            "fill_size": contract.size(last.lots),
            "trade_id": str(last.trade_id),
            "fill_time": last.time,
            "fill_fee": to_decimal(last.fee),
            "fill_fee_currency": last.fee_currency,
            "fill_pnl": to_decimal(last.pnl),
            "execution": last.execution,
        }
    return OrderUpdate(**_placed(fields))


def fill(order: Resting, last: Taken) -> Fill:
    """Return a fill's own push."""
    contract = order.contract
    return Fill(
        0, 0, 0, last.time, contract.instrument, str(last.trade_id), str(order.id),
        order.client_id, contract.price(last.price), contract.size(last.lots), _side(order),
        last.execution, 1, UID,
    )  # fmt: skip


def position_update(position: Position, mark: int | None) -> PositionUpdate:
    """Return a position's push.

    Args:
        mark: price in 1e-18, None where none is known.
    """
    contract = position.contract
    fields = _BLANK[PositionUpdate] | {
        "ts_event": position.updated,
        "instrument": contract.instrument,
        "instrument_type": contract.type,
        "position_side": "net",
        "margin_mode": "cross",
        "position": contract.size(position.lots),
        "currency": contract.settle,
        "average_price": contract.average(position.cost, abs(position.lots)),
        "mark_price": None if mark is None else to_decimal(mark),
        "unrealized_pnl": None if mark is None else to_decimal(position.unrealized(mark)),
        "realized_pnl": to_decimal(position.realized + position.fees + position.funding),
        "pnl": to_decimal(position.realized),
        "fee": to_decimal(position.fees),
        "funding_fee": to_decimal(position.funding),
        "close_orders": (),
        "create_time": position.opened,
        "update_time": position.updated,
        "uid": UID,
        "event_type": EVENT_UPDATE,
    }
    return PositionUpdate(**_placed(fields))


def account_update(cash: Iterable[tuple[str, int, int]], time: int) -> AccountUpdate:
    """Return the push of the currencies that changed: (currency, cash in 1e-18, when)."""
    balances = tuple(
        Balance(
            **_BLANK[Balance]
            | {"currency": name, "cash": to_decimal(amount), "update_time": touched}
        )
        for name, amount, touched in cash
    )
    fields = _BLANK[AccountUpdate] | {
        "ts_event": time, "balances": balances, "uid": UID, "event_type": EVENT_UPDATE,
    }  # fmt: skip
    return AccountUpdate(**_placed(fields))


def refused(order: Order, refusal: Refusal, time: int) -> OrderUpdate:
    """Return the answer to an order for what cannot be traded here."""
    fields = _BLANK[OrderUpdate] | {
        "ts_event": time, "instrument": order.instrument, "order_id": "",
        "client_order_id": order.id, "side": order.side, "order_type": order.kind,
        "state": REJECTED, "price": order.price, "size": order.size, "filled_size": order.filled,
        "code": refusal.code, "message": refusal.message, "attached": (), "create_time": time,
        "uid": UID,
    }  # fmt: skip
    return OrderUpdate(**_placed(fields))


def _side(order: Resting) -> str:
    return "buy" if order.is_buy else "sell"


def _placed(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"seq": 0, "index": 0, "ts_recv": 0}
