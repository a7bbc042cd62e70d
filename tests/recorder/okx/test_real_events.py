"""Frames OKX really sent: nothing unrecognized, every checksum right, counts told twice.

The counts are made again here with the standard library's `json` alone, so that a parser which
drops or doubles events cannot agree with them by accident. The digests pin the events themselves:
SHA-256 over the JSON lines of all events of a session, in float numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.event import Event, Unrecognized, encode_event
from recorder.frame import KIND_OF_LABEL, Frame, Kind
from recorder.okx.interpreter import Integrity, Interpreter
from recorder.okx.parser import Parser
from recorder.okx.route import route

EXPECTED = json.loads(
    (Path(__file__).parents[2] / "expected" / "real_session_events.json").read_text()
)
SESSIONS = sorted(EXPECTED)
NUMBERS = pytest.mark.parametrize("number", [float, Decimal, str])

TYPE_OF_CHANNEL = {
    "trades": "Trade", "trades-all": "Trade", "tickers": "Ticker", "books": "BookUpdate",
    "books5": "BookUpdate", "books-l2-tbt": "BookUpdate", "bbo-tbt": "Quote",
    "candle1m": "Candle", "mark-price": "MarkPrice", "index-tickers": "IndexPrice",
    "funding-rate": "FundingRate", "price-limit": "PriceLimit", "opt-summary": "OptionSummary",
    "liquidation-orders": "Liquidation", "sprd-public-trades": "Trade",
    "sprd-bbo-tbt": "Quote", "sprd-books5": "BookUpdate", "account": "AccountUpdate",
    "positions": "PositionUpdate", "orders": "OrderUpdate", "subscribe": "Subscribed",
    "login": "LoggedIn",
    "channel-conn-count": "ConnectionCount",
}  # fmt: skip


def frames_of(session: Path) -> Iterator[Frame]:
    """Frames of a stored session; the `opened` line holds a bare URL and is left out."""
    with session.open("rb") as lines:
        for seq, line in enumerate(lines):
            row = json.loads(line)
            if row["kind"] in ("text", "sent"):
                received = int(Decimal(str(row["t"])) * 1_000_000_000)
                kind = KIND_OF_LABEL[row["kind"]]
                yield Frame(seq, received, received, 0, kind, row["payload"].encode())


def independent_count(frames: Iterator[Frame]) -> Counter[str]:
    """Count events per type knowing only JSON and the envelope."""
    count: Counter[str] = Counter()
    for frame in frames:
        if frame.kind is not Kind.TEXT:
            continue
        message = json.loads(frame.payload)
        if "event" in message:
            count[TYPE_OF_CHANNEL[message["event"]]] += 1
        else:
            channel = message["arg"]["channel"]
            if channel == "liquidation-orders":
                count["Liquidation"] += sum(len(row["details"]) for row in message["data"])
            elif channel in TYPE_OF_CHANNEL:
                count[TYPE_OF_CHANNEL[channel]] += len(message["data"])
            else:
                count["Data"] += 1
    return count


def interpret(session: Path, number: type) -> tuple[list[Event], Interpreter]:
    interpreter = Interpreter(number)
    return [event for frame in frames_of(session) for event in interpreter.step(frame)], interpreter


@NUMBERS
@pytest.mark.parametrize("name", SESSIONS)
def test_sessions(real_traffic: Path, name: str, number: type) -> None:
    session = real_traffic / "sessions" / name
    events, interpreter = interpret(session, number)
    counts = Counter(type(event).__name__ for event in events)
    assert counts == independent_count(frames_of(session))
    assert dict(counts) == EXPECTED[name]["events"]
    assert interpreter.integrity == Integrity(match=EXPECTED[name]["checksums"])


@pytest.mark.parametrize("name", SESSIONS)
def test_events_are_pinned(real_traffic: Path, name: str) -> None:
    events, _ = interpret(real_traffic / "sessions" / name, float)
    digest = hashlib.sha256()
    for event in events:
        digest.update(encode_event(event) + b"\n")
    assert digest.hexdigest() == EXPECTED[name]["sha256"]


def test_all_3240_legacy_checksums_match(real_traffic: Path) -> None:
    matched = 0
    for name in SESSIONS:
        _, interpreter = interpret(real_traffic / "sessions" / name, float)
        matched += interpreter.integrity.match
    assert matched == 3240


@pytest.mark.parametrize("name", SESSIONS)
def test_one_changed_digit_is_noticed(real_traffic: Path, name: str) -> None:
    """The checksums of the sessions must be able to fail."""
    interpreter = Interpreter()
    changed = False
    for frame in frames_of(real_traffic / "sessions" / name):
        payload = frame.payload
        if not changed and b'"action":"snapshot"' in payload:
            message = json.loads(payload)
            # A level near the best of its side: only 25 levels count.
            side = message["data"][0]["bids"] or message["data"][0]["asks"]
            side[0][1] += "7" if "." in side[0][1] else ".7"
            payload = json.dumps(message).encode()
            changed = True
        interpreter.step(Frame(frame.seq, frame.ts_recv, frame.ts_mono, 0, frame.kind, payload))
    assert interpreter.integrity.mismatch == 1


@pytest.mark.parametrize("name", SESSIONS)
def test_a_checkpoint_anywhere_changes_nothing(real_traffic: Path, name: str) -> None:
    straight, split = Interpreter(), Interpreter()
    for frame in frames_of(real_traffic / "sessions" / name):
        if frame.seq % 97 == 0:
            split = Interpreter.restore(split.save())
        assert split.step(frame) == straight.step(frame)
    assert split.save() == straight.save()


@NUMBERS
def test_single_frames_are_all_recognized(real_traffic: Path, number: type) -> None:
    parser = Parser(number)
    counts: Counter[str] = Counter()
    independent: Counter[str] = Counter()
    for path in sorted((real_traffic / "frames").glob("*.jsonl")):
        for seq, line in enumerate(path.read_bytes().splitlines()):
            frame = Frame(seq, 0, 0, 0, Kind.TEXT, line)
            events = parser.parse(frame)
            assert not any(isinstance(event, Unrecognized) for event in events), line
            counts.update(type(event).__name__ for event in events)
            independent += independent_count(iter([frame]))
    assert counts == independent
    assert not counts["Data"]


def test_money_of_an_account_is_exactly_what_was_sent(real_traffic: Path) -> None:
    """Every number of every order, position and balance is the Decimal of the venue's text."""
    wire_keys = {
        "orders": {"price": "px", "size": "sz", "fee": "fee", "filled_size": "accFillSz"},
        "positions": {"position": "pos", "unrealized_pnl": "upl", "initial_margin": "imr"},
        "account": {"total_equity": "totalEq", "adjusted_equity": "adjEq"},
    }
    for channel, keys in wire_keys.items():
        for line in (real_traffic / "frames" / f"{channel}.jsonl").read_bytes().splitlines():
            rows = json.loads(line)["data"]
            events = Parser().parse(Frame(0, 0, 0, 0, Kind.TEXT, line))
            for row, event in zip(rows, events, strict=True):
                for name, key in keys.items():
                    expected = None if row[key] == "" else Decimal(row[key])
                    assert getattr(event, name) == expected


def test_routes_agree_with_the_argument(real_traffic: Path) -> None:
    for name in SESSIONS:
        for frame in frames_of(real_traffic / "sessions" / name):
            message = json.loads(frame.payload)
            arguments = [message["arg"]] if "arg" in message else message["args"]
            expected = (None, None)
            if len(arguments) == 1:
                expected = (arguments[0]["channel"], arguments[0].get("instId"))
            assert route(frame.payload) == expected


@pytest.mark.parametrize("kind", ["SPOT", "SWAP"])
def test_rest_lists_give_every_instrument(real_traffic: Path, kind: str) -> None:
    body = (real_traffic / "rest" / f"public-instruments-instType-{kind}.json").read_bytes()
    rows = json.loads(body)["data"]
    response, *updates = Parser().parse(Frame(0, 0, 0, 0, Kind.REST, body))
    assert response.rows == len(rows)
    assert [update.instrument for update in updates] == [row["instId"] for row in rows]
    assert [update.tick_size for update in updates] == [float(row["tickSz"]) for row in rows]
