"""Goal: a capture in an object store reads like the same capture on a disk, and says no secret.

Method: datasets copied into a real S3-compatible server, read by address; what the server gave is
counted there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from recorder.capture.place import Remote, is_store, place_of
from recorder.capture.reader import Capture, ReadReport
from recorder.capture.verify import verify
from recorder.errors import Damage, ExitCode, NotACapture, StoreFailed, UsageError
from tests.object_store import BUCKET, Store, object_store

DATASETS = Path(__file__).parents[3] / "datasets"
CALM = DATASETS / "btc-calm"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as running:
        running.put(CALM, "calm")
        yield running


def test_it_reads_like_the_one_on_disk(store: Store) -> None:
    remote, local = Capture(store.address("calm")), Capture(CALM)
    assert str(remote.path) == f"s3://{BUCKET}/calm"
    there, here = remote.info(), local.info()
    assert msgspec.structs.replace(there, path=here.path) == here
    window = {"start": here.start and here.start + 30_000_000_000, "channels": ["trades"]}
    assert list(remote.frames(**window)) == list(local.frames(**window))
    assert list(remote.events(**window)) == list(local.events(**window))
    assert remote.book_at("BTC-USDT").bids() == local.book_at("BTC-USDT").bids()


def test_no_secret_is_said(store: Store) -> None:
    address = store.address("calm").replace("s3://", "s3://AKIASECRET:t0psecret@")
    assert str(place_of(address)) == repr(place_of(address))[8:-2] == f"s3://{BUCKET}/calm"
    said = []
    for wrong in (
        address.replace("/calm", "/none"),
        "s3://AKIASECRET:t0psecret@?x=y",
    ):
        with pytest.raises(UsageError) as caught:
            Capture(wrong)
        said.append(f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}")
    assert "none" in said[0]
    assert not [text for text in said if "t0psecret" in text.split(" ArrowInvalid(")[0]]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_what_is_not_there(store: Store) -> None:
    with pytest.raises(NotACapture, match=f"s3://{BUCKET}/nothing, found nothing"):
        Capture(store.address("nothing"))
    with pytest.raises(NotACapture, match="found a file"):
        Capture(store.address("calm/capture.json"))
    assert is_store("s3://x/y")
    assert not is_store("captures/s3")


def test_a_store_that_does_not_answer_is_one_sentence() -> None:
    place = place_of("s3://bucket/x?endpoint_override=http://127.0.0.1:1&region=here")
    assert isinstance(place, Remote)
    # The client of pyarrow tries for some seconds.
    with pytest.raises(StoreFailed, match=r"expected to read s3://bucket/x.*AWS_ENDPOINT_URL") as e:
        place.size()
    assert e.value.exit_code is ExitCode.REFUSED
    assert "\n" not in str(e.value)


def test_damage_and_holes_are_found_there(store: Store, tmp_path: Path) -> None:
    shutil.copytree(DATASETS / "eth-stress", tmp_path / "c")
    (sealed,) = Capture(tmp_path / "c").snapshot().sealed
    file = tmp_path / "c" / sealed.path
    data = bytearray(file.read_bytes())
    data[1000 : len(data) // 2] = bytes(len(data) // 2 - 1000)
    file.write_bytes(data)
    report = ReadReport()
    assert list(Capture(store.put(tmp_path / "c", "damaged")).frames(report=report)) == []
    assert [problem.file for problem in report.problems] == [sealed.path]
    with pytest.raises(Damage, match=r"run `recorder verify`"):
        list(Capture(store.address("damaged")).frames())


def test_a_journal_there_is_named(store: Store, tmp_path: Path) -> None:
    shutil.copytree(CALM, tmp_path / "c")
    (tmp_path / "c" / "journal").mkdir()
    (tmp_path / "c" / "journal" / "000009.wal").write_bytes(b"whatever")
    capture = Capture(store.put(tmp_path / "c", "unsealed"))
    report = ReadReport()
    frames = list(capture.frames(report=report))
    assert frames == list(Capture(CALM).frames())
    (problem,) = report.problems
    assert (problem.file, problem.cause) == (
        "journal/000009.wal",
        "a journal is not read from a store",
    )
    assert capture.info().exit_code is ExitCode.FAILED


def test_commands_that_need_a_disk_say_so(store: Store) -> None:
    with pytest.raises(UsageError, match="not verified; copy it to a disk first"):
        verify(store.address("calm"))
