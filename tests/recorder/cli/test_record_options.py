"""The options of `recorder record`: each is a setting, a file gives what the line does not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from recorder.cli.options import SectionedOption
from recorder.cli.record import record_command
from recorder.cli.watch import watch_command
from recorder.live.settings import SETTINGS

OF_THE_COMMAND = {"config", "print_config", "as_json", "dry_run"}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(record_command, arguments)


def in_force(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--print-config")
    assert result.exit_code == 0, result.output
    return tomllib.loads(result.output)["record"]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "c.toml"
    path.write_text(
        """
        [record]
        out = "captures/from-file"
        channel = ["trades"]
        instrument = ["BTC-USDT"]
        segment_seconds = 30
        keep_free = "10G"
        rest = false
        digest = true
        journal = "block"
        [record.channels]
        books = ["BTC-USDT"]
        """
    )
    return str(path)


def test_every_option_is_a_setting_and_every_setting_an_option() -> None:
    names = {param.name for param in record_command.params}
    assert names - OF_THE_COMMAND == set(SETTINGS)


def test_every_option_has_a_section_and_the_help_is_aligned() -> None:
    options = [item for item in record_command.params if isinstance(item, click.Option)]
    assert all(isinstance(item, SectionedOption) for item in options)
    page = CliRunner().invoke(record_command, ["--help"], terminal_width=80).output
    lines = page.splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles[0] == "What to subscribe to:"
    assert titles[-1] == "Other options:"
    assert max(map(len, lines)) <= 80
    texts = [line for line in lines if line.startswith("  -") and "  " in line.strip()]
    # The text of every option starts in one column.
    assert {len(line) - len(line[28:].lstrip()) for line in texts if len(line) > 28} <= {30}, texts


def test_a_file_gives_what_the_command_line_does_not(config: str) -> None:
    found = in_force("--config", config, "--segment-seconds", "5", "--rest")
    assert found["out"] == "captures/from-file"
    assert found["segment_seconds"] == 5
    assert found["rest"] is True
    assert found["keep_free"] == 10**10
    assert (found["digest"], found["journal"]) == (True, "block")
    assert found["sync_ms"] == 200
    assert found["subscribe"] == ["books:BTC-USDT"]
    assert found["channel"] == ["trades"]


def test_the_directory_and_flags_of_a_file_can_be_replaced(config: str) -> None:
    found = in_force("captures/other", "--config", config, "--no-digest")
    assert (found["out"], found["digest"]) == ("captures/other", False)


def test_what_is_subscribed_to_replaces_the_file_as_a_whole(config: str) -> None:
    found = in_force("--config", config, "-s", "tickers:ETH-USDT")
    assert found["subscribe"] == ["tickers:ETH-USDT"]
    assert "channel" not in found
    assert "instrument" not in found


def test_what_is_printed_is_a_file_that_means_the_same(config: str, tmp_path: Path) -> None:
    found = in_force("--config", config)
    again = tmp_path / "again.toml"
    printed = run("--config", config, "--print-config").output
    assert max(map(len, printed.splitlines())) < 80  # a long list has an item a line
    again.write_text(printed)
    assert in_force("--config", str(again)) == found


def test_watch_takes_the_options_of_record_that_mean_something_there() -> None:
    names = {param.name for param in watch_command.params}
    assert names - {"as_json", "depth"} <= set(SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("c", "-s", "books:X", "--keep-free", "10Q"), "expected a size such as 10G"),
        (("c", "-s", "books:X", "--journal", "fast"), "'fast' is not one of"),
        (("c", "-s", "books:X", "--on-disk-full", "panic"), "'panic' is not one of"),
    ],
)
def test_values_that_are_none(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
