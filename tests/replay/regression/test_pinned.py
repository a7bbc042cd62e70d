"""Goal: datasets and real sessions mean today what they meant when these expectations were made.

Method: `replay check` with the figures of tests/expected/checks: counts and digests, no data. After
a change that is meant, `replay check CAPTURE… --expect tests/expected/checks --update --figures`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.capture.reshape.importer import import_sessions
from replay.regression.checking import check
from replay.regression.expectation import read_expectation
from replay.regression.surveying import census

EXPECTED = Path(__file__).resolve().parents[2] / "expected" / "checks"
DATASETS = ("btc-calm", "eth-stress", "every-channel")
SESSIONS = (
    "2021-07-22-tbt-link-a",
    "2021-07-22-tbt-link-b",
    "2022-05-13-books-trades-tickers",
)


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_means_what_it_meant(datasets: Path, name: str) -> None:
    report = check(datasets / name, expect=EXPECTED)
    assert report.ok, report.first or report.other_frames
    assert report.frames > 0


@pytest.mark.parametrize("name", SESSIONS)
def test_a_real_session_means_what_it_meant(real_traffic: Path, tmp_path: Path, name: str) -> None:
    import_sessions([real_traffic / "sessions" / f"{name}.jsonl"], tmp_path / name)
    report = check(tmp_path / name, expect=EXPECTED)
    assert report.ok, report.first or report.other_frames
    assert census(tmp_path / name, against=EXPECTED / f"{name}.json").new == []


def test_every_expectation_is_pinned_by_a_test_and_holds_no_data() -> None:
    assert {path.stem for path in EXPECTED.iterdir()} == {*DATASETS, *SESSIONS}
    for path in EXPECTED.iterdir():
        assert read_expectation(path).events_file is None
