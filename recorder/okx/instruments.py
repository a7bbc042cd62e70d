"""What an instrument id says by its form, and which instrument lists a session needs.

Responsible for the two. Refuses to fetch anything: `live.rest` does, and records what came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from recorder.okx.channels import INSTRUMENT_TYPES
from recorder.okx.subscription import Subscription

INSTRUMENTS_PATH = "/api/v5/public/instruments"
"""REST list of instruments; 20 requests per 2 s (OKX API docs, "Get instruments")."""

_OPTION_ID = re.compile(r"(.+)-\d{6}-[\d.]+-[CP]")
_DATED_ID = re.compile(r"[^-]+-[^-]+-\d{6}")
_PLAIN_ID = re.compile(r"[^-]+-[^-]+")
_LISTED = ("SPOT", "MARGIN", "SWAP", "FUTURES")


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
    paths = [
        f"{INSTRUMENTS_PATH}?instType={name}"
        for name in INSTRUMENT_TYPES
        if name in types and name in _LISTED
    ]
    paths += [
        f"{INSTRUMENTS_PATH}?instType=OPTION&instFamily={family}" for family in sorted(families)
    ]
    return paths


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
