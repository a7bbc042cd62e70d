"""Subscription: one channel with its arguments, and the requests that ask for them.

Responsible for reading a subscription from text, for its identity (two argument objects that mean
the same compare equal), and for `subscribe` and `unsubscribe` requests within the venue's limits.
Refuses to remember what was asked or answered: that is `okx.session`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from recorder.errors import UsageError
from recorder.okx.channels import ARGUMENT_KEYS, CHANNELS, INSTRUMENT_TYPES, Channel, channel_of

REQUEST_BYTES_MAX = 4_095
"""Bytes of one request. OKX documents 64 KB, older limits were 4,096: stay below both."""

_VALUE_BYTES_MAX = 512
_RANK = {key: rank for rank, key in enumerate(ARGUMENT_KEYS)}
_PAIRS = re.compile(r",(?=[A-Za-z]+=)")
_PAIR = re.compile(r"([A-Za-z]+)=(.+)", re.DOTALL)

_encode = msgspec.json.Encoder().encode


class Subscription(msgspec.Struct, frozen=True, order=True):
    """One channel with its arguments; hashable, equal where the venue sees the same.

    Attributes:
        channel: the wire's name, e.g. `books`.
        arguments: key and value pairs beside `channel`, in the order of `ARGUMENT_KEYS`.
    """

    channel: str
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def argument(self) -> dict[str, str]:
        """The argument object of a request: `{"channel": "books", "instId": "BTC-USDT"}`."""
        return {"channel": self.channel, **dict(self.arguments)}

    @property
    def instrument(self) -> str | None:
        """Its `instId`, if it names one."""
        return self.get("instId")

    @property
    def key(self) -> Subscription:
        """What the venue echoes: `extraParams` is left out of acks and pushes."""
        if not self.get("extraParams"):
            return self
        kept = tuple(pair for pair in self.arguments if pair[0] != "extraParams")
        return Subscription(self.channel, kept)

    def get(self, name: str) -> str | None:
        """Return the value of an argument key, None where it has none."""
        for key, value in self.arguments:
            if key == name:
                return value
        return None

    def __str__(self) -> str:
        """Return text that `parse_subscription` reads back: `books:BTC-USDT`."""
        channel = CHANNELS.get(self.channel)
        if channel is not None and [key for key, _ in self.arguments] == [channel.subject]:
            return f"{self.channel}:{self.arguments[0][1]}"
        pairs = ",".join(f"{key}={value}" for key, value in self.arguments)
        return f"{self.channel}:{pairs}" if pairs else self.channel


class Request(msgspec.Struct, frozen=True):
    """One `subscribe` or `unsubscribe` request, ready to be sent.

    Attributes:
        id: echoed by its acks and errors; 1 to 32 letters and digits.
        operation: `subscribe` or `unsubscribe`.
        subscriptions: its arguments, in order; each gets an answer of its own.
        payload: the exact text to send, UTF-8, at most `REQUEST_BYTES_MAX` bytes.
    """

    id: str
    operation: str
    subscriptions: tuple[Subscription, ...]
    payload: bytes


def subscription_of(argument: Mapping[str, Any]) -> Subscription | None:
    """Return the subscription that an argument object of the wire means, None if it names none.

    What the venue adds to a push (`uid`) and what is no text is left out; channels that the
    table does not know are taken as they are, for the wire is always right.
    """
    channel = argument.get("channel")
    if not isinstance(channel, str):
        return None
    pairs = [
        (key, value)
        for key, value in argument.items()
        if key in _RANK and isinstance(value, str) and value
    ]
    pairs.sort(key=lambda pair: _RANK[pair[0]])
    return Subscription(channel, tuple(pairs))


def parse_subscription(text: str) -> Subscription:
    """Read `CHANNEL`, `CHANNEL:VALUE` or `CHANNEL:key=value,key=value`.

    A bare value fills the channel's main key: `books:BTC-USDT` names an instrument,
    `opt-summary:BTC-USD` a family, `liquidation-orders:SWAP` a type. Defaults such as
    `instType=ANY` for `orders` are filled in.

    Raises:
        UsageError: unknown channel or key, a required argument missing, an impossible value.
    """
    name, colon, rest = text.strip().partition(":")
    channel = channel_of(name)
    given: dict[str, str] = {}
    if colon:
        if not rest:
            raise UsageError(
                f"expected an argument after the colon, received {text!r}; {_usage_of(channel)}"
            )
        if _PAIR.fullmatch(rest):
            given = _read_pairs(rest, text, channel)
        elif channel.subject is None:
            raise UsageError(
                f"expected no argument for channel {name}, received {rest!r}; write just {name}"
            )
        else:
            given[channel.subject] = rest
    return make_subscription(name, given)


def make_subscription(name: str, arguments: Mapping[str, str]) -> Subscription:
    """Return a subscription of known form, defaults filled in.

    Raises:
        UsageError: as for `parse_subscription`.
    """
    channel = channel_of(name)
    for key, value in arguments.items():
        if key not in channel.keys:
            raise UsageError(
                f"expected arguments that channel {name} takes, received {key!r}; "
                f"{_usage_of(channel)}"
            )
        _check_value(name, key, value)
    given = dict(channel.defaults) | dict(arguments)
    for key in channel.required:
        if not any(part in given for part in key.split("|")):
            raise UsageError(
                f"expected {key.replace('|', ' or ')} for channel {name}, received none; "
                f"{_usage_of(channel)}"
            )
    ordered = sorted(given.items(), key=lambda pair: _RANK[pair[0]])
    return Subscription(name, tuple(ordered))


def cross_subscriptions(
    channels: Sequence[str], instruments: Sequence[str]
) -> tuple[Subscription, ...]:
    """Return every channel for every instrument; a channel that takes no instrument once.

    Raises:
        UsageError: as for `parse_subscription`; also where a channel that is asked for by
            something else than an instrument has no default for it.
    """
    found: dict[Subscription, None] = {}
    for name in channels:
        channel = channel_of(name)
        if channel.subject in ("instId", "sprdId") and instruments:
            for instrument in instruments:
                found[make_subscription(name, {channel.subject: instrument})] = None
        else:
            found[make_subscription(name, {})] = None
    return tuple(found)


def build_requests(
    operation: str, subscriptions: Iterable[Subscription], next_id: Callable[[], str]
) -> list[Request]:
    """Return requests for all arguments, as few as fit into `REQUEST_BYTES_MAX` each.

    One request with many arguments counts once against the venue's 480 per hour and connection,
    and is answered argument by argument.

    Args:
        operation: `subscribe` or `unsubscribe`.
        subscriptions: in the order in which they are to be answered.
        next_id: gives a fresh id, 1 to 32 letters and digits, for each request.
    """
    requests: list[Request] = []
    pending = list(subscriptions)
    while pending:
        request_id = next_id()
        head = b'{"id":%s,"op":%s,"args":[' % (_encode(request_id), _encode(operation))
        size, parts, taken = len(head) + 2, list[bytes](), list[Subscription]()
        for subscription in pending:
            part = _encode(subscription.argument)
            if parts and size + len(part) + 1 > REQUEST_BYTES_MAX:
                break
            size += len(part) + (1 if parts else 0)
            parts.append(part)
            taken.append(subscription)
        payload = head + b",".join(parts) + b"]}"
        requests.append(Request(request_id, operation, tuple(taken), payload))
        pending = pending[len(taken) :]
    return requests


def _read_pairs(rest: str, text: str, channel: Channel) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in _PAIRS.split(rest):
        match = _PAIR.fullmatch(part)
        if match is None or match[1] in given:
            raise UsageError(
                f"expected key=value pairs, each key once, received {text!r}; {_usage_of(channel)}"
            )
        given[match[1]] = match[2]
    return given


def _check_value(channel: str, key: str, value: str) -> None:
    if not value or not value.isprintable() or len(value.encode()) > _VALUE_BYTES_MAX:
        raise UsageError(
            f"expected printable text of at most {_VALUE_BYTES_MAX} bytes for {key} of channel "
            f"{channel}, received {value[:40]!r}"
        )
    if " " in value and key != "extraParams":
        raise UsageError(
            f"expected {key} of channel {channel} without spaces, received {value!r}; "
            f"give each subscription an option of its own"
        )
    if key == "instType" and value not in INSTRUMENT_TYPES:
        raise UsageError(
            f"expected instType as one of {', '.join(INSTRUMENT_TYPES)} for channel {channel}, "
            f"received {value!r}"
        )


def _usage_of(channel: Channel) -> str:
    if not channel.keys:
        return f"write just {channel.name}"
    needed = [key.split("|")[0] for key in channel.required] or [channel.keys[0]]
    if needed == [channel.subject]:
        return f"e.g. {channel.name}:{_EXAMPLES[needed[0]]}"
    pairs = ",".join(f"{key}={_EXAMPLES[key]}" for key in needed)
    return f"e.g. {channel.name}:{pairs}"


_EXAMPLES = {
    "instType": "SWAP",
    "instFamily": "BTC-USD",
    "instId": "BTC-USDT",
    "sprdId": "BTC-USDT_BTC-USDT-SWAP",
    "ccy": "USDT",
    "algoId": "1234567890",
    "extraParams": '{"updateInterval":"0"}',
}
