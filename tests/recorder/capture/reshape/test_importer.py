"""Import: exact times, exact payloads, and nothing left behind of what is malformed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.verify import verify
from recorder.capture.writer import WriterOptions
from recorder.errors import CaptureExists, SourceError, UsageError
from recorder.frame import Frame, Kind

EXPECTED = json.loads((Path(__file__).parents[3] / "expected" / "sessions.json").read_text())


def source(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def imported(tmp_path: Path, *lines: str) -> list[Frame]:
    import_sessions([source(tmp_path / "in.jsonl", *lines)], tmp_path / "out")
    return list(Capture(tmp_path / "out").frames())


def test_times_are_read_as_decimal_text(tmp_path: Path) -> None:
    texts = {
        "1652459224.5300605": 1652459224530060500,
        '"1652459224.123456789"': 1652459224123456789,  # a float would end in ...800
        "1652459225": 1652459225000000000,
        "1652459225.9999999999": 1652459225999999999,
        "1.652459226e9": 1652459226000000000,
        '"1652459227."': 1652459227000000000,
    }
    frames = imported(tmp_path, *(f'{{"t":{text},"payload":"x"}}' for text in texts))
    assert [frame.ts_recv for frame in frames] == list(texts.values())


def test_fields_of_a_line(tmp_path: Path) -> None:
    frames = imported(
        tmp_path,
        '{"ts_recv":50,"kind":"opened","connection":2,"payload":"wss://x/ws/v5/public"}',
        '{"ts_recv":70,"payload":"caf\\u00e9 \\"q\\" \\n é","more":1}',
        '{"ts_recv":60,"kind":"binary","payload_base64":"AP8="}',
        "",
        '{"ts_recv":80,"kind":"closed","payload":{"code":1000,  "by":"venue"}}',
        '{"ts_recv":80,"kind":"lost","connection":-1,"payload":"{}"}',
    )
    assert frames == [
        Frame(
            0,
            50,
            50,
            2,
            Kind.OPENED,
            b'{"url":"wss://x/ws/v5/public","endpoint":"public","link":null}',
        ),
        Frame(1, 70, 70, 0, Kind.TEXT, 'café "q" \n é'.encode()),
        Frame(2, 60, 70, 0, Kind.BINARY, b"\x00\xff"),
        Frame(3, 80, 80, 0, Kind.CLOSED, b'{"code":1000,  "by":"venue"}'),
        Frame(4, 80, 80, -1, Kind.LOST, b"{}"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "truncated"),
        ("[]", "object"),
        ('{"t":1,"kind":"txt","payload":"x"}', "kind 'txt' is none of text, binary"),
        ('{"payload":"x"}', "neither t nor ts_recv"),
        ('{"t":null,"payload":"x"}', "not Unix seconds"),
        ('{"t":"noon","payload":"x"}', "not Unix seconds"),
        ('{"t":"nan","payload":"x"}', "not Unix seconds"),
        ('{"t":1}', "payload is no string"),
        ('{"t":1,"payload":5}', "payload is no string"),
        ('{"t":1,"payload":{"a":1}}', "payload is no string"),
        ('{"t":1,"connection":-2,"payload":"x"}', "connection -2"),
        ('{"t":1,"connection":"a","payload":"x"}', "connection"),
        ('{"ts_recv":9223372036854775808,"payload":"x"}', "out of range"),
        ('{"t":99999999999999999999,"payload":"x"}', "Unix seconds|out of range"),
    ],
)
def test_a_malformed_line_is_named_and_nothing_stays(tmp_path: Path, line: str, said: str) -> None:
    good = '{"t":1,"payload":"x"}'
    path = source(tmp_path / "in.jsonl", good, good, line, good)
    with pytest.raises(SourceError, match=said) as caught:
        import_sessions([path], tmp_path / "out")
    assert (caught.value.source, caught.value.line) == (str(path), 3)
    assert f"{path} line 3" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_invalid_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"t":1,"payload":"\xff"}\n')
    with pytest.raises(SourceError, match="line 1"):
        import_sessions([path], tmp_path / "out")


def test_a_missing_source_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.jsonl"):
        import_sessions([tmp_path / "absent.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_directory_stays_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(SourceError):
        import_sessions([source(tmp_path / "in.jsonl", "{")], out)
    assert list(out.iterdir()) == []
    (out / "mine").write_text("x")
    with pytest.raises(CaptureExists):
        import_sessions([source(tmp_path / "in.jsonl", '{"t":1,"payload":"x"}')], out)


def test_append_finds_the_bad_line_before_it_writes(tmp_path: Path) -> None:
    good = source(tmp_path / "good.jsonl", *(f'{{"t":{i},"payload":"{i}"}}' for i in range(9)))
    bad = source(tmp_path / "bad.jsonl", '{"t":1,"payload":"x"}', "{")
    import_sessions([good], tmp_path / "out")
    with pytest.raises(SourceError, match="line 2"):
        import_sessions([bad], tmp_path / "out", append=True)
    assert Capture(tmp_path / "out").info().frames == 9
    import_sessions([good], tmp_path / "out", append=True)
    frames = list(Capture(tmp_path / "out").frames())
    assert [frame.connection for frame in frames] == [0] * 9 + [1] * 9
    assert [frame.payload for frame in frames[9:]] == [frame.payload for frame in frames[:9]]


def test_sources_are_merged_by_time_and_become_connections(tmp_path: Path) -> None:
    a = source(
        tmp_path / "a.jsonl",
        '{"t":2,"connection":4,"payload":"a2"}',
        '{"t":1,"connection":4,"payload":"a1 late"}',
        '{"t":5,"connection":9,"payload":"a5"}',
        '{"t":6,"connection":-1,"kind":"run","payload":"{}"}',
    )
    b = source(
        tmp_path / "b.jsonl",
        '{"t":1,"connection":4,"payload":"b1"}',
        '{"t":2,"connection":4,"payload":"b2"}',
        '{"t":3,"connection":4,"payload":"b3"}',
    )
    report = import_sessions([a, b], tmp_path / "out")
    frames = list(Capture(tmp_path / "out").frames())
    assert [(f.payload.decode(), f.connection) for f in frames] == [
        ("b1", 1), ("a2", 0), ("a1 late", 0), ("b2", 1), ("b3", 1), ("a5", 2), ("{}", -1),
    ]  # fmt: skip
    assert [f.ts_mono for f in frames] == sorted(f.ts_mono for f in frames)
    assert (report.frames, report.connections) == (7, 3)


def test_segments_follow_data_time(tmp_path: Path) -> None:
    path = source(tmp_path / "in.jsonl", *(f'{{"t":{i},"payload":"x"}}' for i in range(100)))
    report = import_sessions(
        [path], tmp_path / "out", options=WriterOptions(segment_seconds=10), reproducible=True
    )
    assert report.segments == 10
    assert list((tmp_path / "out/journal").iterdir()) == []
    assert verify(tmp_path / "out").exit_code == 0


def test_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the form jsonl"):
        import_sessions([], tmp_path / "out", form="csv")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_real_sessions(tmp_path: Path, real_traffic: Path, name: str) -> None:
    path = real_traffic / "sessions" / f"{name}.jsonl"
    import_sessions([path], tmp_path / "out", options=WriterOptions(segment_seconds=10))
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_bytes().splitlines()]
    frames = list(Capture(tmp_path / "out").frames())
    assert len(frames) == len(lines)
    for frame, line in zip(frames, lines, strict=True):
        if line["kind"] != "opened":
            assert frame.payload == line["payload"].encode()
        assert frame.kind.label == line["kind"]
    expected = EXPECTED[name]
    info, report = Capture(tmp_path / "out").info(), verify(tmp_path / "out")
    assert report.exit_code == 0
    assert info.input_digest == report.input_digest == expected["input_digest"]
    assert (info.frames, info.events) == (expected["frames"], expected["events"])
    assert report.checksums == {"match": expected["book_frames"], "mismatch": 0, "absent": 0}
    assert report.unrecognized == 0
