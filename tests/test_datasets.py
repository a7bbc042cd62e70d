"""The committed captures: sound, small, described, and exactly what their recipes make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datasets.build import KEPT, RECIPES, build, main
from recorder.capture.reader import Capture
from recorder.capture.verify import verify
from recorder.event import BookReset, ConnectFailed, Disconnected, Pong, SequenceGap, Unrecognized
from recorder.frame import Kind

NAMES = sorted(RECIPES)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    for name in NAMES:
        build(name, folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuilt_dataset_has_the_committed_digest_and_payloads(
    name: str, datasets: Path, rebuilt: Path
) -> None:
    committed, made = Capture(datasets / name), Capture(rebuilt / name)

    assert made.info().input_digest == committed.info().input_digest
    assert list(made.frames()) == list(committed.frames())
    assert made.header == committed.header


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_tells_what_is_committed(name: str, datasets: Path) -> None:
    text = (datasets / "README.md").read_text()
    (row,) = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
    *_, frames, size, digest, _ = [cell.strip() for cell in row.split("|")]
    files = [path for path in (datasets / name).rglob("*") if path.is_file()]
    info = Capture(datasets / name).info()

    assert frames == f"{info.frames:,}"
    assert size == f"{sum(path.stat().st_size for path in files):,}"
    assert digest == f"`{info.input_digest}`"
    assert f"--seed {RECIPES[name]['seed']}" in text
    assert RECIPES[name]["note"] in text


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_verifies(name: str, datasets: Path) -> None:
    report = verify(datasets / name)

    assert report.ok
    assert report.problems == []
    assert report.unrecognized == 0


@pytest.mark.parametrize("name", NAMES)
def test_only_what_a_reader_needs_is_committed(name: str, datasets: Path) -> None:
    assert {path.name for path in (datasets / name).iterdir()} <= set(KEPT)
    assert sum(path.stat().st_size for path in (datasets / name).rglob("*.*")) < 1_000_000


def test_the_calm_session_is_whole(datasets: Path) -> None:
    events = list(Capture(datasets / "btc-calm").events())

    assert any(isinstance(event, Pong) for event in events)
    assert not [e for e in events if isinstance(e, SequenceGap | BookReset | Unrecognized)]
    assert {e.code for e in events if isinstance(e, Disconnected)} == {1000}


def test_the_stressed_session_has_its_mishaps(datasets: Path) -> None:
    events = list(Capture(datasets / "eth-stress").events())
    counts = {
        kind: sum(isinstance(event, kind) for event in events)
        for kind in (SequenceGap, BookReset, ConnectFailed, Disconnected, Unrecognized)
    }

    assert counts == {
        SequenceGap: 1,
        BookReset: 1,
        ConnectFailed: 1,
        Disconnected: 3,
        Unrecognized: 0,
    }


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_machine_is_in_a_dataset(name: str, datasets: Path) -> None:
    capture = Capture(datasets / name)
    run = next(capture.frames(kinds=[Kind.RUN]))

    assert capture.header.host is None
    assert b"simulator" in run.payload
    assert str(Path.home()).encode() not in run.payload


def test_an_unknown_dataset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["btc-wild"]) == 2
    assert "btc-calm" in capsys.readouterr().err
