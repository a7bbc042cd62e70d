"""Goal: `record --tables` makes tables of everything it sealed, and nothing that happens to the
process that makes them harms a recording.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from recorder.capture.derived import index_path, list_parts
from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.capture.writer import WriterOptions
from recorder.cli import cli
from recorder.errors import ExitCode
from recorder.live import LinkOptions, record
from recorder.live.tables_process import TablesProcess
from replay.server import serve

WANTED = ["trades:BTC-USDT", "bbo-tbt:BTC-USDT"]
SMALL = WriterOptions(segment_bytes=60_000)


async def test_what_was_sealed_has_its_tables_when_the_recording_has_ended(
    datasets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    async with serve(
        datasets / "btc-calm", port=0, speed="max", at_end="close", wait_for_subscribers=2
    ) as server:
        report = await record(
            out, WANTED, url=server.url, rest=False, until_closed=True, tables=True,
            link=LinkOptions(resync=False), writer_options=SMALL, notify=said.append,
        )  # fmt: skip
    assert report.exit_code is ExitCode.DONE
    assert not [line for line in said if "tables" in line]
    sealed = Capture(out).snapshot().sealed
    assert len(sealed) > 1
    assert {segment for folder, _, segment, _ in list_parts(out) if folder == "trades"}
    for source in sealed:
        date = Path(source.path).parent.name
        assert (out / index_path(date, source.segment)).is_file()
    assert verify(out).ok


async def test_a_process_that_fails_is_told_once_and_harms_nothing(
    datasets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(datasets / "btc-calm", out)
    (out / "tables").write_text("in the way")
    said: list[str] = []
    async with serve(
        datasets / "btc-calm", port=0, speed="max", at_end="close", wait_for_subscribers=2
    ) as server:
        report = await record(
            out, WANTED, url=server.url, rest=False, until_closed=True, tables=True, append=True,
            link=LinkOptions(resync=False), notify=said.append,
        )  # fmt: skip
    assert report.exit_code is ExitCode.DONE
    told = [line for line in said if "makes tables" in line]
    assert len(told) == 1
    assert "expected to write the tables" in told[0]
    assert verify(out).ok


def test_one_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    process = TablesProcess(str(tmp_path))
    process.finish()
    said: list[str] = []
    process.tell(said.append)
    process.tell(said.append)
    assert len(said) == 1
    assert "could not be started" in said[0]


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    process = TablesProcess(str(tmp_path), patience_s=0.2)
    started = time.monotonic()
    process.finish()
    assert time.monotonic() - started < 60
    said: list[str] = []
    process.tell(said.append)
    assert ["was not done" in line for line in said] == [True]


def test_the_option_is_there() -> None:
    command = cli.get_command(None, "record")  # type: ignore[arg-type]
    assert command is not None
    assert any("--tables" in param.opts for param in command.params)
