"""Goal: what a person sees of a replay is right, on any width; what a program gets is JSON."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from recorder.clock import NS_PER_SECOND
from replay.cli import cli
from replay.cli import screen as screen_module
from replay.cli.screen import Screen
from replay.play_report import Progress

START = 1_790_000_000 * NS_PER_SECOND
END = START + 200 * NS_PER_SECOND


def lines(position: Progress, width: int = 100, *, follows: bool = False) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Screen(START, END, has_keys=True, follows=follows).picture(position))
    console.file.close()
    return [line.rstrip() for line in console.export_text().splitlines()]


def at(seconds: float, **more: object) -> Progress:
    return Progress(7, START + int(seconds * NS_PER_SECOND), 1_234, 5_678, 9.98, **more)  # type: ignore[arg-type]


def test_it_shows_position_share_speeds_and_lateness() -> None:
    where, figures, keys = lines(at(50, speed=Fraction(10), lag=3_000_000))
    assert where.startswith("▶ 2026-09-21 14:14:10.0Z ━")
    assert where.endswith("25.0 % 0:50 of 3:20")
    assert figures == "  10x asked, 9.98x reached, 3 ms late   1,234 frames   5,678 events"
    assert keys.startswith("  space pause  ←/→ 10 s")
    assert "on time" in lines(at(50, speed=Fraction(10), lag=999_999))[1]
    assert "2.5 s late" in lines(at(50, speed=Fraction(1, 2), lag=2_500_000_000))[1]
    assert lines(at(50))[1].startswith("  max asked, 9.98x reached   ")


def test_it_shows_a_pause_and_a_recorder_caught_up_with() -> None:
    where, figures, _ = lines(at(100, speed=Fraction(2), is_paused=True))
    assert where.startswith("⏸ ")
    assert figures.startswith("  paused at 2x")
    where, figures, _ = lines(at(250, is_live=True), follows=True)
    assert where.startswith("● ")
    assert where.endswith("live 4:10")
    assert "behind now" in figures


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "talk", Console(width=width))
    shown = lines(at(199, speed=Fraction(1)), width)
    assert len(shown) == 3
    assert max(map(len, shown)) <= width


def test_several_captures_and_lateness_as_json(datasets: Path) -> None:
    paths = [str(datasets / "btc-calm"), str(datasets / "eth-stress")]
    done = CliRunner().invoke(
        cli, ["play", *paths, "--json", "--lateness", "--speed", "100000", "--channel", "trades"]
    )
    report = json.loads(done.stdout)
    assert [source["capture"] for source in report["sources"]] == paths
    assert report["frames"] == sum(source["frames"] for source in report["sources"])
    assert report["lateness"]["frames"] >= report["frames"]
    alone = json.loads(
        CliRunner().invoke(cli, ["play", paths[1], "--json", "--channel", "trades"]).stdout
    )
    assert report["sources"][1]["output_digest"] == alone["output_digest"]
    assert alone["lateness"] is None
    said = CliRunner().invoke(cli, ["play", *paths, "--lateness", "--speed", "100000/s"]).stdout
    assert "late by" in said
    assert "p99.9" in said
    assert all(f"{path} " in said for path in paths)


def test_following_a_finished_capture_is_playing_it(datasets: Path) -> None:
    path = str(datasets / "btc-calm")
    plain, followed = (
        json.loads(CliRunner().invoke(cli, ["play", path, "--json", *more]).stdout)
        for more in ([], ["--follow"])
    )
    assert plain["output_digest"] == followed["output_digest"]
    for form in ("payloads", "frames", "events"):
        read, tailed = (
            CliRunner().invoke(cli, ["cat", path, "--as", form, *more]).stdout_bytes
            for more in ([], ["--follow"])
        )
        assert read == tailed
    both, followed = (
        json.loads(CliRunner().invoke(cli, ["play", path, path, "--json", *more]).stdout)
        for more in ([], ["--follow"])
    )
    assert both["output_digest"] == followed["output_digest"]
    refused = CliRunner().invoke(cli, ["play", path, "--follow", "--loop", "2"])
    assert "follow once" in str(refused.exception)
