"""`recorder channels`: the table of `okx.channels`, all of it, for people and for programs."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

import recorder.cli
from recorder.okx.channels import CHANNELS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(recorder.cli.cli, ["channels", *arguments])


def names(*arguments: str) -> list[str]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [row["channel"] for row in json.loads(result.stdout)]


def test_json_holds_every_channel_with_what_is_known() -> None:
    rows = {row["channel"]: row for row in json.loads(run("--json").stdout)}
    assert list(rows) == list(CHANNELS)
    assert rows["books"] == {
        "channel": "books",
        "endpoint": "public",
        "login": False,
        "argument": "instId",
        "required": ["instId"],
        "optional": [],
        "defaults": {},
        "pace": "100 ms",
        "depth": 400,
        "incremental": True,
        "note": CHANNELS["books"].note,
    }
    assert rows["orders"]["defaults"] == {"instType": "ANY"}


def test_filters() -> None:
    assert set(names("--endpoint", "private")) == {
        name for name, channel in CHANNELS.items() if channel.endpoint == "private"
    }
    assert set(names("--login")) | set(names("--no-login")) == set(CHANNELS)
    assert all(CHANNELS[name].is_book for name in names("--books"))
    assert names("candle1m", "--no-login")[0] == "candle1m"
    assert all("sprd" in name or "tickers" in name for name in names("sprd", "tickers"))


def test_the_table_folds_candles_and_has_no_trailing_blanks() -> None:
    output = run().output
    lines = output.splitlines()
    assert all(line == line.rstrip() for line in lines)
    listed = [line.split()[0] for line in lines]
    assert listed[0] == "channel"
    assert {"candleBAR", "index-candleBAR", "books", "orders"} <= set(listed)
    assert len(listed) == 1 + len({*CHANNELS} - {n for n in CHANNELS if "candle" in n}) + 4
    assert "candle3Mutc" in run("candle3M").output


def test_an_unknown_name_is_told_with_what_is_near() -> None:
    result = run("boks")
    assert "did you mean books" in str(result.exception)
    result = run("fills", "--endpoint", "public")
    assert "some channel passes" in str(result.exception)
