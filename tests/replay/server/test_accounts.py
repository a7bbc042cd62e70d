"""The state of an account at an instant: as if all was read, without reading all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from recorder.capture.batch import FrameBatch
from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from recorder.okx.served import push_of
from recorder.okx.served_account import ACCOUNT_CHANNELS, AccountState, begins_state
from recorder.okx.subscription import Subscription
from replay.server.accounts import account_states_before

SECONDS = 40
POSITIONS = {"channel": "positions", "instType": "ANY", "uid": "1"}
BALANCES = {"channel": "balance_and_position", "uid": "1"}
ACCOUNT = {"channel": "account", "uid": "1"}


def pushes_of_second(second: int) -> Iterator[bytes]:
    """Positions whole every seventh second, in two pages; balances once; an account in events."""

    def position(name: str) -> dict[str, str]:
        return {"posId": name, "instId": name, "pos": f"{second}.5"}

    if second % 7 == 0:
        for page, names in ((1, "ab"), (2, "cd")):
            yield msgspec.json.encode(
                {
                    "arg": POSITIONS,
                    "eventType": "snapshot",
                    "curPage": page,
                    "lastPage": page == 2,
                    "data": [position(name) for name in names],
                }
            )
    else:
        changed = [position("abcd"[second % 4])]
        yield msgspec.json.encode({"arg": POSITIONS, "eventType": "event_update", "data": changed})
    if second == 3:
        row = {"pTime": "3", "eventType": "snapshot", "balData": [{"ccy": "USDT", "cashBal": "1"}]}
        yield msgspec.json.encode({"arg": BALANCES, "data": [row | {"posData": []}]})
    if second in (5, 9):
        row = {"uTime": str(second), "details": [{"ccy": f"C{second}", "eq": "1"}]}
        yield msgspec.json.encode({"arg": ACCOUNT, "eventType": "event_update", "data": [row]})
    yield b'{"arg":{"channel":"trades","instId":"A-B"},"data":[]}'


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accounts") / "capture"
    seq = 0
    with CaptureWriter(path, options=WriterOptions(segment_seconds=4)) as writer:
        for second in range(SECONDS):
            for payload in pushes_of_second(second):
                at = (1_790_000_000 + second) * NS_PER_SECOND
                writer.write([Frame(seq, at, at, 0, Kind.TEXT, payload)])
                seq += 1
    return path


def all_read(path: Path, seq: int) -> dict[Subscription, AccountState]:
    states: dict[Subscription, AccountState] = {}
    for frame in Capture(path).frames(last_seq=seq - 1):
        push = push_of(frame.payload)
        if push is not None and push.channel in ACCOUNT_CHANNELS:
            states.setdefault(push, AccountState(push.channel)).take(frame.payload)
    return states


def told(states: dict[Subscription, AccountState]) -> dict[Subscription, bytes | None]:
    return {push: state.first_push() for push, state in states.items()}


def test_it_is_what_reading_everything_tells_at_every_instant(recording: Path):
    capture = Capture(recording)
    end = capture.info().frames
    everything = told(all_read(recording, end))
    assert len(everything) == 3
    for seq in (*range(1, end, 9), end):
        found = account_states_before(capture, ACCOUNT_CHANNELS, seq, pushes=list(everything))
        blind = account_states_before(capture, ACCOUNT_CHANNELS, seq, pushes=None)
        assert told(found) == told(blind) == told(all_read(recording, seq)), seq


class _Counting(Capture):
    """A capture that counts what is read of it."""

    read = 0

    def select(self, *args: object, **options: object) -> Iterator[FrameBatch]:
        for batch in super().select(*args, **options):  # type: ignore[arg-type]
            self.read += len(batch.seq)
            yield batch


def test_only_what_it_depends_on_is_read(recording: Path):
    capture = _Counting(recording)
    end = capture.info().frames
    (positions,) = [push for push in all_read(recording, end) if push.channel == "positions"]

    found = account_states_before(capture, ["positions"], end, pushes=[positions])

    assert found[positions].first_push() is not None
    assert capture.read < 25 < end


def test_only_a_first_page_begins_a_state():
    pages = list(pushes_of_second(7))[:2]
    assert [begins_state(page) for page in pages] == [True, False]
    assert [begins_state(text) for text in pushes_of_second(8)] == [False, False]
    assert begins_state(next(text for text in pushes_of_second(3) if b"balData" in text))
    for text in (b"", b'"snapshot"', b'{"data":["snapshot"]}', b'{"data":{"snapshot":1}}'):
        assert not begins_state(text)
    assert all(a != b for a, b in pairwise(pages))
