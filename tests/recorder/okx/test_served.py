"""What is a push, which argument it answers, and the snapshot made of a book."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.okx.served import ack_of, answers, is_chained, is_snapshot, push_of, rebuilt_snapshot
from recorder.okx.subscription import Subscription

BOOKS = Subscription("books", (("instId", "ABC-USDT"),))
SNAPSHOT = (
    b'{"arg":{"channel":"books","instId":"ABC-USDT"},"action":"snapshot","data":[{"asks":'
    b'[["1.2350","80","0","4"],["1.236","10.50","0","1"]],"bids":[["1.233","41.2","0","2"]],'
    b'"ts":"1790000000100","checksum":0,"seqId":5550010,"prevSeqId":-1}]}'
)


def book_after(*payloads: bytes):
    interpreter = Interpreter(str)
    for number, payload in enumerate(payloads):
        interpreter.step(Frame(number, 0, 0, 0, Kind.TEXT, payload))
    (book,) = interpreter.books
    return book


@pytest.mark.parametrize(
    ("payload", "argument"),
    [
        (SNAPSHOT, {"channel": "books", "instId": "ABC-USDT"}),
        (
            b'{"arg": {"channel": "books", "instId": "A"}, "data": []}',
            {"channel": "books", "instId": "A"},
        ),
        (b'{"data":[],"arg":{"channel":"status"}}', {"channel": "status"}),
        (
            b'{"arg":{"channel":"orders","instType":"ANY","uid":"1"},"data":[{"event":"x"}]}',
            {"channel": "orders", "instType": "ANY"},
        ),
        (
            b'{"arg":{"channel":"account","uid":"1"},"eventType":"snapshot","curPage":1,"data":[]}',
            {"channel": "account"},
        ),
    ],
)
def test_pushes_and_their_arguments(payload: bytes, argument: dict):
    push = push_of(payload)

    assert push is not None
    assert push.argument == argument


@pytest.mark.parametrize(
    "payload",
    [
        b"pong",
        b"",
        b"[]",
        b"{",
        b'{"arg":{"channel":"books"}',
        b'{"event":"subscribe","arg":{"channel":"books","instId":"A"},"connId":"a"}',
        b'{"arg":{"channel":"books","instId":"A"},"event":"subscribe"}',
        b'{"arg": {"channel":"books","instId":"A"}, "event":"subscribe", "data":[]}',
        b'{"event":"error","msg":"x","code":"60012"}',
        b'{"id":"1","op":"order","code":"0","data":[]}',
    ],
)
def test_what_is_no_push(payload: bytes):
    assert push_of(payload) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_raise(payload: bytes):
    push_of(payload)
    push_of(b'{"arg":{' + payload)
    ack_of(b'{"event":"subscribe"' + payload)


def test_acks_of_subscribe_requests():
    ack = (
        b'{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"ABC-USDT"},"connId":"a"}'
    )

    assert ack_of(ack) == BOOKS
    assert ack_of(ack.replace(b"subscribe", b"unsubscribe")) is None
    assert ack_of(SNAPSHOT) is None


def test_a_push_may_say_less_than_was_asked():
    asked = Subscription("event-contract-markets", (("instType", "EVENTS"),))

    assert answers(Subscription("event-contract-markets"), asked)
    assert not answers(asked, Subscription("event-contract-markets"))
    assert not answers(BOOKS, Subscription("books", (("instId", "XYZ-USDT"),)))
    assert not answers(BOOKS, Subscription("books5", BOOKS.arguments))


def test_chained_channels():
    assert is_chained("books")
    assert is_chained("books-l2-tbt")
    assert not is_chained("books5")
    assert not is_chained("no-such")


def test_a_snapshot_rebuilt_at_once_is_the_snapshot_received():
    assert rebuilt_snapshot(BOOKS, book_after(SNAPSHOT)) == SNAPSHOT
    assert is_snapshot(SNAPSHOT)
    assert not is_snapshot(SNAPSHOT.replace(b"snapshot", b"update"))


def test_a_rebuilt_snapshot_keeps_texts_and_carries_the_last_number():
    update = (
        b'{"arg":{"channel":"books","instId":"ABC-USDT"},"action":"update","data":[{"asks":'
        b'[["1.236","0","0","0"]],"bids":[["1.2345","7.10","0","1"]],"ts":"1790000000200",'
        b'"checksum":0,"seqId":5550017,"prevSeqId":5550010}]}'
    )

    (row,) = json.loads(rebuilt_snapshot(BOOKS, book_after(SNAPSHOT, update)))["data"]

    assert row == {
        "asks": [["1.2350", "80", "0", "4"]],
        "bids": [["1.2345", "7.10", "0", "1"], ["1.233", "41.2", "0", "2"]],
        "ts": "1790000000200",
        "checksum": 0,
        "seqId": 5550017,
        "prevSeqId": -1,
    }


def test_books_of_before_sequence_numbers_get_their_real_checksum():
    old = (
        b'{"arg":{"channel":"books","instId":"ABC-USDT"},"action":"snapshot","data":[{"asks":'
        b'[["0.5121","3.10","0","1"],["0.5130","40","0","1"]],"bids":[["0.5120","12.50","0","1"],'
        b'["0.5119","7","0","1"],["0.5110","100.0","0","1"]],"ts":"1650000000000",'
        b'"checksum":-134440845}]}'
    )

    assert rebuilt_snapshot(BOOKS, book_after(old)) == old
