"""What an instrument id says by its form, the lists of instruments, and patterns over them.

Responsible for which instrument lists a session or a pattern needs, for reading such a list, and
for what `BTC-*-SWAP` means. Refuses to fetch anything: `live.rest` does, and records what came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

import msgspec

from recorder.errors import UsageError
from recorder.okx.channels import INSTRUMENT_TYPES
from recorder.okx.subscription import Subscription

INSTRUMENTS_PATH = "/api/v5/public/instruments"
"""REST list of instruments; 20 requests per 2 s (OKX API docs, "Get instruments")."""

SPREADS_PATH = "/api/v5/sprd/spreads"
"""REST list of spreads; 20 requests per 2 s (OKX API docs, "Get spreads (public)")."""

LIVE_STATES: tuple[str, ...] = ("live", "preopen")
"""States of instruments that a subscription makes sense for; others: suspend, expired, test."""

_OPTION_ID = re.compile(r"(.+)-\d{6}-[\d.]+-[CP]")
_DATED_ID = re.compile(r"[^-]+-[^-]+-\d{6}")
_PLAIN_ID = re.compile(r"[^-]+-[^-]+")
_LISTED = ("SPOT", "MARGIN", "SWAP", "FUTURES")
_PATTERN_KEYS = ("instId", "instFamily", "sprdId")
_WILD = re.compile(r"[*?]")
_TYPES_OF_CHANNEL = {
    "funding-rate": ("SWAP", "FUTURES"),  # FUTURES: X-Perps, since 2026-03-31
    "open-interest": ("SWAP", "FUTURES", "OPTION"),
    "mark-price": ("SPOT", "SWAP", "FUTURES", "OPTION"),
    "price-limit": ("SPOT", "SWAP", "FUTURES", "OPTION"),
    "option-trades": ("OPTION",),
    "opt-summary": ("OPTION",),
    "estimated-price": ("SWAP", "FUTURES", "OPTION"),
    "books-elp": ("SPOT", "SWAP", "FUTURES"),
    "books-rpi": ("SPOT", "SWAP", "FUTURES"),
}
"""Channels that exist for some types of instruments only (OKX API docs, each channel)."""

_ANY_TYPE = ("SPOT", "SWAP", "FUTURES", "OPTION")
_NEAREST_TOLD = 3


class Listing(msgspec.Struct, frozen=True, order=True):
    """One instrument, or one spread, of a list of the venue's.

    Attributes:
        instrument: `instId`, of a spread `sprdId`.
        type: `SPOT`, `SWAP`, `FUTURES`, `OPTION` …; `SPREAD` for a spread.
        family: `instFamily`, blank where it has none. underlying: the index, blank likewise.
        state: `live`, `preopen`, `suspend` …, as the venue says.
    """

    instrument: str
    type: str
    family: str = ""
    underlying: str = ""
    state: str = "live"


class _Row(msgspec.Struct, rename="camel"):
    inst_id: str = ""
    sprd_id: str = ""
    inst_type: str = ""
    inst_family: str = ""
    uly: str = ""
    state: str = "live"


class _Body(msgspec.Struct):
    data: list[_Row]
    code: str = "0"
    msg: str = ""


_decode = msgspec.json.Decoder(_Body | list[_Row], strict=False).decode


def instrument_type(instrument: str) -> str | None:
    """Return the `instType` an instrument id shows by its form, None where it shows none.

    `BTC-USDT` SPOT (or an index), `BTC-USDT-SWAP` SWAP, `BTC-USD-261225` FUTURES,
    `BTC-USD-261225-50000-C` OPTION (OKX API docs, "instId").
    """
    if instrument.endswith("-SWAP"):
        return "SWAP"
    if _OPTION_ID.fullmatch(instrument):
        return "OPTION"
    if _DATED_ID.fullmatch(instrument):
        return "FUTURES"
    return "SPOT" if _PLAIN_ID.fullmatch(instrument) else None


def instrument_requests(subscriptions: Iterable[Subscription]) -> list[str]:
    """Return the paths of the instrument lists that cover all these subscriptions.

    The venue lists options by family only, so each family is a request of its own. Indices and
    event contracts have no list that a session could need.
    """
    types: set[str] = set()
    families: set[str] = set()
    for subscription in subscriptions:
        if subscription.channel.startswith("index-"):
            continue
        instruments = [subscription.get("instId") or "", *_legs(subscription.get("sprdId"))]
        for instrument in filter(None, instruments):
            option = _OPTION_ID.fullmatch(instrument)
            if option is not None:
                families.add(option[1])
            types.add(instrument_type(instrument) or "")
        named, family = subscription.get("instType"), subscription.get("instFamily")
        types.add(named or "")
        if family is not None and named in (None, "OPTION", "ANY"):
            families.add(family)
    return _paths(types, families)


# --- patterns ------------------------------------------------------------------------------


def is_pattern(text: str) -> bool:
    """Say whether a text is a pattern: it holds `*` (any text) or `?` (any one character)."""
    return _WILD.search(text) is not None


def has_pattern(subscription: Subscription) -> bool:
    """Say whether a subscription names its instrument, family or spread by a pattern."""
    return _pattern_of(subscription) is not None


def match_instruments(pattern: str, instruments: Iterable[str]) -> tuple[str, ...]:
    """Return the ids a pattern matches, sorted, each once.

    `*` stands for any text, also none, and `?` for one character; every other character stands
    for itself, case included. The whole id has to match.
    """
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    matches = re.compile("".join(parts), re.DOTALL).fullmatch
    return tuple(sorted({item for item in instruments if matches(item)}))


def pattern_requests(subscriptions: Iterable[Subscription]) -> list[str]:
    """Return the paths of the lists without which the patterns cannot be resolved.

    A pattern asks for the lists of those types that its form allows: `BTC-*-SWAP` for swaps only,
    `BTC-*` for all. The venue lists options by family only, so a pattern can mean options where
    it begins with a family, as `BTC-USD-2612*-C` does.
    """
    types: set[str] = set()
    families: set[str] = set()
    spreads = False
    for subscription in subscriptions:
        found = _pattern_of(subscription)
        if found is None:
            continue
        key, pattern = found
        if key == "sprdId":
            spreads = True
            continue
        wanted = _types_for(subscription, key, pattern)
        types.update(wanted)
        family = _literal_family(pattern) if key == "instId" else None
        if "OPTION" in wanted and family is not None:
            families.add(family)
    return _paths(types, families) + ([SPREADS_PATH] if spreads else [])


def read_listings(body: bytes, source: str) -> list[Listing]:
    """Read the body of a list of instruments or spreads, or just its rows.

    Args:
        body: JSON as the REST API answers, `{"code":"0","data":[…]}`, or the array of rows.
        source: where it came from, for the error.

    Raises:
        UsageError: it is not such a body, or the venue answered with an error.
    """
    try:
        decoded = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UsageError(
            f"expected a JSON list of instruments as GET {INSTRUMENTS_PATH} answers it in "
            f"{source}, received something else ({error})"
        ) from None
    if isinstance(decoded, _Body):
        if decoded.code != "0":
            raise UsageError(
                f"expected a list of instruments from {source}, received error {decoded.code}: "
                f"{decoded.msg}"
            )
        decoded = decoded.data
    return [
        Listing(
            row.inst_id or row.sprd_id,
            row.inst_type or ("SPREAD" if row.sprd_id else instrument_type(row.inst_id) or ""),
            row.inst_family,
            row.uly,
            row.state,
        )
        for row in decoded
        if row.inst_id or row.sprd_id
    ]


def resolve_patterns(
    subscriptions: Iterable[Subscription],
    listings: Sequence[Listing],
    *,
    states: Sequence[str] = LIVE_STATES,
) -> tuple[Subscription, ...]:
    """Return the subscriptions with each pattern replaced by what it matches.

    The order stays, the matches of one pattern are sorted, and each subscription comes once. A
    pattern of an index channel is matched with the underlyings of the listed derivatives; one of
    a channel that exists for some types only, with instruments of these types.

    Args:
        subscriptions: with or without patterns.
        listings: the instruments there are; see `read_listings`.
        states: only instruments in one of these.

    Raises:
        UsageError: a pattern matches nothing; the sentence names the nearest instruments.
    """
    resolved: dict[Subscription, None] = {}
    for subscription in subscriptions:
        found = _pattern_of(subscription)
        if found is None:
            resolved[subscription] = None
            continue
        key, pattern = found
        known = _candidates(subscription, key, pattern, listings, states)
        matches = match_instruments(pattern, known)
        if not matches:
            raise UsageError(_no_match(subscription, pattern, known))
        for match in matches:
            pairs = tuple((k, match if k == key else v) for k, v in subscription.arguments)
            resolved[Subscription(subscription.channel, pairs)] = None
    return tuple(resolved)


# --- internals -----------------------------------------------------------------------------


def _pattern_of(subscription: Subscription) -> tuple[str, str] | None:
    """Return (key, pattern) of a subscription's pattern; it can have one only."""
    for key in _PATTERN_KEYS:
        value = subscription.get(key)
        if value is not None and is_pattern(value):
            return key, value
    return None


def _types_for(subscription: Subscription, key: str, pattern: str) -> tuple[str, ...]:
    """Return the types of instruments that a pattern can mean."""
    if subscription.channel.startswith("index-"):
        return ("SWAP", "FUTURES")  # whose underlyings are the indices
    named = subscription.get("instType")
    types = _TYPES_OF_CHANNEL.get(subscription.channel, _ANY_TYPE)
    if named in types:
        types = (named,)
    if key == "instFamily":
        return tuple(name for name in types if name != "SPOT") if "SWAP" in types else types
    return tuple(name for name in types if _FORMS[name](pattern))


def _tail(pattern: str) -> str:
    return re.split(r"[*?]", pattern)[-1]


def _may_be_spot(pattern: str) -> bool:
    return pattern.count("-") <= 1 and re.search(r"-(SWAP|\d{6})$", pattern) is None


def _may_be_swap(pattern: str) -> bool:
    tail = _tail(pattern)
    return "-SWAP".endswith(tail) or tail.endswith("-SWAP")


def _may_be_dated(pattern: str) -> bool:
    return re.fullmatch(r"(.*-\d{6}|\d{0,6})", _tail(pattern)) is not None


def _may_be_option(pattern: str) -> bool:
    return re.fullmatch(r"(.*-[CP]|[CP]|)", _tail(pattern)) is not None


_FORMS = {
    "SPOT": _may_be_spot,
    "SWAP": _may_be_swap,
    "FUTURES": _may_be_dated,
    "OPTION": _may_be_option,
}
"""Whether any id of a type's form can match a pattern."""


def _literal_family(pattern: str) -> str | None:
    """Return the family a pattern begins with: two parts without a wildcard, `BTC-USD-…`."""
    match = re.match(r"([^-*?]+-[^-*?]+)-", pattern)
    return None if match is None else match[1]


def _candidates(
    subscription: Subscription,
    key: str,
    pattern: str,
    listings: Sequence[Listing],
    states: Sequence[str],
) -> list[str]:
    """Return everything a pattern is to be compared with."""
    listed = [item for item in listings if item.state in states]
    if key == "sprdId":
        return [item.instrument for item in listed if item.type == "SPREAD"]
    if subscription.channel.startswith("index-"):
        return [item.underlying for item in listed if item.underlying]
    types = _types_for(subscription, key, pattern)
    listed = [item for item in listed if item.type in types]
    if key == "instFamily":
        return [item.family for item in listed if item.family]
    return [item.instrument for item in listed]


def _no_match(subscription: Subscription, pattern: str, known: Sequence[str]) -> str:
    names = sorted(set(known))
    near = get_close_matches(_WILD.sub("", pattern), names, n=_NEAREST_TOLD, cutoff=0.4)
    if not names:
        hint = "the list holds nothing of this kind: give one of the right instType"
    elif near:
        hint = f"the nearest are {', '.join(near)}"
    elif _may_be_option(pattern) and _literal_family(pattern) is None:
        hint = "options are listed by family: begin the pattern with one, as in BTC-USD-*-C"
    else:
        hint = "check the spelling, case included"
    return (
        f"expected an instrument that matches {pattern} for channel {subscription.channel} "
        f"among {len(names)} listed ones, received none; {hint}"
    )


def _paths(types: Iterable[str], families: Iterable[str]) -> list[str]:
    found = set(types)
    paths = [
        f"{INSTRUMENTS_PATH}?instType={name}"
        for name in INSTRUMENT_TYPES
        if name in found and name in _LISTED
    ]
    return paths + [
        f"{INSTRUMENTS_PATH}?instType=OPTION&instFamily={family}" for family in sorted(families)
    ]


def _legs(spread: str | None) -> tuple[str, ...]:
    """Return the instruments of a spread such as `BTC-USDT_BTC-USDT-SWAP`.

    An underscore also occurs inside ids (`BTC-USD_UM-SWAP`): the right one leaves two ids.
    """
    parts = (spread or "").split("_")
    for cut in range(1, len(parts)):
        legs = "_".join(parts[:cut]), "_".join(parts[cut:])
        if all(instrument_type(leg) is not None for leg in legs):
            return legs
    return ()
