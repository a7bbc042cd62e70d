"""Runs in an environment with hftbacktest: the same orders on the same recording, at its exchange.

python theirs.py EVENTS ORDERS: a file of event rows of 64 bytes, a JSON file of orders; prints what
each was filled and its last price, as JSON.
"""

import json
import sys

import numpy as np
from hftbacktest import (
    GTX,
    LIMIT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    event_dtype,
)
from hftbacktest.data import correct_event_order, validate_event_order
from hftbacktest.order import IOC
from numba import njit


@njit
def trade(hbt, sent, is_buy, price, size, rests, lasts, filled, last_price):
    """Send each order at its time; cancel those that rest; look when all is answered."""
    hbt.elapse(0)  # until then its clock has no time
    for k in range(len(sent)):
        if hbt.elapse(sent[k] - hbt.current_timestamp) != 0:
            return k
        tif = GTX if rests[k] else IOC
        if is_buy[k]:
            hbt.submit_buy_order(0, k + 1, price[k], size[k], tif, LIMIT, False)
        else:
            hbt.submit_sell_order(0, k + 1, price[k], size[k], tif, LIMIT, False)
        if rests[k]:
            hbt.elapse(lasts)
            hbt.cancel(0, k + 1, False)
        hbt.elapse(100_000_000)
        # Its position counts the last of several fills at one moment only; what is left counts all.
        order = hbt.orders(0).get(k + 1)
        if order is not None:
            filled[k] = size[k] - order.leaves_qty
            last_price[k] = order.exec_price
        hbt.clear_inactive_orders(0)
    return len(sent)


def main() -> None:
    """Build the asset, run, print."""
    events = np.fromfile(sys.argv[1], dtype=event_dtype)
    with open(sys.argv[2]) as file:
        task = json.load(file)
    rows = np.zeros(len(events), event_dtype)
    rows[:] = events
    data = correct_event_order(
        rows,
        np.argsort(rows["exch_ts"], kind="stable"),
        np.argsort(rows["local_ts"], kind="stable"),
    )
    validate_event_order(data)
    asset = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(task["entry"], task["response"])
        .risk_adverse_queue_model()
        .partial_fill_exchange()
        .trading_value_fee_model(0, 0)
        .tick_size(task["tick"])
        .lot_size(task["lot"])
    )
    hbt = HashMapMarketDepthBacktest([asset])
    orders = task["orders"]
    count = len(orders)
    filled, last_price = np.zeros(count), np.zeros(count)
    done = trade(
        hbt,
        np.array([order["sent"] for order in orders], np.int64),
        np.array([order["side"] == "buy" for order in orders]),
        np.array([float(order["price"]) for order in orders]),
        np.array([float(order["size"]) for order in orders]),
        np.array([order["kind"] == "post_only" for order in orders]),
        task["lasts"],
        filled,
        last_price,
    )
    print(json.dumps({"done": done, "filled": list(filled), "last_price": list(last_price)}))


if __name__ == "__main__":
    main()
