"""Verify says what the venue sends that nobody knew, and is not troubled by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from recorder.capture.verify import verify
from recorder.cli.inspect import verify_command
from recorder.frame import Frame, Kind
from recorder.okx.novelty import Novelty

TRADE = b'{"arg":{"channel":"trades","instId":"E"},"data":[{"instId":"E","tradeId":"%d","px":"1",'


def frames() -> list[Frame]:
    rows = [b'"sz":"1","side":"buy","ts":"1"}]}', b'"sz":"1","side":"buy","ts":"1","mood":"x"}]}']
    texts = [TRADE % number + rows[number % 2] for number in range(6)]
    texts.append(b'{"arg":{"channel":"brand-new"},"data":[{"a":"1"}]}')
    return [Frame(seq, seq, seq, 0, Kind.TEXT, text) for seq, text in enumerate(texts)]


def test_new_fields_are_counted_and_change_nothing(tmp_path: Path, build: Any) -> None:
    build(tmp_path / "c", frames())
    report = verify(tmp_path / "c")
    assert report.ok
    assert report.new_fields == [
        Novelty("brand-new", "no type", 1, 6),
        Novelty("trades", "data.mood", 3, 1),
    ]


def test_the_command_shows_them(tmp_path: Path, build: Any) -> None:
    build(tmp_path / "c", frames())
    shown = CliRunner().invoke(verify_command, [str(tmp_path / "c")]).output
    assert "new in channel" in shown
    assert "data.mood" in shown
    output = CliRunner().invoke(verify_command, [str(tmp_path / "c"), "--json"]).output
    assert json.loads(output)["new_fields"][1] == {
        "channel": "trades",
        "what": "data.mood",
        "count": 3,
        "first_seq": 1,
    }
