"""`replay book` and `book_at`: the book of any instant, equal to a replay from the start."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND
from recorder.errors import ExitCode, UsageError
from recorder.event import SequenceGap
from recorder.frame import Kind
from recorder.okx.interpreter import Interpreter
from replay.cli import cli
from replay.ladder import as_lines, as_svg, book_at, ladder_of


@pytest.fixture(scope="module")
def btc(datasets: Path) -> Capture:
    return Capture(datasets / "btc-calm")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["book", *arguments], standalone_mode=False)
    code = result.return_value if result.exception is None else -1
    return int(code or 0), result.stdout, result.stderr


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.77, 1.0])
def test_any_instant_has_the_book_of_a_replay_from_the_start(btc: Capture, share: float) -> None:
    frames = list(btc.frames(kinds=[Kind.TEXT]))
    at = frames[min(int(len(frames) * share), len(frames) - 1)].ts_recv
    naive = Interpreter(str)
    for frame in btc.frames():
        if frame.ts_recv > at:
            break
        naive.step(frame)
    book = book_at(btc, "BTC-USDT", at, channel="books", number=str)
    expected = naive.books.get("BTC-USDT", "books")
    assert expected is not None
    assert book.sides() == expected.sides()
    assert (book.seq, book.seq_id, book.is_whole) == (expected.seq, expected.seq_id, True)


def test_without_an_instant_it_is_the_last_message_not_the_end_of_the_connection(
    btc: Capture,
) -> None:
    last = max(frame.seq for frame in btc.frames(kinds=[Kind.TEXT]))
    book = book_at(btc, "BTC-USDT")
    assert book.is_whole
    assert book.seq <= last
    assert not book_at(btc, "BTC-USDT", 1 << 62).is_whole  # after the sockets were closed


def test_a_ladder_is_exact_and_cumulates(btc: Capture) -> None:
    book = book_at(btc, "BTC-USDT", channel="books", number=str)
    ladder = ladder_of(book, 5)
    assert [rung.price for rung in ladder.bids] == [level.price for level in book.bids(5)]
    assert ladder.bids[0].size == book.best_bid().size  # type: ignore[union-attr]
    assert Decimal(ladder.asks[-1].total) == sum(Decimal(rung.size) for rung in ladder.asks)
    assert Decimal(str(ladder.spread)) == Decimal(ladder.asks[0].price) - Decimal(
        ladder.bids[0].price
    )
    assert (ladder.bid_levels, ladder.ask_levels) == (400, 400)


@pytest.mark.parametrize("width", [40, 80, 160])
def test_lines_fit_and_the_prices_stand_under_each_other(btc: Capture, width: int) -> None:
    ladder = ladder_of(book_at(btc, "BTC-USDT", number=str), 10)
    lines = as_lines(ladder, width=width)
    levels = [line for role, line in lines if role in ("ask", "bid")]
    assert len(levels) == 20
    if width >= 80:
        assert max(len(line) for line in levels) <= width
    dots = {
        line.index(rung.price) + rung.price.find(".")
        for line, rung in zip(levels, [*reversed(ladder.asks), *ladder.bids], strict=True)
        if "." in rung.price
    }
    assert len(dots) == 1


def test_the_picture_is_well_formed_and_holds_every_level(btc: Capture) -> None:
    ladder = ladder_of(book_at(btc, "BTC-USDT", number=str), 7)
    root = ElementTree.fromstring(as_svg(ladder))  # our own text
    words = " ".join(root.itertext())
    assert all(rung.price in words for rung in (*ladder.asks, *ladder.bids))
    bars = root.findall("{http://www.w3.org/2000/svg}rect[@class='b']")
    assert len(bars) == 7
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert widths == sorted(widths)


def test_the_command_prints_json_and_pictures(btc: Capture, tmp_path: Path) -> None:
    code, out, _ = run(str(btc.path), "--instrument", "BTC-USDT", "--depth", "2", "--json")
    found = msgspec.json.decode(out)
    assert code == ExitCode.DONE
    assert len(found["bids"]) == len(found["asks"]) == 2
    assert found["is_whole"] is True
    picture = tmp_path / "book.svg"
    code, out, _ = run(str(btc.path), "--instrument", "BTC-USDT", "--svg", str(picture))
    assert (code, out) == (ExitCode.DONE, "")
    assert picture.read_text().startswith("<svg")


def test_a_book_in_a_gap_is_shown_said_and_code_3(datasets: Path) -> None:
    capture = Capture(datasets / "eth-stress")
    gap = next(event for event in capture.events() if isinstance(event, SequenceGap))
    assert gap.instrument is not None
    code, out, said = run(
        str(capture.path), "--instrument", gap.instrument, "--channel", gap.channel,
        "--at", str(gap.ts_recv),
    )  # fmt: skip
    assert code == ExitCode.LOSS
    assert "NOT WHOLE" in out
    assert "not whole" in said


def test_what_is_not_there_is_one_sentence_that_says_what_is(btc: Capture) -> None:
    with pytest.raises(UsageError, match="found only books BTC-USDT, books5 BTC-USDT"):
        book_at(btc, "ETH-USDT")
    start = next(iter(btc.frames())).ts_recv
    with pytest.raises(UsageError, match="it begins later"):
        book_at(btc, "BTC-USDT", start - NS_PER_SECOND)


def test_decimal_points_stand_in_one_column(btc: Capture) -> None:
    ladder = ladder_of(book_at(btc, "BTC-USDT", number=str), 10)
    lines = [text for role, text in as_lines(ladder) if role in ("ask", "bid")]
    rungs = [*reversed(ladder.asks), *ladder.bids]
    assert len(lines) == len(rungs)
    points = set()
    for line, rung in zip(lines, rungs, strict=True):
        assert rung.price in line
        if "." in rung.price:
            points.add(line.index(rung.price) + rung.price.index("."))
    assert len(points) == 1


def test_a_capture_gives_its_book_itself_and_an_end_is_told(btc: Capture) -> None:
    at = next(btc.frames(first_seq=2_000)).ts_recv
    ours, theirs = btc.book_at("BTC-USDT", at), book_at(btc.path, "BTC-USDT", at)
    assert (ours.seq, ours.sides()) == (theirs.seq, theirs.sides())
    code, _, talk = run(str(btc.path), "--instrument", "BTC-USDT", "--at", "2030-01-01T00:00:00Z")
    assert code == ExitCode.LOSS
    assert "the capture ends before that instant" in talk
