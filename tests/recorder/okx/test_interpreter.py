"""Interpreter: chains, checksums, connections and checkpoints, as playbooks of frames."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.event import (
    BookReset,
    BookUpdate,
    ChecksumMismatch,
    ConnectionState,
    Disconnected,
    Event,
    Level,
    RestResponse,
    SequenceGap,
    encode_event,
)
from recorder.frame import Frame, Kind
from recorder.okx.checkpoint import text_of
from recorder.okx.interpreter import Integrity, Interpreter

NUMBERS = pytest.mark.parametrize("number", [float, Decimal, str])


class Tape:
    """Numbers frames as a recorder would, and steps an interpreter through them."""

    def __init__(self, number: type = float) -> None:
        self.interpreter = Interpreter(number)
        self.seq = 0

    def step(self, kind: Kind, payload: Any, connection: int = 0) -> list[Event]:
        data = payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)
        frame = Frame(self.seq, 10**18 + self.seq, 5 * self.seq, connection, kind, data)
        self.seq += 1
        return self.interpreter.step(frame)

    def book(
        self,
        action: str | None,
        *,
        bids: Any = (),
        asks: Any = (),
        prev: int | None = None,
        seq_id: int | None = None,
        checksum: int | None = None,
        connection: int = 0,
        channel: str = "books",
        instrument: str = "ELM-USDT",
    ) -> list[Event]:
        row: dict[str, Any] = {
            "asks": [[price, size, "0", "1"] for price, size in asks],
            "bids": [[price, size, "0", "1"] for price, size in bids],
            "ts": "1795000000000",
        }
        numbers = {"checksum": checksum, "seqId": seq_id, "prevSeqId": prev}
        row |= {key: value for key, value in numbers.items() if value is not None}
        message: dict[str, Any] = {"arg": {"channel": channel, "instId": instrument}}
        if action is not None:
            message["action"] = action
        return self.step(Kind.TEXT, {**message, "data": [row]}, connection)

    def snapshot(self, *, connection: int = 0, seq_id: int = 10) -> list[Event]:
        return self.book(
            "snapshot",
            bids=[("2.40", "3"), ("2.39", "1")],
            asks=[("2.41", "5")],
            prev=-1,
            seq_id=seq_id,
            checksum=0,
            connection=connection,
        )

    @property
    def best_bid(self) -> Any:
        level = self.interpreter.books["ELM-USDT"].best_bid()
        return level and level.price


def derived(events: list[Event]) -> list[Event]:
    return [event for event in events if type(event) is not BookUpdate]


# --- chains ----------------------------------------------------------------------------------


def test_updates_link_and_apply() -> None:
    tape = Tape()
    tape.snapshot()
    assert derived(tape.book("update", bids=[("2.40", "0")], prev=10, seq_id=17)) == []
    book = tape.interpreter.books["ELM-USDT"]
    assert (book.is_whole, book.seq_id, book.seq, tape.best_bid) == (True, 17, 1, 2.39)
    assert tape.interpreter.integrity == Integrity(links=1, absent=2)


def test_a_keep_alive_links_and_changes_nothing() -> None:
    tape = Tape()
    tape.snapshot()
    assert derived(tape.book("update", prev=10, seq_id=10)) == []
    assert tape.interpreter.integrity == Integrity(links=1, keepalives=1, absent=2)
    assert tape.interpreter.books["ELM-USDT"].is_whole


def test_the_documented_chain_with_a_reset() -> None:
    """(-1→10) (10→15) (15→15) (15→3) (3→5): OKX API docs, "Sequence ID"."""
    tape = Tape()
    tape.snapshot()
    tape.book("update", bids=[("2.38", "1")], prev=10, seq_id=15)
    tape.book("update", prev=15, seq_id=15)
    (reset,) = derived(tape.book("update", bids=[("2.37", "1")], prev=15, seq_id=3))
    assert reset == BookReset(
        seq=3, index=1, ts_recv=10**18 + 3, connection=0, instrument="ELM-USDT", channel="books",
        prev_seq_id=15, seq_id=3,
    )  # fmt: skip
    assert derived(tape.book("update", bids=[("2.36", "1")], prev=3, seq_id=5)) == []
    assert tape.interpreter.integrity == Integrity(links=4, resets=1, keepalives=1, absent=5)
    assert len(tape.interpreter.books["ELM-USDT"].bids()) == 5


def test_a_gap_is_said_once_and_the_book_waits_for_a_snapshot() -> None:
    tape = Tape()
    tape.snapshot()
    (gap,) = derived(tape.book("update", bids=[("2.40", "0")], prev=12, seq_id=14))
    assert gap == SequenceGap(
        seq=1, index=1, ts_recv=10**18 + 1, connection=0, instrument="ELM-USDT", channel="books",
        expected_seq_id=10, prev_seq_id=12, seq_id=14,
    )  # fmt: skip
    assert not tape.interpreter.books["ELM-USDT"].is_whole
    assert derived(tape.book("update", bids=[("2.50", "1")], prev=14, seq_id=20)) == []
    assert tape.best_bid == 2.4, "nothing may be applied to a broken book"
    (again,) = derived(tape.book("update", prev=21, seq_id=22))
    assert isinstance(again, SequenceGap)
    assert again.expected_seq_id == 20
    tape.snapshot(seq_id=30)
    assert tape.interpreter.books["ELM-USDT"].is_whole
    assert derived(tape.book("update", prev=30, seq_id=31)) == []
    assert tape.interpreter.integrity == Integrity(links=2, gaps=2, keepalives=0, absent=6)


def test_updates_before_any_snapshot_are_followed_but_not_applied() -> None:
    tape = Tape()
    assert derived(tape.book("update", bids=[("2.4", "1")], prev=5, seq_id=6)) == []
    assert tape.best_bid is None
    (gap,) = derived(tape.book("update", prev=7, seq_id=8))
    assert isinstance(gap, SequenceGap)


def test_frames_without_numbers_are_applied_and_prove_nothing() -> None:
    tape = Tape()
    tape.book("snapshot", bids=[("2.4", "1")])
    tape.book("update", bids=[("2.5", "1")])
    assert tape.best_bid == 2.5
    assert tape.interpreter.integrity == Integrity(absent=2)


def test_one_sided_books_and_deletes_of_unknown_levels() -> None:
    tape = Tape()
    tape.book("snapshot", asks=[("2.4", "1")], prev=-1, seq_id=1)
    tape.book("update", bids=[("9", "0")], asks=[("9", "0"), ("2.4", "1")], prev=1, seq_id=2)
    book = tape.interpreter.books["ELM-USDT"]
    assert (book.bids(), book.asks()) == ([], [Level(2.4, 1.0, 0.0, 1)])


def test_channels_and_connections_never_share_a_chain() -> None:
    tape = Tape()
    tape.snapshot(connection=0)
    tape.snapshot(connection=1)
    tape.book("snapshot", prev=-1, seq_id=10, channel="books50-l2-tbt")
    tape.book("update", prev=10, seq_id=11, connection=1)
    tape.book("update", prev=10, seq_id=12, channel="books50-l2-tbt")
    assert derived(tape.book("update", prev=10, seq_id=13)) == []
    assert tape.interpreter.integrity.links == 3
    assert [(book.channel, book.connection, book.seq_id) for book in tape.interpreter.books] == [
        ("books", 0, 13),
        ("books", 1, 11),
        ("books50-l2-tbt", 0, 12),
    ]


def test_books5_is_a_book_of_its_own_and_always_whole() -> None:
    tape = Tape()
    tape.book(None, bids=[("2.4", "1")], seq_id=7, channel="books5")
    tape.book(None, bids=[("2.3", "1")], seq_id=9, channel="books5")
    book = tape.interpreter.books.get("ELM-USDT", "books5")
    assert book is not None
    assert book.is_whole
    assert [level.price for level in book.bids()] == [2.3]


# --- checksums -------------------------------------------------------------------------------

OPENING = {"bids": [("7.10", "3"), ("7.0", "9")], "asks": [("7.20", "0.50")]}
# CRC32 by zlib of 7.10:3:7.20:0.50:7.0:9 and, 7.10 gone, of 7.0:9:7.20:0.50
CRC_OPENING = 192097231
CRC_AFTER = 1672510345


@NUMBERS
def test_a_checksum_is_of_the_texts_as_sent(number: type) -> None:
    tape = Tape(number)
    assert derived(tape.book("snapshot", **OPENING, checksum=CRC_OPENING)) == []
    assert derived(tape.book("update", bids=[("7.10", "0")], checksum=CRC_AFTER)) == []
    assert tape.interpreter.integrity == Integrity(match=2)


@NUMBERS
def test_a_mismatch_is_said_once_and_the_book_is_not_trusted(number: type) -> None:
    tape = Tape(number)
    tape.book("snapshot", **OPENING, checksum=CRC_OPENING)
    (wrong,) = derived(tape.book("update", bids=[("7.1", "0")], checksum=1))
    assert wrong == ChecksumMismatch(
        seq=1, index=1, ts_recv=10**18 + 1, connection=0, instrument="ELM-USDT", channel="books",
        received=1, computed=CRC_AFTER,
    )  # fmt: skip
    assert not tape.interpreter.books["ELM-USDT"].is_whole
    assert derived(tape.book("update", checksum=2)) == []
    tape.book("snapshot", **OPENING, checksum=CRC_OPENING)
    assert tape.interpreter.integrity == Integrity(match=2, mismatch=1, absent=1)


@NUMBERS
def test_a_checksum_without_a_snapshot_is_absent(number: type) -> None:
    tape = Tape(number)
    assert derived(tape.book("update", bids=[("7.1", "1")], checksum=77)) == []
    assert tape.interpreter.integrity == Integrity(absent=1)


def test_zero_is_no_checksum() -> None:
    tape = Tape()
    tape.book("snapshot", **OPENING, checksum=0)
    tape.book("update", bids=[("7.1", "0")], checksum=55)
    assert tape.interpreter.integrity == Integrity(absent=2)


# --- connections -----------------------------------------------------------------------------


def open_(tape: Tape, connection: int) -> None:
    tape.step(Kind.OPENED, {"url": "wss://h", "endpoint": "public", "link": 0}, connection)


def close(tape: Tape, connection: int, *, opened: bool = True) -> list[Event]:
    row = {"code": 1006, "reason": "", "by": "network", "opened": opened}
    return tape.step(Kind.CLOSED, row, connection)


def test_a_disconnect_tells_how_long_the_connection_was_open() -> None:
    tape = Tape()
    open_(tape, 4)
    tape.snapshot(connection=4)
    event, state = close(tape, 4)
    assert isinstance(event, Disconnected)
    assert event.duration == 10
    assert isinstance(state, ConnectionState)
    assert state.state == "closed"
    event, _ = close(tape, 5)
    assert isinstance(event, Disconnected)
    assert event.duration is None


def test_books_of_a_closed_connection_are_stale_until_replaced() -> None:
    tape = Tape()
    tape.snapshot(connection=0)
    close(tape, 0)
    book = tape.interpreter.books["ELM-USDT"]
    assert (book.connection, book.is_whole, tape.best_bid) == (0, False, 2.4)
    tape.snapshot(connection=1)
    assert [book.connection for book in tape.interpreter.books] == [1]


def test_a_redundant_book_is_forgotten_at_once() -> None:
    tape = Tape()
    tape.snapshot(connection=0)
    tape.snapshot(connection=1)
    close(tape, 0)
    assert [book.connection for book in tape.interpreter.books] == [1]


def test_a_thousand_reconnects_keep_the_state_small() -> None:
    tape = Tape()
    sizes = set()
    for connection in range(1000):
        open_(tape, connection)
        argument = {"channel": "books", "instId": "ELM-USDT"}
        tape.step(Kind.TEXT, {"event": "subscribe", "arg": argument}, connection)
        if connection % 3:
            tape.snapshot(connection=connection)
        close(tape, connection)
        close(tape, connection + 5000, opened=False)
        sizes.add(len(tape.interpreter.save()) // 64)
        assert len(tape.interpreter.books) <= 1
    assert len(sizes) <= 2


def test_a_new_run_ends_every_connection() -> None:
    tape = Tape()
    open_(tape, 0)
    tape.snapshot(connection=0)
    tape.step(Kind.TEXT, {"event": "subscribe", "arg": {"channel": "books"}}, 0)
    tape.step(Kind.RUN, {"version": "2"}, -1)
    assert not tape.interpreter.books["ELM-USDT"].is_whole
    assert tape.interpreter.subscriptions(0) == []


def test_subscriptions_come_and_go_with_acks() -> None:
    tape = Tape()
    books = {"channel": "books", "instId": "ELM-USDT"}
    status = {"channel": "status"}
    for argument in (status, books, dict(reversed(books.items()))):
        tape.step(Kind.TEXT, {"event": "subscribe", "arg": argument})
    assert tape.interpreter.subscriptions(0) == [books, status]
    tape.snapshot()
    tape.step(Kind.TEXT, {"event": "unsubscribe", "arg": books})
    assert tape.interpreter.subscriptions(0) == [status]
    assert tape.interpreter.books.get("ELM-USDT") is None
    assert derived(tape.book("update", prev=99, seq_id=100)) == [], "trailing frames are no gap"


def test_a_rest_response_knows_its_request() -> None:
    tape = Tape()
    line = "GET /api/v5/public/instruments?instType=SPOT"
    tape.step(Kind.SENT, line, 8)
    tape.step(Kind.SENT, '{"op":"subscribe","args":[]}', 0)
    tape.step(Kind.SENT, "ping", 0)
    (event,) = tape.step(Kind.REST, {"code": "0", "data": []}, 8)
    assert isinstance(event, RestResponse)
    assert event.request == line
    (event,) = tape.step(Kind.REST, {"code": "0", "data": []}, 0)
    assert isinstance(event, RestResponse)
    assert event.request is None


@pytest.mark.parametrize(("lost_on", "is_whole"), [(0, False), (-1, False), (1, True)])
def test_a_loss_makes_unnumbered_books_doubtful(lost_on: int, is_whole: bool) -> None:
    tape = Tape()
    tape.book("snapshot", bids=[("2.4", "1")])
    tape.snapshot(connection=2)
    tape.step(Kind.LOST, {"connection": lost_on, "count": None, "cause": "killed"}, lost_on)
    assert [book.is_whole for book in tape.interpreter.books] == [is_whole, True]


def test_what_was_not_understood_is_counted() -> None:
    tape = Tape()
    tape.step(Kind.TEXT, "?")
    tape.step(Kind.BINARY, "?")
    assert tape.interpreter.integrity == Integrity(unrecognized=2)


# --- checkpoints -----------------------------------------------------------------------------


def busy(number: type) -> Tape:
    """A tape with a book of every condition: numbered, legacy, broken, stale, subscribed, …"""
    tape = Tape(number)
    open_(tape, 0)
    tape.snapshot(connection=0)
    close(tape, 0)
    open_(tape, 1)
    tape.step(Kind.TEXT, {"event": "subscribe", "arg": {"channel": "books", "instId": "B"}}, 1)
    tape.step(Kind.SENT, "GET /x", 9)
    tape.book("snapshot", **OPENING, checksum=CRC_OPENING, connection=1, instrument="OLD")
    tape.book(
        "snapshot", bids=[("0.00000001", "123456789.123456")], prev=-1, seq_id=2**62,
        connection=1, instrument="TINY",
    )  # fmt: skip
    tape.book("snapshot", bids=[("1.50", "2")], prev=-1, seq_id=1, connection=1, instrument="GAP")
    tape.book("update", prev=3, seq_id=4, connection=1, instrument="GAP")
    return tape


@NUMBERS
def test_a_restored_interpreter_goes_on_exactly(number: type) -> None:
    tape = busy(number)
    saved = tape.interpreter.save()
    other = Tape(number)
    other.interpreter, other.seq = Interpreter.restore(saved, number), tape.seq
    assert other.interpreter.save() == saved
    steps: list[tuple[str, dict[str, Any]]] = [
        ("OLD", {"bids": [("7.10", "0")], "checksum": CRC_AFTER}),
        ("TINY", {"bids": [("0.00000002", "1")], "prev": 2**62, "seq_id": 2**62 + 5}),
        ("GAP", {"prev": 9, "seq_id": 10}),
    ]
    for instrument, fields in steps:
        ours = tape.book("update", connection=1, instrument=instrument, **fields)
        theirs = other.book("update", connection=1, instrument=instrument, **fields)
        assert ours == theirs
    assert close(tape, 1) == close(other, 1)
    assert other.interpreter.integrity == Integrity(match=1, links=1, gaps=1, absent=2)
    assert other.interpreter.save() == tape.interpreter.save()


def test_equal_states_are_equal_bytes_whatever_the_way_there() -> None:
    straight, detour = Tape(), Tape()
    detour.seq = straight.seq = 100
    straight.book("snapshot", bids=[("1", "1"), ("2", "1")], prev=-1, seq_id=1, instrument="A")
    straight.book("snapshot", bids=[("3", "1")], prev=-1, seq_id=1, instrument="B")
    detour.seq = 90
    detour.book("snapshot", bids=[("9", "9")], prev=-1, seq_id=1, instrument="B")
    detour.seq = 101
    detour.book("snapshot", bids=[("3", "1")], prev=-1, seq_id=1, instrument="B")
    detour.seq = 100
    detour.book("snapshot", bids=[("2", "1"), ("1", "1")], prev=-1, seq_id=1, instrument="A")
    detour.interpreter.books["A"].best_bid()
    assert straight.interpreter.save() == detour.interpreter.save()


def test_the_bytes_do_not_depend_on_the_hash_seed() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "from test_interpreter import busy;"
        "sys.stdout.write(busy(float).interpreter.save().hex())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert outputs == {busy(float).interpreter.save().hex()}


@pytest.mark.parametrize("written", [float, Decimal, str])
@NUMBERS
def test_a_state_can_be_read_in_another_number_type(written: type, number: type) -> None:
    restored = Interpreter.restore(busy(written).interpreter.save(), number)
    tiny = restored.books["TINY"].best_bid()
    assert tiny is not None
    assert type(tiny.price) is number
    assert (tiny.price, tiny.size) == (number("0.00000001"), number("123456789.123456"))
    old = restored.books["OLD"].best_bid()
    assert old is not None
    assert old.price == number("7.10"), "books with a checksum keep their exact texts"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-8, "0.00000001"),
        (1.0, "1"),
        (1e22, "10000000000000000000000"),
        (60001.5, "60001.5"),
        (-0.25, "-0.25"),
        (Decimal("1E-8"), "0.00000001"),
        (Decimal("1.50"), "1.50"),
        ("1.50", "1.50"),
    ],
)
def test_numbers_are_written_as_the_venue_writes_them(number: Any, text: str) -> None:
    assert text_of(number) == text


@pytest.mark.parametrize(
    "state", [b"", b"\x80", b"not a state", msgspec.msgpack.encode({"version": 9})]
)
def test_other_bytes_are_no_state(state: bytes) -> None:
    with pytest.raises(ValueError, match="expected a saved interpreter state"):
        Interpreter.restore(state)


def test_a_state_of_another_version_is_refused() -> None:
    state = msgspec.msgpack.decode(Interpreter().save())
    with pytest.raises(ValueError, match="of version 1, received 99"):
        Interpreter.restore(msgspec.msgpack.encode({**state, "version": 99}))


def test_a_state_with_wrong_levels_is_refused() -> None:
    tape = Tape()
    tape.snapshot()
    state = msgspec.msgpack.decode(tape.interpreter.save())
    state["books"][0][9] = [["one", "two"]]
    with pytest.raises(ValueError, match="expected levels of float"):
        Interpreter.restore(msgspec.msgpack.encode(state))


def test_every_derived_event_can_be_written() -> None:
    tape = Tape()
    tape.snapshot()
    for event in tape.book("update", prev=11, seq_id=12):
        assert encode_event(event).startswith(b'{"type":"')


def test_a_fault_of_ours_is_an_event_too() -> None:
    tape = Tape()
    # A str where bytes belong stands for any fault of the code behind `step`.
    broken: Any = '{"arg":{"channel":"books"}}'
    events = tape.interpreter.step(Frame(0, 10**18, 0, 3, Kind.TEXT, broken))
    assert [type(event).__name__ for event in events] == ["Unrecognized"]
    assert events[0].reason == "interpreter fault: TypeError"  # type: ignore[attr-defined]
    assert tape.interpreter.integrity.unrecognized == 1
    assert tape.step(Kind.TEXT, "pong") != []


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ({"event": "error", "code": "60011", "msg": "Please log in"}, {"orders", "books-l2-tbt"}),
        ({"event": "error", "code": "64004", "msg": "exclusive"}, {"books"}),
        (
            {"event": "error", "code": "60018", "msg": "Wrong URL or channel:trades, instId:ELM-U"},
            {"trades"},
        ),
        ({"event": "channel-conn-count-error", "channel": "orders", "connCount": "30"}, {"orders"}),
        ({"event": "channel-conn-count", "channel": "orders", "connCount": "3"}, set()),
        ({"event": "error", "code": "64003", "msg": "fee tier"}, set()),
        ({"event": "error", "code": "60012", "msg": "Illegal request"}, set()),
    ],
)
def test_an_error_after_the_ack_takes_a_subscription_back(
    message: dict[str, Any], gone: set[str]
) -> None:
    tape = Tape()
    open_(tape, 4)
    for channel in ("books", "books-l2-tbt", "trades", "orders"):
        argument = {"channel": channel, "instId": "ELM-U"}
        tape.step(Kind.TEXT, {"event": "subscribe", "arg": argument}, 4)
    tape.step(Kind.TEXT, message, 4)
    held = {argument["channel"] for argument in tape.interpreter.subscriptions(4)}
    assert held == {"books", "books-l2-tbt", "trades", "orders"} - gone


def test_what_is_remembered_is_bounded_and_what_is_dropped_is_counted() -> None:
    tape = Tape()
    for connection in range(3_000):
        tape.step(Kind.SENT, {"GET": "/api/v5/public/time"}, connection)  # a request of ours
        frame = Frame(10**6 + connection, 0, 0, connection, Kind.SENT, b"GET /x HTTP/1.1")
        tape.interpreter.step(frame)
    assert tape.interpreter.integrity.dropped == 3_000 - 1_024
