"""The rarer public channels, each as a short story in the venue's wire form.

Responsible for options, limits, auctions, liquidations, warnings, block trades, maintenance,
instrument changes and event contracts. Refuses realism beyond form and plausible figures: nobody
trades these here, and the greeks of an option are of the right sign and size, no more.

Forms are those of the OKX v5 API documentation, "Public Data", "Order Book Trading", "Block
Trading" and "Status", with the fields of 2026.
"""

from __future__ import annotations

from typing import Any

from recorder.okx.subscription import Subscription, make_subscription
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.instruments import instrument_row
from replay.market.script import Script
from replay.market.venue import Market

_HOUR_MS = 3_600_000
_EXPIRY = "261127"
_STRIKE_STEP = 500


class Rarities:
    """Writes them for one spot instrument and one swap."""

    def __init__(self, spot: Market, swap: Market, emit: Emit) -> None:
        self._spot, self._swap = spot, swap
        self._emit = emit
        self._base = spot.instrument.base
        self._family = f"{self._base}-USD"
        self._count = 700

    def scripts(self) -> list[Script]:
        """Return every channel, in the order of subscription."""
        swap, family = self._swap.instrument, self._family
        by_swap = {"instId": swap.id}
        return [
            self._script("price-limit", by_swap, self._price_limit, every_s=5),
            self._script("opt-summary", {"instFamily": family}, self._option_summary, every_s=8),
            self._script("option-trades", {"instFamily": family}, self._option_trade, every_s=4),
            self._script("estimated-price",
                         {"instType": "FUTURES", "instFamily": swap.index},
                         self._estimated_price, every_s=7),
            self._script("call-auction-details", {"instId": f"NEW{self._base}-USDT"},
                         self._auction, self._auction, self._auction_end, every_s=5),
            self._script("liquidation-orders", {"instType": "SWAP"}, self._liquidation,
                         every_s=6, first_s=3),
            self._script("adl-warning", {"instType": "SWAP"}, self._adl, every_s=6, first_s=9),
            self._script("status", {}, self._status, self._status_ongoing, every_s=9),
            self._script("instruments", {"instType": "SPOT"}, self._instrument, every_s=9,
                         first_s=5),
            self._script("event-contract-markets", {}, self._event_market,
                         self._event_market_settled, every_s=8, first_s=2,
                         says={"channel": "event-contract-markets"}),
            self._script("public-struc-block-trades", {}, self._structured_block, every_s=10,
                         first_s=4),
            self._script("public-block-trades", by_swap, self._block_trade, every_s=10,
                         first_s=4),
            self._script("block-tickers", by_swap, self._block_ticker, every_s=10),
        ]  # fmt: skip

    def _script(self, channel: str, given: dict[str, str], *lines: Any, **how: Any) -> Script:
        asked: Subscription = make_subscription(channel, given)
        return Script(asked, self._emit, lines, **how)

    # --- figures ----------------------------------------------------------------------------

    def _next(self) -> str:
        self._count += 1
        return str(self._count)

    def _mark(self, permille: int = 1_000) -> str:
        ticks = self._swap.fair() * permille // 1_000
        return format_decimal(ticks, self._swap.instrument.price_decimals)

    def _last(self) -> str:
        instrument = self._swap.instrument
        return format_decimal(self._swap.tape.last_price, instrument.price_decimals)

    def _index(self) -> str:
        return format_decimal(self._spot.asset.price, 8)

    def _options(self) -> list[tuple[str, int, bool]]:
        """Return (instId, strike, is it a call) of four options around the price."""
        price = self._spot.asset.price // 10**8
        step = max(1, price // 100 // _STRIKE_STEP) * _STRIKE_STEP if price > 10_000 else 1
        near = price // step * step
        return [
            (f"{self._family}-{_EXPIRY}-{strike}-{kind}", strike, kind == "C")
            for strike in (near, near + step)
            for kind in "CP"
        ]

    # --- lines ------------------------------------------------------------------------------

    def _price_limit(self, ms: int) -> list[Any]:
        return [{"buyLmt": self._mark(1_050), "enabled": True, "instId": self._swap.instrument.id,
                 "instType": "SWAP", "sellLmt": self._mark(950), "ts": str(ms)}]  # fmt: skip

    def _option_summary(self, ms: int) -> list[Any]:
        rows = []
        for number, (name, _, is_call) in enumerate(self._options()):
            delta = f"0.{54 - 6 * number}" if is_call else f"-0.{40 + 6 * number}"
            rows.append({
                "instType": "OPTION", "instId": name, "uly": self._family, "delta": delta,
                "gamma": "1.2", "vega": "0.00041", "theta": "-0.00093", "lever": f"{19 + number}.1",
                "markVol": "0.5512", "bidVol": "0.5408" if number else "", "askVol": "0.5621",
                "realVol": "", "deltaBS": delta, "gammaBS": "0.000021", "thetaBS": "-71.5",
                "vegaBS": "36.2", "ts": str(ms), "fwdPx": self._mark(), "volLv": "0.5437",
            })  # fmt: skip
        return rows

    def _option_trade(self, ms: int) -> list[Any]:
        name, _, is_call = self._options()[self._count % 4]
        return [{"fillVol": "0.5511", "fwdPx": self._mark(), "idxPx": self._index(),
                 "instFamily": self._family, "instId": name, "markPx": "0.0312",
                 "optType": "C" if is_call else "P", "px": "0.031",
                 "side": "sell" if self._count % 2 else "buy", "sz": "2",
                 "tradeId": self._next(), "ts": str(ms)}]  # fmt: skip

    def _estimated_price(self, ms: int) -> list[Any]:
        return [{"instId": f"{self._swap.instrument.index}-{_EXPIRY}", "instType": "FUTURES",
                 "settlePx": self._mark(), "settleType": "delivery", "ts": str(ms)}]  # fmt: skip

    def _auction(self, ms: int, state: str = "call_auction") -> list[Any]:
        end = ms - ms % 60_000 + 60_000
        return [{"instId": f"NEW{self._base}-USDT", "unmatchedSz": str(ms % 977), "eqPx": "0.6",
                 "matchedSz": str(4_500 + ms // 1_000 % 100), "state": state,
                 "auctionEndTime": str(end), "ts": str(ms)}]  # fmt: skip

    def _auction_end(self, ms: int) -> list[Any]:
        return self._auction(ms, "continuous_trading")

    def _liquidation(self, ms: int) -> list[Any]:
        swap = self._swap.instrument
        details = [
            {"bkLoss": "0", "bkPx": self._mark(980), "ccy": "", "posSide": "long",
             "side": "sell", "sz": "13", "ts": str(ms - 40)},
            {"bkLoss": "", "bkPx": self._mark(1_021), "ccy": "", "posSide": "short",
             "side": "buy", "sz": "2.5", "ts": str(ms - 900)},
        ]  # fmt: skip
        return [{"details": details, "instFamily": swap.index, "instId": swap.id,
                 "instType": "SWAP", "uly": swap.index}]  # fmt: skip

    def _adl(self, ms: int) -> list[Any]:
        blank = dict.fromkeys(("ccy", "maxBal", "maxBalTs", "adlType", "adlBal", "adlRecBal"), "")
        return [{"instType": "SWAP", "instFamily": self._swap.instrument.index,
                 "state": "warning", "bal": "1234567.8", **blank, "ts": str(ms), "decRate": "",
                 "adlRate": "", "adlRecRate": ""}]  # fmt: skip

    def _status(self, ms: int, state: str = "scheduled") -> list[Any]:
        return [{"begin": str(ms + _HOUR_MS), "end": str(ms + 2 * _HOUR_MS), "env": "1",
                 "href": "", "maintType": "1", "preOpenBegin": "", "scheDesc": "",
                 "serviceType": "0", "state": state, "system": "unified",
                 "title": "Simulated WebSocket maintenance", "ts": str(ms)}]  # fmt: skip

    def _status_ongoing(self, ms: int) -> list[Any]:
        return self._status(ms, "ongoing")

    def _instrument(self, ms: int) -> list[Any]:
        coming = {"param": "tickSz", "newValue": "1", "effTime": str(ms + 24 * _HOUR_MS)}
        return [instrument_row(self._spot.instrument) | {"upcChg": [coming]}]

    def _event_market(self, ms: int, **changes: Any) -> list[Any]:
        series = f"{self._base}-ABOVE-DAILY"
        strike = self._options()[0][1]
        return [{"seriesId": series, "eventId": f"{series}-261103-1600",
                 "instId": f"{series}-261103-1600-{strike}", "listTime": str(ms - _HOUR_MS),
                 "fixTime": "", "expTime": str(ms + 8 * _HOUR_MS), "state": "live",
                 "outcome": "0", "floorStrike": str(strike), "capStrike": "INF",
                 "settleValue": "", "disputed": False, "hitDir": "", **changes}]  # fmt: skip

    def _event_market_settled(self, ms: int) -> list[Any]:
        return self._event_market(ms, state="settling", outcome="1", settleValue=self._index())

    def _structured_block(self, ms: int) -> list[Any]:
        call, _, _ = self._options()[0]
        legs = [{"px": "0.031", "sz": "25", "instId": call, "side": "buy",
                 "tradeId": self._next()},
                {"px": self._last(), "sz": "1000", "instId": self._swap.instrument.id,
                 "side": "sell", "tradeId": self._next()}]  # fmt: skip
        return [{"cTime": str(ms - 15 * 60_000), "blockTdId": self._next(), "groupId": "",
                 "legs": legs}]  # fmt: skip

    def _block_trade(self, ms: int) -> list[Any]:
        return [{"fillVol": "", "fwdPx": "", "groupId": "", "idxPx": self._index(),
                 "instId": self._swap.instrument.id, "markPx": self._mark(), "px": self._last(),
                 "side": "sell", "sz": "1000", "tradeId": self._next(),
                 "ts": str(ms - 15 * 60_000)}]  # fmt: skip

    def _block_ticker(self, ms: int) -> list[Any]:
        return [{"instType": "SWAP", "instId": self._swap.instrument.id, "volCcy24h": "1210",
                 "vol24h": "121000", "ts": str(ms)}]  # fmt: skip
