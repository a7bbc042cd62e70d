"""Settings of a backtest: what the recording does not say.

Responsible for their meaning, their defaults and what they may be. Refuses to read options or
files.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError
from recorder.okx.contracts import Contract, exact, to_units
from recorder.okx.orders import MAKER
from replay.backtest.latency import Latency, parse_latency
from replay.backtest.queues import MODELS

_RATES = {"spot": ("0.0008", "0.001"), "derivative": ("0.0002", "0.0005")}
"""Maker and taker fee of OKX's regular users at level 1 (fee schedule, 2026)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a backtest assumes; all of it stands in the report.

    Attributes:
        cash: by currency, exact text. leverage: value of positions over margin, at most.
        maker_fee, taker_fee: fractions of the value, negative is a rebate; None: OKX's regular
            fees (spot 0.0008 and 0.001, derivatives 0.0002 and 0.0005).
        latency: see `replay.backtest.latency`. queue: `back`, `expected` or `front`.
        currency: what equity is reckoned in. sample: ns of data time between two of its values.
        seed: of everything random.
    """

    cash: dict[str, str]
    leverage: int
    maker_fee: str | None
    taker_fee: str | None
    latency: Latency
    queue: str
    currency: str
    sample: int
    seed: int

    def rate(self, contract: Contract, execution: str) -> int:
        """Return a fee rate in 1e-18."""
        regular = _RATES["spot" if contract.is_spot else "derivative"]
        if execution == MAKER:
            return to_units(regular[0] if self.maker_fee is None else self.maker_fee)
        return to_units(regular[1] if self.taker_fee is None else self.taker_fee)


def make_settings(
    *,
    cash: Mapping[str, Decimal | float | int | str] | None = None,
    leverage: int = 10,
    maker_fee: Decimal | float | str | None = None,
    taker_fee: Decimal | float | str | None = None,
    latency: str | Latency = "capture",
    queue: str = "back",
    currency: str = "USDT",
    sample: int = NS_PER_SECOND,
    seed: int = 0,
) -> Settings:
    """Return checked settings.

    Raises:
        UsageError: one that cannot be.
    """
    if queue not in MODELS:
        raise UsageError(f"expected a queue model, {', '.join(MODELS)}, received {queue!r}")
    if leverage < 1 or sample < 1:
        raise UsageError(
            f"expected a leverage of at least 1 and a sample interval above 0, "
            f"received {leverage} and {sample} ns"
        )
    given = {"USDT": 100_000} if cash is None else dict(cash)
    amounts = {name: _number(value, f"cash {name}") for name, value in given.items()}
    fees = [
        None if value is None else _number(value, name)
        for name, value in (("maker fee", maker_fee), ("taker fee", taker_fee))
    ]
    for fee in fees:
        if fee is not None and abs(fee) >= 1:
            raise UsageError(f"expected a fee as a fraction such as 0.0005, received {fee}")
    if any(amount < 0 for amount in amounts.values()):
        raise UsageError("expected cash of at least 0, received less; give e.g. USDT=100000")
    return Settings(
        cash={name: str(amount) for name, amount in sorted(amounts.items())},
        leverage=leverage,
        maker_fee=None if fees[0] is None else str(fees[0]),
        taker_fee=None if fees[1] is None else str(fees[1]),
        latency=parse_latency(latency),
        queue=queue,
        currency=currency,
        sample=sample,
        seed=seed,
    )


def _number(value: Decimal | float | int | str, what: str) -> Decimal:
    try:
        return exact(value)
    except ValueError as error:
        raise UsageError(f"expected {what} as a number, received {value!r}") from error
