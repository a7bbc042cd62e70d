"""What an account channel would push first to somebody who subscribes now.

Responsible for joining recorded snapshots and the changes after them into one snapshot in wire
form. Refuses to interpret a number: rows are kept as they were received and replaced by newer ones
of the same currency or position.

`account`, `positions`, `balance_and_position` and `account-greeks` push the whole state on
subscribe, `account` and `positions` in pages since 2025-03; later pushes hold what changed
(OKX API docs, "Account channel", "Positions channel", "Balance and position channel").
"""

from __future__ import annotations

from typing import Any

import msgspec

ACCOUNT_CHANNELS = ("account", "positions", "balance_and_position", "account-greeks")
"""Channels whose first push is the whole state."""

_ROWS_MAX = 20_000
_POSITION = ("posId", "instId", "mgnMode", "posSide", "ccy")
_CURRENCY = ("ccy",)

Row = dict[str, Any]


class AccountState:
    """The state of one account channel, as far as it was pushed."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._argument: Row = {}
        self._head: Row = {}
        self._rows: dict[str, dict[tuple[str, ...], Row]] = {}
        self._has_event_type = False

    def take(self, payload: bytes) -> None:
        """Take in one recorded push; what cannot be read changes nothing."""
        try:
            body = msgspec.json.decode(payload)
            data = [row for row in body["data"] if isinstance(row, dict)]
            self._argument = dict(body["arg"])
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError):
            return
        self._has_event_type |= "eventType" in body
        inner = data[0].get("eventType") if data else None
        if _is_first_page(body, inner):
            self._head, self._rows = {}, {}
        if self._channel == "account":
            for row in data:
                self._head |= {key: value for key, value in row.items() if key != "details"}
                self._put("details", row.get("details"), _CURRENCY)
        elif self._channel == "balance_and_position":
            for row in data:
                self._head |= {"pTime": row.get("pTime", "")}
                self._put("balData", row.get("balData"), _CURRENCY)
                self._put("posData", row.get("posData"), _POSITION)
        else:
            self._put("", data, _CURRENCY if self._channel == "account-greeks" else _POSITION)

    def first_push(self) -> bytes | None:
        """Return the snapshot a newcomer gets; None where nothing was pushed yet."""
        if not self._argument or sum(map(len, self._rows.values())) > _ROWS_MAX:
            return None
        body: Row = {"arg": self._argument}
        if self._channel == "balance_and_position":
            whole = {"balData": self._of("balData"), "posData": self._of("posData"), "trades": []}
            data = [self._head | {"eventType": "snapshot"} | whole]
        elif self._channel == "account":
            data = [self._head | {"details": self._of("details")}]
        else:
            data = self._of("")
        if self._has_event_type:
            body |= {"eventType": "snapshot", "curPage": 1, "lastPage": True}
        return msgspec.json.encode(body | {"data": data})

    def _put(self, place: str, rows: object, keys: tuple[str, ...]) -> None:
        if not isinstance(rows, list):
            return
        held = self._rows.setdefault(place, {})
        for row in rows:
            if isinstance(row, dict):
                key = tuple(str(row.get(name, "")) for name in keys)
                if row.get("pos") == "0":
                    held.pop(key, None)  # closed: told once, in no snapshot after that
                else:
                    held[key] = row

    def _of(self, place: str) -> list[Row]:
        return list(self._rows.get(place, {}).values())


def begins_state(payload: bytes) -> bool:
    """Say whether a push of an account channel is a whole state, or the first page of one.

    What was pushed before it says nothing about the state after it.
    """
    if b'"snapshot"' not in payload:
        return False
    try:
        body = msgspec.json.decode(payload)
        inner = [row.get("eventType") for row in body["data"][:1] if isinstance(row, dict)]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
        return False
    return _is_first_page(body, inner[0] if inner else None)


def _is_first_page(body: Row, inner: object) -> bool:
    return "snapshot" in (body.get("eventType"), inner) and body.get("curPage", 1) == 1
