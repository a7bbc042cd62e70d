"""Goal: nothing the venue sends escapes the census, and nothing old is called new.

Method: invented messages; the census of a session is compared with one made by walking every
message with the standard library's `json`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder.errors import UsageError
from recorder.frame import Frame, Kind
from replay.cli.census import census_command
from replay.regression import census as module
from replay.regression.census import Census
from replay.regression.checking import check
from replay.regression.news import new_against, new_since
from replay.regression.surveying import census
from tests.replay.invented_session import Invented, write_capture

T = 1_790_000_000_000_000_000
TRADE = {"instId": "E-USDT", "px": "1.5", "sz": "20", "side": "buy", "ts": "1790000000000"}


def push(channel: str, *rows: Any, **more: Any) -> bytes:
    message = {"arg": {"channel": channel, "instId": "E-USDT"}, **more, "data": list(rows)}
    return json.dumps(message, separators=(",", ":")).encode()


def frames_of(*payloads: bytes, kind: Kind = Kind.TEXT) -> list[Frame]:
    return [Frame(seq, T + seq, seq, 0, kind, text) for seq, text in enumerate(payloads)]


def census_of(frames: list[Frame]) -> Census:
    taken = Census()
    for frame in frames:
        taken.take(frame)
    return taken


def test_fields_types_and_words_are_told() -> None:
    frames = frames_of(
        push("trades", TRADE),
        push("trades", TRADE | {"px": "2.25", "side": "sell"}),
        push("trades", TRADE | {"px": "", "count": 3, "big": True}),
    )
    channel = census_of(frames).channels["trades"]
    assert channel.seen.count == 3
    assert (channel.seen.first, channel.seen.last, channel.seen.first_seq) == (T, T + 2, 0)
    assert {type_: seen.count for type_, seen in channel.fields["data[].px"].items()} == {
        "number": 2, "blank": 1,
    }  # fmt: skip
    assert set(channel.fields["data[].count"]) == {"JSON integer"}
    assert {word: seen.count for word, seen in channel.values["data[].side"].items()} == {
        "buy": 2, "sell": 1,
    }  # fmt: skip
    assert channel.values["data[].side"]["sell"].first == T + 1
    assert set(channel.values["data[].big"]) == {"true"}
    assert len(channel.shapes) == 2
    assert not {"data[].instId", "data[].px", "arg.instId"} & channel.values.keys()


def test_everything_else_has_a_name_too() -> None:
    texts = [
        b"pong",
        b"\xff",
        b"[1]",
        b'{"a":1}',
        b'{"event":"error","code":"60012","msg":"x y"}',
        b"7",
    ]
    channels = census_of(frames_of(*texts)).channels
    assert sorted(channels) == ["event error", "no JSON", "no push", "pong"]
    assert set(channels["event error"].values["code"]) == {"60012"}
    sent = [b"ping", b'{"op":"subscribe","args":[{"channel":"books"}]}', b"GET /api/v5/x"]
    channels = census_of(frames_of(*sent, kind=Kind.SENT)).channels
    assert sorted(channels) == ["sent ping", "sent request", "sent subscribe"]
    assert list(census_of(frames_of(b'{"a":1}', kind=Kind.CLOCK)).channels) == ["clock"]


def test_a_session_is_counted_as_a_second_reader_counts_it() -> None:
    session = Invented(1_500, seed=4)
    fields: Counter[tuple[str, str]] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    for frame in session.frames:
        if frame.kind is Kind.TEXT and frame.payload.startswith(b'{"arg"'):
            message = json.loads(frame.payload)
            name = message["arg"]["channel"]
            for key in {key for row in message["data"] if isinstance(row, dict) for key in row}:
                fields[name, f"data[].{key}"] += 1
            sides = {row["side"] for row in message["data"] if name == "trades"}
            words.update((name, side) for side in sides)
    channels = census_of(session.frames).channels
    for (name, path), count in fields.items():
        types = channels[name].fields[path]
        array_or_not = [seen.count for seen in types.values()]
        assert sum(array_or_not) == count, (name, path)
    for (name, side), count in words.items():
        assert channels[name].values["data[].side"][side].count == count


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOLDED_MAX", 10)
    many = census_of(frames_of(*(push("trades", TRADE | {"side": "ab" * n}) for n in range(1, 60))))
    assert many.channels["trades"].seen.count == 59
    monkeypatch.setattr(module, "VALUES_MAX", 5)
    letters = [push("trades", TRADE | {"side": "x" * n}) for n in range(1, 20)]
    channel = census_of(frames_of(*letters)).channels["trades"]
    assert "data[].side" in channel.open_fields
    assert "data[].side" not in channel.values
    monkeypatch.setattr(module, "_FIELDS_MAX", 30)
    taken = census_of(frames_of(*(push("t", {f"k{n}": "1"}) for n in range(100))))
    assert taken.channels["t"].seen.count == 100
    assert taken.beyond > 0


@pytest.mark.parametrize(
    ("row", "more", "new"),
    [
        ({"mood": "x y"}, {}, [("field", "data[].mood")]),
        ({"side": "hold"}, {}, [("value", "data[].side = hold")]),
        ({"px": 1.5}, {}, [("type", "data[].px: JSON number")]),
        ({"px": "17.25", "ts": "1790000000001"}, {}, []),
        ({"instId": "F-USDT"}, {}, []),
        ({}, {"action": "update"}, [("field", "action"), ("value", "action = update")]),
    ],
)
def test_what_is_new_is_told_once(row: dict[str, Any], more: dict[str, Any], new: Any) -> None:
    before = frames_of(*(push("trades", TRADE) for _ in range(5)))
    after = Frame(5, T + 100, 5, 0, Kind.TEXT, push("trades", TRADE | row, **more))
    both = census_of([*before, after]).channels
    against = new_against(both, census_of(before).channels)
    since = new_since(both, T + 50)
    for found in (against, since):
        assert [(item.what, item.name) for item in found] == new
        assert all(item.first_seq == 5 and item.count == 1 for item in found)
    assert new_against(census_of(before).channels, both) == []


def test_a_new_channel_is_told_as_one() -> None:
    before = frames_of(push("trades", TRADE))
    both = census_of(
        [*before, Frame(1, T + 100, 1, 0, Kind.TEXT, push("mood", {"a": "1"}))]
    ).channels
    for found in (new_against(both, census_of(before).channels), new_since(both, T + 50)):
        assert [(item.channel, item.what) for item in found] == [("mood", "channel")]
    assert new_since(both, 0) == []


def test_the_recorders_own_rows_are_no_news() -> None:
    before = frames_of(push("trades", TRADE))
    own = Frame(1, T + 100, 1, 0, Kind.RUN, b'{"fresh":1}')
    sent = Frame(2, T + 100, 2, 0, Kind.SENT, b'{"op":"fresh","args":[]}')
    assert new_since(census_of([*before, own, sent]).channels, T + 50) == []


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(
        tmp_path_factory.mktemp("census") / "c",
        frames_of(*[push("trades", TRADE)] * 3, push("trades", TRADE | {"side": "hold"})),
    )


def test_captures_and_expectations_are_compared(capture: Path, tmp_path: Path) -> None:
    older = write_capture(tmp_path / "older", frames_of(push("trades", TRADE)))
    names = [item.name for item in census(capture, against=older).new or []]
    assert names == ["data[].side = hold"]
    check(older, update=True)
    for against in (older, older / "expected.json"):
        assert [item.name for item in census(capture, against=against).new or []] == names
        assert census([older, older], against=against).new == []
    assert census([capture, older]).channels["trades"].seen.count == 5
    assert census(capture, since=T + 3, against=older).new == census(capture, since=T + 3).new
    with pytest.raises(UsageError, match="found neither"):
        census(capture, against=tmp_path)


def test_the_command_prints_it_and_ends_with_1_for_news(capture: Path) -> None:
    run = CliRunner()
    result = run.invoke(census_command, [str(capture)], standalone_mode=False)
    assert result.return_value == 0
    assert "trades  4 frames" in result.output
    assert "data[].side   text  = buy, hold" in result.output.replace("    text", "   text")
    result = run.invoke(
        census_command, [str(capture), "--since", str(T + 3)], standalone_mode=False
    )
    assert result.return_value == 1
    assert "value data[].side = hold in trades: 1 times since" in result.output
    result = run.invoke(
        census_command, [str(capture), "--since", str(T + 4)], standalone_mode=False
    )
    assert (result.return_value, result.output) == (0, "4 frames: nothing is new\n")
    result = run.invoke(census_command, [str(capture), "--json"], standalone_mode=False)
    assert json.loads(result.output)["channels"]["trades"]["seen"]["count"] == 4
