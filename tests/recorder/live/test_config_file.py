"""Settings from TOML: strict, named by key and line, never a secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.options import WriterOptions
from recorder.errors import ConfigError, UsageError
from recorder.live.config_file import config_text, read_config
from recorder.live.settings import (
    SETTINGS,
    in_force,
    parse_size,
    record_arguments,
    watch_arguments,
)

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "record.toml"


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return str(path)


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_config(config(tmp_path, text))
    assert caught.value.file == str(tmp_path / "c.toml")
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_example_says_what_its_comments_say() -> None:
    settings = read_config(EXAMPLE)
    arguments = record_arguments(settings)
    assert arguments["out"] == "captures/majors"
    assert arguments["connect_timeout"] == 60
    options = arguments["writer_options"]
    assert isinstance(options, WriterOptions)
    assert (options.keep_free, options.retain_days) == (10_000_000_000, 30)
    wanted = [str(item) for item in arguments["subscriptions"]]
    assert "books:*-USDT-SWAP" in wanted
    assert "liquidation-orders:SWAP" in wanted
    assert "status" in wanted
    assert "private" not in arguments


def test_what_is_written_reads_back_as_the_same(tmp_path: Path) -> None:
    settings = read_config(EXAMPLE) | {"note": 'a "quoted" \\ line\n\x7f — Ü'}
    again = read_config(config(tmp_path, config_text(settings)))
    assert again == settings
    filled = in_force(settings)
    assert read_config(config(tmp_path, config_text(filled))) == filled
    assert filled["sync_ms"] == WriterOptions().sync_ms
    assert record_arguments(filled) == record_arguments(in_force(filled))


def test_flat_lists_and_channels_add_up(tmp_path: Path) -> None:
    text = """
        [record]
        out = "x"
        subscribe = ["trades:BTC-USDT"]
        channel = ["tickers"]
        instrument = ["ETH-USDT"]
        [record.channels]
        books = ["BTC-USDT", "BTC-*-SWAP"]
        account = []
        orders = ["BTC-USDT"]
    """
    wanted = record_arguments(read_config(config(tmp_path, text)))["subscriptions"]
    assert [str(item) for item in wanted] == [
        "trades:BTC-USDT",
        "books:BTC-USDT",
        "books:BTC-*-SWAP",
        "account",
        "orders:instType=ANY,instId=BTC-USDT",
        "tickers:ETH-USDT",
    ]


WRONG: dict[str, Any] = {
    "a number above 0": ["x", 0, -1, True, [1], float("nan")],
    "a number of at least 0": ["x", -1, True],
    "a whole number above 0": ["x", 0, 1.5, True],
    "a size above 0 such as 10G or 500M": ["x", 0, True, 1.5, "1.5"],
    "a size such as 10G or 500M": ["x", -1, "10 Q"],
    "true or false": ["yes", 1],
    "a port, 0 to 65535": ["x", -1, 65_536, 1.5, True],
    "text": [1, "", True, []],
    "a list of texts": ["BTC-USDT", [1], True],
}


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_wrong_value_is_named_by_key_and_line(tmp_path: Path, name: str) -> None:
    expected = SETTINGS[name].expected
    values = WRONG["text"] + ["nonsense"] if expected.startswith("one of") else WRONG[expected]
    for value in values:
        shown = {True: "true"}.get(value) if isinstance(value, bool) else None
        text = shown or ("nan" if value != value else repr(value).replace("'", '"'))
        error = refused(tmp_path, f"# a comment\n[record]\nappend = true\n{name} = {text}\n")
        line = 3 if name == "append" else 4
        if name == "append":  # given twice is no TOML
            assert "Cannot overwrite" in str(error)
            continue
        assert str(error).startswith(f"record.{name}: expected {expected}, received {text} in ")
        assert (error.key, error.line) == (f"record.{name}", line)


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("[record]\nsegment_second = 1", "received record.segment_second in", 2),
        ("[record]\nsegment_second = 1", "did you mean segment_seconds?", 2),
        ("[record]\nxyzzy = 1", "`recorder record --help` has them", 2),
        ("\n[recrod]\nout = 'x'", "expected the table [record], received recrod in", 2),
        ("record = 1", "record: expected a table such as [record], received 1", 1),
        ("[record.channels]\nboks = ['X']", "did you mean books?", 2),
        ("[record.channels]\nqqqqq = ['X']", "`recorder channels` lists them", 2),
        ("[record]\nchannels = ['books']", "a table of channel = [instruments]", 2),
        ("[record.channels]\nbooks = 'X'", 'expected a list of texts, e.g. ["BTC-USDT"]', 2),
        ("[record.channels]\nstatus = ['X']", "[] for a channel without an argument", 2),
        ("[record.channels]\nbooks = []", "expected instId for channel books, received none", 2),
        ("[record.channels]\nliquidation-orders = ['X']", "expected instType as one of", 2),
        ("[record\n", "expected TOML in", 1),
    ],
)
def test_unknown_keys_and_wrong_forms(tmp_path: Path, text: str, said: str, line: int) -> None:
    error = refused(tmp_path, text)
    assert said in str(error)
    assert error.line == line


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "api-key", "secret", "okx_secret_key", "passphrase", "PASSPHRASE",
     "password", "token", "sign", "credentials"],
)  # fmt: skip
@pytest.mark.parametrize("table", ["[record]", "[okx]", "[record.login]"])
def test_secrets_are_refused_and_never_shown(tmp_path: Path, key: str, table: str) -> None:
    error = refused(tmp_path, f"{table}\n{key} = 'hunter2'\n")
    assert "expected no secret" in str(error)
    assert "OKX_API_KEY" in str(error)
    assert "hunter2" not in str(error)
    assert error.line == 2


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "absent.toml")
    binary = tmp_path / "c.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_config(binary)
    binary.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="at most"):
        read_config(binary)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_config(tmp_path)


def test_no_value_reaches_an_error_unless_it_is_the_wrong_one(tmp_path: Path) -> None:
    text = "[record]\nnote = 'private matter'\nframes = 'x'\n"
    assert "private matter" not in str(refused(tmp_path, text))
    long = refused(tmp_path, f"[record]\nframes = '{'x' * 500}'\n")
    assert len(str(long)) < 300


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), (4096, 4096), ("10G", 10**10), ("500M", 5 * 10**8), ("1.5k", 1500),
     ("64MiB", 1 << 26), ("2Ti", 2 << 40), ("1 GB", 10**9), ("7B", 7), ("8kib", 8192)],
)  # fmt: skip
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5", "10X", "1e9", "10 G B", True])
def test_sizes_that_are_none(text: Any) -> None:
    with pytest.raises(UsageError, match="expected a"):
        parse_size(text)


def test_arguments_of_a_watch_hold_nothing_of_a_capture() -> None:
    settings = {"subscribe": ["trades:BTC-USDT"], "frames": 3, "private": False, "url": None}
    arguments = watch_arguments(settings)
    assert sorted(arguments) == ["frames", "link", "subscriptions"]


def test_every_default_in_force_is_toml() -> None:
    document = tomllib.loads(config_text(in_force({"out": "x", "subscribe": ("books:BTC-USDT",)})))
    assert document["record"]["journal"] == "write-through"
    assert document["record"]["subscribe"] == ["books:BTC-USDT"]
