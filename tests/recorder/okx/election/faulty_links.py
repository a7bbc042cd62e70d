"""One true stream, brought by links that lose, hold up and mix up frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from recorder.frame import Frame, Kind

MS = 1_000_000
START = 1_700_000_000_000 * MS
SPACING = 100 * MS
BOOK = {"channel": "books", "instId": "BTC-USDT"}
OLD_BOOK = {"channel": "books-l2-tbt", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
QUOTES = {"channel": "bbo-tbt", "instId": "BTC-USDT"}


class Faults(NamedTuple):
    """What a link does to the true stream, by position in it.

    Attributes:
        lost: never brought. swapped: brought behind the next one.
        stalls: (first, count, for how long): all of it arrives at the end of the stall.
        lag: everything arrives so much later, ns.
    """

    lost: frozenset[int] = frozenset()
    swapped: frozenset[int] = frozenset()
    stalls: tuple[tuple[int, int, int], ...] = ()
    lag: int = 0


def push(argument: dict[str, str], row: dict[str, Any], action: str | None = None) -> bytes:
    """Return a data push as the venue writes it."""
    said = {} if action is None else {"action": action}
    return json.dumps({"arg": argument, **said, "data": [row]}, separators=(",", ":")).encode()


def book_row(number: int, ts: int, **numbers: int) -> dict[str, Any]:
    """Return a row of a book: one bid level that depends on the number."""
    return {
        "asks": [],
        "bids": [[str(100 + number % 7), str(number + 1), "0", "1"]],
        "ts": str(ts),
        "checksum": 0,
        **numbers,
    }


def numbered_book(count: int) -> list[bytes]:
    """Return a snapshot and updates, among them keep-alives and one restart of the numbers."""
    payloads = [push(BOOK, book_row(0, 0, seqId=1000, prevSeqId=-1), "snapshot")]
    last = 1000
    for number in range(1, count):
        row = book_row(number, number * 100)
        seq_id = last + 1 + number % 3
        if number % 11 == 7:
            seq_id, row = last, {**row, "bids": []}  # a keep-alive
        elif number == count // 2:
            seq_id = 3
        payloads.append(push(BOOK, {**row, "seqId": seq_id, "prevSeqId": last}, "update"))
        last = seq_id
    return payloads


def timed_book(count: int) -> list[bytes]:
    """Return the same as before 2023: no numbers, venue times that differ."""
    first = [push(OLD_BOOK, book_row(0, 0), "snapshot")]
    return first + [push(OLD_BOOK, book_row(n, n * 100), "update") for n in range(1, count)]


def delivered_by(payloads: Sequence[bytes], faults: Faults) -> list[tuple[int, bytes]]:
    """Return what a link brings, each with its time of arrival."""
    order = list(range(len(payloads)))
    for at in sorted(faults.swapped):
        if 0 < at < len(order) - 1:
            order[at], order[at + 1] = order[at + 1], order[at]
    arrivals = []
    for place, number in enumerate(order):
        arrival = START + place * SPACING + faults.lag
        for first, count, hold in faults.stalls:
            if first <= place < first + count:
                arrival = max(arrival, START + first * SPACING + hold + faults.lag)
        if number not in faults.lost:
            arrivals.append((arrival, payloads[number]))
    latest, brought = 0, []
    for arrival, payload in arrivals:  # a socket is read in order
        latest = max(latest, arrival)
        brought.append((latest, payload))
    return brought


def recorded(links: Iterable[Sequence[tuple[int, bytes]]]) -> list[Frame]:
    """Return the rows of a recorder with these links: opened, everything in order of arrival."""
    frames: list[Frame] = []

    def add(connection: int, at: int, kind: Kind, payload: bytes) -> None:
        frames.append(Frame(len(frames), at, at, connection, kind, payload))

    brought = list(links)
    places = [{"endpoint": "public", "link": number} for number in range(len(brought))]
    add(-1, START - 2 * MS, Kind.RUN, json.dumps({"endpoints": places}).encode())
    for number, place in enumerate(places):
        row = {**place, "url": "wss://venue"}
        add(number, START - MS, Kind.OPENED, json.dumps(row).encode())
    everything = sorted(
        (at, number, place, payload)
        for number, items in enumerate(brought)
        for place, (at, payload) in enumerate(items)
    )
    for at, number, _, payload in everything:
        add(number, at, Kind.TEXT, payload)
    return frames


def alone(payloads: Sequence[bytes]) -> list[Frame]:
    """Return what a recorder with one faultless link writes."""
    return recorded([delivered_by(payloads, Faults())])
