"""Simulated sessions: faithful to the venue, consistent, the same from the same seed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from hashlib import blake2b
from itertools import islice, pairwise

import pytest

from recorder.capture.reader import Capture
from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.errors import CaptureExists, UsageError
from recorder.event import (
    BookReset,
    BookUpdate,
    Candle,
    Connected,
    ConnectFailed,
    Disconnected,
    Notice,
    Pong,
    Quote,
    RestResponse,
    RunStarted,
    SequenceGap,
    Subscribed,
    Ticker,
    Trade,
    Unrecognized,
    VenueError,
)
from recorder.frame import Frame, Kind, encode_record
from recorder.okx.interpreter import Interpreter
from replay.simulation.simulator import simulate, simulated_frames

MINUTE = 60 * NS_PER_SECOND


def digest(frames) -> str:
    total = blake2b(digest_size=16)
    for frame in frames:
        total.update(encode_record(frame))
    return total.hexdigest()


@pytest.fixture(scope="module")
def mixed() -> list[Frame]:
    """Four and a half minutes with everything in them, of three instruments."""
    return list(simulated_frames(seed=11, duration=270.0, rate=0.3))


@pytest.fixture(scope="module")
def events(mixed):
    interpreter = Interpreter()
    return [event for frame in mixed for event in interpreter.step(frame)]


def of(events, kind, **fields):
    return [
        event
        for event in events
        if isinstance(event, kind)
        and all(getattr(event, name) == value for name, value in fields.items())
    ]


# --- the same from the same seed ---------------------------------------------------------------


def test_the_same_seed_gives_the_same_frames_and_another_seed_gives_others():
    one = digest(simulated_frames(seed=5, frames=3_000))

    assert one == digest(simulated_frames(seed=5, frames=3_000))
    assert one != digest(simulated_frames(seed=6, frames=3_000))


def test_frames_are_the_same_on_every_machine():
    assert digest(simulated_frames(seed=1, frames=20_000)) == "b1be836f96936b0e2dd3bdab7a7dfbc7"


def test_a_longer_session_begins_like_a_shorter_one():
    short = list(simulated_frames(seed=5, frames=2_000, scenario="calm"))
    longer = list(islice(simulated_frames(seed=5, frames=4_000, scenario="calm"), 1_990))

    assert short[:1_990] == longer


# --- rows of a recording -----------------------------------------------------------------------


def test_rows_are_numbered_and_stamped_as_a_recorder_does(mixed):
    assert [frame.seq for frame in mixed] == list(range(len(mixed)))
    assert all(a.ts_mono <= b.ts_mono for a, b in pairwise(mixed))
    assert len({frame.ts_recv - frame.ts_mono for frame in mixed}) == 1
    assert mixed[0].kind is Kind.RUN
    assert mixed[-1].kind is Kind.CLOSED


def test_every_opened_connection_is_closed_once_and_nothing_follows(mixed):
    opened = [frame.connection for frame in mixed if frame.kind is Kind.OPENED]
    closed = [frame.connection for frame in mixed if frame.kind is Kind.CLOSED]
    last = {frame.connection: frame.kind for frame in mixed}

    assert sorted(opened) == sorted(closed)
    assert len(set(opened)) == len(opened) == 3
    assert all(last[connection] is Kind.CLOSED for connection in opened)


def test_the_session_has_its_parts(events):
    assert len(of(events, RunStarted)) == 1
    assert [event.endpoint for event in of(events, Connected)] == ["public", "business", "public"]
    assert [(event.code, event.rows) for event in of(events, RestResponse)] == [("0", 2), ("0", 1)]
    assert [event.code for event in of(events, Disconnected)] == [1006, 1000, 1000]
    assert [event.code for event in of(events, Notice)] == ["64008"]
    assert of(events, Pong)
    assert not of(events, VenueError)
    assert not of(events, Unrecognized)


def test_every_ack_answers_a_request_in_order(mixed):
    asked: dict[int, list] = defaultdict(list)
    acked: dict[int, list] = defaultdict(list)
    for frame in mixed:
        if frame.kind is Kind.SENT and frame.payload.startswith(b"{"):
            request = json.loads(frame.payload)
            asked[frame.connection] += [
                (request["id"], request["op"], argument) for argument in request["args"]
            ]
        elif frame.payload.startswith(b'{"id"'):
            answer = json.loads(frame.payload)
            acked[frame.connection].append((answer["id"], answer["event"], answer["arg"]))

    assert asked == acked
    assert sum(len(answers) for answers in asked.values()) == 3 * 5 + 3 + 1 + 3 * 2 + 19 + 2


def test_a_number_of_frames_is_kept_exactly():
    for wanted in (1, 50, 777, 5_000):
        frames = list(simulated_frames(seed=3, frames=wanted, scenario="calm"))
        assert len(frames) == wanted
        opened = {frame.connection for frame in frames if frame.kind is Kind.OPENED}
        closed = {frame.connection for frame in frames if frame.kind is Kind.CLOSED}
        assert opened == closed


def test_a_failed_connect_is_a_closed_row_of_its_own():
    interpreter = Interpreter()
    frames = simulated_frames(seed=3, duration=40.0, rate=0.2, scenario="stress")
    found = [event for frame in frames for event in interpreter.step(frame)]

    assert [event.reason for event in of(found, ConnectFailed)] == ["connection refused"]
    assert len({event.connection for event in of(found, Connected)}) == 3


# --- the book ----------------------------------------------------------------------------------


def test_every_book_is_chained_but_for_the_one_gap(events):
    gaps = of(events, SequenceGap)
    resets = of(events, BookReset)

    assert [gap.instrument for gap in gaps] == ["BTC-USDT"]
    assert [reset.instrument for reset in resets] == ["BTC-USDT"]
    assert resets[0].seq_id < resets[0].prev_seq_id


def test_snapshots_come_only_on_subscribe(events):
    snapshots = of(events, BookUpdate, channel="books", is_snapshot=True)
    asked = [event for event in of(events, Subscribed) if event.channel == "books"]

    # Three at the start, one after the gap, three after the reconnect.
    assert len(snapshots) == len(asked) == 7
    assert all(snapshot.prev_seq_id == -1 for snapshot in snapshots)
    assert all(len(snapshot.bids) == len(snapshot.asks) == 400 for snapshot in snapshots)


def test_after_a_gap_the_client_leaves_and_comes_back(mixed, events):
    gap = of(events, SequenceGap)[0]
    told = [
        json.loads(frame.payload)
        for frame in mixed[gap.seq :]
        if frame.payload.startswith((b'{"id"', b'{"op"'))
    ][:4]
    snapshot = of(events, BookUpdate, channel="books", is_snapshot=True)[3]

    assert [message.get("op") or message["event"] for message in told] == [
        "unsubscribe",
        "unsubscribe",
        "subscribe",
        "subscribe",
    ]
    assert snapshot.instrument == "BTC-USDT"
    assert 0 < snapshot.ts_recv - gap.ts_recv < NS_PER_SECOND // 2


def test_the_client_holds_exactly_the_best_400_levels_whenever_it_looks(mixed):
    interpreter = Interpreter()
    looks = 0
    for frame in mixed:
        for event in interpreter.step(frame):
            if isinstance(event, BookUpdate) and event.channel == "books" and event.seq % 7 == 0:
                book = interpreter.books.get(event.instrument, "books")
                assert book is not None
                if book.is_whole:
                    looks += 1
                    assert len(book.bids(1_000)) == len(book.asks(1_000)) == 400
                    assert book.best_bid().price < book.best_ask().price
    assert looks > 300


def test_books5_and_quotes_show_the_top_of_the_book(mixed):
    """After an instant's pushes the three book channels of an instrument agree."""
    interpreter = Interpreter(str)
    compared = 0
    for frame in mixed:
        for event in interpreter.step(frame):
            if not isinstance(event, BookUpdate) or event.channel != "books5":
                continue
            book = interpreter.books.get(event.instrument, "books")
            if book is None or not book.is_whole or book.seq_id != event.seq_id:
                continue
            compared += 1
            assert book.bids(5) == event.bids
            assert book.asks(5) == event.asks
    assert compared > 300


def test_rows_are_best_first_and_no_price_comes_twice(events):
    for update in of(events, BookUpdate):
        bids = [level.price for level in update.bids]
        asks = [level.price for level in update.asks]
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))


def test_updates_hold_deletes_of_unknown_levels_and_rows_without_change(mixed):
    interpreter = Interpreter()
    held: dict[str, dict] = defaultdict(dict)
    rows = Counter()
    for frame in mixed:
        for event in interpreter.step(frame):
            if not isinstance(event, BookUpdate) or event.channel != "books":
                continue
            if event.is_snapshot:
                held[event.instrument].clear()
            book = held[event.instrument]
            for level in (*event.bids, *event.asks):
                known = book.get(level.price)
                if not level.size:
                    rows["unknown delete" if known is None else "delete"] += 1
                    book.pop(level.price, None)
                else:
                    rows["same" if known == level else "set"] += 1
                    book[level.price] = level
    assert min(rows[name] for name in ("unknown delete", "delete", "set")) > 100


def test_spacing_and_sequence_steps_are_irregular(events):
    spacing, steps = [], []
    last: dict[str, BookUpdate] = {}
    for update in of(events, BookUpdate, channel="books"):
        before = last.get(update.instrument)
        if before is not None and not update.is_snapshot:
            spacing.append((update.ts_event - before.ts_event) // NS_PER_MS)
            steps.append(update.seq_id - update.prev_seq_id)
        last[update.instrument] = update
    steps = [step for step in steps if step > 0]
    spacing.sort()

    assert spacing[0] >= 10
    assert 95 <= spacing[len(spacing) // 2] <= 120
    assert min(steps) == 7
    assert len(set(steps)) > 20


def test_a_silent_book_is_pushed_again_after_a_minute(events):
    silent = [
        update
        for update in of(events, BookUpdate, channel="books")
        if not update.bids and not update.asks and update.seq_id == update.prev_seq_id
    ]

    assert {update.instrument for update in silent} == {"BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP"}


def test_checksums_are_zero_and_sequence_numbers_are_integers(mixed):
    books = [json.loads(f.payload) for f in mixed if b'"channel":"books","' in f.payload[:30]]

    assert books
    for book in books:
        (row,) = book["data"]
        assert list(row) == ["asks", "bids", "ts", "checksum", "seqId", "prevSeqId"]
        assert row["checksum"] == 0
        assert isinstance(row["seqId"], int)


# --- trades, bars, tickers ---------------------------------------------------------------------


def test_fills_add_up_to_the_aggregated_trades(events):
    """Between two looks of one connection pair the tapes of both sockets tell the same."""
    whole = of(events, Trade, channel="trades", instrument="BTC-USDT")
    single = {
        fill.trade_id: fill
        for fill in of(events, Trade, channel="trades-all")
        if fill.instrument == "BTC-USDT"
    }
    checked = 0
    for trade in whole[1:]:
        last = int(trade.trade_id)
        fills = [single.get(str(number)) for number in range(last - trade.count + 1, last + 1)]
        if None in fills:
            continue  # before the business socket was subscribed
        checked += 1
        assert sum(Decimal(str(fill.size)) for fill in fills) == Decimal(str(trade.size))
        assert {(fill.price, fill.side) for fill in fills} == {(trade.price, trade.side)}
    assert checked > 100


def test_trades_execute_at_the_best_price_of_the_book(mixed):
    """A trade right after a quote of the same instrument is at that quote's price or beyond it."""
    interpreter = Interpreter()
    quote: dict[str, Quote] = {}
    inside = outside = 0
    for frame in mixed:
        for event in interpreter.step(frame):
            if isinstance(event, Quote):
                quote[event.instrument] = event
            elif isinstance(event, Trade) and event.channel == "trades":
                seen = quote.get(event.instrument)
                if seen is None:
                    continue
                better = (
                    event.price < seen.ask_price
                    if event.side == "buy"
                    else event.price > seen.bid_price
                )
                inside, outside = inside + better, outside + (not better)
    # A quote is pushed at most every 10 ms, so a few trades meet a book that has moved on.
    assert outside > 20 * inside


def test_bars_are_made_of_the_trades(events):
    checked = 0
    for name in ("BTC-USDT", "BTC-USDT-SWAP"):
        done = [bar for bar in of(events, Candle, instrument=name) if bar.confirmed]
        trades = of(events, Trade, channel="trades-all", instrument=name)
        for bar in done[1:]:
            inside = {
                trade.trade_id: trade
                for trade in trades
                if bar.ts_event <= trade.ts_event < bar.ts_event + MINUTE
            }
            prices = [trade.price for trade in inside.values()]
            total = sum(Decimal(str(trade.size)) for trade in inside.values())
            assert total == Decimal(str(bar.volume))
            if prices:
                assert (prices[0], max(prices), min(prices), prices[-1]) == (
                    bar.open,
                    bar.high,
                    bar.low,
                    bar.close,
                )
            checked += 1
    assert checked >= 6


def test_bars_follow_each_other_without_a_hole(events):
    starts = [bar.ts_event for bar in of(events, Candle, instrument="BTC-USDT") if bar.confirmed]

    assert [b - a for a, b in pairwise(starts)] == [MINUTE] * (len(starts) - 1)


def test_a_ticker_names_the_last_trade(events):
    last: dict[str, Trade] = {}
    compared = 0
    for event in events:
        if isinstance(event, Trade) and event.channel == "trades":
            last[event.instrument] = event
        elif isinstance(event, Ticker) and event.instrument in last:
            if last[event.instrument].ts_event < event.ts_event - NS_PER_SECOND:
                continue
            compared += 1
            assert event.last == last[event.instrument].price
            assert event.low_24h <= event.last <= event.high_24h
    assert compared > 200


def test_pushes_of_one_instant_come_in_the_order_of_the_venue(mixed):
    """bbo-tbt, then books, then books5 of one instrument on one socket."""
    interpreter = Interpreter()
    rank = {"books": 1, "books5": 2}
    last: dict[str, tuple[int, int, int]] = {}
    seen = Counter()
    for frame in mixed:
        for event in interpreter.step(frame):
            if isinstance(event, Quote):
                now = (event.ts_event, event.venue_seq, 0)
            elif isinstance(event, BookUpdate) and event.prev_seq_id != -1:
                now = (event.ts_event, event.seq_id, rank[event.channel])
            else:
                continue
            before = last.get(event.instrument)
            # The same state of the book: the same time and the same sequence number.
            if before is not None and before[:2] == now[:2]:
                seen[before[2], now[2]] += 1
            last[event.instrument] = now
    assert seen[0, 2] + seen[1, 2] > 100
    # Initial pushes come one by one after their acks, in no order: two may share a millisecond.
    assert seen[1, 0] + seen[2, 0] + seen[2, 1] <= 2


def test_arrivals_cluster(events):
    """Trades come in bursts: their count per second varies far more than chance would let it."""
    trades = of(events, Trade, channel="trades", instrument="ETH-USDT")
    per_second = Counter(trade.ts_event // NS_PER_SECOND for trade in trades)
    counts = [per_second[second] for second in range(min(per_second), min(per_second) + 100)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)

    assert variance > 2 * mean


# --- arguments ---------------------------------------------------------------------------------


def test_any_currency_can_be_simulated_and_a_channel_singled_out():
    frames = list(
        simulated_frames(seed=1, frames=400, instruments=["PEPE-USDT"], channels=["trades"])
    )
    interpreter = Interpreter()
    kinds = {type(event) for frame in frames for event in interpreter.step(frame)}

    assert Trade in kinds
    assert not kinds & {Quote, BookUpdate, Ticker, Candle}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"instruments": ["BTC/USDT"]}, "BASE-USDT"),
        ({"instruments": []}, "at least one instrument"),
        ({"channels": ["bokks"]}, "bokks"),
        ({"scenario": "wild"}, "mixed, calm, stress"),
        ({"duration": 0}, "duration"),
        ({"frames": 0}, "at least 1 frame"),
        ({"rate": 0}, "rate"),
        ({"seed": -1}, "seed"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, said):
    with pytest.raises(UsageError, match=said):
        next(simulated_frames(**{"seed": 1, **arguments}))


# --- captures ----------------------------------------------------------------------------------


def test_a_capture_holds_the_frames_and_equals_another_of_the_same_seed(tmp_path):
    arguments = {"seed": 4, "duration": 20.0, "rate": 0.2, "reproducible": True}
    report = simulate(tmp_path / "a", **arguments)
    simulate(tmp_path / "b", **arguments)
    one, other = Capture(tmp_path / "a"), Capture(tmp_path / "b")
    arguments.pop("reproducible")

    assert list(one.frames()) == list(simulated_frames(**arguments))
    assert one.info().input_digest == other.info().input_digest
    files = [
        sorted(path.relative_to(root) for path in (root / "frames").rglob("*.parquet"))
        for root in (tmp_path / "a", tmp_path / "b")
    ]
    assert files[0] == files[1]
    assert report.frames == one.info().frames
    assert report.data_seconds == pytest.approx(20.0)


def test_a_capture_is_never_overwritten(tmp_path):
    simulate(tmp_path / "a", seed=1, frames=100)

    with pytest.raises(CaptureExists):
        simulate(tmp_path / "a", seed=1, frames=100)
