"""Queues: how a resting order moves to the front of its price level.

Responsible for the three models. Refuses to fill: the market does, with what is left of a trade.

A resting order remembers how many lots stand before it (`ahead`). Trades at its price take from
them. What else a level loses is canceled by somebody, and no recording says where he stood:

- `front`: nobody ever stands before the order. The best that could be.
- `back`: everything canceled stood behind it, as long as that can be. The worst that could be.
- `expected`: each lot of the level is as likely to be canceled as another, so those ahead lose
  their share, rounded down.

A trade may be told after the book that it changed (two channels). So that no lot counts twice, what
was taken from `ahead` without a trade is remembered as `credit`, which such late trades use up.
"""

from __future__ import annotations

from replay.backtest.resting import Resting

MODELS = ("back", "expected", "front")

UNSEEN = 1 << 62
"""Lots ahead where the recorded book does not reach down to the price: until it does, too many."""


def ahead_at(model: str, level: int | None) -> int:
    """Return the lots ahead of an order that joins a level.

    Args:
        level: lots of the recorded level; None: the recorded book does not reach so far.
    """
    if model == "front":
        return 0
    return UNSEEN if level is None else level


def level_changed(model: str, order: Resting, old: int, new: int) -> None:
    """Move an order on as its level goes from so many lots to so many."""
    if order.ahead and model != "front":
        before = order.ahead
        shrunk = old - new
        explained = min(order.traded, max(shrunk, 0))
        canceled = shrunk - explained
        if canceled > 0 and model == "expected" and before != UNSEEN:
            left = old - explained
            order.ahead -= canceled * min(before, left) // left
        order.ahead = min(order.ahead, new)
        if before != UNSEEN:
            order.credit += before - order.ahead
    order.traded = 0


def traded(order: Resting, lots: int, *, is_late: bool) -> int:
    """Let lots trade at the order's price; return those that come as far as the order.

    Args:
        is_late: the book has shown the trade's effect already.
    """
    if is_late:
        known = min(order.credit, lots)
        order.credit -= known
        lots -= known
    else:
        order.traded += lots
    before = min(order.ahead, lots)
    order.ahead -= before
    return lots - before
