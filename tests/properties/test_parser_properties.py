"""Any bytes: parser, route and interpreter never raise, and both ways to a meaning agree."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.event import Unrecognized, encode_event
from recorder.frame import KINDS, Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.parser import PARSER_VERSION, Parser, parser_of
from recorder.okx.route import route

NUMBERS = (float, Decimal, str)

CHANNELS = st.sampled_from([
    "trades", "trades-all", "tickers", "books", "books5", "books-l2-tbt", "books50-l2-tbt",
    "books-elp", "books-rpi", "bbo-tbt", "candle1m", "mark-price-candle5m", "index-candle1H",
    "mark-price", "index-tickers", "funding-rate", "open-interest", "instruments", "orders",
    "account", "positions", "balance_and_position", "orders-algo", "fills", "opt-summary",
    "price-limit", "liquidation-orders", "public-struc-block-trades", "economic-calendar",
    "sprd-bbo-tbt", "sprd-books-l2-tbt", "sprd-candle1m", "sprd-tickers", "rfqs",
])  # fmt: skip
KEYS = st.sampled_from([
    "instId", "ts", "px", "sz", "side", "tradeId", "count", "seqId", "prevSeqId", "checksum",
    "asks", "bids", "last", "askPx", "markPx", "idxPx", "fundingRate", "fundingTime", "oi",
    "tickSz", "source", "settState", "listTime", "instIdCode", "connCount",
    "sprdId", "details", "legs", "ordId", "state", "uTime", "ccy", "fillSz", "ordIdList",
    "closeOrderAlgo", "attachAlgoOrds", "linkedAlgoOrd", "posData", "reduceOnly", "delta",
])  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**60, max_value=2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["", "0", "-1", "1.50", "1e5", "nan", "NaN", "sNaN", "inf", "-Infinity", "buy"]
    ),
)
LEVELS = st.lists(st.lists(SCALARS, max_size=6), max_size=4)
ROWS = st.one_of(
    st.dictionaries(KEYS, st.one_of(SCALARS, LEVELS), max_size=14),
    st.lists(SCALARS, max_size=11),
    SCALARS,
)


@st.composite
def pushes(draw: st.DrawFn) -> bytes:
    """A message that looks like one of the venue's and holds whatever fits nowhere."""
    key = draw(st.sampled_from(["instId", "instId", "sprdId", "uid"]))
    message: dict[str, Any] = {"arg": {"channel": draw(CHANNELS), key: draw(SCALARS)}}
    if draw(st.booleans()):
        message["action"] = draw(st.sampled_from(["snapshot", "update", "", "other", 1]))
    message["data"] = draw(st.one_of(st.lists(ROWS, max_size=4), SCALARS))
    if draw(st.integers(0, 9)) == 0:
        message["event"] = draw(
            st.sampled_from(["subscribe", "unsubscribe", "error", "notice", "login", "x", None])
        )
    return msgspec.json.encode(message)


PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)).map(
        msgspec.json.encode
    ),
    pushes(),
    pushes().flatmap(lambda whole: st.integers(0, len(whole)).map(lambda end: whole[:end])),
)
KINDS_OF_FRAMES = st.one_of(st.just(Kind.TEXT), st.sampled_from(KINDS))


@settings(max_examples=300, deadline=None)
@given(payload=PAYLOADS, kind=KINDS_OF_FRAMES, number=st.sampled_from(NUMBERS))
def test_no_frame_ever_raises(payload: bytes, kind: Kind, number: type) -> None:
    frame = Frame(7, 8, 9, 10, kind, payload)
    events = parser_of(number).parse(frame)
    assert [event.index for event in events] == list(range(len(events)))
    for event in events:
        assert (event.seq, event.ts_recv) == (7, 8)
        decoded = msgspec.json.decode(encode_event(event))
        assert decoded["type"] == type(event).__name__
    again = [encode_event(event) for event in parser_of(number).parse(frame)]
    assert again == [encode_event(event) for event in events]
    channel, instrument = route(payload)
    assert channel is None or isinstance(channel, str)
    assert instrument is None or channel is not None


@settings(max_examples=100, deadline=None)
@given(
    payloads=st.lists(st.tuples(PAYLOADS, KINDS_OF_FRAMES, st.integers(-1, 3)), max_size=25),
    number=st.sampled_from(NUMBERS),
)
def test_no_sequence_of_frames_ever_raises(
    payloads: list[tuple[bytes, Kind, int]], number: type
) -> None:
    interpreter = Interpreter(number)
    for seq, (payload, kind, connection) in enumerate(payloads):
        events = interpreter.step(Frame(seq, seq, seq, connection, kind, payload))
        assert [event.index for event in events] == list(range(len(events)))
        for book in interpreter.books:
            book.best_bid()
            book.asks(3)
    state = interpreter.save()
    assert Interpreter.restore(state, number).save() == state


PRICES = st.decimals(min_value="0.00000001", max_value="99999999", places=8).map(str)
LEVEL = st.tuples(PRICES, PRICES, st.just("0"), st.integers(0, 99).map(str)).map(list)


@st.composite
def valid_pushes(draw: st.DrawFn) -> dict[str, Any]:
    channel = draw(st.sampled_from(["trades", "books", "books5", "tickers", "candle1m"]))
    ts = str(draw(st.integers(10**12, 2 * 10**12)))
    rows: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        if channel == "trades":
            rows.append({
                "instId": "E", "tradeId": "1", "px": draw(PRICES), "sz": draw(PRICES),
                "side": draw(st.sampled_from(["buy", "sell"])), "ts": ts,
            })  # fmt: skip
        elif channel == "tickers":
            rows.append({"instId": "E", "last": draw(PRICES), "ts": ts})
        elif channel == "candle1m":
            rows.append([ts, *(draw(PRICES) for _ in range(7)), "1"])
        else:
            sides = {"asks": draw(st.lists(LEVEL)), "bids": draw(st.lists(LEVEL))}
            rows.append({**sides, "ts": ts, "seqId": draw(st.integers(0, 2**62))})
    message: dict[str, Any] = {"arg": {"channel": channel, "instId": "E"}}
    if channel == "books":
        message["action"] = draw(st.sampled_from(["snapshot", "update"]))
    return {**message, "data": rows}


@settings(max_examples=200, deadline=None)
@given(message=valid_pushes(), number=st.sampled_from(NUMBERS))
def test_the_fast_and_the_lenient_way_agree(message: dict[str, Any], number: type) -> None:
    parser = parser_of(number)
    payload = msgspec.json.encode(message)
    frame = Frame(1, 2, 3, 4, Kind.TEXT, payload)
    events = parser.parse(frame)
    assert len(events) == len(message["data"])
    assert parser._generic(frame) == events
    reordered = msgspec.json.encode(dict(reversed(message.items())))
    assert parser.parse(Frame(1, 2, 3, 4, Kind.TEXT, reordered)) == events


@settings(max_examples=100, deadline=None)
@given(message=valid_pushes())
def test_number_types_differ_in_nothing_but_the_numbers(message: dict[str, Any]) -> None:
    frame = Frame(1, 2, 3, 4, Kind.TEXT, msgspec.json.encode(message))
    as_float, as_decimal, as_text = (parser_of(number).parse(frame) for number in NUMBERS)
    for one, two, three in zip(as_float, as_decimal, as_text, strict=True):
        for name in one.__struct_fields__:
            values = [getattr(event, name) for event in (one, two, three)]
            assert _floats(values[0]) == _floats(values[1]) == _floats(values[2])


def _floats(value: Any) -> Any:
    if isinstance(value, list):
        return [_floats(member) for member in msgspec.to_builtins(value)]
    if isinstance(value, Decimal):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize("number", NUMBERS)
def test_one_parser_of_each_number_type(number: type) -> None:
    assert parser_of(number) is parser_of(number)
    assert parser_of(number).number is number
    assert PARSER_VERSION >= 1


def test_unrecognized_is_an_event_like_any_other() -> None:
    (event,) = Parser().parse(Frame(0, 0, 0, 0, Kind.TEXT, b"?"))
    assert isinstance(event, Unrecognized)
