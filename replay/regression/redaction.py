"""Redaction: account data masked so that a parser still does the same with it.

Responsible for the pushes of an account, for what requests and answers say of one, and for what a
`run` row says of the machine. Refuses to touch market data, instruments, currencies, times and the
venue's words: with them a masked push has its old shape, and takes the same branches.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from recorder.frame import Frame, Kind
from recorder.okx.account_layouts import ACCOUNT_SHAPES
from recorder.okx.bot_layouts import BOT_SHAPES
from recorder.okx.deal_layouts import DEAL_SHAPES
from replay.regression.census import is_word

ACCOUNT_CHANNELS = frozenset((*ACCOUNT_SHAPES, *BOT_SHAPES, *DEAL_SHAPES))

_KEPT = re.compile(r"^(instId|instType|instFamily|uly|sprdId|channel|connId|id|event|op|code)$"
                   r"|[cC]cy$|[tT]ime$|^ts$|[tT]s$")  # fmt: skip
_IDENTITY = re.compile(r"(Id|ID|Ids|^uid|^tag|^adrr?|^addr.*|^from|^to|^txId)$")
_DIGIT = re.compile(r"[1-9]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_RUN_KEPT = ("version", "versions", "recorder", "connections", "simulator", "parser")


class Redaction:
    """Masks frame by frame; the same id is masked to the same one throughout.

    Attributes:
        count: frames that were changed.
    """

    def __init__(self) -> None:
        self.count = 0
        self._ids: dict[str, str] = {}

    def apply(self, frame: Frame) -> Frame:
        """Return a frame without account data; the very one where there was none."""
        if frame.kind not in (Kind.TEXT, Kind.SENT, Kind.RUN):
            return frame
        try:
            document = msgspec.json.decode(frame.payload)
        except (msgspec.MsgspecError, RecursionError):
            return frame
        if not isinstance(document, dict):
            return frame
        if frame.kind is Kind.RUN:
            masked: Any = {key: document[key] for key in _RUN_KEPT if key in document}
        else:
            masked = self._message(document)
        if masked == document:
            return frame
        self.count += 1
        return msgspec.structs.replace(frame, payload=msgspec.json.encode(masked))

    def _message(self, document: dict[str, Any]) -> dict[str, Any]:
        argument = document.get("arg")
        channel = argument.get("channel") if isinstance(argument, dict) else None
        is_account = channel in ACCOUNT_CHANNELS or (
            isinstance(argument, dict) and "uid" in argument
        )
        masked = dict(document)
        for key in ("arg", "args"):
            if key in masked:
                masked[key] = self._value(masked[key], key, str(channel), is_number_kept=True)
        if is_account and "data" in masked:
            masked["data"] = self._value(masked["data"], "data", str(channel))
        return masked

    def _value(self, value: Any, path: str, channel: str, *, is_number_kept: bool = False) -> Any:
        """Return a value masked; `path` is where it stands, as the census writes it."""
        if isinstance(value, dict):
            return {
                key: self._value(member, f"{path}.{key}", channel, is_number_kept=is_number_kept)
                for key, member in value.items()
            }
        if isinstance(value, list):
            return [
                self._value(member, f"{path}[]", channel, is_number_kept=is_number_kept)
                for member in value
            ]
        key = path.rsplit(".", 1)[-1].removesuffix("[]")
        if isinstance(value, bool) or value is None or value == "" or _KEPT.search(key):
            return value
        if _IDENTITY.search(key):
            return self._identity(value)
        if is_word(value, path, key, channel) or (is_number_kept and key not in ("apiKey", "sign")):
            return value
        return _masked(value)

    def _identity(self, value: Any) -> Any:
        """Return another id of the same kind and, where that is possible, length."""
        text = str(value)
        known = self._ids.get(text)
        if known is None:
            number = str(len(self._ids) + 1)
            fill = "0" if text.isdigit() else "x"
            known = self._ids[text] = number.rjust(len(text), fill)[-max(len(text), len(number)) :]
        return int(known) if isinstance(value, int) else known


def _masked(value: Any) -> Any:
    """Return a number with every digit but 0 as 1, any other text as x."""
    if isinstance(value, int):
        return int(_DIGIT.sub("1", str(value)))
    if isinstance(value, float):
        return 1.5 if value else value
    if _NUMBER.fullmatch(value):
        return _DIGIT.sub("1", value)
    return "x" * len(value)
