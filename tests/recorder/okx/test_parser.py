"""Golden events: what every typed message means, each written out by hand beside its payload."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from recorder.event import (
    BookUpdate,
    Candle,
    ClockStep,
    Connected,
    ConnectFailed,
    ConnectionCount,
    ConnectionState,
    Data,
    Disconnected,
    Event,
    FundingRate,
    IndexPrice,
    InstrumentUpdate,
    Level,
    LoggedIn,
    Lost,
    MarkPrice,
    Notice,
    NoveltySeen,
    OpenInterest,
    Pong,
    Quote,
    RestResponse,
    RunStarted,
    Subscribed,
    Ticker,
    Trade,
    Unrecognized,
    Unsubscribed,
    VenueError,
)
from recorder.frame import Frame, Kind
from recorder.okx.parser import Parser, parse

SEQ, RECV, CONNECTION = 41, 1_795_000_000_123_456_789, 3
AT: dict[str, Any] = {"seq": SEQ, "index": 0, "ts_recv": RECV}
ON: dict[str, Any] = {**AT, "connection": CONNECTION}
LATER: dict[str, Any] = {**ON, "index": 1}
MS = 1_795_000_000_001
NS = 1_795_000_000_001_000_000


def frame(payload: str | bytes, kind: Kind = Kind.TEXT) -> Frame:
    data = payload.encode() if isinstance(payload, str) else payload
    return Frame(SEQ, RECV, 77, CONNECTION, kind, data)


def push(channel: str, row: str, *, instrument: str = "ELM-USDT", action: str = "") -> str:
    middle = f'"action":"{action}",' if action else ""
    return f'{{"arg":{{"channel":"{channel}","instId":"{instrument}"}},{middle}"data":[{row}]}}'


MARKET: list[tuple[str, str, Event]] = [
    (
        "trade of today",
        push(
            "trades",
            '{"instId":"ELM-USDT","tradeId":"9071","px":"2.405","sz":"118.20","side":"sell",'
            f'"ts":"{MS}","count":"4","source":"1","seqId":66012}}',
        ),
        Trade(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="trades", trade_id="9071",
            price=2.405, size=118.2, side="sell", count=4, source="1", venue_seq=66012,
        ),
    ),
    (
        "trade of 2022, six fields",
        push(
            "trades",
            '{"instId":"ELM-USDT","tradeId":"9071","px":"2.4","sz":"1","side":"buy",'
            f'"ts":"{MS}"}}',
        ),
        Trade(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="trades", trade_id="9071",
            price=2.4, size=1.0, side="buy", count=1, source=None, venue_seq=None,
        ),
    ),
    (
        "trade of a renamed instrument: the row's name wins",
        push(
            "trades",
            '{"instId":"OAK-USDT","tradeId":"1","px":"3","sz":"2","side":"buy",'
            f'"ts":"{MS}"}}',
        ),
        Trade(
            **AT, ts_event=NS, instrument="OAK-USDT", channel="trades", trade_id="1",
            price=3.0, size=2.0, side="buy", subscribed_as="ELM-USDT",
        ),
    ),
    (
        "one fill",
        push(
            "trades-all",
            '{"instId":"ELM-USDT","tradeId":"9072","px":"2.41","sz":"7","side":"buy",'
            f'"source":"0","ts":"{MS}"}}',
        ),
        Trade(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="trades-all", trade_id="9072",
            price=2.41, size=7.0, side="buy", count=1, source="0", venue_seq=None,
        ),
    ),
    (
        "best bid and offer, no asks",
        push(
            "bbo-tbt",
            f'{{"asks":[],"bids":[["2.40","31.5","0","6"]],"ts":"{MS}","seqId":66011}}',
        ),
        Quote(
            **AT, ts_event=NS, instrument="ELM-USDT", bid_price=2.4, bid_size=31.5, bid_orders=6,
            ask_price=None, ask_size=None, ask_orders=None, venue_seq=66011,
        ),
    ),
    (
        "ticker with a blank side",
        push(
            "tickers",
            '{"instType":"SPOT","instId":"ELM-USDT","last":"2.41","lastSz":"7","askPx":"",'
            '"askSz":"","bidPx":"2.40","bidSz":"31.5","open24h":"2.1","high24h":"2.6",'
            '"low24h":"2.05","sodUtc0":"2.2","sodUtc8":"2.3","volCcy24h":"0",'
            f'"vol24h":"5120.75","ts":"{MS}"}}',
        ),
        Ticker(
            **AT, ts_event=NS, instrument="ELM-USDT", last=2.41, last_size=7.0, bid_price=2.4,
            bid_size=31.5, ask_price=None, ask_size=None, open_24h=2.1, high_24h=2.6,
            low_24h=2.05, volume_24h=5120.75, volume_ccy_24h=0.0, open_utc0=2.2, open_utc8=2.3,
        ),
    ),
    (
        "candle of today, nine columns",
        push("candle1m", f'["{MS}","2.40","2.43","2.39","2.41","812","1950.5","1951.5","1"]'),
        Candle(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="candle1m", interval="1m", open=2.4,
            high=2.43, low=2.39, close=2.41, volume=812.0, volume_ccy=1950.5,
            volume_quote=1951.5, confirmed=True,
        ),
    ),
    (
        "candle of 2022, seven columns: two volumes and no confirm",
        push("candle1Dutc", f'["{MS}","2.40","2.43","2.39","2.41","812","1950.5"]'),
        Candle(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="candle1Dutc", interval="1Dutc",
            open=2.4, high=2.43, low=2.39, close=2.41, volume=812.0, volume_ccy=1950.5,
            volume_quote=None, confirmed=None,
        ),
    ),
    (
        "candle of a future with ten columns: confirm is the last",
        push("candle1s", f'["{MS}","2.4","2.4","2.4","2.4","1","2","3","99","0"]'),
        Candle(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="candle1s", interval="1s", open=2.4,
            high=2.4, low=2.4, close=2.4, volume=1.0, volume_ccy=2.0, volume_quote=3.0,
            confirmed=False,
        ),
    ),
    (
        "mark price candle, six columns",
        push("mark-price-candle4H", f'["{MS}","2.4","2.5","2.3","2.45","0"]'),
        Candle(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="mark-price-candle4H",
            interval="4H", open=2.4, high=2.5, low=2.3, close=2.45, volume=None, volume_ccy=None,
            volume_quote=None, confirmed=False,
        ),
    ),
    (
        "index candle of old, five columns",
        push("index-candle1W", f'["{MS}","2.4","2.5","2.3","2.45"]'),
        Candle(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="index-candle1W", interval="1W",
            open=2.4, high=2.5, low=2.3, close=2.45, volume=None, volume_ccy=None,
            volume_quote=None, confirmed=None,
        ),
    ),
    (
        "mark price",
        push(
            "mark-price",
            f'{{"instId":"ELM-USDT","instType":"SWAP","markPx":"2.4071","ts":"{MS}"}}',
        ),
        MarkPrice(**AT, ts_event=NS, instrument="ELM-USDT", price=2.4071),
    ),
    (
        "index",
        push(
            "index-tickers",
            '{"instId":"ELM-USD","idxPx":"2.4","open24h":"2.1","high24h":"2.6","low24h":"2.0",'
            f'"sodUtc0":"2.2","sodUtc8":"2.3","ts":"{MS}"}}',
        ),
        IndexPrice(
            **AT, ts_event=NS, instrument="ELM-USD", price=2.4, open_24h=2.1, high_24h=2.6,
            low_24h=2.0, open_utc0=2.2, open_utc8=2.3,
        ),
    ),
    (
        "funding of today, next rate blank",
        push(
            "funding-rate",
            '{"formulaType":"withRate","fundingRate":"0.00012","fundingTime":"1795003200000",'
            '"impactValue":"8000","instId":"ELM-USDT-SWAP","instType":"SWAP",'
            '"interestRate":"0.0001","maxFundingRate":"0.015","method":"current_period",'
            '"minFundingRate":"-0.015","nextFundingRate":"","nextFundingTime":"1795017600000",'
            f'"premium":"-0.0002","settFundingRate":"0.00011","settState":"settled","ts":"{MS}"}}',
        ),
        FundingRate(
            **AT, ts_event=NS, instrument="ELM-USDT-SWAP", funding_rate=0.00012,
            funding_time=1_795_003_200_000_000_000, next_funding_rate=None,
            next_funding_time=1_795_017_600_000_000_000, min_funding_rate=-0.015,
            max_funding_rate=0.015, premium=-0.0002, interest_rate=0.0001, impact_value=8000.0,
            settled_funding_rate=0.00011, settlement_state="settled", method="current_period",
            formula_type="withRate",
        ),
    ),
    (
        "funding of 2022, without a time",
        push(
            "funding-rate",
            '{"fundingRate":"0.0003","fundingTime":"1795003200000","instId":"ELM-USDT-SWAP",'
            '"instType":"SWAP","nextFundingRate":"0.0004"}',
        ),
        FundingRate(
            **AT, ts_event=None, instrument="ELM-USDT-SWAP", funding_rate=0.0003,
            funding_time=1_795_003_200_000_000_000, next_funding_rate=0.0004,
            next_funding_time=None, min_funding_rate=None, max_funding_rate=None, premium=None,
            interest_rate=None, impact_value=None, settled_funding_rate=None,
            settlement_state=None, method=None, formula_type=None,
        ),
    ),
    (
        "open interest before oiUsd",
        push(
            "open-interest",
            f'{{"instId":"ELM-USDT-SWAP","instType":"SWAP","oi":"710","oiCcy":"71.5","ts":"{MS}"}}',
        ),
        OpenInterest(
            **AT, ts_event=NS, instrument="ELM-USDT-SWAP", open_interest=710.0,
            open_interest_ccy=71.5, open_interest_usd=None,
        ),
    ),
    (
        "an instrument of the channel",
        '{"arg":{"channel":"instruments","instType":"SWAP"},"data":[{"baseCcy":"","ctMult":"1",'
        '"ctType":"linear","ctVal":"0.1","ctValCcy":"ELM","expTime":"","instFamily":"ELM-USDT",'
        '"instId":"ELM-USDT-SWAP","instIdCode":90071992547409931,"instType":"SWAP","lever":"20",'
        f'"listTime":"{MS}","lotSz":"1","minSz":"1","optType":"","quoteCcy":"",'
        '"settleCcy":"USDT","state":"live","stk":"","tickSz":"0.001","uly":"ELM-USDT",'
        '"upcChg":[]}]}',
        InstrumentUpdate(
            **AT, instrument="ELM-USDT-SWAP", instrument_type="SWAP", state="live", base=None,
            quote=None, settle="USDT", underlying="ELM-USDT", family="ELM-USDT",
            contract_type="linear", contract_value=0.1, contract_multiplier=1.0,
            contract_currency="ELM", tick_size=0.001, lot_size=1.0, min_size=1.0, leverage=20.0,
            list_time=NS, expiry_time=None, option_type=None, strike=None,
            instrument_code=90071992547409931,
        ),
    ),
    (
        "a channel without a type",
        push("rfqs", f'{{"rfqId":"2.5","anonymous":true,"tag":"","ts":"{MS}"}}'),
        Data(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="rfqs",
            argument={"channel": "rfqs", "instId": "ELM-USDT"}, action=None,
            rows=[{"rfqId": "2.5", "anonymous": True, "tag": "", "ts": str(MS)}],
        ),
    ),
    (
        "a row's own `event` is data, not a control message",
        '{"arg":{"channel":"economic-calendar"},"data":[{"event":"CPI","ts":"5"}]}',
        Data(
            **AT, ts_event=5_000_000, instrument=None, channel="economic-calendar",
            argument={"channel": "economic-calendar"}, action=None,
            rows=[{"event": "CPI", "ts": "5"}],
        ),
    ),
    (
        "a spread is named by sprdId; a book without a time fits no shape",
        '{"arg":{"channel":"sprd-books5","sprdId":"A_B"},"data":[{"asks":[["-1","2","3"]]}]}',
        Data(
            **AT, ts_event=None, instrument="A_B", channel="sprd-books5",
            argument={"channel": "sprd-books5", "sprdId": "A_B"}, action=None,
            rows=[{"asks": [["-1", "2", "3"]]}],
        ),
    ),
]  # fmt: skip

BOOK_ROW = (
    '{"asks":[["2.41","80","0","4"],["2.42","0","0","0"]],"bids":[["2.40","31.50","0","6"]],'
    f'"ts":"{MS}","checksum":0,"seqId":66017,"prevSeqId":66010}}'
)
BOOK: dict[str, Any] = {
    **AT, "ts_event": NS, "instrument": "ELM-USDT",
    "bids": [Level(2.4, 31.5, 0.0, 6)],
    "asks": [Level(2.41, 80.0, 0.0, 4), Level(2.42, 0.0, 0.0, 0)],
}  # fmt: skip

BOOKS: list[tuple[str, str, Event]] = [
    *(
        (
            channel,
            push(channel, BOOK_ROW, action="update"),
            BookUpdate(
                **BOOK, channel=channel, is_snapshot=False, seq_id=66017, prev_seq_id=66010,
                checksum=0,
            ),
        )
        for channel in ("books", "books-l2-tbt", "books50-l2-tbt", "books-elp")
    ),
    (
        "books-rpi: the third column lives, no checksum",
        push(
            "books-rpi",
            f'{{"asks":[["2.41","120","80","6"]],"bids":[],"ts":"{MS}","seqId":9,"prevSeqId":-1}}',
            action="snapshot",
        ),
        BookUpdate(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="books-rpi", is_snapshot=True,
            bids=[], asks=[Level(2.41, 120.0, 80.0, 6)], seq_id=9, prev_seq_id=-1, checksum=None,
        ),
    ),
    (
        "books5 is a whole book each time",
        push(
            "books5",
            '{"asks":[["2.41","80","0","4"]],"bids":[["2.40","31.5","0","6"]],'
            f'"instId":"ELM-USDT","ts":"{MS}","seqId":66017}}',
        ),
        BookUpdate(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="books5", is_snapshot=True,
            bids=[Level(2.4, 31.5, 0.0, 6)], asks=[Level(2.41, 80.0, 0.0, 4)], seq_id=66017,
        ),
    ),
    (
        "a legacy book: a checksum and no numbers",
        push(
            "books",
            f'{{"asks":[],"bids":[["2.4","1","0","1"]],"ts":"{MS}","checksum":-134440845}}',
            action="snapshot",
        ),
        BookUpdate(
            **AT, ts_event=NS, instrument="ELM-USDT", channel="books", is_snapshot=True,
            bids=[Level(2.4, 1.0, 0.0, 1)], asks=[], checksum=-134440845,
        ),
    ),
]  # fmt: skip

CONTROL: list[tuple[str, Event]] = [
    (
        '{"id":"r7","event":"subscribe","arg":{"channel":"books","instId":"ELM-USDT"},'
        '"connId":"0badcafe"}',
        Subscribed(
            **ON, channel="books", instrument="ELM-USDT",
            argument={"channel": "books", "instId": "ELM-USDT"}, request_id="r7",
            connection_id="0badcafe",
        ),
    ),
    (
        '{"event":"unsubscribe","arg":{"channel":"instruments","instType":"SPOT"}}',
        Unsubscribed(
            **ON, channel="instruments", instrument=None,
            argument={"channel": "instruments", "instType": "SPOT"}, request_id=None,
            connection_id=None,
        ),
    ),
    (
        '{"event":"login","msg":"","code":"0","connId":"0badcafe"}',
        LoggedIn(**ON, code="0", connection_id="0badcafe"),
    ),
    (
        '{"event":"error","msg":"Wrong URL or channel","code":"60018","connId":"0badcafe"}',
        VenueError(
            **ON, code="60018", message="Wrong URL or channel", request_id=None,
            connection_id="0badcafe",
        ),
    ),
    (
        '{"event":"notice","code":"64008","msg":"closing soon","connId":"0badcafe"}',
        Notice(**ON, code="64008", message="closing soon", connection_id="0badcafe"),
    ),
    (
        '{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"0badcafe"}',
        ConnectionCount(
            **ON, channel="orders", count=2, exceeded=False, connection_id="0badcafe"
        ),
    ),
    (
        '{"event":"channel-conn-count-error","channel":"orders","connCount":"30"}',
        ConnectionCount(**ON, channel="orders", count=30, exceeded=True, connection_id=None),
    ),
    ("pong", Pong(**ON)),
]  # fmt: skip

ROWS: list[tuple[Kind, str, list[Event]]] = [
    (
        Kind.OPENED,
        '{"url":"wss://h/ws/v5/public","endpoint":"public","link":1}',
        [
            Connected(**ON, url="wss://h/ws/v5/public", endpoint="public", link=1),
            ConnectionState(
                **LATER, endpoint="public", link=1, state="connected", reason=None, retry_in=None
            ),
        ],
    ),
    (
        Kind.CLOSED,
        '{"code":4004,"reason":"No data received in 30s.","by":"venue","opened":true}',
        [
            Disconnected(
                **ON, code=4004, reason="No data received in 30s.", by="venue", duration=None
            ),
            ConnectionState(
                **LATER, endpoint=None, link=None, state="closed",
                reason="No data received in 30s.", retry_in=None,
            ),
        ],
    ),
    (
        Kind.CLOSED,
        '{"code":null,"reason":"refused","by":"network","opened":false}',
        [ConnectFailed(**ON, code=None, reason="refused", by="network")],
    ),
    (
        Kind.CLOSED,
        '{"code":503,"reason":"HTTP 503","by":"venue","opened":false,"endpoint":"business",'
        '"link":0,"then":"reconnecting","retry_in_s":1.5}',
        [
            ConnectFailed(**ON, code=503, reason="HTTP 503", by="venue"),
            ConnectionState(
                **LATER, endpoint="business", link=0, state="reconnecting", reason="HTTP 503",
                retry_in=1_500_000_000,
            ),
        ],
    ),
    (
        Kind.CLOSED,
        '{"code":1000,"reason":"replaced","by":"recorder","opened":true,"endpoint":"public",'
        '"link":0,"then":"replaced","retry_in_s":1e300}',
        [
            Disconnected(**ON, code=1000, reason="replaced", by="recorder", duration=None),
            ConnectionState(
                **LATER, endpoint="public", link=0, state="closed", reason="replaced",
                retry_in=None,
            ),
        ],
    ),
    (
        Kind.RUN,
        '{"endpoints":[{"endpoint":"public","link":0,"url":"wss://h"},7,{"link":"x"}]}',
        [
            RunStarted(
                **AT,
                info={"endpoints": [{"endpoint": "public", "link": 0, "url": "wss://h"}, 7,
                                    {"link": "x"}]},
            ),
            *(
                ConnectionState(
                    seq=SEQ, index=index, ts_recv=RECV, connection=-1, endpoint=endpoint,
                    link=link, state="connecting", reason=None, retry_in=None,
                )
                for index, (endpoint, link) in enumerate(
                    [("public", 0), (None, None), (None, None)], 1
                )
            ),
        ],
    ),
    (
        Kind.LOST,
        '{"connection":2,"first_seq":5,"last_seq":9,"count":5,"bytes":null,"cause":"killed"}',
        [Lost(**AT, connection=2, first_seq=5, last_seq=9, count=5, bytes=None, cause="killed")],
    ),
    (Kind.RUN, '{"version":"9"}', [RunStarted(**AT, info={"version": "9"})]),
    (
        Kind.CLOCK,
        '{"step":-1500,"state":"synchronized"}',
        [ClockStep(**AT, step=-1500, info={"step": -1500, "state": "synchronized"})],
    ),
    (Kind.CLOCK, '{"offset":7}', [ClockStep(**AT, step=None, info={"offset": 7})]),
    (
        Kind.CLOCK,
        '{"novelty":{"connection":3,"channel":"trades","what":"data.x","seq":9}}',
        [NoveltySeen(**AT, connection=3, channel="trades", what="data.x", message_seq=9)],
    ),
    (
        Kind.CLOCK,
        '{"novelty":7}',
        [Unrecognized(**ON, reason="malformed clock row", kind="clock", size=13)],
    ),
    (
        Kind.REST,
        '{"code":"0","data":[{"instId":"ELM-USDT","tickSz":"0.001"},{"uly":"x"}],"msg":""}',
        [
            RestResponse(**ON, request=None, code="0", message="", rows=2, size=81),
            InstrumentUpdate(
                seq=SEQ, index=1, ts_recv=RECV, instrument="ELM-USDT", instrument_type=None,
                state=None, base=None, quote=None, settle=None, underlying=None, family=None,
                contract_type=None, contract_value=None, contract_multiplier=None,
                contract_currency=None, tick_size=0.001, lot_size=None, min_size=None,
                leverage=None, list_time=None, expiry_time=None, option_type=None, strike=None,
                instrument_code=None,
            ),
        ],
    ),
    (
        Kind.REST,
        "<html>502</html>",
        [RestResponse(**ON, request=None, code=None, message=None, rows=0, size=16)],
    ),
    (Kind.SENT, '{"op":"subscribe","args":[]}', []),
    (
        Kind.BINARY,
        "\x00\x01",
        [Unrecognized(**ON, reason="binary message", kind="binary", size=2)],
    ),
    (Kind.TEXT, "", [Unrecognized(**ON, reason="empty message", kind="text", size=0)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "expected"), [case[1:] for case in MARKET], ids=[case[0] for case in MARKET]
)
def test_market_pushes(payload: str, expected: Event) -> None:
    assert parse(frame(payload)) == [expected]


@pytest.mark.parametrize(
    ("payload", "expected"), [case[1:] for case in BOOKS], ids=[case[0] for case in BOOKS]
)
def test_book_pushes(payload: str, expected: Event) -> None:
    assert parse(frame(payload)) == [expected]


@pytest.mark.parametrize(("payload", "expected"), CONTROL)
def test_control_messages(payload: str, expected: Event) -> None:
    assert parse(frame(payload)) == [expected]


@pytest.mark.parametrize(("kind", "payload", "expected"), ROWS)
def test_rows_of_the_recording(kind: Kind, payload: str, expected: list[Event]) -> None:
    assert parse(frame(payload, kind)) == expected


def test_several_rows_count_their_index() -> None:
    row = '{{"instId":"ELM-USDT","tradeId":"{}","px":"1","sz":"1","side":"buy","ts":"1"}}'
    events = parse(frame(push("trades", ",".join(row.format(number) for number in range(3)))))
    assert [(event.index, event.trade_id) for event in events] == [(0, "0"), (1, "1"), (2, "2")]


def test_no_rows_no_events() -> None:
    assert parse(frame(push("trades", ""))) == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [case[1:] for case in [*MARKET, *BOOKS]],
    ids=[case[0] for case in [*MARKET, *BOOKS]],
)
def test_key_order_and_spacing_do_not_matter(payload: str, expected: Event) -> None:
    """Behind a foreign key or a space the lenient way must find the same meaning."""
    assert parse(frame('{"new":1,' + payload[1:])) == [expected]
    assert parse(frame(payload.replace('"arg":{', '"arg": {', 1))) == [expected]


def test_text_numbers_are_exactly_what_was_sent() -> None:
    (update,) = Parser(str).parse(frame(push("books", BOOK_ROW, action="update")))
    assert isinstance(update, BookUpdate)
    assert update.bids == [Level("2.40", "31.50", "0", 6)]
    assert update.seq_id == 66017


def test_decimals_are_exact() -> None:
    row = (
        '{"instId":"E","tradeId":"1","px":"0.12345678901234567890","sz":"1.10","side":"buy",'
        '"ts":"1"}'
    )
    (trade,) = Parser(Decimal).parse(frame(push("trades", row)))
    assert isinstance(trade, Trade)
    assert str(trade.price) == "0.12345678901234567890"
    assert str(trade.size) == "1.10"


@pytest.mark.parametrize("number", [float, Decimal, str])
def test_plain_json_numbers_are_understood(number: type) -> None:
    row = '{"instId":"E","tradeId":"1","px":2.50,"sz":3,"side":"buy","ts":1}'
    (trade,) = Parser(number).parse(frame(push("trades", row)))
    assert isinstance(trade, Trade)
    assert (trade.price, trade.size) == (
        (number("2.50"), number("3")) if number is not float else (2.5, 3.0)
    )


@pytest.mark.parametrize("number", [float, Decimal, str])
@pytest.mark.parametrize(
    ("channel", "row"),
    [
        ("trades", '{"instId":"E","tradeId":"1","px":"","sz":"1","side":"buy","ts":"1"}'),
        ("trades", '{"instId":"E","tradeId":"1","sz":"1","side":"buy","ts":"1"}'),
        ("trades", '{"instId":"E","tradeId":1,"px":{},"sz":"1","side":"buy","ts":"1"}'),
        ("trades", '"row"'),
        ("candle1m", '["1","2"]'),
        ("candle1m", '{"ts":"1"}'),
        ("candle1m", "7"),
        ("bbo-tbt", '{"asks":[["1"]],"bids":[],"ts":"1"}'),
        ("books5", '{"asks":[["one","2","0","1"]],"bids":[],"ts":"1"}'),
        ("books5", '{"asks":[],"bids":[],"ts":"99999999999999999999"}'),
    ],
)
def test_a_push_that_fits_no_shape_is_data(number: type, channel: str, row: str) -> None:
    (event,) = Parser(number).parse(frame(push(channel, row)))
    assert isinstance(event, Data)
    assert event.channel == channel


@pytest.mark.parametrize("number", [Decimal, str])
@pytest.mark.parametrize("price", ["NaN", "sNaN", "-Infinity"])
def test_what_is_no_number_is_not_one_because_decimal_reads_it(number: type, price: str) -> None:
    row = f'{{"asks":[["{price}","2","0","1"]],"bids":[],"ts":"1"}}'
    (event,) = Parser(number).parse(frame(push("books5", row)))
    assert isinstance(event, Data)


def test_an_instrument_called_infinity_is_no_infinity() -> None:
    row = '{"instId":"INF-USDT","tradeId":"1","px":"1.5","sz":"1","side":"buy","ts":"1"}'
    (trade,) = Parser(Decimal).parse(frame(push("trades", row, instrument="INF-USDT")))
    assert isinstance(trade, Trade)
    assert trade.price == Decimal("1.5")


def test_a_book_without_an_action_is_not_guessed_at() -> None:
    (event,) = parse(frame(push("books", BOOK_ROW)))
    assert isinstance(event, Data)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not JSON"),
        (b'{"arg":{"channel":"books5","instId":"\xff"},"data":[]}', "not JSON"),
        (b"ping", "not JSON"),
        (b"[1,2]", "not a JSON object"),
        (b"{}", "neither a push nor an event"),
        (b'{"arg":{"channel":"trades"}}', "neither a push nor an event"),
        (b'{"arg":{"channel":5},"data":[]}', "neither a push nor an event"),
        (b'{"id":"1","op":"order","code":"0","data":[]}', "neither a push nor an event"),
        (b'{"event":"subscribe"}', "unknown event"),
        (b'{"event":"subscribe","arg":[]}', "unknown event"),
        (b'{"event":"party"}', "unknown event"),
        (b'{"event":"channel-conn-count","connCount":"many"}', "unknown event"),
        (b"[" * 10_000_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"a":' * 90 + b"1" + b"}" * 90, "nested too deep"),
        (b'{"event":' + b"9" * 100_000 + b"}", "not JSON"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_what_nobody_understands_is_data_too(payload: bytes, reason: str) -> None:
    assert parse(frame(payload)) == [
        Unrecognized(**ON, reason=reason, kind="text", size=len(payload))
    ]


@pytest.mark.parametrize("kind", [Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN, Kind.CLOCK])
@pytest.mark.parametrize("payload", [b"", b"wss://bare.url", b"[]", b'{"code":"x","step":"y"}'])
def test_malformed_rows_never_raise(kind: Kind, payload: bytes) -> None:
    events = parse(frame(payload, kind))
    assert {event.seq for event in events} == {SEQ}


def test_only_real_intervals_are_candles() -> None:
    (event,) = parse(frame(push("candle0m", '["1","1","1","1","1","1","1","1","1"]')))
    assert isinstance(event, Data)


def test_the_number_type_is_one_of_three() -> None:
    with pytest.raises(TypeError, match="float, Decimal or str"):
        Parser(int)
