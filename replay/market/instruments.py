"""The instruments of the simulated venue and the REST body that lists them.

Responsible for tick and lot sizes, contract values, starting prices and the text of
`GET /api/v5/public/instruments`. The figures are plausible, not OKX's: a capture says in its
`run` row that a simulator made it.
"""

from __future__ import annotations

import re
from zlib import crc32

import msgspec

from recorder.errors import UsageError
from replay.market.chance import format_decimal

_ID = re.compile(r"[A-Z0-9]{2,10}-USDT(-SWAP)?")


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One tradable of the simulated venue.

    Attributes:
        id: venue's id, `BTC-USDT` or `BTC-USDT-SWAP`.
        price_decimals: decimals of the tick (1: a tick is 0.1).
        size_decimals: decimals of the lot; lots are base currency for spot, contracts for swaps.
        typical_lots: median size of an order near the best price.
        start_price: price of the underlying at the start, in 1e-8 quote currency.
        contract_decimals: a contract is 10**-n base currency; 0 for spot.
    """

    id: str
    price_decimals: int
    size_decimals: int
    typical_lots: int
    start_price: int
    contract_decimals: int = 0

    @property
    def is_swap(self) -> bool:
        """Whether it is a perpetual contract."""
        return self.id.endswith("-SWAP")

    @property
    def type(self) -> str:
        """The venue's `instType`: SPOT or SWAP."""
        return "SWAP" if self.is_swap else "SPOT"

    @property
    def base(self) -> str:
        """Base currency, e.g. BTC."""
        return self.id.split("-")[0]

    @property
    def index(self) -> str:
        """The index it follows, e.g. BTC-USDT."""
        return f"{self.base}-USDT"

    @property
    def tick(self) -> int:
        """Tick size in 1e-8 quote currency."""
        return int(10 ** (8 - self.price_decimals))


_SPOT = {
    # base: price decimals, size decimals, typical lots, start price in 1e-8
    "BTC": (1, 8, 4_000_000, 87_412 * 10**8),
    "ETH": (2, 6, 350_000, 2_931 * 10**8),
    "SOL": (2, 6, 6_000_000, 13_342 * 10**6),
    "XRP": (4, 6, 300_000_000, 21_250 * 10**4),
    "DOGE": (5, 6, 2_000_000_000, 14_710 * 10**3),
}
_SWAP = {
    # base: price decimals, size decimals, typical contracts in lots, contract decimals
    "BTC": (1, 2, 900, 2),
    "ETH": (2, 2, 700, 1),
    "SOL": (2, 2, 600, 0),
}

DEFAULT_INSTRUMENTS = ("BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP")
"""What a simulation holds unless told otherwise."""


def instrument_of(name: str) -> Instrument:
    """Return the instrument of this id; unlisted currencies get figures made from their name.

    Raises:
        UsageError: the id is not of the form `BASE-USDT` or `BASE-USDT-SWAP`.
    """
    if _ID.fullmatch(name) is None:
        raise UsageError(
            f"expected an instrument as BASE-USDT or BASE-USDT-SWAP, received {name!r}; "
            f"e.g. {', '.join(DEFAULT_INSTRUMENTS)}"
        )
    base = name.split("-")[0]
    mixed = crc32(base.encode())
    invented = (4, 4, 20_000_000, (mixed % 9_000 + 1_000) * 10**6)
    price_decimals, size_decimals, typical, price = _SPOT.get(base, invented)
    contract = 0
    if name.endswith("-SWAP"):
        swap = _SWAP.get(base, (price_decimals, 0, 200, 0))
        price_decimals, size_decimals, typical, contract = swap
    return Instrument(
        id=name,
        price_decimals=price_decimals,
        size_decimals=size_decimals,
        typical_lots=typical,
        start_price=price,
        contract_decimals=contract,
    )


def rest_body(instruments: list[Instrument]) -> bytes:
    """Return the body of `GET /api/v5/public/instruments` for instruments of one type."""
    rows = [instrument_row(instrument) for instrument in instruments]
    return msgspec.json.encode({"code": "0", "data": rows, "msg": ""})


def instrument_row(instrument: Instrument) -> dict[str, object]:
    """Return one instrument with the keys and the key order of the OKX API docs."""
    swap = instrument.is_swap
    lot = format_decimal(1, instrument.size_decimals)
    largest = "100000000" if swap else "9999999999"
    return {
        "alias": "",
        "auctionEndTime": "",
        "baseCcy": "" if swap else instrument.base,
        "category": "1",
        "contTdSwTime": "",
        "ctMult": "1" if swap else "",
        "ctType": "linear" if swap else "",
        "ctVal": format_decimal(1, instrument.contract_decimals) if swap else "",
        "ctValCcy": instrument.base if swap else "",
        "expTime": "",
        "futureSettlement": False,
        "groupId": "1",
        "instCategory": "1",
        "instFamily": instrument.index if swap else "",
        "instId": instrument.id,
        "instIdCode": crc32(instrument.id.encode()) % 1_000_000,
        "instType": instrument.type,
        "lever": "100" if swap else "10",
        "listTime": "1611916828000",
        "lotSz": lot,
        "maxIcebergSz": largest,
        "maxLmtAmt": "20000000",
        "maxLmtSz": largest,
        "maxMktAmt": "" if swap else "1000000",
        "maxMktSz": "35000" if swap else "1000000",
        "maxStopSz": "35000" if swap else "1000000",
        "maxTriggerSz": largest,
        "maxTwapSz": largest,
        "minSz": lot,
        "openType": "fix_price",
        "optType": "",
        "preMktSwTime": "",
        "quoteCcy": "" if swap else "USDT",
        "ruleType": "normal",
        "seriesId": "",
        "settleCcy": "USDT" if swap else "",
        "state": "live",
        "stk": "",
        "tickSz": format_decimal(1, instrument.price_decimals),
        "uly": instrument.index if swap else "",
        "upcChg": [],
    }
