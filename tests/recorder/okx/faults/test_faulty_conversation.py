"""Each fault on one connection, without a socket: what the client gets to see, and when."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.clock import NS_PER_SECOND
from recorder.okx import faults as kinds
from recorder.okx.exchange import Close, Conversation, Rules, Send, Started, Stopped
from recorder.okx.faults import AnyFault, Scenario
from recorder.okx.faults.conversation import FaultyConversation
from recorder.okx.faults.drawn import random_scenario
from recorder.okx.faults.plan import (
    Cut,
    Faults,
    Hang,
    Pace,
    Restart,
    SendBinary,
    SendPieces,
    SendRaw,
)

BOOKS = {"channel": "books", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
TRADE = (
    b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
    b'"tradeId":"7","px":"1.2","sz":"3","side":"buy","ts":"1790000000101","count":"1"}]}'
)
S = NS_PER_SECOND


def update(number: int) -> bytes:
    return (
        b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],'
        b'"bids":[["1.1","5","0","1"]],"ts":"1790000000100","checksum":0,"seqId":%d,'
        b'"prevSeqId":%d}]}' % (number, number - 1)
    )


class Venue:
    """A venue of faults with one connection at a time, at time 0 s."""

    def __init__(self, *faults: AnyFault, **scenario) -> None:
        self.faults = Faults(Scenario(faults=faults, **scenario))
        self.connect()

    def connect(self, endpoint: str = "public", now: float = 0) -> None:
        conversation = Conversation(
            endpoint, "0000000a", lambda argument: True, rules=self.faults.scenario.rules
        )
        self.talk = FaultyConversation(conversation, self.faults, 0, round(now * S))

    def say(self, op: str, *arguments: dict, now: float = 0, **extra) -> list:
        text = msgspec.json.encode({**extra, "op": op, "args": list(arguments)})
        return self.talk.receive(text, round(now * S))

    def push(self, payload: bytes, now: float = 0) -> list:
        channel = msgspec.json.decode(payload)["arg"]["channel"]
        return self.talk.push(channel, "BTC-USDT", payload, round(now * S))

    def tick(self, now: float) -> list:
        return self.talk.tick(round(now * S))

    @property
    def made(self) -> list[str]:
        return [made.fault for made in self.faults.made]


def codes(actions: list) -> list[str]:
    """What a client reads: the events of control frames and the codes of errors."""
    bodies = [msgspec.json.decode(item.payload) for item in actions if isinstance(item, Send)]
    return [body.get("code") or body.get("event") for body in bodies]


def test_without_faults_nothing_is_changed():
    venue = Venue()

    assert codes(venue.say("subscribe", BOOKS, TRADES)) == ["subscribe", "subscribe"]
    assert venue.push(TRADE) == [Send(TRADE)]
    assert venue.tick(100) == []
    assert venue.talk.deadline is None
    assert venue.made == []


def test_the_rules_of_a_scenario_are_the_venues():
    venue = Venue(rules=Rules(idle_ns=30 * S))
    venue.push(TRADE, 5)

    assert venue.talk.deadline == 35 * S
    assert venue.tick(34) == []
    assert venue.tick(35) == [Close(4004, "No data received in 30s.")]


# --- when and where -------------------------------------------------------------------------------


def test_after_counts_from_the_connection_at_from_the_venue_and_pushes_count_pushes():
    venue = Venue(kinds.CloseWith(code=4006, at=5, after=2, pushes=2))
    venue.connect(now=1)

    venue.push(TRADE, 2)
    assert venue.talk.deadline is None, "it waits for a push, not for a time"
    assert venue.push(TRADE, 2.5) == [Send(TRADE)]
    assert venue.talk.deadline == 5 * S
    assert venue.tick(4.9) == []
    assert venue.tick(5) == [Close(4006, "Abnormal disconnection")]
    assert venue.talk.is_over
    assert venue.push(TRADE, 6) == venue.tick(9) == venue.say("subscribe", BOOKS) == []


def test_times_counts_over_connections_and_once_on_each():
    venue = Venue(kinds.Say(text="x", times=2))
    seen = []
    for _ in range(4):
        seen.append((venue.tick(0), venue.tick(1)))
        venue.connect()

    assert seen == [([Send(b"x")], []), ([Send(b"x")], []), ([], []), ([], [])]


def test_an_endpoint_and_a_connection_of_it_can_be_named():
    venue = Venue(kinds.Say(text="x", endpoint="public", connection=1, times=0))

    assert venue.tick(0) == []  # connection 0 of public
    venue.connect("business")
    assert venue.tick(0) == []
    venue.connect("public")
    assert venue.tick(0) == [Send(b"x")]
    venue.connect("public")
    assert venue.tick(0) == []


def test_faults_of_handshakes_are_counted_by_endpoint():
    faults = Faults(
        Scenario(
            faults=(
                kinds.Refuse(status=429, endpoint="public", times=2),
                kinds.Drop(endpoint="business", at=3),
                kinds.Refuse(status=500, endpoint="rest"),
            )
        )
    )

    assert [faults.at_handshake("public", 0) is not None for _ in range(3)] == [True, True, False]
    assert faults.at_handshake("business", 2 * S) is None
    assert isinstance(faults.at_handshake("business", 3 * S), kinds.Drop)
    assert faults.at_handshake("rest", 0) is not None
    assert faults.at_handshake("rest", 0) is None
    assert [made.detail for made in faults.made] == ["HTTP 429", "HTTP 429", "", "HTTP 500"]


# --- by itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (kinds.CloseWith(code=4001), Close(4001, "Login failed")),
        (kinds.CloseWith(code=1012, reason="later"), Close(1012, "later")),
        (kinds.GoSilent(), Hang()),
        (kinds.Say(text='{"arg":'), Send(b'{"arg":')),
        (kinds.SayBinary(bytes=3), SendBinary(b"\x00\x01\x02")),
        (kinds.ResetSequence(instrument="BTC-USDT"), Restart("BTC-USDT")),
    ],
)
def test_what_comes_by_itself(fault, expected):
    assert Venue(fault).tick(0) == [expected]


@pytest.mark.parametrize("how", ["eof", "inside", "reset"])
def test_a_cut_is_the_end(how: str):
    venue = Venue(kinds.CutOff(how=how), kinds.Say(text="never"))

    (cut,) = venue.tick(0)

    assert isinstance(cut, Cut)
    assert cut.how == how
    assert venue.talk.is_over


def test_huge_garbled_and_broken_bytes_are_what_they_say():
    (huge,) = Venue(kinds.SayHuge(bytes=100_000)).tick(0)
    (garbled,) = Venue(kinds.SayGarbled()).tick(0)
    (broken,) = Venue(kinds.BreakFraming()).tick(0)

    assert len(huge.payload) == 100_000
    assert msgspec.json.decode(huge.payload)["arg"] == {"channel": "huge"}
    with pytest.raises(UnicodeDecodeError):
        garbled.payload.decode()
    assert isinstance(broken, SendRaw)
    assert broken.data[0] & 0x70, "reserved bits"


def test_a_notice_is_followed_by_a_close():
    venue = Venue(kinds.Announce(close_after=60, after=1))

    assert codes(venue.tick(1)) == ["64008"]
    assert venue.talk.deadline == 61 * S
    assert venue.push(TRADE, 30) == [Send(TRADE)]
    assert venue.tick(61) == [Close(4006, "Abnormal disconnection")]


def test_a_drip_ends_by_itself():
    venue = Venue(kinds.Drip(bytes_per_second=100, seconds=2))

    assert venue.tick(0) == [Pace(100)]
    assert venue.tick(2) == [Pace(None)]


def test_what_is_held_back_comes_at_once_and_in_order():
    venue = Venue(kinds.Hold(seconds=1, after=1))
    venue.say("subscribe", TRADES)

    assert venue.tick(1) == []
    assert venue.push(TRADE, 1.1) == []
    assert codes(venue.say("subscribe", BOOKS, now=1.2)) == []
    assert venue.talk.deadline == 2 * S
    out = venue.tick(2)
    assert out[0] == Send(TRADE)
    assert codes(out[1:]) == ["subscribe"]
    assert venue.push(TRADE, 2.1) == [Send(TRADE)]


def test_messages_are_split_for_a_while():
    venue = Venue(kinds.Split(pieces=3, seconds=1))
    venue.tick(0)

    assert venue.push(TRADE, 0.5) == [SendPieces(TRADE, 3)]
    assert venue.push(TRADE, 1) == [Send(TRADE)]


def test_an_eviction_waits_until_there_is_something_to_take_away():
    venue = Venue(kinds.Evict(channel="books"))
    assert venue.tick(0) == []

    out = venue.say("subscribe", BOOKS, TRADES) + venue.tick(1)

    assert Stopped(BOOKS) in out
    assert codes(out) == ["subscribe", "subscribe", "unsubscribe"]
    assert venue.made == ["evict"]
    assert Started(BOOKS) in venue.say("subscribe", BOOKS, now=2)


# --- in answer to a request -----------------------------------------------------------------------


def test_data_comes_before_a_late_ack():
    venue = Venue(kinds.LateAck(seconds=0.3, channel="books"))

    assert venue.say("subscribe", BOOKS) == [Started(BOOKS)]
    assert venue.push(update(5), 0.1) == [Send(update(5))]
    assert codes(venue.tick(0.3)) == ["subscribe"]


def test_one_argument_is_acked_several_times():
    out = Venue(kinds.RepeatAck(count=3)).say("subscribe", BOOKS, TRADES)

    assert codes(out) == ["subscribe"] * 4
    assert [item for item in out if isinstance(item, Started)] == [Started(BOOKS), Started(TRADES)]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (kinds.AckThenError(code="60011", channel="books"), ["subscribe", "60011"]),
        (kinds.AckThenError(code="64004", channel="books"), ["subscribe", "64004"]),
        (kinds.AckThenTooMany(channel="books"), ["subscribe", "channel-conn-count-error"]),
        (kinds.AnswerError(code="64007", channel="books"), ["64007"]),
        (kinds.AnswerError(code="60018", channel="books"), ["60018"]),
        (kinds.AnswerError(code="64001", channel="books"), ["64001"]),
    ],
)
def test_an_argument_is_refused_before_or_after_its_ack_and_the_others_are_not(fault, seen):
    venue = Venue(fault)

    out = venue.say("subscribe", BOOKS, TRADES, id="r1")

    assert codes(out) == [*seen, "subscribe"]
    assert [item for item in out if isinstance(item, Started)] == [Started(TRADES)]
    assert not venue.talk.conversation.holds(BOOKS)
    again = venue.say("subscribe", BOOKS)
    assert Started(BOOKS) in again, "once is enough"


def test_taking_back_what_was_held_stops_it():
    venue = Venue(kinds.AckThenError(code="60011", after=1))
    venue.say("subscribe", BOOKS)

    assert Stopped(BOOKS) in venue.say("subscribe", BOOKS, now=2)


def test_too_many_requests_are_one_error_for_all_arguments():
    venue = Venue(kinds.AnswerError(code="60014"))

    assert codes(venue.say("subscribe", BOOKS, TRADES, id="r1")) == ["60014"]
    assert venue.talk.conversation.arguments == []
    assert len(codes(venue.say("subscribe", BOOKS, TRADES))) == 2


def test_a_request_can_stay_without_an_answer():
    venue = Venue(kinds.NoAnswer())

    assert venue.say("subscribe", BOOKS) == []
    assert codes(venue.say("subscribe", BOOKS)) == ["subscribe"]
    assert venue.talk.receive(b"ping", 0) == [Send(b"pong")]


@pytest.mark.parametrize("closes", [False, True])
def test_a_login_fails_on_purpose_once(closes: bool):
    venue = Venue(kinds.LoginError(code="63999", closes=closes))
    venue.connect("private")
    keys = {"apiKey": "k", "passphrase": "p", "timestamp": "1", "sign": "s"}

    out = venue.say("login", keys)

    assert codes(out) == ["63999"]
    assert isinstance(out[-1], Close) == closes
    if not closes:
        assert codes(venue.say("login", keys)) == ["0"]


def test_the_venues_clock_can_be_ahead_of_the_clients():
    seen: list[int] = []

    def judge(credentials, now_ns: int) -> str | None:
        seen.append(now_ns)
        return None

    conversation = Conversation("private", "0000000a", lambda argument: True, login=judge)
    faults = Faults(Scenario(clock_skew=45))
    FaultyConversation(conversation, faults, 0, 0).receive(
        b'{"op":"login","args":[{"apiKey":"k"}]}', 7, 1_000 * S
    )

    assert seen == [1_045 * S]


def test_pushes_trail_after_an_unsubscribe_but_not_into_the_next_subscription():
    venue = Venue(kinds.Trail(seconds=1, times=2))
    venue.say("subscribe", BOOKS)

    assert codes(venue.say("unsubscribe", BOOKS)) == ["unsubscribe"]
    assert venue.push(update(5), 0.5) == [Send(update(5))]
    assert venue.tick(1) == [Stopped(BOOKS)]

    venue.say("subscribe", BOOKS, now=2)
    venue.say("unsubscribe", BOOKS, now=3)
    again = venue.say("subscribe", BOOKS, now=3.1)
    assert [type(item) for item in again] == [Send, Stopped, Started]
    assert venue.tick(9) == []


# --- on a push ------------------------------------------------------------------------------------


def test_a_gap_loses_updates_and_nothing_else():
    venue = Venue(kinds.Gap(count=2))
    venue.say("subscribe", BOOKS, TRADES)
    snapshot = update(5).replace(b'"update"', b'"snapshot"')

    seen = [venue.push(item) for item in (snapshot, TRADE, update(6), TRADE, update(7), update(8))]

    assert seen == [[Send(snapshot)], [Send(TRADE)], [], [Send(TRADE)], [], [Send(update(8))]]
    assert venue.made == ["gap"]


def test_an_update_deletes_what_nobody_holds():
    (sent,) = Venue(kinds.DeleteUnknown()).push(update(6))

    row = msgspec.json.decode(sent.payload)["data"][0]
    assert row["bids"] == [["1.1", "5", "0", "1"], ["0.00000001", "0", "0", "0"]]
    assert row["seqId"] == 6


def test_only_the_first_push_is_old():
    venue = Venue(kinds.OldFirst(seconds=60, times=0))
    venue.say("subscribe", TRADES)

    first, second = venue.push(TRADE), venue.push(TRADE)

    assert b'"ts":"1789999940101"' in first[0].payload
    assert second == [Send(TRADE)]


def test_pushes_repeat_but_books_do_not():
    venue = Venue(kinds.Repeat(times=0))

    assert venue.push(TRADE) == [Send(TRADE), Send(TRADE)]
    assert venue.push(update(6)) == [Send(update(6))]


def test_an_instrument_is_renamed_inside_the_data():
    venue = Venue(kinds.Rename(to="NEW-USDT"))

    (sent,) = venue.push(TRADE)

    body = msgspec.json.decode(sent.payload)
    assert (body["arg"]["instId"], body["data"][0]["instId"]) == ("BTC-USDT", "NEW-USDT")


def test_new_fields_are_added_and_what_is_no_json_is_left_alone():
    venue = Venue(kinds.NewField(times=0))

    (sent,) = venue.push(TRADE)

    assert b'"fieldOfTomorrow":"1"' in sent.payload
    assert venue.talk.push("trades", "BTC-USDT", b"{", 0) == [Send(b"{")]


def test_any_push_can_be_lost_and_a_books_push_can_repeat_where_it_is_named():
    venue = Venue(kinds.Lose(count=2), kinds.Repeat(channel="books"))

    assert [venue.push(TRADE) for _ in range(3)] == [[], [], [Send(TRADE)]]
    assert venue.push(update(6)) == [Send(update(6)), Send(update(6))]


def test_a_push_comes_behind_the_next_two_of_its_argument():
    venue = Venue(kinds.Reorder(by=2, channel="books"))

    sent = [venue.push(item) for item in (update(6), update(7), TRADE, update(8), update(9))]

    assert sent == [
        [], [Send(update(7))], [Send(TRADE)], [Send(update(8)), Send(update(6))], [Send(update(9))],
    ]  # fmt: skip


def test_a_late_push_holds_back_its_argument_and_no_other():
    venue = Venue(kinds.Delay(seconds=2, channel="books"))

    assert venue.push(update(6), 1) == venue.push(update(7), 2) == []
    assert venue.push(TRADE, 2) == [Send(TRADE)]
    assert venue.talk.deadline == 3 * S
    assert venue.push(update(8), 3.5) == [Send(update(6)), Send(update(7)), Send(update(8))]


def test_a_corrupted_push_differs_in_one_printable_character():
    venue = Venue(kinds.Corrupt(times=0), seed=3)

    for number in range(50):
        (sent,) = venue.talk.push("trades", "BTC-USDT", TRADE, 0, number)
        different = [(a, b) for a, b in zip(sent.payload, TRADE, strict=True) if a != b]
        assert len(different) == 1
        assert 0x20 <= different[0][0] <= 0x7E


def test_dice_are_thrown_by_the_number_of_the_push_and_the_seed():
    def lost(seed: int, p: float = 0.2) -> set[int]:
        talk = Venue(kinds.Lose(p=p), seed=seed).talk
        return {n for n in range(400) if talk.push("trades", "BTC-USDT", TRADE, 0, n) == []}

    assert lost(1) == lost(1)
    assert 40 < len(lost(1)) < 120
    assert lost(1) != lost(2)
    assert lost(1, 0.05) < lost(1)


def test_what_comes_by_itself_comes_with_a_push_where_it_has_a_probability():
    venue = Venue(kinds.CloseWith(p=0.02), kinds.Say(text="hi", p=0.5), seed=6)

    assert venue.tick(5) == []
    seen = [venue.push(TRADE) for _ in range(500)]

    assert "say" in venue.made
    assert venue.made[-1] == "close"
    assert isinstance(next(item for item in reversed(seen) if item)[-1], Close)
    assert venue.talk.is_over


# --- in any order ---------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.lists(st.sampled_from(["subscribe", "unsubscribe", "push", "tick", "reconnect", "noise"])),
)
def test_whatever_happens_nothing_follows_an_end_and_stops_follow_starts(seed: int, steps: list):
    scenario = random_scenario(seed, seconds=5, count=40, endpoints=("public",))
    venue = Venue(*scenario.faults)
    ends, live = (Close, Cut, Hang), False
    for number, step in enumerate(steps, 1):
        now = number / 4
        if step == "reconnect":
            venue.connect(now=now)
            live = False
        was_over = venue.talk.is_over
        if step in ("subscribe", "unsubscribe"):
            actions = venue.say(step, BOOKS, now=now)
        elif step == "push":
            actions = venue.push(update(number), now)
        elif step == "noise":
            actions = venue.talk.receive(b'{"op":7,"args":null}', round(now * S))
        else:
            actions = venue.tick(now)
        assert not (was_over and actions)
        places = [place for place, item in enumerate(actions) if isinstance(item, ends)]
        assert places in ([], [len(actions) - 1])
        for action in actions:
            if isinstance(action, Started):
                assert not live
                live = True
            elif isinstance(action, Stopped):
                assert live
                live = False
        deadline = venue.talk.deadline
        assert deadline is None or isinstance(deadline, int)


def test_every_kind_is_tried_above():
    text = Path(__file__).read_text()
    missing = [kind.__name__ for kind in get_args(AnyFault) if f"kinds.{kind.__name__}" not in text]
    assert missing == ["Stall"], "Stall is a matter of the shell"
