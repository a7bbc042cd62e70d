"""The checker: what it accepts, and every kind of loss it must not accept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.writer import CaptureWriter
from recorder.frame import Frame, Kind
from tests.venue.conservation import Verdict, check, compare
from tests.venue.oracle import hash_of

ACK = b'{"event":"subscribe","arg":{"channel":"trades","instId":"A-B"},"connId":"0000000a"}'
ASKED = b'{"op":"subscribe","args":[{"channel":"trades","instId":"A-B"}]}'
TRADES = [b'{"arg":{"channel":"trades","instId":"A-B"},"data":[{"tradeId":"%d"}]}' % n
          for n in range(6)]  # fmt: skip
SENT = [ACK, *TRADES]
Rows = list[tuple[Kind, bytes]]


def line(what: str, **facts: Any) -> dict[str, Any]:
    return {"what": what, "at": 0, "connection": 0, **facts}


def log_of(payloads: list[bytes], how: str, *, what: str = "frame") -> list[dict[str, Any]]:
    return [
        line("opened", endpoint="public", id="0000000a"),
        line("received", hash=hash_of(ASKED), op="subscribe"),
        *(line(what, kind="text", bytes=len(text), hash=hash_of(text)) for text in payloads),
        line("ended", how=how),
    ]


def closed(by: str, code: int | None) -> tuple[Kind, bytes]:
    row = {"code": code, "reason": "", "by": by, "opened": True}
    return Kind.CLOSED, json.dumps(row).encode()


def lost(count: int | None) -> tuple[Kind, bytes]:
    row = {"connection": 0, "first_seq": None, "last_seq": None, "count": count, "bytes": None,
           "cause": "queue full"}  # fmt: skip
    return Kind.LOST, json.dumps(row).encode()


BY_VENUE, BY_NETWORK = closed("venue", 4006), closed("network", 1006)
PROPER, GAVE_UP = closed("recorder", 1000), closed("recorder", 1006)


def frames_of(stored: list[bytes], *rows: Any) -> list[Frame]:
    every: Rows = [
        (Kind.OPENED, b'{"url":"ws://x/ws/v5/public","endpoint":"public","link":0}'),
        (Kind.SENT, ASKED),
        *((Kind.TEXT, text) for text in stored),
        *rows,
    ]
    return [Frame(n, n + 1, n + 1, 0, kind, text) for n, (kind, text) in enumerate(every)]


def judge(stored: list[bytes], log: list[dict[str, Any]], *rows: Any) -> Verdict:
    """Compare frames of these texts, and more rows, with a log."""
    return compare(frames_of(stored, *rows), log)


def test_a_capture_and_a_log_are_read_from_disk(tmp_path: Path):
    with CaptureWriter(tmp_path / "capture") as writer:
        writer.write(frames_of(SENT[:-1], BY_VENUE))
    log = tmp_path / "oracle.jsonl"
    lines = [json.dumps(item) + "\n" for item in log_of(SENT, "close")]
    log.write_text("".join(lines) + '{"what": "fra')  # the venue was killed while it wrote

    assert len(check(tmp_path / "capture", log).problems) == 1
    log.write_text("".join(lines[:-2] + lines[-1:]))
    assert check(tmp_path / "capture", log).problems == []


@pytest.mark.parametrize("how", ["close", "eof", "inside", "broken", "hang", "reset", "stopped"])
def test_everything_stored_is_conserved_however_it_ended(how: str):
    verdict = judge(SENT, log_of(SENT, how), BY_VENUE)

    assert verdict.problems == []
    assert (verdict.handed, verdict.stored, verdict.cut) == (7, 7, 0)
    assert "conserved: 1 connections, 7 messages handed over, 7 stored" in str(verdict)


@pytest.mark.parametrize("how", ["close", "eof", "inside", "broken", "hang"])
def test_a_missing_last_message_is_a_problem_where_all_was_handed(how: str):
    verdict = judge(SENT[:-1], log_of(SENT, how), BY_NETWORK)

    assert len(verdict.problems) == 1
    assert "the last 1 are not stored" in verdict.problems[0]


@pytest.mark.parametrize("how", ["reset", "stopped"])
def test_a_prefix_is_enough_after_a_reset(how: str):
    verdict = judge(SENT[:3], log_of(SENT, how), BY_NETWORK)

    assert verdict.problems == []
    assert verdict.cut == 4


@pytest.mark.parametrize(
    ("row", "is_good"), [((), True), ((GAVE_UP,), True), ((BY_NETWORK,), False)]
)
def test_a_client_that_vanished_must_have_been_killed_or_have_given_up(row, is_good):
    verdict = judge(SENT[:3], log_of(SENT, "vanished"), *row)

    assert (verdict.problems == []) == is_good


@pytest.mark.parametrize(("row", "is_good"), [(GAVE_UP, True), (PROPER, False)])
def test_after_a_closing_handshake_only_a_recorder_that_gave_up_may_lack_the_end(row, is_good):
    assert (judge(SENT[:5], log_of(SENT, "close"), row).problems == []) == is_good


@pytest.mark.parametrize(
    "stored",
    [
        [*SENT[:2], *SENT[3:]],  # one left out
        [*SENT[:3], SENT[2], *SENT[3:]],  # one twice
        [*SENT[:2], SENT[3], SENT[2], *SENT[4:]],  # two exchanged
        [*SENT[:2], SENT[2] + b" ", *SENT[3:]],  # a byte more
        [*SENT, SENT[1]],  # one that was not sent
    ],
    ids=["missing", "twice", "exchanged", "changed", "invented"],
)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_nothing_else_is_accepted(stored: list[bytes], how: str):
    verdict = judge(stored, log_of(SENT, how), BY_VENUE)

    assert len(verdict.problems) == 1
    assert "differs" in verdict.problems[0]


@pytest.mark.parametrize(("count", "is_good"), [(2, True), (1, False), (3, False), (None, False)])
def test_losses_must_be_declared_and_add_up(count: int | None, is_good: bool):
    stored = [*SENT[:2], *SENT[4:]]

    verdict = judge(stored, log_of(SENT, "close"), lost(count), BY_VENUE)

    assert (verdict.problems == []) == is_good
    assert not is_good or verdict.declared == 2


def test_declared_losses_excuse_no_change_of_order():
    verdict = judge([SENT[0], SENT[2], SENT[1]], log_of(SENT, "close"), lost(4), BY_VENUE)

    assert "differs" in verdict.problems[0]


def test_messages_that_were_still_going_out_may_have_arrived():
    log = log_of(SENT[:4], "vanished")
    log[-1:-1] = log_of(SENT[4:], "", what="pending")[2:-1]

    assert judge(SENT[:6], log, GAVE_UP).problems == []


def test_a_connection_nobody_stored_is_a_problem_unless_it_broke():
    other = [{**item, "connection": 1, "id": "0000000b"} for item in log_of(SENT[1:], "close")]
    broken = [{**item, "how": "reset"} if "how" in item else item for item in other]

    assert "is not in the capture" in judge(SENT, log_of(SENT, "close") + other, PROPER).problems[0]
    assert judge(SENT, log_of(SENT, "close") + broken, PROPER).problems == []


def test_a_connection_nobody_sent_is_a_problem():
    assert "nobody sent under id" in judge(SENT, [], PROPER).problems[0]
    assert "no socket sent in this order" in judge(SENT[1:], [], PROPER).problems[0]


def test_without_an_ack_a_connection_is_found_by_what_was_sent_on_it():
    assert judge(SENT[1:], log_of(SENT[1:], "eof"), BY_NETWORK).problems == []


def test_what_the_client_said_must_be_stored_as_it_arrived():
    log = log_of(SENT, "close")
    log[1]["hash"] = hash_of(b"something else")

    assert "what the client said" in judge(SENT, log, PROPER).problems[0]


def test_a_rest_body_must_have_been_answered():
    verdict = judge(SENT, log_of(SENT, "close"), (Kind.REST, b"{}"), PROPER)

    assert verdict.problems == ["1 REST bodies are stored that nobody sent"]
    answered = [*log_of(SENT, "close"), line("rest", hash=hash_of(b"{}"))]
    assert judge(SENT, answered, (Kind.REST, b"{}"), PROPER).problems == []


def test_a_storm_of_handshakes_is_a_problem():
    log = log_of(SENT, "close")
    attempts = [{**line("attempt"), "at": n * 150_000_000} for n in range(8)]

    assert "7 handshakes within a second" in judge(SENT, log + attempts, PROPER).problems[0]
    assert judge(SENT, log + attempts[:6], PROPER).problems == []
    stalled = [{**line("stall"), "at": 500_000_000, "seconds": 0.5}]
    assert judge(SENT, log + stalled + attempts, PROPER).problems == []
