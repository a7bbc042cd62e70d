"""Settings of a recording by name: what the options of `recorder record` and a TOML file can say.

Responsible for the table of settings (name, what a value must be) and for making the arguments of
`record` out of values. Refuses to read files (`config_file` does) and command lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from recorder.capture.options import FullPolicy, JournalMode, WriterOptions
from recorder.errors import UsageError
from recorder.live.config import LinkOptions
from recorder.okx.hosts import REGIONS
from recorder.okx.subscription import Subscription, cross_subscriptions, parse_subscription

JOURNALS: tuple[str, ...] = get_args(JournalMode)
"""When a frame is handed to the system: at once, or with others as a block."""

ON_DISK_FULL: tuple[str, ...] = get_args(FullPolicy)
"""What a full disk means: stop, wait for room, or give up the oldest segments."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT])(i?)B?|B)?", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


class Setting(NamedTuple):
    """What a value must be.

    Attributes:
        expected: in words, e.g. `a number above 0`.
        accepts: whether a value, as TOML reads it, is one.
        read: the value as an argument of Python.
    """

    expected: str
    accepts: Callable[[Any], bool]
    read: Callable[[Any], Any] = lambda value: value


def parse_size(text: int | str) -> int:
    """Return bytes of `10G`, `500M`, `64MiB` or a whole number.

    K, M, G and T are powers of 1,000, as `recorder info` prints them; Ki, Mi, Gi, Ti of 1,024.

    Raises:
        UsageError: it is no such size, or negative.
    """
    found = None if isinstance(text, bool) else _SIZE.fullmatch(str(text).strip())
    if found is None:
        raise UsageError(
            f"expected a size such as 10G, 500M or a number of bytes, received {text!r}"
        )
    number, unit, binary = found[1], (found[2] or "").upper(), bool(found[3])
    if not unit and "." in number:
        raise UsageError(f"expected a whole number of bytes, received {text!r}; e.g. 1.5G")
    factor: int = (1024 if binary else 1000) ** _POWERS.get(unit, 0)
    return round(float(number) * factor) if "." in number else int(number) * factor


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any, least: int) -> bool:
    try:
        return isinstance(value, int | str) and parse_size(value) >= least
    except UsageError:
        return False


def _one_of(choices: tuple[str, ...]) -> Setting:
    return Setting(f"one of {', '.join(choices)}", lambda value: value in choices)


_TEXT = Setting("text", lambda value: isinstance(value, str) and bool(value))
_TEXTS = Setting(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
)
_FLAG = Setting("true or false", lambda value: isinstance(value, bool))
_ABOVE_ZERO = Setting("a number above 0", lambda value: _is_number(value) and value > 0, float)
_NOT_NEGATIVE = Setting(
    "a number of at least 0", lambda value: _is_number(value) and value >= 0, float
)
_COUNT = Setting(
    "a whole number above 0", lambda value: _is_number(value) and value == int(value) > 0, int
)
_SIZE_ABOVE_ZERO = Setting(
    "a size above 0 such as 10G or 500M", lambda value: _is_size(value, 1), parse_size
)
_ANY_SIZE = Setting("a size such as 10G or 500M", lambda value: _is_size(value, 0), parse_size)

_PORT = Setting(
    "a port, 0 to 65535",
    lambda value: _is_number(value) and value == int(value) and 0 <= value <= 65_535,
    int,
)

SETTINGS: dict[str, Setting] = {
    "out": _TEXT,
    "subscribe": _TEXTS,
    "channel": _TEXTS,
    "instrument": _TEXTS,
    "instruments_file": _TEXT,
    "shard": _TEXT,
    "private": _FLAG,
    "region": _one_of(REGIONS),
    "demo_trading": _FLAG,
    "url": _TEXT,
    "rest": _FLAG,
    "duration": _ABOVE_ZERO,
    "frames": _COUNT,
    "until_closed": _FLAG,
    "connect_timeout": _ABOVE_ZERO,
    "ping_after": _ABOVE_ZERO,
    "pong_timeout": _ABOVE_ZERO,
    "resync": _FLAG,
    "redundancy": _COUNT,
    "resnapshot": _NOT_NEGATIVE,
    "append": _FLAG,
    "note": _TEXT,
    "segment_seconds": _ABOVE_ZERO,
    "segment_bytes": _SIZE_ABOVE_ZERO,
    "journal": _one_of(JOURNALS),
    "flush_ms": _COUNT,
    "sync_ms": _COUNT,
    "on_disk_full": _one_of(ON_DISK_FULL),
    "keep_free": _ANY_SIZE,
    "retain_days": _ABOVE_ZERO,
    "retain_bytes": _SIZE_ABOVE_ZERO,
    "digest": _FLAG,
    "sink": _TEXTS,
    "tables": _FLAG,
    "metrics_port": _PORT,
    "metrics_host": _TEXT,
}
"""Every setting, in the order of the options; the option of `segment_bytes` is --segment-bytes."""

_LINK = ("ping_after", "pong_timeout", "resync", "redundancy")
_WRITER = (
    "segment_seconds", "segment_bytes", "sync_ms", "journal", "flush_ms", "on_disk_full",
    "keep_free", "retain_days", "retain_bytes",
)  # fmt: skip
_WHAT = ("subscribe", "channel", "instrument")


def wanted_subscriptions(settings: Mapping[str, Any]) -> list[Subscription]:
    """Return what `subscribe`, `channel` and `instrument` ask for together.

    Raises:
        UsageError: nothing, instruments without a channel, or what is no subscription.
    """
    subscribe, channel, instrument = (settings.get(name) or () for name in _WHAT)
    if instrument and not channel:
        raise UsageError(
            "expected --channel with --instrument, received only instruments; "
            "e.g. --channel books --instrument BTC-USDT"
        )
    wanted = [parse_subscription(text) for text in subscribe]
    wanted += cross_subscriptions(channel, instrument)
    if not wanted:
        raise UsageError(
            "expected at least one --subscribe, received none; e.g. --subscribe books:BTC-USDT"
        )
    return wanted


def record_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `record` that settings mean; what is left out has its default.

        await record(**record_arguments(read_config("record.toml")))

    Args:
        settings: values by the names of `SETTINGS`; None is as good as left out.

    Raises:
        UsageError: no subscription, no `out`, or a value out of range.
    """
    given = {name: settings[name] for name in SETTINGS if settings.get(name) is not None}
    if "out" not in given:
        raise UsageError(
            "expected a directory to record into, received none; "
            "e.g. recorder record captures/btc -s books:BTC-USDT"
        )
    wanted = wanted_subscriptions(given)
    for name in _WHAT:
        given.pop(name, None)
    link = {name: given.pop(name) for name in _LINK if name in given}
    writer = {name: given.pop(name) for name in _WRITER if name in given}
    if "sink" in given:
        given["sinks"] = given.pop("sink")
    if not given.get("private"):
        given.pop("private", None)
    return {
        "out": given.pop("out"),
        "subscriptions": wanted,
        "link": LinkOptions(**link),
        "writer_options": WriterOptions(**writer),
        **given,
    }


def watch_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `watch` that settings mean; what is left out has its default.

    Raises:
        UsageError: no subscription, or a value out of range.
    """
    arguments = record_arguments({**settings, "out": "-"})
    for name in ("out", "writer_options"):
        del arguments[name]
    return arguments


def in_force(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the defaults of what is left out, where a default can be written."""
    defaults = {name: getattr(LinkOptions(), name) for name in _LINK}
    defaults |= {name: getattr(WriterOptions(), name) for name in _WRITER}
    known = {**defaults, **{k: v for k, v in settings.items() if v is not None}}
    return {name: known[name] for name in SETTINGS if known.get(name) is not None}
