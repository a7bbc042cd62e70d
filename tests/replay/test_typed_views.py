"""Goal: every typed channel is found through its view, and account numbers are numbers in SQL.

Method: one invented push a channel, sealed into a capture, read back by SQL and by the command.
A view that looks for its events in the wrong channels would find nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from invented_session import START, write_capture

from recorder.frame import Frame, Kind
from recorder.okx.account_layouts import ACCOUNT_SHAPES
from recorder.okx.bot_layouts import BOT_SHAPES
from recorder.okx.deal_layouts import DEAL_SHAPES
from replay.sql import connect

T = "1795000000001"
SPREAD = "A-B_A-C"
ROWS: dict[str, tuple[str, str]] = {
    "price-limit": ("price_limits", '{"instId":"E","buyLmt":"1.5","sellLmt":"1"}'),
    "liquidation-orders": ("liquidations", '{"instId":"E","details":[{"side":"buy","sz":"1"}]}'),
    "opt-summary": ("option_summaries", '{"instId":"E","delta":"0.4","realVol":""}'),
    "option-trades": (
        "option_trades", '{"instId":"E","tradeId":"1","px":"1","sz":"2","side":"buy"}'
    ),
    "estimated-price": ("estimated_prices", '{"instId":"E","settlePx":"1"}'),
    "status": ("venue_statuses", '{"state":"ongoing","href":""}'),
    "adl-warning": ("adl_warnings", '{"state":"adl","bal":"5","ccy":""}'),
    "call-auction-details": ("call_auctions", '{"instId":"E","eqPx":"1"}'),
    "block-tickers": ("block_tickers", '{"instId":"E","vol24h":"1"}'),
    "public-block-trades": (
        "block_trades", '{"instId":"E","tradeId":"1","px":"1","sz":"2","side":"buy"}'
    ),
    "public-struc-block-trades": (
        "block_trades", '{"legs":[{"instId":"E","px":"1","sz":"2","side":"buy"}]}'
    ),
    "event-contract-markets": ("event_markets", '{"instId":"E","disputed":true}'),
    "economic-calendar": ("economic_releases", '{"calendarId":"1","event":"CPI"}'),
    "sprd-public-trades": (
        "trades",
        f'{{"sprdId":"{SPREAD}","tradeId":"1","px":"-1","sz":"1","side":"buy","ts":"{T}"}}',
    ),
    "sprd-bbo-tbt": ("quotes", f'{{"asks":[],"bids":[["-1","2","3"]],"ts":"{T}"}}'),
    "sprd-books5": ("book_updates", f'{{"asks":[],"bids":[["-1","2","3"]],"ts":"{T}"}}'),
    "sprd-tickers": ("tickers", f'{{"sprdId":"{SPREAD}","last":"1"}}'),
    "sprd-candle1m": ("candles", f'["{T}","1","1","1","1","5","0"]'),
    "account": ("account_updates", '{"totalEq":"9.9","details":[{"ccy":"USDT","eq":"9.90"}]}'),
    "positions": ("position_updates", '{"instId":"E","pos":"-3","avgPx":""}'),
    "balance_and_position": ("balances_and_positions", '{"eventType":"filled"}'),
    "orders": (
        "order_updates",
        '{"instId":"E","ordId":"7","state":"filled","fee":"-0.25","px":"","fillTime":"'
        + T + '"}',
    ),
    "orders-algo": ("algo_order_updates", '{"instId":"E","algoId":"7","state":"live"}'),
    "algo-advance": ("algo_order_updates", '{"instId":"E","algoId":"8","state":"pause"}'),
    "fills": (
        "fills",
        '{"instId":"E","tradeId":"1","ordId":"7","fillPx":"1","fillSz":"2","side":"buy"}',
    ),
    "liquidation-warning": ("liquidation_warnings", '{"instId":"E","mgnRatio":"1.2"}'),
    "account-greeks": ("greeks", '{"ccy":"ELM","deltaBS":"1.1"}'),
    "grid-orders-spot": ("grid_bot_updates", '{"instId":"E","algoId":"1","state":"running"}'),
    "grid-orders-contract": ("grid_bot_updates", '{"instId":"E","algoId":"2","state":"stopped"}'),
    "grid-positions": ("grid_position_updates", '{"instId":"E","algoId":"2","pos":"1"}'),
    "grid-sub-orders": (
        "grid_order_updates", '{"instId":"E","algoId":"2","ordId":"3","state":"live"}'
    ),
    "algo-recurring-buy": ("recurring_buy_updates", '{"algoId":"4","state":"running"}'),
    "copytrading-lead-notification": ("lead_trading_notices", '{"infoType":"1","instId":""}'),
    "rfqs": ("rfq_updates", '{"rfqId":"1","state":"active","legs":[{"instId":"E"}]}'),
    "quotes": ("rfq_quote_updates", '{"quoteId":"1","state":"active"}'),
    "struc-block-trades": ("block_fills", '{"rfqId":"1","legs":[{"instId":"E","fee":"-1.50"}]}'),
    "sprd-orders": (
        "spread_order_updates", f'{{"sprdId":"{SPREAD}","ordId":"1","state":"live"}}'
    ),
    "sprd-trades": (
        "spread_fills",
        f'{{"sprdId":"{SPREAD}","ordId":"1","tradeId":"2","state":"filled"}}',
    ),
    "deposit-info": ("deposit_updates", '{"depId":"1","ccy":"USDT","state":"2","amt":"1.5"}'),
    "withdrawal-info": ("withdrawal_updates", '{"wdId":"1","ccy":"USDT","state":"2"}'),
}  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captures") / "typed"
    frames = []
    for seq, (channel, (_, row)) in enumerate(ROWS.items()):
        argument = {"channel": channel}
        if channel.startswith("sprd-"):
            argument["sprdId"] = SPREAD
        payload = f'{{"arg":{json.dumps(argument, separators=(",", ":"))},"data":[{row}]}}'
        frames.append(Frame(seq, START + seq, seq, 0, Kind.TEXT, payload.encode()))
    nothing = b'{"arg":{"channel":"positions","instType":"ANY","uid":"1"},"data":[]}'
    frames.append(Frame(len(frames), START + len(frames), len(frames), 0, Kind.TEXT, nothing))
    write_capture(path, frames, segment_seconds=60)
    return path


def test_every_channel_of_an_account_is_here() -> None:
    assert {*ACCOUNT_SHAPES, *BOT_SHAPES, *DEAL_SHAPES} <= set(ROWS)


def test_a_snapshot_of_nothing_is_a_row(capture: Path) -> None:
    with connect(capture) as connection:
        sql = "SELECT seq, channel, argument FROM empty_snapshots"
        (row,) = connection.execute(sql).fetchall()
    assert row[:2] == (len(ROWS), "positions")
    assert json.loads(row[2]) == {"channel": "positions", "instType": "ANY", "uid": "1"}


def test_a_spreads_quotes_are_told_from_others(capture: Path) -> None:
    with connect(capture) as connection:
        for view in ("quotes", "bbo"):
            sql = f"SELECT DISTINCT channel FROM {view} WHERE instrument = '{SPREAD}' ORDER BY 1"
            assert ("sprd-bbo-tbt",) in connection.execute(sql).fetchall()


def test_every_typed_channel_is_found_through_its_view(capture: Path) -> None:
    with connect(capture) as connection:
        for seq, (channel, (view, _)) in enumerate(ROWS.items()):
            found = connection.execute(f"SELECT seq FROM {view} ORDER BY seq").fetchall()
            assert (seq,) in found, channel
        for view in ("trades", "quotes", "book_updates", "tickers", "candles"):
            sql = f"SELECT count(*) FROM {view} WHERE instrument = '{SPREAD}'"
            assert connection.execute(sql).fetchone() == (1,), view
        for table in ("data", "unrecognized"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_account_numbers_can_be_summed_and_arrays_keep_their_digits(capture: Path) -> None:
    with connect(capture) as connection:
        sql = "SELECT sum(fee), any_value(price), any_value(fill_time) FROM order_updates"
        assert connection.execute(sql).fetchone() == (-0.25, None, int(T) * 1_000_000)
        (balances,) = connection.execute("SELECT balances FROM account_updates").fetchone() or ("",)
        assert json.loads(balances)[0]["equity"] == "9.90"


def test_the_command_shows_orders(capture: Path) -> None:
    command = [sys.executable, "-m", "replay", "query", str(capture)]
    done = subprocess.run(
        [*command, "select * from order_updates", "--format", "json"], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    (row,) = json.loads(done.stdout)
    assert (row["order_id"], row["fee"], row["price"]) == ("7", -0.25, None)
