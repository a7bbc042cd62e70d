"""Ladder: one order book at one instant, as a table, JSON or a picture.

Responsible for finding the book that stood at an instant (checkpoint plus the frames since, so
that it does not matter where in a capture the instant lies) and for how it looks. Refuses to
trust silently: a book that was not whole then says so in every form.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from html import escape

import msgspec

from recorder.book import Book
from recorder.capture.reader import Capture, ReadReport
from recorder.clock import format_time
from recorder.event import Level

_BARS = " ▏▎▍▌▋▊▉█"


class Rung(msgspec.Struct, frozen=True):
    """One price level.

    Attributes:
        price, size: as the venue sent them. Size is in the venue's unit: contracts for
            derivatives, base currency for spot.
        orders: orders at this price, None where the channel does not say.
        total: sum of the sizes from the best price to here.
    """

    price: str
    size: str
    orders: int | None
    total: str


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """A book at an instant; the best level of each side comes first.

    Attributes:
        instrument, channel, connection: whose book it is.
        at: the instant asked for, ns since the Unix epoch; None: the last message received.
        seq, ts_recv: the frame that changed the book last, and when it was received, ns.
        ts_event: venue time of that change, ns. seq_id: the venue's number of it.
        is_whole: it held what the venue held, as far as anybody could tell.
        bid_levels, ask_levels: how many levels there were in all.
        mid, spread: of the best prices, None for a one-sided book.
    """

    instrument: str
    channel: str
    connection: int
    at: int | None
    seq: int
    ts_recv: int
    ts_event: int | None
    seq_id: int | None
    is_whole: bool
    bid_levels: int
    ask_levels: int
    mid: str | None
    spread: str | None
    bids: list[Rung]
    asks: list[Rung]


def book_at(
    capture: Capture | str | os.PathLike[str],
    instrument: str,
    at: int | None = None,
    *,
    channel: str | None = None,
    number: type = float,
    report: ReadReport | None = None,
) -> Book:
    """Return `Capture.book_at` of a capture or its path: the book as it stood at an instant.

    Args:
        at: ns since the Unix epoch: after every frame received at or before it; None: after the
            last message received (when a recording ends, its books end with their connections).
        channel: of this channel; None: the best there is (`recorder.book.PREFERENCE`).
        number: type of prices and sizes: float, Decimal or str (as sent).
        report: collects losses and damage met on the way; damaged parts are then passed over.

    Raises:
        UsageError: no such book was held at that instant.
        Damage: something could not be read, and there is no `report`.
    """
    opened = capture if isinstance(capture, Capture) else Capture(capture)
    return opened.book_at(instrument, at, channel=channel, number=number, report=report)


def ladder_of(book: Book, depth: int, *, at: int | None = None) -> Ladder:
    """Return the best `depth` levels of each side; exact where the book holds text."""
    mid, spread = book.mid(), book.spread()
    bids, asks = book.sides()
    return Ladder(
        instrument=book.instrument,
        channel=book.channel,
        connection=book.connection,
        at=at,
        seq=book.seq,
        ts_recv=book.ts_recv,
        ts_event=book.ts_event,
        seq_id=book.seq_id,
        is_whole=book.is_whole,
        bid_levels=len(bids),
        ask_levels=len(asks),
        mid=None if mid is None else str(mid),
        spread=None if spread is None else str(spread),
        bids=_rungs(bids[:depth]),
        asks=_rungs(asks[:depth]),
    )


def as_lines(ladder: Ladder, *, width: int = 80) -> list[tuple[str, str]]:
    """Return a ladder for a terminal, asks above bids, bars as long as the sizes.

    Args:
        width: columns there are.

    Returns:
        Lines, each after its role: `title`, `head`, `ask`, `middle` or `bid`.
    """
    rungs = [*ladder.asks, *ladder.bids]
    totals = _aligned([rung.total for rung in rungs])
    sizes = _aligned([rung.size for rung in rungs])
    prices = _aligned([rung.price for rung in rungs])
    total = max([len("total"), *map(len, totals.values())])
    size = max([len("size"), *map(len, sizes.values())])
    price = max([len("price"), *map(len, prices.values())])
    orders = max([len("orders"), *(len(_orders(rung)) for rung in rungs)])
    largest = max((Decimal(rung.size) for rung in rungs), default=Decimal(0))
    room = max(width - (total + size + price + orders) - 9, 8)

    def line(rung: Rung) -> str:
        cells = (
            f"{totals[rung.total]:>{total}}  {sizes[rung.size]:>{size}}  "
            f"{prices[rung.price]:>{price}}"
        )
        share = Decimal(rung.size) / largest if largest else Decimal(0)
        return f"{cells}  {_orders(rung):>{orders}}  {_bar(float(share), room)}".rstrip()

    head = f"{'total':>{total}}  {'size':>{size}}  {'price':>{price}}  {'orders':>{orders}}"
    middle = f"{'':>{total}}  {'':>{size}}  {'─' * price}  {_middle(ladder)}"
    return [
        ("title", _title(ladder)),
        ("head", ""),
        ("head", head),
        *(("ask", line(rung)) for rung in reversed(ladder.asks)),
        ("middle", middle),
        *(("bid", line(rung)) for rung in ladder.bids),
    ]


def as_svg(ladder: Ladder) -> str:
    """Return a ladder as a self-contained SVG picture: cumulated depth left and right of the mid.

    Colours follow the viewer's light or dark scheme.
    """
    row, top, half = 22, 64, 300
    width = 2 * half + 40
    rows = max(len(ladder.bids), len(ladder.asks), 1)
    height = top + rows * row + 28
    most = max(
        (Decimal(side[-1].total) for side in (ladder.bids, ladder.asks) if side),
        default=Decimal(0),
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(_title(ladder))}">',
        "<style>text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1c2430}"
        ".q{fill:#6b7686}.h{font-weight:600;font-size:14px}.b{fill:#1a936f;opacity:.28}"
        ".a{fill:#c8553d;opacity:.28}.g{fill:#fff}@media(prefers-color-scheme:dark)"
        "{.g{fill:#11151c}text{fill:#e6eaf0}.q{fill:#8d99ab}}</style>",
        f'<rect class="g" width="100%" height="{height}"/>',
        f'<text class="h" x="20" y="24">{escape(f"{ladder.instrument} · {ladder.channel}")}</text>',
        f'<text class="q" x="20" y="44">{escape(_when(ladder))} · {escape(_middle(ladder))}</text>',
    ]
    for side, rungs, css in (("bid", ladder.bids, "b"), ("ask", ladder.asks, "a")):
        for index, rung in enumerate(rungs):
            share = float(Decimal(rung.total) / most) if most else 0.0
            long, y = half * share, top + index * row
            if side == "bid":
                x, near, far, anchor = half + 18 - long, half + 10, 24, ("end", "start")
            else:
                x, near, far, anchor = half + 22.0, half + 30, 2 * half + 16, ("start", "end")
            parts.append(
                f'<rect class="{css}" x="{x:.1f}" y="{y}" width="{long:.1f}" height="{row - 2}"/>'
                f'<text x="{near}" y="{y + 15}" text-anchor="{anchor[0]}">'
                f"{escape(rung.price)}</text>"
                f'<text class="q" x="{far}" y="{y + 15}" text-anchor="{anchor[1]}">'
                f"{escape(rung.size)} · Σ {escape(rung.total)}</text>"
            )
    parts.append(
        f'<text class="q" x="20" y="{height - 10}">size · Σ cumulated from the best price; bars '
        f"show Σ</text></svg>"
    )
    return "\n".join(parts)


def _rungs(levels: Sequence[Level[object]]) -> list[Rung]:
    total = Decimal(0)
    rungs = []
    for level in levels:
        size = str(level.size)
        total += Decimal(size)
        rungs.append(Rung(str(level.price), size, level.orders, format(total, "f")))
    return rungs


def _aligned(numbers: Sequence[str]) -> dict[str, str]:
    """Return each number with blanks behind it, so that decimal points stand in one column."""
    behind = {number: len(number.partition(".")[2]) for number in numbers}
    most = max(behind.values(), default=0)
    # A number without a point leaves room for the point, too.
    return {
        number: number + " " * (most - places + (not places and most > 0))
        for number, places in behind.items()
    }


def _orders(rung: Rung) -> str:
    return "" if rung.orders is None else str(rung.orders)


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_BARS[rest] if rest else "")


def _when(ladder: Ladder) -> str:
    return format_time(ladder.ts_recv if ladder.at is None else ladder.at)


def _title(ladder: Ladder) -> str:
    whole = "" if ladder.is_whole else ", NOT WHOLE"
    return f"{ladder.instrument}  {ladder.channel}  {_when(ladder)}  (seq {ladder.seq}{whole})"


def _middle(ladder: Ladder) -> str:
    if ladder.mid is None:
        return "one-sided"
    return f"mid {ladder.mid}  spread {ladder.spread}"
