"""Two sockets that really received the same, with losses cut into either: one whole stream."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from recorder.capture.reader import Capture
from recorder.capture.reshape.importer import import_sessions
from recorder.capture.reshape.merge import merge_captures
from recorder.capture.verify import verify
from recorder.event import BookUpdate, Trade
from replay.player import play

SESSION = "2021-07-22-tbt-link-"


class Line(NamedTuple):
    t: float
    row: dict[str, Any]


def lines_of(path: Path) -> list[Line]:
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    return [Line(float(row["t"]), row) for row in rows]


def told(row: dict[str, Any]) -> tuple[str, str] | None:
    """Return channel and instrument of a book's update; None of anything else."""
    if not row["payload"].startswith('{"arg"') or '"action":"update"' not in row["payload"]:
        return None
    argument = json.loads(row["payload"])["arg"]
    return argument["channel"], argument["instId"]


def damaged(
    lines: list[Line], seed: int, spared: Set[str]
) -> tuple[list[Line], set[str], set[str]]:
    """Return a session with holes, reorders and stalls, what is gone, and what was touched.

    Args:
        spared: payloads that must stay, and in their place: the other link has lost them, or has
            them in another place, which nothing but venue time and the first link can tell.
    """
    random = Random(seed)
    # Without numbers, the last update of all is certain only when both links have brought it.
    last = {told(line.row): line.row["payload"] for line in lines}
    spared = {*spared, *last.values()}
    kept: list[Line] = []
    lost: set[str] = set()
    swapped: set[str] = set()
    stalled_until = 0.0
    for number, line in enumerate(lines):
        payload, book = line.row["payload"], told(line.row)
        # Both sockets must have their books: what one brings before that, nobody else can have.
        if book is not None and number > 150:
            if payload not in spared and random.random() < 0.08:
                lost.add(payload)
                continue
            if random.random() < 0.01:
                stalled_until = line.t + random.uniform(0.05, 1.2)
        at = max(line.t, stalled_until)
        kept.append(Line(at, line.row))
    for at in range(160, len(kept) - 1):
        first, second = kept[at], kept[at + 1]
        near = {kept[n].row["payload"] for n in range(at - 2, min(at + 4, len(kept)))}
        if random.random() < 0.03 and not near & spared and told(first.row) == told(second.row):
            kept[at], kept[at + 1] = Line(first.t, second.row), Line(second.t, first.row)
            swapped |= near
    return kept, lost, lost | swapped


def written(lines: list[Line], path: Path, ahead: float = 0.0) -> Path:
    rows = [{**line.row, "t": f"{line.t + ahead:.9f}"} for line in lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def books_of(capture: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in Capture(capture).events(number=str):
        if isinstance(event, BookUpdate):
            row = (event.is_snapshot, event.ts_event, event.bids, event.asks, event.checksum)
            found.setdefault(event.instrument, []).append(row)
    return found


@pytest.fixture(scope="module")
def whole(real_traffic: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The books as the first of the sockets received them; the second has nothing more."""
    out = tmp_path_factory.mktemp("whole") / "a"
    import_sessions([real_traffic / "sessions" / f"{SESSION}a.jsonl"], out)
    return books_of(out)


@pytest.mark.parametrize("seed", [1, 2])
def test_books_are_complete_and_in_order_wherever_one_link_had_them(
    real_traffic: Path, tmp_path: Path, whole: dict[str, list[Any]], seed: int
) -> None:
    sessions = real_traffic / "sessions"
    a, b = (lines_of(sessions / f"{SESSION}{name}.jsonl") for name in "ab")
    a, lost, touched = damaged(a, seed, spared={line.row["payload"] for line in a[:400]})
    b, lost_too, _ = damaged(b, seed + 100, spared=touched)
    assert len(lost) > 40
    assert len(lost_too) > 40
    sources = [written(a, tmp_path / "a.jsonl"), written(b, tmp_path / "b.jsonl")]
    import_sessions(sources, tmp_path / "c", links=True)
    assert books_of(tmp_path / "c") == whole
    checksums = verify(tmp_path / "c").checksums
    assert (checksums["mismatch"], checksums["absent"]) == (0, 0)
    assert checksums["match"] == sum(map(len, whole.values()))


def test_two_recorders_on_skewed_clocks_are_one_whichever_is_named_first(
    real_traffic: Path, tmp_path: Path, whole: dict[str, list[Any]]
) -> None:
    sessions = real_traffic / "sessions"
    a, b = (lines_of(sessions / f"{SESSION}{name}.jsonl") for name in "ab")
    a, _, touched = damaged(a, 7, spared={line.row["payload"] for line in a[:400]})
    b, _, _ = damaged(b, 107, spared=touched)
    import_sessions([written(a, tmp_path / "a.jsonl")], tmp_path / "a")
    import_sessions([written(b, tmp_path / "b.jsonl", ahead=3.25)], tmp_path / "b")
    made = [
        merge_captures(tmp_path / x, tmp_path / y, tmp_path / f"{x}{y}", elect=True)
        for x, y in ("ab", "ba")
    ]
    assert made[0].elected is not None
    assert abs(abs(made[0].elected.skew_ns) - 3_250_000_000) < 50_000_000
    digests = [play(tmp_path / name, digest=True).output_digest for name in ("ab", "ba")]
    assert digests[0] == digests[1]
    assert books_of(tmp_path / "ab") == whole
    trades = [e.trade_id for e in Capture(tmp_path / "ab").events() if isinstance(e, Trade)]
    assert len(trades) == len(set(trades)) == 36
    every = [e for e in Capture(tmp_path / "ab", links="all").events() if isinstance(e, Trade)]
    assert len(every) == 72
