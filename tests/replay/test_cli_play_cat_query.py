"""Goal: `play`, `cat` and `query` keep their contract at a terminal: data, exit codes, sentences.

Method: the installed commands as processes, over captures of invented sessions.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from invented_session import START, Invented, S, write_capture

from recorder.capture.reader import Capture
from recorder.clock import format_time
from recorder.event import encode_event
from recorder.frame import LABELS, Frame, Kind

STRATEGY = """
class Counter:
    def __init__(self):
        self.trades = 0
    def on_event(self, event, context):
        if type(event).__name__ == "Trade":
            self.trades += 1
            print(self.trades, event.price, context.clock.now())

def failing(event, context):
    if type(event).__name__ == "Trade":
        raise KeyError("lot size")

def prompt(event, context):
    print("an event", flush=True)

def unfinished(event, context)  :
    return event.no_such_field
"""


def replay(
    *arguments: object, cwd: Path | None = None, text: str = "", code: int | None = 0
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "replay", *map(str, arguments)],
        input=text.encode(),
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=120,
    )
    if code is not None:
        assert done.returncode == code, done.stderr.decode()
    assert b"Traceback (most" not in done.stderr
    return done


def sentence(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = done.stderr.decode().strip().splitlines()
    assert len(lines) == 1, lines
    assert done.stdout == b""
    return lines[0]


@pytest.fixture(scope="module")
def session() -> Invented:
    return Invented(1_200, seed=5)


@pytest.fixture(scope="module")
def whole(session: Invented) -> list[Frame]:
    """Without lost rows, so that the exit code is 0."""
    kept = [frame for frame in session.frames if frame.kind is not Kind.LOST]
    return [
        Frame(seq, f.ts_recv, f.ts_mono, f.connection, f.kind, f.payload)
        for seq, f in enumerate(kept)
    ]


@pytest.fixture(scope="module")
def path(whole: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "my_strategies.py").write_text(STRATEGY)
    return write_capture(folder / "c", whole, segment_seconds=4)


def test_play_of_a_window_with_nothing_in_it_says_where_the_capture_lies(path: Path) -> None:
    done = replay("play", path, "--start", "2099-01-01")
    assert b"0 frames" in done.stdout
    said = done.stderr.decode()
    assert "warning: no frame was played" in said
    assert str(format_time(START))[:16] in said


def test_play_without_a_strategy_counts(path: Path) -> None:
    out = replay("play", path).stdout.decode()
    trades = sum(1 for event in Capture(path).events() if type(event).__name__ == "Trade")
    assert f"{trades:,}" in next(line for line in out.splitlines() if line.startswith("Trade"))
    assert re.search(r"events in [\d.]+ s: [\d,]+ events/s, [\d,]+\.\dx$", out, re.MULTILINE)
    assert "digest" not in out


def test_play_json_has_the_keys_of_the_contract(path: Path) -> None:
    report = json.loads(replay("play", path, "--json", "--speed", "100000").stdout)
    info = Capture(path).info()
    assert report["input_digest"] == info.input_digest
    assert len(report["output_digest"]) == 64
    assert (report["frames"], report["events"]) == (info.frames, info.events)
    assert report["requested_speed"] == 100000
    assert {"seconds", "achieved_speed", "max_lag_ms"} < set(report)


def test_play_imports_a_strategy_from_here(path: Path) -> None:
    done = replay("play", path, "--strategy", "my_strategies:Counter", cwd=path.parent)
    trades = [event for event in Capture(path).events() if type(event).__name__ == "Trade"]
    assert done.stdout.decode().splitlines() == [
        f"{n} {event.price} {event.ts_recv}"  # type: ignore[attr-defined]
        for n, event in enumerate(trades, 1)
    ]
    assert b"events/s" in done.stderr


def test_a_fault_of_the_strategy_is_shown_with_its_own_lines(path: Path) -> None:
    done = replay("play", path, "--strategy", "my_strategies:failing", cwd=path.parent, code=1)
    said = done.stderr.decode()
    assert "my_strategies.py" in said
    assert "KeyError: 'lot size'" in said
    assert "player.py" not in said
    assert "Trade at seq" in said.splitlines()[-1]
    assert said.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["--strategy", "my_strategies:Nothing"], "expected 'Nothing' in module"),
        (["--strategy", "no_such_module:X"], "importable module"),
        (["--strategy", "word"], "MODULE:NAME"),
        (["--speed", "fast"], "expected a speed"),
        (["--channel", "no-such"], "expected a channel"),
        (["--instrument", "NO-SUCH"], "expected an instrument"),
        (["--start", str(START + S), "--end", str(START)], "start"),
    ],
)
def test_mistakes_are_one_sentence(path: Path, arguments: list[str], phrase: str) -> None:
    done = replay("play", path, *arguments, cwd=path.parent, code=2)
    assert phrase in sentence(done)


@pytest.mark.parametrize("command", [["play"], ["cat"], ["query"]])
def test_no_capture_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    sql = ["select 1"] if command == ["query"] else []
    done = replay(*command, tmp_path, *sql, code=2)
    assert "expected a capture" in sentence(done)


def test_cat_payloads_are_the_exact_bytes(path: Path, whole: list[Frame]) -> None:
    payloads = [frame.payload for frame in whole if frame.kind is Kind.TEXT]
    done = replay("cat", path)
    assert done.stdout == b"".join(payload + b"\n" for payload in payloads)
    assert done.stderr == b""
    null = replay("cat", path, "--as", "payloads", "--null")
    assert null.stdout == b"".join(payload + b"\0" for payload in payloads)


def test_cat_warns_once_of_newlines_in_payloads(tmp_path: Path) -> None:
    frames = [
        Frame(seq, START, 0, 0, Kind.TEXT, payload)
        for seq, payload in enumerate((b"a", b"b\nc", b"d\n", b"e"))
    ]
    path = write_capture(tmp_path / "c", frames)
    done = replay("cat", path)
    assert done.stdout == b"a\nb\nc\nd\n\ne\n"
    assert done.stderr.count(b"newline") == 1
    assert replay("cat", path, "--null").stderr == b""


def test_cat_frames_have_exactly_the_keys(path: Path, whole: list[Frame]) -> None:
    rows = [json.loads(line) for line in replay("cat", path, "--as", "frames").stdout.splitlines()]
    keys = ["seq", "ts_recv", "ts_mono", "connection", "kind", "channel", "instrument"]
    assert len(rows) == len(whole)
    for row, frame in zip(rows, whole, strict=True):
        assert list(row)[:7] == keys
        assert list(row)[7:] in (["payload"], ["payload_base64"])
        if "payload" in row:
            assert row["payload"].encode() == frame.payload
        else:
            assert base64.b64decode(row["payload_base64"]) == frame.payload
        assert (row["seq"], row["kind"]) == (frame.seq, LABELS[frame.kind])
    assert any("payload_base64" in row for row in rows)
    lifecycle = replay("cat", path, "--as", "frames", "--kind", "run", "--kind", "opened")
    kinds = [json.loads(line)["kind"] for line in lifecycle.stdout.splitlines()]
    assert kinds == [LABELS[f.kind] for f in whole if f.kind in (Kind.RUN, Kind.OPENED)]


def test_cat_events_are_the_events(path: Path) -> None:
    lines = replay("cat", path, "--as", "events").stdout.splitlines()
    assert lines == [encode_event(event) for event in Capture(path).events()]


def test_windows_and_filters_mean_the_same_everywhere(path: Path) -> None:
    start, end = START + 2 * S, START + 6 * S
    window = ["--start", format_time(start), "--end", end]
    narrow = [*window, "--channel", "trades", "--instrument", "BTC-USDT"]
    events = replay("cat", path, "--as", "events", *narrow).stdout.splitlines()
    frames = replay("cat", path, "--as", "frames", *narrow).stdout.splitlines()
    played = json.loads(replay("play", path, "--json", *narrow).stdout)
    assert 0 < played["frames"] == len(frames)
    assert played["events"] == len(events)
    first, last = (json.loads(frames[at])["seq"] for at in (0, -1))
    sql = (
        "SELECT (SELECT count(*) FROM frames WHERE channel = 'trades' AND "
        f"instrument = 'BTC-USDT' AND ts_recv >= {start} AND ts_recv < {end}) AS frames, "
        "(SELECT count(*) FROM trades t SEMI JOIN (SELECT seq FROM frames WHERE "
        f"instrument = 'BTC-USDT') USING (seq) WHERE seq BETWEEN {first} AND {last}) AS trades"
    )
    (row,) = json.loads(replay("query", path, sql, "--format", "json").stdout)
    acknowledged = sum(b'"Subscribed"' in line for line in events)
    assert row["frames"] == len(frames)
    assert row["trades"] + acknowledged == len(events)


def test_declared_loss_and_damage_are_exit_codes(session: Invented, tmp_path: Path) -> None:
    path = write_capture(tmp_path / "c", session.frames, segment_seconds=4)
    for command in (["play"], ["cat"], ["cat", "--as", "events"]):
        done = replay(command[0], path, *command[1:], code=3)
        assert done.stdout
        assert b"lost rows" in done.stderr
    replay("query", path, "select count(*) from trades", code=3)
    file = path / Capture(path).snapshot().sealed[0].path
    file.write_bytes(file.read_bytes()[:-50])
    for command in (["play"], ["cat"], ["cat", "--as", "events"]):
        done = replay(command[0], path, *command[1:], code=1)
        assert done.stdout
        assert file.name.encode() in done.stderr
    done = replay("query", path, "select count(*) from frames", code=1)
    assert file.name.encode() in done.stderr
    assert done.stdout


def test_query_formats(path: Path, tmp_path: Path) -> None:
    sql = (
        "SELECT 1 AS one, 0.1::DOUBLE AS tenth, 123456789012345678901234567890::HUGEINT AS big, "
        "1.50::DECIMAL(9, 2) AS exact, 'ü\"'::VARCHAR AS text, '\\x00\\xFF'::BLOB AS bytes, "
        "make_timestamp_ns(1790000000123456789) AS t, DATE '2026-11-22' AS d, NULL AS nothing, "
        "[1, 2] AS list, {'a': 'x'} AS struct, true AS yes"
    )
    text = replay("query", path, sql, "--format", "json").stdout.decode()
    assert json.loads(text) == [
        {
            "one": 1,
            "tenth": 0.1,
            "big": 123456789012345678901234567890,
            "exact": 1.5,
            "text": 'ü"',
            "bytes": "AP8=",
            "t": "2026-09-21T14:13:20.123456789Z",
            "d": "2026-11-22",
            "nothing": None,
            "list": [1, 2],
            "struct": {"a": "x"},
            "yes": True,
        }
    ]
    assert '"exact":1.50,' in text
    csv_lines = replay("query", path, sql, "--format", "csv").stdout.decode().splitlines()
    assert csv_lines[0].startswith("one,tenth,big,exact")
    assert csv_lines[1].startswith("1,0.1,123456789012345678901234567890,1.50,")
    table = replay("query", path, sql).stdout.decode()
    assert "HUGEINT" in table
    assert "(1 row)" in table
    rows = "SELECT seq, payload FROM frames ORDER BY seq"
    parquet = pq.read_table(io.BytesIO(replay("query", path, rows, "--format", "parquet").stdout))
    assert parquet.column("payload").to_pylist() == [f.payload for f in Capture(path).frames()]
    target = tmp_path / "out.parquet"
    replay("query", path, rows, "--format", "parquet", "-o", target)
    assert pq.read_table(target).equals(parquet)
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]


def test_query_of_no_rows_and_of_standard_input(path: Path) -> None:
    none = "SELECT * FROM trades WHERE seq < 0"
    assert json.loads(replay("query", path, none, "--format", "json").stdout) == []
    assert replay("query", path, "-", text=none, code=0).stdout.endswith(b"(0 rows)\n")
    assert replay("query", path, "SET threads = 1", "--format", "json").stdout in (
        b"[]\n",
        b"[\n]\n",
    )
    assert "empty" in sentence(replay("query", path, "-", text="  ", code=2))


def test_bad_sql_leaves_no_file(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    done = replay("query", path, "SELECT * FROM trade", "--format", "csv", "-o", target, code=2)
    assert "Table with name trade does not exist" in sentence(done)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_ends_quietly(path: Path) -> None:
    for arguments in (
        ["cat", path],
        ["cat", path, "--as", "frames"],
        ["cat", path, "--as", "events"],
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "replay", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        process.stderr.close()
        assert process.wait(60) in (0, 3)


def test_an_interrupt_ends_a_paced_replay(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "replay", "play", str(path), "--speed", "0.01",
         "--strategy", "my_strategies:prompt"],
        cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"an event\n"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said
