"""`record` end to end: real sockets in, a real capture out, read back by the real reader."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.capture.writer import WriterOptions
from recorder.clock import utc_date
from recorder.errors import CaptureExists, ExitCode, StartError, UsageError
from recorder.event import ConnectFailed, Disconnected, Event, SequenceGap, Subscribed, Trade
from recorder.frame import Frame, Kind
from recorder.live import LinkOptions, record

BOOKS = {"channel": "books", "instId": "BTC-USDT"}
WEIRD = [
    "snow ☃, line\nbreak".encode(),
    b"x",
    b"",
    b"\xff\xfe not utf-8",
    b'{"arg":{"channel":"books"},"data":[]}',
    b"z" * 5_000_000,
]


def trade(number: int, instrument: str = "BTC-USDT") -> bytes:
    return (
        f'{{"arg":{{"channel":"trades","instId":"{instrument}"}},"data":[{{"instId":"{instrument}",'
        f'"tradeId":"{number}","px":"1.5","sz":"2","side":"buy","ts":"1790000000101","count":"1",'
        f'"source":"0","seqId":{number}}}]}}'
    ).encode()


def book(action: str, seq: int, previous: int) -> bytes:
    return (
        f'{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"{action}","data":[{{"asks":'
        f'[["1.6","1","0","1"]],"bids":[["1.5","1","0","1"]],"ts":"1790000000100","checksum":0,'
        f'"seqId":{seq},"prevSeqId":{previous}}}]}}'
    ).encode()


def frames_of(path: Path) -> list[Frame]:
    return list(Capture(path).frames())


def rows(frames: list[Frame], *kinds: Kind) -> list[Frame]:
    return [frame for frame in frames if frame.kind in kinds]


def documents(frames: list[Frame], kind: Kind) -> list[dict[str, Any]]:
    return [json.loads(frame.payload) for frame in frames if frame.kind is kind]


def ends_of(frames: list[Frame]) -> list[dict[str, Any]]:
    """How sockets ended, without what came next."""
    keys = ("code", "reason", "by", "opened")
    return [{key: row[key] for key in keys} for row in documents(frames, Kind.CLOSED)]


def data_of(frames: list[Frame]) -> list[bytes]:
    """Received messages that are no answers of the venue's own."""
    received = rows(frames, Kind.TEXT, Kind.BINARY)
    return [f.payload for f in received if not f.payload.startswith((b'{"id"', b'{"event"'))]


def check_order(frames: list[Frame]) -> None:
    """What every capture promises: no hole in seq, `ts_mono` that never falls, one end each."""
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    runs = [position for position, frame in enumerate(frames) if frame.kind is Kind.RUN] + [
        len(frames)
    ]
    for first, end in itertools.pairwise(runs):
        monos = [frame.ts_mono for frame in frames[first:end]]
        assert monos == sorted(monos)
    opened = [frame.connection for frame in rows(frames, Kind.OPENED)]
    closed = [frame.connection for frame in rows(frames, Kind.CLOSED)]
    assert len(set(closed)) == len(closed), "one closed row per socket"
    assert set(opened) <= set(closed)
    for number in opened:
        mine = [frame for frame in frames if frame.connection == number]
        assert (mine[0].kind, mine[-1].kind) == (Kind.OPENED, Kind.CLOSED)


async def test_every_payload_is_stored_byte_for_byte(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        for payload in WEIRD:
            await socket.send(payload)
            await socket.ws.send(payload, text=False)

    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert data_of(frames) == [payload for payload in WEIRD for _ in range(2)]
    assert frames[0].kind is Kind.RUN
    assert (report.exit_code, report.stopped_by) == (ExitCode.DONE, "closed by the venue")
    assert report.frames == len(frames)
    assert list((tmp_path / "c" / "journal").iterdir()) == []
    sent = rows(frames, Kind.SENT)
    assert [frame.payload for frame in sent] == venue.sockets[0].received
    assert json.loads(sent[0].payload) == {"id": "r1", "op": "subscribe", "args": [BOOKS]}
    assert ends_of(frames) == [{"code": 1000, "reason": "", "by": "venue", "opened": True}]
    assert documents(frames, Kind.OPENED) == [
        {"url": f"{venue.url}/public", "endpoint": "public", "link": 0}
    ]


async def test_channels_go_to_the_endpoint_that_serves_them(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(2 if socket.endpoint == "public" else 1)
        await socket.send(trade(1))
        await socket.until_closed()

    async with venue_of(script) as venue:
        await record(
            tmp_path / "c",
            ["books:BTC-USDT", "candle1m:BTC-USDT", "trades:BTC-USDT", "books:BTC-USDT"],
            url=venue.url, rest=False, link=fast, frames=5,
        )  # fmt: skip
        held = {socket.endpoint: socket.started for socket in venue.sockets}
    assert held == {
        "public": [BOOKS, {"channel": "trades", "instId": "BTC-USDT"}],
        "business": [{"channel": "candle1m", "instId": "BTC-USDT"}],
    }
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert {frame.connection for frame in rows(frames, Kind.OPENED)} == {0, 1}


async def test_exactly_n_frames(venue_of: Any, tmp_path: Path, fast: LinkOptions) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        socket.ws.transport.pause_reading()
        await socket.send(*(trade(number) for number in range(1_000)))
        socket.ws.transport.resume_reading()
        await socket.until_closed()

    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast, frames=321
        )
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    received = rows(frames, Kind.TEXT)
    assert len(received) == 321 == report.messages
    assert data_of(frames) == [trade(number) for number in range(320)]
    assert documents(frames, Kind.CLOSED)[0]["reason"] == "frame count reached"
    assert documents(frames, Kind.CLOSED)[0]["by"] == "recorder"


async def test_append_continues_numbers_and_connections(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(trade(socket.number))

    out = tmp_path / "c"
    async with venue_of(script) as venue:
        options: dict[str, Any] = {
            "url": venue.url, "rest": False, "link": fast, "until_closed": True
        }  # fmt: skip
        first = await record(out, ["trades:BTC-USDT"], **options)
        with pytest.raises(CaptureExists):
            await record(out, ["trades:BTC-USDT"], **options)
        assert len(venue.sockets) == 1, "refused before any connection was made"
        second = await record(out, ["trades:BTC-USDT"], append=True, **options)
    frames = frames_of(out)
    check_order(frames)
    assert first.last_seq is not None
    assert second.first_seq == first.last_seq + 1
    assert data_of(frames) == [trade(0), trade(1)]
    assert [frame.connection for frame in rows(frames, Kind.OPENED)] == [0, 1]
    assert len(rows(frames, Kind.RUN)) == 2
    assert frames[second.first_seq].kind is Kind.RUN


async def test_after_a_loss_everything_is_subscribed_again(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await socket.send(trade(socket.number))
        if socket.number == 0:
            socket.ws.transport.abort()
        elif socket.number == 1:
            await socket.ws.close(4004, "No data received in 30s.")
        else:
            await socket.until_closed()

    async with venue_of(script) as venue:
        loop, stop, seen = asyncio.get_running_loop(), asyncio.Event(), []

        def on_event(event: Event, context: Any) -> None:
            if isinstance(event, Trade):
                seen.append((event.trade_id, context.clock.now()))
            if len(seen) == 3:
                loop.call_soon_threadsafe(stop.set)

        report = await record(
            tmp_path / "c", ["books:BTC-USDT", "trades:BTC-USDT"], url=venue.url, rest=False,
            link=fast, stop=stop, on_event=on_event,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert [identifier for identifier, _ in seen] == ["0", "1", "2"]
    ends = [(row["code"], row["by"], row["reason"]) for row in documents(frames, Kind.CLOSED)]
    assert ends[0][:2] == (1006, "network")
    assert ends[1] == (4004, "venue", "No data received in 30s.")
    assert ends[2][1] in ("recorder", "venue")
    assert report.disconnects == 2, "the last one was our own doing"
    assert report.exit_code is ExitCode.DONE, "a plain disconnect is no loss"
    events = list(Capture(tmp_path / "c").events())
    lived = [event for event in events if isinstance(event, Disconnected)]
    assert all(event.duration is not None and event.duration > 0 for event in lived)


async def test_silence_then_ping_then_reconnect(venue_of: Any, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        if socket.number == 0:
            await socket.answer()  # the first ping is answered
            await socket.stay_silent()  # the second is not
            return
        await socket.send(trade(1))
        await socket.until_closed()

    link = LinkOptions(ping_after=0.05, pong_timeout=0.4, close_timeout=0.1, first_delay=0.01)
    async with venue_of(script) as venue:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def on_event(event: Event, context: Any) -> None:
            if isinstance(event, Trade):
                loop.call_soon_threadsafe(stop.set)

        await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=link, stop=stop,
            on_event=on_event,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    first = [frame for frame in frames if frame.connection == 0]
    assert [f.payload for f in first if f.kind is Kind.SENT][1:] == [b"ping", b"ping"]
    assert [f.payload for f in first if f.kind is Kind.TEXT][-1] == b"pong"
    end = json.loads(first[-1].payload)
    assert (end["by"], end["reason"]) == ("recorder", "no answer to a ping within 0.4 s")


async def test_one_refused_argument_does_not_spoil_the_others(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await socket.send(trade(1))

    told: list[str] = []
    async with venue_of(script, knows=lambda arg: arg["instId"] != "FOO-BAR") as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT", "books:FOO-BAR", "trades:BTC-USDT"],
            url=venue.url, rest=False, link=fast, until_closed=True, notify=told.append,
        )  # fmt: skip
    assert report.exit_code is ExitCode.LOSS
    assert [(row["subscription"], row["code"]) for row in report.refused] == [
        ("books:FOO-BAR", "60018")
    ]
    assert data_of(frames_of(tmp_path / "c")) == [trade(1)]
    assert any("60018" in line for line in told)


async def test_everything_refused_is_an_error(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_closed()

    async with venue_of(script, knows=lambda _: False) as venue:
        with pytest.raises(StartError, match=r"60018 for books:FOO-BAR .* and 2 more") as caught:
            await record(
                tmp_path / "c",
                [f"{c}:FOO-BAR" for c in ("books", "trades", "tickers", "bbo-tbt", "candle1m")],
                url=venue.url, rest=False, link=fast,
            )  # fmt: skip
    assert caught.value.exit_code is ExitCode.REFUSED
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    ends = {row["reason"] for row in documents(frames, Kind.CLOSED)}
    assert ends <= {"stopped by an error", "every subscription was refused"}


@pytest.mark.parametrize("status", [403, 404])
async def test_a_handshake_refused_for_good_ends_it(
    venue_of: Any, tmp_path: Path, fast: LinkOptions, status: int
) -> None:
    async def script(socket: Any) -> None:
        raise AssertionError("nobody may get here")

    told: list[str] = []
    async with venue_of(script, refusals=[status] * 9) as venue:
        with pytest.raises(StartError, match=f"received HTTP {status}"):
            await record(
                tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
                notify=told.append,
            )  # fmt: skip
        assert len(venue.attempts) == 1
    assert f"{venue.url}/public (HTTP {status} " in told[-1]
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert documents(frames, Kind.CLOSED)[0]["code"] == status


async def test_a_busy_venue_is_tried_again(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()

    async with venue_of(script, refusals=[503, 429]) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True, connect_timeout=20,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    ends = documents(frames, Kind.CLOSED)
    assert [(row["code"], row["opened"]) for row in ends] == [
        (503, False), (429, False), (1000, True)
    ]  # fmt: skip
    assert report.connections == 3
    failed = [e for e in Capture(tmp_path / "c").events() if isinstance(e, ConnectFailed)]
    assert [event.code for event in failed] == [503, 429]


async def test_a_venue_that_accepts_and_closes_is_not_hammered(
    venue_of: Any, tmp_path: Path
) -> None:
    async def script(socket: Any) -> None:
        await socket.ws.close(1013, "try again later")

    link = LinkOptions(first_delay=0.2, longest_delay=5, later_delay=0.2)
    async with venue_of(script) as venue:
        await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=link,
            duration=0.1, connect_timeout=1.0,
        )  # fmt: skip
        assert 2 <= len(venue.sockets) <= 5
    check_order(frames_of(tmp_path / "c"))


async def test_a_refused_connection_is_given_up_in_time(
    tmp_path: Path, fast: LinkOptions, unused_port: int
) -> None:
    told: list[str] = []
    with pytest.raises(StartError, match="received none") as caught:
        await record(
            tmp_path / "c", ["books:BTC-USDT"], url=f"ws://127.0.0.1:{unused_port}/ws/v5",
            rest=False, link=fast, connect_timeout=0.5, notify=told.append,
        )  # fmt: skip
    assert caught.value.exit_code is ExitCode.REFUSED
    warnings = [words for words in told if not words.startswith("disk: ")]
    assert len(warnings) == 1, "one warning, not one per attempt"
    assert "Connection refused" in warnings[0]
    assert "within 0.5 s, received none (Connection refused); check" in str(caught.value)
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    ends = documents(frames, Kind.CLOSED)
    assert 2 <= len(ends) <= 5
    assert all(row["opened"] is False for row in ends)


async def test_what_the_venue_sends_just_before_its_close_is_stored(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*(trade(number) for number in range(500)))
        await socket.ws.close(4005, "write buffer full")

    async with venue_of(script) as venue:
        await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True,
        )  # fmt: skip
    assert data_of(frames_of(tmp_path / "c")) == [trade(number) for number in range(500)]


async def test_what_is_in_flight_at_our_stop_is_stored(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    sent = 0

    async def script(socket: Any) -> None:
        nonlocal sent
        await socket.until_subscribed()
        while True:  # until our close frame is read, which ends `send`
            await socket.send(trade(sent))
            sent += 1

    async with venue_of(script) as venue:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def on_event(event: Event, context: Any) -> None:
            if isinstance(event, Trade) and event.trade_id == "200":
                loop.call_soon_threadsafe(stop.set)

        await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast, stop=stop,
            on_event=on_event,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    stored = data_of(frames)
    assert stored == [trade(number) for number in range(len(stored))]
    assert len(stored) == sent, "everything sent before the venue saw our close"
    assert ends_of(frames) == [
        {"code": 1000, "reason": "stopped", "by": "recorder", "opened": True}
    ]


async def test_a_gap_brings_a_new_snapshot_of_that_book_only(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await socket.send(book("snapshot", 10, -1), book("update", 15, 10))
        await socket.send(book("update", 30, 22))  # 15 → 22 is missing
        await socket.until_subscribed(3)
        await socket.send(book("snapshot", 40, -1), book("update", 41, 40))

    seen: list[Event] = []
    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT", "trades:BTC-USDT"], url=venue.url, rest=False,
            link=fast, until_closed=True, on_event=lambda event, _: seen.append(event),
        )  # fmt: skip
        asked = [json.loads(item) for item in venue.sockets[0].received]
    assert [(item["op"], item["args"]) for item in asked[1:]] == [
        ("unsubscribe", [BOOKS]), ("subscribe", [BOOKS])
    ]  # fmt: skip
    gaps = [event for event in seen if isinstance(event, SequenceGap)]
    assert [(gap.expected_seq_id, gap.prev_seq_id) for gap in gaps] == [(15, 22)]
    assert report.gaps == 1
    assert len([event for event in seen if isinstance(event, Subscribed)]) == 3


async def test_a_gap_is_left_alone_when_told_so(venue_of: Any, tmp_path: Path) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(book("snapshot", 10, -1), book("update", 30, 22), book("update", 31, 30))

    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, until_closed=True,
            link=LinkOptions(resync=False),
        )  # fmt: skip
        assert len(venue.sockets[0].received) == 1
    assert report.gaps == 1


async def test_live_events_are_the_replayed_events(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    from recorder.capture.digest import EventDigest

    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await socket.send(book("snapshot", 10, -1), b"\xff", trade(5), b"pong", b"{}", b"")

    seen: list[Event] = []
    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT", "trades:BTC-USDT"], url=venue.url, rest=False,
            link=fast, until_closed=True, digest=True,
            on_event=lambda event, _: seen.append(event),
        )  # fmt: skip
    replayed = list(Capture(tmp_path / "c").events())
    assert seen == replayed
    assert report.events == len(seen)
    digest = EventDigest()
    digest.update(replayed)
    assert report.output_digest == digest.hexdigest()


async def test_a_full_queue_slows_the_venue_down_and_loses_nothing(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    payloads = [trade(number) for number in range(20_000)]

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*payloads)

    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True, writer_options=WriterOptions(queue_bytes=2_000),
        )  # fmt: skip
    assert data_of(frames_of(tmp_path / "c")) == payloads
    assert report.pauses > 0
    assert (report.lost, report.exit_code) == (0, ExitCode.DONE)


async def test_a_thousand_refusals_are_not_a_thousand_warnings(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()

    told: list[str] = []
    async with venue_of(script, knows=lambda arg: arg["instId"] == "C999-USDT") as venue:
        report = await record(
            tmp_path / "c", [f"books:C{number}-USDT" for number in range(1_000)], url=venue.url,
            rest=False, link=fast, until_closed=True, notify=told.append,
        )  # fmt: skip
    assert len(report.refused) == 999
    assert len(told) < 30


async def test_a_handler_that_raises_does_not_stop_the_recording(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(*(trade(number) for number in range(50)))

    def on_event(event: Event, context: Any) -> None:
        raise KeyError(event.seq)

    told: list[str] = []
    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True, on_event=on_event, notify=told.append,
        )  # fmt: skip
    assert report.handler_errors == report.events
    assert data_of(frames_of(tmp_path / "c")) == [trade(number) for number in range(50)]
    assert sum("KeyError" in line for line in told) == 5


async def test_the_run_row_says_what_recorded_and_keeps_quiet_about_the_machine(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    import platform

    async def script(socket: Any) -> None:
        await socket.until_subscribed()

    async with venue_of(script) as venue:
        await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True,
        )  # fmt: skip
    frames = frames_of(tmp_path / "c")
    info = documents(frames, Kind.RUN)[0]
    assert info["options"]["subscriptions"] == ["books:BTC-USDT"]
    assert set(info["versions"]) >= {"recorder", "parser", "python", "websockets", "pyarrow"}
    assert isinstance(info["pid"], int)
    assert platform.node() not in frames[0].payload.decode()
    assert str(tmp_path) not in frames[0].payload.decode()
    clocks = documents(frames, Kind.CLOCK)
    assert clocks[0]["step"] is None, "the first sample comes with the first row"
    assert abs(clocks[0]["offset"] - (frames[0].ts_recv - frames[0].ts_mono)) < 10**7


@pytest.mark.parametrize(
    ("subscriptions", "options", "words"),
    [
        (["bokos:BTC-USDT"], {}, "did you mean books"),
        (["books"], {}, "expected instId"),
        (["orders"], {}, "without a login"),
        (["orders-algo"], {}, "without a login"),
        ([], {}, "at least one subscription"),
        (["books:BTC-USDT"], {"url": "http://127.0.0.1/x"}, "ws://"),
        (["books:BTC-USDT"], {"url": "ws://user:secret@127.0.0.1/x"}, "credentials"),
        (["books:BTC-USDT"], {"region": "moon"}, "expected a region"),
        (["books:BTC-USDT"], {"duration": 0}, "duration above 0"),
        (["books:BTC-USDT"], {"frames": -1}, "frames above 0"),
        (["books:BTC-USDT"], {"duration": float("nan")}, "duration above 0"),
    ],
)
async def test_mistakes_are_told_before_anything_is_touched(
    tmp_path: Path, subscriptions: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        await record(tmp_path / "c", subscriptions, **options)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "c").exists()


async def test_a_duration_also_counts_while_nothing_can_be_reached(
    tmp_path: Path, unused_port: int
) -> None:
    link = LinkOptions(open_timeout=0.2, first_delay=0.02, longest_delay=0.05)
    with pytest.raises(StartError, match="while recording, received none"):
        await record(
            tmp_path / "c", ["books:BTC-USDT"], url=f"ws://127.0.0.1:{unused_port}/ws/v5",
            rest=False, link=link, duration=0.2,
        )  # fmt: skip
    check_order(frames_of(tmp_path / "c"))


async def test_a_stop_while_dialling_is_a_clean_end(tmp_path: Path, fast: LinkOptions) -> None:
    stop, release = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stop.set()
        await release.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=f"ws://127.0.0.1:{port}/ws/v5", rest=False,
            link=fast, stop=stop,
        )  # fmt: skip
        release.set()
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert report.exit_code is ExitCode.DONE
    assert ends_of(frames) == [
        {
            "code": None,
            "reason": "stopped before the connection opened",
            "by": "recorder",
            "opened": False,
        }
    ]


async def test_cancelling_record_closes_the_capture(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    loop, flowing = asyncio.get_running_loop(), asyncio.Event()

    def on_event(event: Event, _context: object) -> None:
        if isinstance(event, Trade):
            loop.call_soon_threadsafe(flowing.set)

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(trade(1))
        await socket.until_closed()

    async with venue_of(script) as venue:
        task = asyncio.create_task(
            record(
                tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
                on_event=on_event,
            )
        )  # fmt: skip
        await flowing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    frames = frames_of(tmp_path / "c")
    check_order(frames)
    assert data_of(frames) == [trade(1)]
    assert list((tmp_path / "c" / "journal").iterdir()) == []


async def test_sealing_that_fails_is_told_once_and_ends_nothing(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    """A file lies where the day's folder must go, until the second warning could have come."""
    told: list[str] = []
    in_the_way: list[Path] = []

    def block(event: Event, _context: object) -> None:
        if not in_the_way:
            in_the_way.append(tmp_path / f"c/frames/date={utc_date(event.ts_recv)}")
            in_the_way[0].write_bytes(b"")

    unblocked = asyncio.Event()
    looks = 0

    def look(_progress: object) -> None:
        nonlocal looks
        if any("safe in its journal" in words for words in told):
            looks += 1
        if looks == 2:
            in_the_way[0].unlink(missing_ok=True)
            unblocked.set()

    async def talk(socket: Any) -> None:
        await socket.until_subscribed()
        number = 0
        while not unblocked.is_set():
            await socket.send(trade(number := number + 1))
            await asyncio.sleep(0.01)

    async with venue_of(talk) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
            until_closed=True, writer_options=WriterOptions(segment_seconds=0.2),
            on_event=block, on_progress=look, notify=told.append,
        )  # fmt: skip
    assert sum("safe in its journal" in words for words in told) == 1
    assert report.exit_code is ExitCode.DONE
    check_order(frames_of(tmp_path / "c"))
    assert list((tmp_path / "c" / "journal").iterdir()) == []


async def test_talk_that_fails_costs_nothing(
    venue_of: Any, tmp_path: Path, fast: LinkOptions
) -> None:
    """Standard error may be a pipe that nobody reads any more."""
    told = []

    def broken(what: object) -> None:
        told.append(what)
        raise BrokenPipeError

    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(b'{"event":"notice","code":"64008","msg":"soon"}')
        await socket.send(trade(1))

    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, link=fast,
            frames=3, notify=broken, on_progress=broken,
        )  # fmt: skip
    assert told
    assert (report.exit_code, report.disconnects) == (ExitCode.DONE, 1)
    assert data_of(frames_of(tmp_path / "c")) == [trade(1)]
