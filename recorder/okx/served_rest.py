"""What the venue's REST API says, made of what a recording pushed.

Responsible for which paths can be answered from which channel, for their parameters, and for bodies
made of recorded pushes, row for row, texts as they were received. Refuses to invent a row, and to
know where pushes come from.

Paths, parameters and errors are those of the OKX v5 API docs ("Public data", "Market data", "Error
Code"): most errors are HTTP 200 with a code, a missing parameter is HTTP 400, an unknown path 404.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from recorder.clock import NS_PER_MS

NOT_FOUND = "The requested path could not be found"
NOT_HERE = "nothing of this kind is in the capture that is served"

_LAST = {
    "/api/v5/market/ticker": "tickers",
    "/api/v5/market/tickers": "tickers",
    "/api/v5/market/index-tickers": "index-tickers",
    "/api/v5/public/mark-price": "mark-price",
    "/api/v5/public/funding-rate": "funding-rate",
    "/api/v5/public/open-interest": "open-interest",
    "/api/v5/public/price-limit": "price-limit",
}
_ONE = ("/api/v5/market/ticker", "/api/v5/public/funding-rate", "/api/v5/public/price-limit")
_TRADES = {"/api/v5/market/trades": 500, "/api/v5/market/history-trades": 100}
_CANDLES = {
    "/api/v5/market/candles": "candle",
    "/api/v5/market/history-candles": "candle",
    "/api/v5/market/index-candles": "index-candle",
    "/api/v5/market/history-index-candles": "index-candle",
    "/api/v5/market/mark-price-candles": "mark-price-candle",
    "/api/v5/market/history-mark-price-candles": "mark-price-candle",
}
_TRADE_KEYS = ("instId", "side", "sz", "source", "px", "tradeId", "ts")
_LIMIT, _BARS_MAX = 100, 300


class Wanted(NamedTuple):
    """Which recorded pushes an answer is made of.

    Attributes:
        channel: of the pushes. instrument: of their argument; None: of every one.
        rows: so many are enough; 0: the last push of each argument.
    """

    channel: str
    instrument: str | None
    rows: int


class Refusal(NamedTuple):
    """An error of the venue: HTTP status, code and text."""

    status: int
    code: str
    message: str


def wanted_for(path: str, query: Mapping[str, str]) -> Wanted | Refusal | None:
    """Return which pushes answer a request, why it is refused, or None: it is of another kind."""
    instrument = query.get("instId")
    if path in _LAST:
        if path in _ONE and not instrument:
            return _empty("instId")
        if path == "/api/v5/market/tickers" and not query.get("instType"):
            return _empty("instType")
        return Wanted(_LAST[path], instrument, 0)
    if path not in _TRADES and path not in _CANDLES:
        return None
    if not instrument:
        return _empty("instId")
    if path in _TRADES:
        return Wanted("trades", instrument, _limit(query, _TRADES[path]))
    return Wanted(_CANDLES[path] + query.get("bar", "1m"), instrument, _limit(query, _BARS_MAX))


class Answer:
    """Collects pushes, newest segment first, into the data of one answer.

    Args:
        wanted: what `wanted_for` said. query: the request's parameters.
    """

    def __init__(self, wanted: Wanted, query: Mapping[str, str]) -> None:
        self._wanted = wanted
        self._query = query
        self._rows: dict[str, Any] = {}

    @property
    def is_enough(self) -> bool:
        """Whether older pushes would change nothing."""
        count = self._wanted.rows
        if count == 0:
            return bool(self._wanted.instrument and self._rows)
        return len(self._rows) >= count

    def take(self, payloads: Iterable[bytes]) -> None:
        """Take in the pushes of one stretch, in order; the next stretch lies before it."""
        here: dict[str, Any] = {}
        for payload in payloads:
            try:
                rows = msgspec.json.decode(payload)["data"]
            except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
                continue
            for row in rows:
                key = self._key(row)
                if key is not None:
                    here.pop(key, None)
                    here[key] = row
        for key in reversed(here):
            self._rows.setdefault(key, here[key])

    def body(self) -> bytes | Refusal:
        """Return the body, or the venue's error where there is nothing to say."""
        wanted = self._wanted
        rows = list(self._rows.values())
        if wanted.rows == 0:
            family = {key: self._query[key] for key in ("instType", "uly") if key in self._query}
            rows = [row for row in rows if all(row.get(k) == v for k, v in family.items())]
        elif wanted.channel == "trades":
            rows = [{key: row[key] for key in _TRADE_KEYS if key in row} for row in rows]
        if wanted.rows:
            rows = rows[: wanted.rows]
        if not rows and wanted.instrument is not None:
            return Refusal(200, "51001", f"Instrument ID does not exist: {NOT_HERE}")
        return body_of(rows, "" if rows else NOT_HERE)

    def _key(self, row: Any) -> str | None:
        """Return what makes a row another one; None for one that is not asked for."""
        if isinstance(row, list):
            opened = str(row[0]) if row else ""
            after, before = self._query.get("after"), self._query.get("before")
            is_outside = (after and opened >= after) or (before and opened <= before)
            return None if is_outside else opened
        if not isinstance(row, dict):
            return None
        return str(row.get("tradeId" if self._wanted.channel == "trades" else "instId"))


def body_of(rows: list[Any], message: str = "") -> bytes:
    """Return the body of an answer that is no error."""
    return msgspec.json.encode({"code": "0", "msg": message, "data": rows})


def error_body(code: str, message: str) -> bytes:
    """Return the body of an error."""
    return msgspec.json.encode({"msg": message, "code": code, "data": []})


def time_body(now_ns: int) -> bytes:
    """Return the body of `GET /api/v5/public/time`."""
    return body_of([{"ts": str(now_ns // NS_PER_MS)}])


def instruments_body(recorded: bytes, query: Mapping[str, str]) -> bytes:
    """Return the rows of a recorded list of instruments that a request asks for."""
    try:
        rows = msgspec.json.decode(recorded)["data"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return recorded
    asked = {key: query[key] for key in ("instId", "instFamily", "uly") if query.get(key)}
    found = [row for row in rows if all(row.get(key) == value for key, value in asked.items())]
    return body_of(found, "" if found else NOT_HERE)


def underlying_body(recorded: bytes) -> bytes:
    """Return the underlyings of a recorded list of instruments, each once."""
    try:
        rows = msgspec.json.decode(recorded)["data"]
        names = dict.fromkeys(str(row["uly"]) for row in rows if row.get("uly"))
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        names = {}
    return body_of([list(names)], "" if names else NOT_HERE)


def _limit(query: Mapping[str, str], most: int) -> int:
    given = query.get("limit", "")
    return max(1, min(int(given), most)) if given.isdecimal() else _LIMIT


def _empty(name: str) -> Refusal:
    return Refusal(400, "50014", f"Parameter {name} can not be empty")
