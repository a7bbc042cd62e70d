"""A real Redis: what stands where, each event once, and the days it is full, gone or empty."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.errors import SinkDown, SinkRefused, UsageError
from recorder.event import Candle, Trade, encode_event
from recorder.sinks.addresses import sink_of
from tests.recorder.sinks.feeding import Fed, Recording, fed, frame, ticker
from tests.servers import RedisServer, free_port, until


def streamed(server: RedisServer, name: str) -> list[tuple[int, int]]:
    with server.client() as client:
        events = [json.loads(fields["event"]) for _, fields in client.xrange(f"okx:stream:{name}")]
    return [(event["seq"], event["index"]) for event in events]


def recorded(path: Path, *types: type) -> list[tuple[int, int]]:
    return [(e.seq, e.index) for e in Capture(path).events() if isinstance(e, types)]


def test_latest_values_streams_and_messages(redis_server: RedisServer, datasets: Path) -> None:
    path = datasets / "every-channel"
    messages: list[Any] = []
    with redis_server.client() as client:
        listening = client.pubsub()
        listening.psubscribe("okx:*")
        listening.get_message(timeout=10)
        fed(path, redis_server.url())
        while (message := listening.get_message(timeout=1)) is not None:
            messages.append((message["channel"], message["data"]))
        listening.close()
        tops = client.hgetall("okx:book:BTC-USDT")
        quote = client.hgetall("okx:bbo:BTC-USDT")
        ticker_fields = client.hgetall("okx:ticker:BTC-USDT")
        assert 0 < client.pttl("okx:book:BTC-USDT") <= 60_000
        entry = client.xrange("okx:stream:trades", count=1)[0][1]
    trades = [event for event in Capture(path).events() if isinstance(event, Trade)]
    assert streamed(redis_server, "trades") == [(e.seq, e.index) for e in trades]
    assert streamed(redis_server, "candles") == recorded(path, Candle)
    assert entry["event"].encode() == encode_event(trades[0])
    assert [data for channel, data in messages if channel.startswith("okx:trades:")] == [
        encode_event(event).decode() for event in trades
    ]
    books = [e for e in Capture(path).events() if type(e).__name__ == "BookUpdate"]
    last = [e for e in books if e.instrument == "BTC-USDT"][-1]
    assert (tops["seq"], tops["channel"]) == (str(last.seq), last.channel)
    assert {"bid_price", "bid_size", "ask_price", "ask_size", "is_whole"} <= set(tops)
    quotes = [e for e in Capture(path).events() if type(e).__name__ == "Quote"]
    last = [e for e in quotes if e.instrument == "BTC-USDT"][-1]
    assert (float(quote["bid_price"]), float(quote["ask_size"])) == (last.bid_price, last.ask_size)
    assert ticker_fields["ts_recv"].isdecimal()
    again = fed(path, redis_server.url())
    assert (again.counts.records, again.counts.batches) == (0, 0)
    assert len(streamed(redis_server, "trades")) == len(trades)


def test_names_lengths_and_history_are_options(redis_server: RedisServer, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 5_000)  # five seconds
    recording.end()
    options = "prefix=mine&streams=trades&publish=&hashes=&history=2"
    fed(tmp_path / "c", f"{redis_server.url()}?{options}")
    with redis_server.client() as client:
        first = json.loads(client.xrange("mine:stream:trades", count=1)[0][1]["event"])
        assert first["seq"] == 3_000
        assert client.keys("okx:*") == []
    other = "prefix=short&streams=trades&publish=&hashes=&stream_length=100"
    fed(tmp_path / "c", f"{redis_server.url()}?{other}")
    with redis_server.client() as client:
        assert 100 <= client.xlen("short:stream:trades") < 300
        assert "short:stream:trades" in client.keys("short:*")


def test_full_then_with_room_again(redis_server: RedisServer, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 300)
    feeding = Fed(tmp_path / "c", redis_server.url())
    feeding.until_at(300)
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
    recording.trades(301, 2_000)
    recording.add(frame(seq, ticker(seq)) for seq in range(2_001, 2_100))
    feeding.until_state("down")
    recording.end()  # a full cache is nothing to a recording
    assert [f.seq for f in Capture(tmp_path / "c").frames()] == list(range(2_100))
    assert len(streamed(redis_server, "trades")) == 300
    assert "maxmemory" in feeding.words[0]
    with redis_server.client() as client:
        client.config_set("maxmemory", 0)
    feeding.end()
    assert streamed(redis_server, "trades") == recorded(tmp_path / "c", Trade)
    with redis_server.client() as client:
        assert client.hget("okx:ticker:BTC-USDT", "seq") == "2099"
    assert feeding.words[-1] == "goes on"


def test_killed_and_started_again(redis_server: RedisServer, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 400)
    feeding = Fed(tmp_path / "c", f"{redis_server.url()}?batch_rows=50")
    feeding.until_at(100)
    redis_server.kill()
    recording.trades(401, 1_000)
    feeding.until_state("down")
    recording.end()
    redis_server.start()
    feeding.end()
    assert streamed(redis_server, "trades") == recorded(tmp_path / "c", Trade)


def test_what_was_emptied_is_filled_again(redis_server: RedisServer, tmp_path: Path) -> None:
    recording = Recording(tmp_path / "c")
    recording.trades(1, 400)
    feeding = Fed(tmp_path / "c", redis_server.url())
    feeding.until_at(400)
    with redis_server.client() as client:
        client.flushall()
    recording.trades(401, 500)
    recording.end()
    feeding.end()
    assert streamed(redis_server, "trades") == recorded(tmp_path / "c", Trade)


def test_a_server_that_is_down_is_told_at_once() -> None:
    sink = sink_of(f"redis://127.0.0.1:{free_port()}/0")
    began = time.process_time()
    with pytest.raises(SinkDown, match="refused"):
        sink.open("x")
    assert time.process_time() - began < 1
    sink.close()


def test_a_wrong_password_is_for_a_person(redis_server: RedisServer, tmp_path: Path) -> None:
    wrong = f"redis://:wr0ng-one@127.0.0.1:{redis_server.port}/0"
    with pytest.raises(SinkRefused) as raised:
        sink_of(wrong).open("x")
    assert "wr0ng-one" not in str(raised.value)
    (tmp_path / "password").write_text(f"{redis_server.password}\n")
    sink = sink_of(f"redis://127.0.0.1:{redis_server.port}/0?password_file={tmp_path / 'password'}")
    assert sink.open("x") == [None]
    sink.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("redis:localhost", "expected redis://HOST:PORT/DB"),
        ("redis://:hush@h/0?stream=trades", "with options out of hashes, streams"),
        ("redis://:hush@h/0?streams=trade", "expected streams of a sink out of"),
        ("redis://:hush@h/0?expire=soon", "expected expire of a sink as a number"),
        ("redis://:hush@h/0?password_file=/nowhere", "expected a file with the password"),
        ("redis://:hush@h:port/0", "expected an address of Redis"),
    ],
)
def test_options_that_cannot_be(address: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        sink_of(address)
    assert words in str(raised.value)
    assert "hush" not in str(raised.value)


def test_a_sink_is_fed_while_it_is_recorded(redis_server: RedisServer, tmp_path: Path) -> None:
    """The latest value is there while the recorder goes on, not only at its end."""
    recording = Recording(tmp_path / "c")
    feeding = Fed(tmp_path / "c", redis_server.url())
    with redis_server.client() as client:
        for seq in range(1, 6):
            recording.add([frame(seq, ticker(seq))])
            until(
                lambda: client.hget("okx:ticker:BTC-USDT", "seq") == str(seq),  # noqa: B023
                "the ticker that was just written",
            )
    recording.end()
    feeding.end()
