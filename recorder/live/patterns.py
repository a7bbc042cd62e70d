"""Patterns of instruments, looked up before anything is recorded.

Responsible for getting the lists that `books:BTC-*-SWAP` needs, from REST or from a file. Refuses
to know what a pattern matches: that is `okx.instruments`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from recorder.errors import RestError, UsageError
from recorder.live.rest import BODY_BYTES_MAX, RestFailure, fetch
from recorder.okx.hosts import Hosts
from recorder.okx.instruments import (
    Listing,
    has_pattern,
    pattern_requests,
    read_listings,
    resolve_patterns,
)
from recorder.okx.subscription import Subscription


async def resolve(
    subscriptions: Sequence[Subscription],
    hosts: Hosts,
    *,
    instruments_file: str | os.PathLike[str] | None = None,
) -> list[Subscription]:
    """Return the subscriptions with each pattern replaced by what the venue lists.

    Nothing is asked for where there is no pattern.

    Args:
        subscriptions: with or without patterns.
        hosts: where REST is.
        instruments_file: a saved body of `/api/v5/public/instruments`; None asks REST.

    Raises:
        UsageError: a pattern matches nothing, or the file is none.
        RestError: the venue gave no list.
    """
    if not any(has_pattern(item) for item in subscriptions):
        return list(subscriptions)
    if instruments_file is not None:
        listings = read_listings(_body_of(instruments_file), os.fspath(instruments_file))
    else:
        lists = [_listings_at(hosts, path) for path in pattern_requests(subscriptions)]
        listings = [item for found in await asyncio.gather(*lists) for item in found]
    return list(resolve_patterns(subscriptions, listings))


async def _listings_at(hosts: Hosts, path: str) -> list[Listing]:
    url = hosts.rest + path
    try:
        body = await fetch(url, demo_trading=hosts.demo_trading)
    except RestFailure as error:
        raise RestError(
            f"expected the list of instruments from {url} to look a pattern up, received "
            f"{error.reason}; name the instruments, or give a saved list by --instruments-file",
            status=error.status,
        ) from None
    return read_listings(body, url)


def _body_of(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            body = file.read(BODY_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(
            f"expected a list of instruments at {name}, but the system said {error.strerror}; "
            f"save the body of /api/v5/public/instruments?instType=SWAP there"
        ) from None
    if len(body) > BODY_BYTES_MAX:
        raise UsageError(
            f"expected a list of at most {BODY_BYTES_MAX} bytes at {name}, received more"
        )
    return body
