"""Book and Books: levels, order, looking and not looking, and which book is the best to ask."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from recorder.book import Book, Books
from recorder.event import BookUpdate, Level


def update(
    bids: list[tuple[Any, Any]],
    asks: list[tuple[Any, Any]],
    *,
    snapshot: bool = False,
    seq: int = 1,
) -> BookUpdate:
    return BookUpdate(
        seq=seq,
        index=0,
        ts_recv=1000 + seq,
        ts_event=900 + seq,
        instrument="ELM-USDT",
        channel="books",
        is_snapshot=snapshot,
        bids=[Level(price, size, 0.0, 1) for price, size in bids],
        asks=[Level(price, size, 0.0, 1) for price, size in asks],
        seq_id=seq * 10,
    )


def prices(levels: list[Level[Any]]) -> list[Any]:
    return [level.price for level in levels]


@pytest.fixture
def book() -> Book:
    book = Book("ELM-USDT", "books")
    book.apply(
        update([(9.0, 1.0), (8.5, 2.0), (8.0, 3.0)], [(10.0, 1.0), (10.5, 2.0)], snapshot=True)
    )
    return book


def test_a_new_book_is_empty_and_not_whole() -> None:
    book = Book("ELM-USDT", "books")
    assert (book.best_bid(), book.best_ask(), book.mid(), book.spread()) == (None,) * 4
    assert not book.is_whole
    assert not book.is_crossed
    assert book.is_empty
    assert len(book) == 0
    assert book.seq == -1


def test_a_snapshot_makes_it_whole(book: Book) -> None:
    assert book.is_whole
    assert book.best_bid() == Level(9.0, 1.0, 0.0, 1)
    assert book.best_ask() == Level(10.0, 1.0, 0.0, 1)
    assert book.mid() == 9.5
    assert book.spread() == 1.0
    assert (book.seq, book.seq_id, book.ts_event, book.ts_recv) == (1, 10, 901, 1001)
    assert len(book) == 5


def test_depth_is_best_first(book: Book) -> None:
    assert prices(book.bids()) == [9.0, 8.5, 8.0]
    assert prices(book.asks()) == [10.0, 10.5]
    assert prices(book.bids(2)) == [9.0, 8.5]
    assert prices(book.asks(1)) == [10.0]
    assert prices(book.bids(9)) == [9.0, 8.5, 8.0]
    assert book.bids(0) == book.asks(0) == book.bids(-1) == book.asks(-1) == []


@pytest.mark.parametrize("looked_at", [False, True])
def test_updates_set_delete_and_ignore_unknown_deletes(book: Book, looked_at: bool) -> None:
    if looked_at:
        book.best_bid()
        book.best_ask()
    book.apply(
        update([(9.0, 0.0), (7.0, 0.0), (8.5, 5.0), (8.7, 4.0)], [(10.0, 1.0), (9.9, 6.0)], seq=2)
    )
    assert prices(book.bids()) == [8.7, 8.5, 8.0]
    assert [level.size for level in book.bids()] == [4.0, 5.0, 3.0]
    assert prices(book.asks()) == [9.9, 10.0, 10.5]
    assert book.seq == 2


def test_sides_are_ordered_without_being_a_look(book: Book) -> None:
    assert book.sides() == (Book.bids(book), Book.asks(book))
    book.apply(update([(9.5, 1.0)], [], snapshot=True, seq=2))
    assert [prices(side) for side in book.sides()] == [[9.5], []]
    assert book._bid_prices is None


def test_a_snapshot_replaces_everything(book: Book) -> None:
    book.best_bid()
    book.apply(update([], [(11.0, 1.0)], snapshot=True, seq=3))
    assert book.best_bid() is None
    assert prices(book.asks()) == [11.0]
    assert book.mid() is None


def test_crossed_and_locked(book: Book) -> None:
    book.apply(update([(10.0, 1.0)], [], seq=2))
    assert book.is_crossed
    assert book.spread() == 0.0


def test_order_is_dropped_when_nobody_looks_and_right_when_somebody_does_again(book: Book) -> None:
    book.best_bid()
    for step in range(600):
        book.apply(update([(5.0 + step / 1000, 1.0)], [], seq=step + 2))
    assert book._bid_prices is None
    assert prices(book.bids(4)) == [9.0, 8.5, 8.0, 5.599]


def test_decimal_books_are_exact() -> None:
    book = Book("E", "books", number=Decimal)
    book.apply(update([(Decimal("0.10"), Decimal(1))], [(Decimal("0.3"), Decimal(1))]))
    book.apply(update([(Decimal("0.1"), Decimal(0)), (Decimal("0.2"), Decimal(2))], []))
    assert prices(book.bids()) == [Decimal("0.2")]
    assert book.mid() == Decimal("0.25")


def test_text_books_are_ordered_by_value_and_keep_the_text() -> None:
    book = Book("E", "books", number=str)
    book.apply(
        update(
            [("9", "1"), ("10.50", "2"), ("-1", "1")], [("11", "3"), ("100", "1")], snapshot=True
        )
    )
    assert prices(book.bids()) == ["10.50", "9", "-1"]
    assert prices(book.asks()) == ["11", "100"]
    assert book.mid() == Decimal("10.75")
    book.apply(update([("10.5", "0.000")], []))
    assert prices(book.bids()) == ["9", "-1"]


def test_nan_has_no_place() -> None:
    book = Book("E", "books")
    book.apply(update([(float("nan"), 1.0), (2.0, 1.0)], []))
    assert prices(book.bids()) == [2.0]
    book.apply(update([(float("nan"), 1.0), (2.0, 0.0), (3.0, 1.0)], []))
    assert prices(book.bids()) == [3.0]


def kept(
    instrument: str, channel: str, connection: int, *, whole: bool = True, seq: int = 0
) -> Book:
    book = Book(instrument, channel, connection)
    book.is_whole = whole
    book.seq = seq
    return book


def test_books_prefer_whole_then_channel_then_freshness_then_the_lower_connection() -> None:
    broken = kept("E", "books-l2-tbt", 0, whole=False, seq=99)
    five = kept("E", "books5", 0, seq=50)
    older = kept("E", "books", 0, seq=10)
    newer = kept("E", "books", 1, seq=20)
    same = kept("E", "books", 2, seq=20)
    other = kept("E", "books-of-tomorrow", 0, seq=70)
    books = Books([same, other, newer, broken, five, older])
    assert books.get("E") is newer
    assert books["E"] is newer
    assert books.get("E", "books5") is five
    assert books.get("E", "books-l2-tbt") is broken
    assert books.get("E", "bbo-tbt") is None
    books.remove(newer)
    assert books["E"] is same
    books.remove(same)
    books.remove(older)
    assert books["E"] is five
    books.remove(five)
    assert books["E"] is other
    books.remove(other)
    assert books["E"] is broken
    books.remove(broken)
    assert books.get("E") is None
    assert len(books) == 0
    with pytest.raises(KeyError, match="E"):
        books["E"]


def test_a_connection_that_lags_never_brings_an_older_book_into_force() -> None:
    ahead, behind = kept("E", "books", 0, seq=10), kept("E", "books", 1, seq=11)
    ahead.ts_event, behind.ts_event = 2_000, 1_000
    assert Books([ahead, behind]).get("E") is ahead
    behind.ts_event = 2_000
    assert Books([ahead, behind]).get("E") is behind


def test_books_iterate_in_one_order_whatever_the_insertion() -> None:
    held = [
        kept("A", "books", 1),
        kept("A", "books5", 0),
        kept("B", "books", 0),
        kept("B", "books", 2),
    ]
    assert list(Books(reversed(held))) == held
    assert list(Books(held)) == held
    assert len(Books(held)) == 4
    assert "A" in Books(held)
    assert "C" not in Books(held)
    assert Books(held).of("B") == (held[2], held[3])


def test_adding_again_replaces() -> None:
    first, second = kept("A", "books", 1), kept("A", "books", 1)
    books = Books([first])
    books.add(second)
    assert list(books) == [second]
