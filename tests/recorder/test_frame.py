"""Frame: its kinds and its canonical record, whose bytes are a contract."""

from __future__ import annotations

import struct

import pytest

from recorder.frame import KIND_OF_LABEL, KINDS, LABELS, RECORD, Frame, Kind, encode_record


def test_kinds_and_labels_are_what_is_on_disk() -> None:
    assert [(int(kind), kind.label) for kind in KINDS] == [
        (0, "text"), (1, "binary"), (2, "sent"), (3, "rest"), (4, "opened"), (5, "closed"),
        (6, "lost"), (7, "run"), (8, "clock"),
    ]  # fmt: skip
    assert all(LABELS[kind] == kind.label for kind in KINDS)
    assert all(KIND_OF_LABEL[kind.label] is kind for kind in KINDS)
    assert all(KINDS[int(kind)] is kind for kind in KINDS)


def test_the_record_is_a_fixed_header_and_the_payload() -> None:
    frame = Frame(258, 2**62, -5, 7, Kind.REST, b"\x00ab")
    record = encode_record(frame)
    assert record == (
        bytes([2, 1, 0, 0, 0, 0, 0, 0])
        + bytes([0, 0, 0, 0, 0, 0, 0, 64])
        + bytes([251, 255, 255, 255, 255, 255, 255, 255])
        + bytes([7, 0, 0, 0])
        + bytes([3])
        + bytes([3, 0, 0, 0])
        + b"\x00ab"
    )
    assert RECORD.size == 33
    assert RECORD.unpack_from(record) == (258, 2**62, -5, 7, 3, 3)


@pytest.mark.parametrize("field", ["seq", "ts_recv", "ts_mono", "connection"])
def test_numbers_that_do_not_fit_are_refused(field: str) -> None:
    fields = {"seq": 0, "ts_recv": 0, "ts_mono": 0, "connection": 0, field: 2**63}
    with pytest.raises(struct.error):
        encode_record(Frame(**fields, kind=Kind.TEXT, payload=b""))
