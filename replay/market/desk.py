"""An account's rarer channels, each as a short story in the venue's wire form.

Responsible for algorithmic orders, bots, block deals, own spread orders, transfers and the economic
calendar. Refuses to touch the account of the watched trader (`account.py`): what these do
happens in other pockets (funding account, bots, sub-accounts), as at the venue.

Forms are those of the OKX v5 API documentation, "Algo Trading", "Grid Trading", "Recurring Buy",
"Copy Trading", "Block Trading", "Spread Trading", "Funding Account" and "Public Data", 2026-07.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder.okx.subscription import make_subscription
from replay.market.chance import format_decimal
from replay.market.feed import Emit
from replay.market.script import Script
from replay.market.venue import Market

_HOUR_MS = 3_600_000


class Desk:
    """Writes them for one account that deals in one spot instrument and one swap."""

    def __init__(self, spot: Market, swap: Market, spread: str, uid: str, emit: Emit) -> None:
        self._spot, self._swap, self._spread = spot, swap, spread
        self._uid = uid
        self._emit = emit
        self._born_ms = 0

    def scripts(self) -> list[Script]:
        """Return every channel, in the order of subscription."""
        of_grid = {"algoId": "449"}
        of_spread = {"sprdId": self._spread}
        return [
            self._script("orders-algo", {}, self._trigger("live"), self._trigger("effective"),
                         first_s=2),
            self._script("algo-advance", {}, self._iceberg("live"), self._iceberg("pause"),
                         self._iceberg("effective")),
            self._script("grid-orders-spot", {}, self._spot_grid("starting"),
                         self._spot_grid("running")),
            self._script("grid-orders-contract", {}, self._contract_grid),
            self._script("grid-positions", of_grid, self._grid_position),
            self._script("grid-sub-orders", of_grid, self._grid_order("live"),
                         self._grid_order("filled")),
            self._script("algo-recurring-buy", {}, self._recurring_buy),
            self._script("copytrading-lead-notification", {}, self._lead_notice, first_s=5),
            self._script("rfqs", {}, self._rfq("active"), self._rfq("filled"), first_s=2),
            self._script("quotes", {}, self._quote("active"), self._quote("filled"), first_s=3),
            self._script("struc-block-trades", {}, self._block_fill, first_s=8),
            self._script("sprd-orders", of_spread, self._spread_order("live"),
                         self._spread_order("filled"), first_s=3),
            self._script("sprd-trades", of_spread, self._spread_fill, first_s=9),
            self._script("deposit-info", {}, self._deposit("0", 0), self._deposit("1", 12),
                         self._deposit("2", 20), first_s=2),
            self._script("withdrawal-info", {}, self._withdrawal("0"), self._withdrawal("1"),
                         self._withdrawal("2"), first_s=4),
            self._script("economic-calendar", {}, self._release, first_s=5),
        ]  # fmt: skip

    def _script(self, channel: str, given: dict[str, str], *lines: Any, **how: Any) -> Script:
        asked = make_subscription(channel, given)
        uid = None if channel == "economic-calendar" else self._uid
        return Script(asked, self._emit, lines, uid=uid, **how)

    # --- figures ----------------------------------------------------------------------------

    def _price(self, market: Market, permille: int = 1_000) -> str:
        ticks = market.tape.last_price * permille // 1_000
        return format_decimal(ticks, market.instrument.price_decimals)

    def _spot_price(self, permille: int = 1_000) -> str:
        return self._price(self._spot, permille)

    def _times(self, ms: int) -> dict[str, str]:
        self._born_ms = self._born_ms or ms
        return {"cTime": str(self._born_ms), "uTime": str(ms)}

    def _instrument(self, market: Market) -> dict[str, str]:
        return {"instType": market.instrument.type, "instId": market.instrument.id}

    # --- algorithmic orders -----------------------------------------------------------------

    def _algo(self, ms: int, **given: Any) -> dict[str, Any]:
        blank = dict.fromkeys((
            "actualPx", "actualSide", "actualSz", "algoClOrdId", "amendResult", "ccy",
            "clOrdId", "closeFraction", "failCode", "lever", "notionalUsd", "ordId", "ordPx",
            "posSide", "quickMgnType", "reqId", "slOrdPx", "slTriggerPx", "slTriggerPxType",
            "tag", "tpOrdPx", "tpTriggerPx", "tpTriggerPxType", "triggerPx", "triggerPxType",
            "triggerTime",
        ), "")  # fmt: skip
        return {
            **blank, **self._instrument(self._spot), "advanceOrdType": "",
            "amendPxOnTriggerType": "0", "attachAlgoOrds": [], "last": self._spot_price(),
            "ordIdList": [], "reduceOnly": "false", "tdMode": "cash", "tgtCcy": "base_ccy",
            "tradeQuoteCcy": "USDT", "linkedOrd": {"ordId": ""}, **self._times(ms), **given,
        }  # fmt: skip

    def _trigger(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            done = {
                "ordId": "5999", "ordIdList": ["5999"], "actualPx": self._spot_price(990),
                "actualSz": "0.2", "actualSide": "sl", "triggerTime": str(ms),
            } if state == "effective" else {}  # fmt: skip
            return [self._algo(
                ms, algoId="88", ordType="conditional", side="sell", sz="0.2", state=state,
                slTriggerPx=self._spot_price(990), slOrdPx="-1", slTriggerPxType="last",
                isTradeBorrowMode="", chaseType="", chaseVal="", maxChaseType="",
                maxChaseVal="", **done,
            )]  # fmt: skip

        return line

    def _iceberg(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            return [self._algo(
                ms, algoId="89", ordType="iceberg", side="buy", sz="10", state=state,
                szLimit="1", pxLimit=self._spot_price(1_010), pxSpread="", pxVar="0.001",
                count="10", timeInterval="", callbackRatio="", callbackSpread="", activePx="",
                moveTriggerPx="", pTime=str(ms), isTradeBorrowMode=True,
            )]  # fmt: skip

        return line

    # --- bots -------------------------------------------------------------------------------

    def _grid(self, market: Market, ms: int, **given: Any) -> dict[str, Any]:
        return {
            "algoClOrdId": "", **self._instrument(market), "activeOrdNum": "10",
            "annualizedRate": "0.21", "arbitrageNum": "1", "cancelType": "0",
            "copyType": "0", "floatProfit": "-0.52", "gridNum": "10", "gridProfit": "0.12",
            "investment": "100", "maxPx": self._price(market, 1_100),
            "minPx": self._price(market, 900), "pTime": str(ms), "perMaxProfitRate": "0.0124",
            "perMinProfitRate": "0.0098", "pnlRatio": "-0.004", "profitSharingRatio": "",
            "rebateTrans": [{"rebate": "0", "rebateCcy": "USDT"}],
            "runPx": self._price(market), "runType": "1", "slTriggerPx": "", "tag": "",
            "totalAnnualizedRate": "0", "totalPnl": "-0.4", "tpTriggerPx": "",
            "tradeNum": "3", **self._times(ms), **given,
        }  # fmt: skip

    def _spot_grid(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            triggers = [
                {"triggerAction": "start", "triggerStrategy": "instant", "delaySeconds": "0",
                 "triggerType": "auto", "triggerTime": str(ms)},
                {"triggerAction": "stop", "triggerStrategy": "rsi", "delaySeconds": "0",
                 "timeframe": "30m", "thold": "80", "triggerCond": "cross_up",
                 "timePeriod": "14", "triggerType": "manual", "triggerTime": "",
                 "stopType": "1"},
            ]  # fmt: skip
            return [self._grid(
                self._spot, ms, algoId="448", algoOrdType="grid", state=state,
                triggerParams=triggers, singleAmt="0.00101214", stopType="2", stopResult="0",
                quoteSz="100", baseSz="0", curQuoteSz="51.1", curBaseSz="0.0005", profit="0.1",
                tradeQuoteCcy="USDT",
            )]  # fmt: skip

        return line

    def _contract_grid(self, ms: int) -> list[Any]:
        return [self._grid(
            self._swap, ms, algoId="449", algoOrdType="contract_grid", state="running",
            triggerParams=[], singleAmt="1", stopType="0", direction="long", basePos=True,
            sz="100", lever="5", actualLever="2.35", liqPx=self._price(self._swap, 700),
            ordFrozen="5.38638", availEq="52.3", eq="99.6", tpRatio="0.1", slRatio="",
            fee="-0.07", fundingFee="0",
        )]  # fmt: skip

    def _grid_position(self, ms: int) -> list[Any]:
        price = self._price(self._swap)
        return [{"adl": "1", "algoClOrdId": "", "algoId": "449", "avgPx": price, "ccy": "USDT",
                 "imr": "17.4", **self._instrument(self._swap), "last": price, "lever": "5",
                 "liqPx": self._price(self._swap, 700), "markPx": price, "mgnMode": "cross",
                 "mgnRatio": "44.9", "mmr": "0.35", "notionalUsd": "87.4", "pTime": str(ms),
                 "pos": "0.1", "posSide": "net", "upl": "-0.02", "uplRatio": "-0.0011",
                 **self._times(ms)}]  # fmt: skip

    def _grid_order(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            is_done = state == "filled"
            price = self._price(self._swap, 995)
            return [{"accFillSz": "0.1" if is_done else "0", "algoClOrdId": "", "algoId": "449",
                     "algoOrdType": "contract_grid", "avgPx": price if is_done else "0",
                     "ctVal": "0.01", "fee": "-0.017" if is_done else "0", "feeCcy": "USDT",
                     "groupId": "3", **self._instrument(self._swap), "lever": "5",
                     "ordId": "70012", "ordType": "limit", "pTime": str(ms), "pnl": "0",
                     "posSide": "net", "px": price, "rebate": "0", "rebateCcy": "USDT",
                     "side": "buy", "state": state, "sz": "0.1", "tag": "", "tdMode": "cross",
                     **self._times(ms)}]  # fmt: skip

        return line

    def _recurring_buy(self, ms: int) -> list[Any]:
        price = self._spot_price()
        parts = [{"avgPx": price, "ccy": self._spot.instrument.base, "profit": "0.3",
                  "px": price, "ratio": "1", "totalAmt": "0.0046", "minPx": "",
                  "maxPx": ""}]  # fmt: skip
        return [{"algoClOrdId": "", "algoId": "644", "algoOrdType": "recurring", "amt": "100",
                 "cycles": "4", "instType": "SPOT", "investmentAmt": "400",
                 "investmentCcy": "USDT", "mktCap": "400.3",
                 "nextInvestTime": str(ms + _HOUR_MS), "pTime": str(ms), "period": "hourly",
                 "pnlRatio": "0.0008", "recurringDay": "", "recurringHour": "1",
                 "recurringList": parts, "recurringTime": "12", "state": "running",
                 "stgyName": "hourly", "tag": "", "timeZone": "8", "totalAnnRate": "0.3",
                 "totalPnl": "0.3", "tradeQuoteCcy": "USDT", **self._times(ms)}]  # fmt: skip

    def _lead_notice(self, ms: int) -> list[Any]:
        return [{"infoType": "2", "instId": "", "instType": "SWAP", "maxLeadTraderNum": "3",
                 "minLeadEq": "", "posSide": "", "side": "", "subPosId": "667695035433",
                 "uniqueCode": "5A1D0C7E2B9F3344"}]  # fmt: skip

    # --- block deals and spreads --------------------------------------------------------------

    def _legs(self, **more: Any) -> list[dict[str, Any]]:
        return [{**more, "instId": market.instrument.id, "tdMode": "cross", "ccy": "USDT",
                 "sz": "25", "side": side, "posSide": "net", "tgtCcy": ""}
                for market, side in ((self._swap, "buy"), (self._spot, "sell"))]  # fmt: skip

    def _rfq(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            return [{**self._times(ms), "traderCode": "", "rfqId": "22534", "clRfqId": "r1",
                     "tag": "", "state": state, "flowType": "",
                     "validUntil": str(ms + 600_000), "allowPartialExecution": False,
                     "counterparties": ["DSK4", "DSK5"], "legs": self._legs(),
                     "groupId": "", "acctAlloc": []}]  # fmt: skip

        return line

    def _quote(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            legs = [leg | {"px": self._price(market)} for leg, market in
                    zip(self._legs(), (self._swap, self._spot), strict=True)]  # fmt: skip
            return [{"validUntil": str(ms + 60_000), **self._times(ms), "legs": legs,
                     "quoteId": "25092", "rfqId": "22534", "clRfqId": "r1", "tag": "",
                     "traderCode": "DSK4", "quoteSide": "sell", "state": state, "reason": "",
                     "clQuoteId": ""}]  # fmt: skip

        return line

    def _block_fill(self, ms: int) -> list[Any]:
        legs = [{"px": self._price(market), "sz": "25", "instId": market.instrument.id,
                 "side": side, "fee": "-1.09", "feeCcy": "USDT", "tradeId": trade_id,
                 "tgtCcy": ""}
                for market, side, trade_id in ((self._swap, "buy", "10211"),
                                               (self._spot, "sell", "10212"))]  # fmt: skip
        return [{"cTime": str(ms), "rfqId": "22534", "clRfqId": "r1", "quoteId": "25092",
                 "clQuoteId": "", "blockTdId": "180184", "tag": "", "tTraderCode": "",
                 "mTraderCode": "DSK4", "isSuccessful": True, "errorCode": "", "legs": legs,
                 "acctAlloc": []}]  # fmt: skip

    def _spread_order(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            is_done = state == "filled"
            return [{"sprdId": self._spread, "ordId": "312269865", "clOrdId": "b1", "tag": "",
                     "px": "-0.5", "sz": "3", "ordType": "limit", "side": "buy",
                     "fillSz": "3" if is_done else "0", "fillPx": "-0.5" if is_done else "",
                     "tradeId": "123" if is_done else "", "accFillSz": "3" if is_done else "0",
                     "pendingFillSz": "0" if is_done else "3", "pendingSettleSz": "0",
                     "canceledSz": "0", "state": state, "avgPx": "-0.5" if is_done else "0",
                     "cancelSource": "", **self._times(ms), "code": "0", "msg": "",
                     "reqId": "", "amendResult": ""}]  # fmt: skip

        return line

    def _spread_fill(self, ms: int) -> list[Any]:
        legs = [{"instId": market.instrument.id, "px": self._price(market), "sz": "3",
                 "szCont": contracts, "side": side, "fillPnl": "0", "fee": "-0.52",
                 "feeCcy": "USDT", "tradeId": trade_id}
                for market, side, contracts, trade_id in (
                    (self._swap, "buy", "300", "1232"),
                    (self._spot, "sell", "", "5345"),
                )]  # fmt: skip
        return [{"sprdId": self._spread, "tradeId": "123", "ordId": "312269865",
                 "clOrdId": "b1", "tag": "", "fillPx": "-0.5", "fillSz": "3",
                 "state": "filled", "side": "buy", "execType": "M", "ts": str(ms),
                 "legs": legs, "code": "", "msg": ""}]  # fmt: skip

    # --- money that comes and goes --------------------------------------------------------------

    def _deposit(self, state: str, confirmations: int) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            created = self._times(ms)["cTime"]
            return [{"actualDepBlkConfirm": str(confirmations), "amt": "150.5",
                     "areaCodeFrom": "", "ccy": "USDT", "chain": "USDT-TRC20",
                     "depId": "88165462", "from": "", "fromWdId": "", "pTime": str(ms),
                     "state": state, "subAcct": "", "to": "TSimulatedDepositAddress",
                     "ts": created, "txId": "5d1c0000simulated" if confirmations else "",
                     "uid": self._uid}]  # fmt: skip

        return line

    def _withdrawal(self, state: str) -> Callable[[int], list[Any]]:
        def line(ms: int) -> list[Any]:
            created = self._times(ms)["cTime"]
            return [{"addrEx": None, "amt": "20", "areaCodeFrom": "", "areaCodeTo": "",
                     "ccy": "USDT", "chain": "USDT-TRC20", "clientId": "", "fee": "0.8",
                     "feeCcy": "USDT", "from": "", "memo": "", "nonTradableAsset": False,
                     "note": "", "pTime": str(ms), "pmtId": "", "state": state,
                     "subAcct": "desk-2", "tag": "", "to": "TSimulatedAddress",
                     "toAddrType": "1", "ts": created,
                     "txId": "" if state == "0" else "77af0000simulated",
                     "uid": self._uid[:-1] + "2", "wdId": "63754560"}]  # fmt: skip

        return line

    def _release(self, ms: int) -> list[Any]:
        day = ms - ms % 86_400_000
        return [{"calendarId": "319275", "date": str(day + 13 * _HOUR_MS), "region": "Utopia",
                 "category": "Manufacturing PMI", "event": "S&P Manufacturing PMI Final",
                 "refDate": str(day - 86_400_000), "actual": "49.2", "previous": "47.3",
                 "forecast": "49.3", "importance": "2", "prevInitial": "", "ccy": "",
                 "unit": "", "ts": str(ms)}]  # fmt: skip
