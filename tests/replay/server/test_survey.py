"""The survey finds what reading everything would find."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.capture.options import WriterOptions
from recorder.capture.reader import Capture
from recorder.capture.writer import CaptureWriter
from recorder.clock import NS_PER_SECOND
from recorder.frame import Frame, Kind
from recorder.okx.subscription import Subscription, parse_subscription
from replay.server.catalogue import Catalogue, read_catalogue
from replay.server.survey import Survey, last_pushes_before


def read_through(capture: Capture) -> Catalogue:
    found = Catalogue()
    for frame in capture.frames():
        found.take(frame)
    return found


def names(found: Catalogue) -> dict[str, set[Subscription]]:
    return {endpoint: set(known) for endpoint, known in found.known.items()}


@pytest.mark.parametrize("name", ["btc-calm", "eth-stress", "every-channel"])
def test_of_a_dataset_it_knows_what_is_there_and_where_it_begins(datasets: Path, name: str):
    capture = Capture(datasets / name)
    found, whole = read_catalogue(capture), read_through(capture)

    assert names(found) == names(whole)
    assert found.first == whole.first
    assert (found.start, found.end) == (capture.info().start, capture.info().end)
    assert found.rest_body("/api/v5/public/instruments?instType=SPOT") == whole.rest_body(
        "/api/v5/public/instruments?instType=SPOT"
    )


def push(argument: str, number: int) -> bytes:
    return f'{{"arg":{{{argument}}},"data":[{{"n":"{number}"}}]}}'.encode()


BTC = '"channel":"tickers","instId":"BTC-USDT"'
ETH = '"channel":"tickers","instId":"ETH-USDT"'
SPOT = '"channel":"instruments","instType":"SPOT"'


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten segments; ETH begins in the seventh, on a connection of its own."""
    path = tmp_path_factory.mktemp("survey") / "long"
    frames: list[tuple[Kind, int, bytes]] = []
    for second in range(100):
        if second in (0, 65):
            where = b'{"endpoint":"%s"}' % (b"public" if second == 0 else b"business")
            frames.append((Kind.OPENED, second, where))
        else:
            text = push(BTC if second < 65 else ETH, second)
            frames.append((Kind.TEXT, 0 if second < 65 else 65, text))
    with CaptureWriter(path, options=WriterOptions(segment_seconds=10)) as writer:
        for seq, (kind, connection, payload) in enumerate(frames):
            at = 1_790_000_000 * NS_PER_SECOND + seq * NS_PER_SECOND
            writer.write([Frame(seq, at, at, connection, kind, payload)])
    return path


def test_segments_without_anything_new_are_not_read(long: Path):
    capture = Capture(long)
    assert len(capture.snapshot().sealed) == 10
    chosen = [frame.seq for frames in Survey(capture).frames() for frame in frames]

    assert chosen == [0, 1, 65, 66]
    assert names(read_catalogue(capture)) == names(read_through(capture))


def test_what_is_not_sealed_yet_is_found_too(tmp_path: Path):
    with CaptureWriter(tmp_path / "live") as writer:
        for seq, text in enumerate([push(BTC, 0), push(SPOT, 1), b"pong", push(BTC, 2)]):
            writer.write([Frame(seq, seq, seq, 0, Kind.TEXT, text)])
        writer.flush()
        found = read_catalogue(Capture(tmp_path / "live"))

    assert set(found.known["public"]) == {
        parse_subscription("tickers:BTC-USDT"),
        parse_subscription("instruments:SPOT"),
    }


def test_the_last_push_is_looked_for_backwards(long: Path):
    btc, eth = parse_subscription("tickers:BTC-USDT"), parse_subscription("tickers:ETH-USDT")

    found = last_pushes_before(Capture(long), [btc, eth], 71)

    assert found == {btc: push(BTC, 64), eth: push(ETH, 70)}
    assert last_pushes_before(Capture(long), [btc], 99, segments=2) == {}
