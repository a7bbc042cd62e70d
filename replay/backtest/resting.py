"""An order as the simulated venue holds it.

Responsible for what an order is there. Refuses to decide anything: `market` does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from recorder.okx.contracts import Contract


class Resting(msgspec.Struct):
    """An order at the venue; prices in ticks, sizes in lots, money in 1e-18.

    Attributes:
        id: `ordId`; client_id: `clOrdId`; owner: whose it is, the exchange's business.
        price: None for a market order; lots: wanted; filled: so far.
        state, cancel_source, code: the venue's words.
        cost: of the fills, of the contract's `settle`; fee: so far, of `fee_currency`; pnl.
        created, updated: venue time, ns; since: when it took its place, that is what trades later.
        ahead, traded, credit: see `queues`; crossed: lots it took of quotes that ran over it.
        answered: when its owner gets the first answer, data time, ns; 0 before.
        mid_sent: twice the mid in ticks when the strategy sent it, None without a whole book.
    """

    id: int
    client_id: str
    owner: Any
    contract: Contract
    kind: str
    is_buy: bool
    price: int | None
    lots: int
    created: int
    mid_sent: int | None = None
    filled: int = 0
    state: str = "sent"
    cancel_source: str = ""
    code: str = ""
    message: str = ""
    cost: int = 0
    fee: int = 0
    fee_currency: str = ""
    pnl: int = 0
    since: int = 0
    updated: int = 0
    ahead: int = 0
    traded: int = 0
    credit: int = 0
    crossed: int = 0
    amended: int = 0
    answered: int = 0

    @property
    def left(self) -> int:
        """Lots that have not traded."""
        return self.lots - self.filled


class Taken(msgspec.Struct, frozen=True):
    """One fill: lots at a price, in which role, and what the account made of it.

    Attributes:
        fee, pnl: changes of cash, 1e-18; fee_currency, settle: of them.
        mid: twice the mid in ticks at the fill, None without a whole book.
        time: venue time, ns.
    """

    price: int
    lots: int
    execution: str
    trade_id: int
    time: int
    fee: int
    fee_currency: str
    pnl: int
    value: int
    mid: int | None
