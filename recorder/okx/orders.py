"""Orders: what the venue accepts, what it answers otherwise, and its words for an order's end.

Responsible for the codes of the OKX API docs ("Error Code", "Order channel") that an order meets
and for the checks that need only the order and the instrument's rules. Refuses to know a book or
an account: who matches asks those, and takes the code from here.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from recorder.event import InstrumentUpdate
from recorder.okx.contracts import Contract, exact, whole_steps

KINDS = ("limit", "market", "post_only", "ioc", "fok")
"""`ordType`: those that are simulated."""

LIVE, PARTIAL, FILLED, CANCELED, REJECTED = (
    "live", "partially_filled", "filled", "canceled", "rejected",
)  # fmt: skip
"""`state`; the venue has no word for the last: it answers the request and pushes no order."""

BY_USER, FOK_NOT_FILLED, IOC_LEFT_OVER, POST_ONLY_WOULD_TAKE, SELF_TRADE = (
    "1",
    "13",
    "14",
    "31",
    "32",
)
"""`cancelSource`: who or what canceled an order."""

TAKER, MAKER = "T", "M"
"""`execType`."""


class Refusal(msgspec.Struct, frozen=True):
    """The venue's answer to a request it does not fulfil: `sCode` and `sMsg`."""

    code: str
    message: str


NO_INSTRUMENT = Refusal("51001", "Instrument ID does not exist")
OUT_OF_LIMIT = Refusal("51006", "Order price is not within the price limit")
NO_BALANCE = Refusal("51008", "Order failed. Insufficient balance")
BELOW_MINIMUM = Refusal("51020", "Order quantity must be greater than the minimum order quantity")
SUSPENDED = Refusal("51022", "Contract suspended")
NO_LOT_MULTIPLE = Refusal("51121", "Order quantity must be a multiple of the lot size")
TIMED_OUT = Refusal("51149", "Order timed out")
MARKET_TOO_LARGE = Refusal("51202", "Market order amount exceeds the maximum amount")
LIMIT_TOO_LARGE = Refusal("51203", "Order amount exceeds the limit")
NOTHING_TO_CANCEL = Refusal("51400", "Order has been filled, canceled or does not exist")
NOTHING_TO_AMEND = Refusal("51503", "Order has already been filled or canceled")
AMEND_WOULD_TAKE = Refusal("51511", "The order price does not meet the requirement for Post Only")


def _parameter(name: str) -> Refusal:
    return Refusal("51000", f"Parameter {name} error")


WRONG_PRICE, WRONG_SIZE, WRONG_TYPE, WRONG_SIDE = map(_parameter, ("px", "sz", "ordType", "side"))
"""A price off the tick has no code of its own in the API docs: it is an error of the parameter."""


def ticks_of(contract: Contract, price: Decimal) -> int | Refusal:
    """Return a price in ticks, or why it is refused."""
    ticks = whole_steps(price, contract.tick)
    return WRONG_PRICE if price <= 0 or ticks is None else ticks


def lots_of(contract: Contract, size: Decimal, kind: str) -> int | Refusal:
    """Return a size in lots, or why it is refused."""
    if size <= 0:
        return WRONG_SIZE
    if size < contract.size(contract.min_lots):
        return BELOW_MINIMUM
    lots = whole_steps(size, contract.lot)
    if lots is None:
        return NO_LOT_MULTIPLE
    rules = contract.rules
    largest, refusal = (
        (rules.max_market_size, MARKET_TOO_LARGE)
        if kind == "market"
        else (rules.max_limit_size, LIMIT_TOO_LARGE)
    )
    if largest is not None and size > exact(largest):
        return refusal
    return lots


def trades_now(rules: InstrumentUpdate, kind: str) -> Refusal | None:
    """Return why an instrument takes no order of this kind now; None: it does."""
    if rules.state in (None, "live", "test"):
        return None
    return None if rules.state == "post_only" and kind == "post_only" else SUSPENDED
