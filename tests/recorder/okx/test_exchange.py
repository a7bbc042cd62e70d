"""The venue's side of a conversation: what a client sends, and exactly what it gets back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.clock import NS_PER_SECOND
from recorder.okx.exchange import (
    OKX_IDLE_NS,
    ChannelCounts,
    Close,
    Conversation,
    Rules,
    Send,
    Started,
    Stopped,
    argument_key,
    format_connection_id,
    refuse_login,
    service_notice,
)

BOOKS = {"channel": "books", "instId": "BTC-USDT"}
TRADES = {"channel": "trades", "instId": "BTC-USDT"}
CANDLE = {"channel": "candle1m", "instId": "BTC-USDT"}
LOGIN = b'{"op":"login","args":[{"apiKey":"k","passphrase":"p","timestamp":"1","sign":"s"}]}'


def venue(endpoint: str = "public", **options) -> Conversation:
    known = {"public": (BOOKS, TRADES), "business": (CANDLE,), "private": ({"channel": "orders"},)}
    keys = {argument_key(argument) for argument in known[endpoint]}
    homes = {"books": "public", "trades": "public", "candle1m": "business", "orders": "private"}
    return Conversation(
        endpoint,
        "9f3c01ab",
        lambda argument: argument_key(argument) in keys,
        endpoint_of=homes.get,
        **options,
    )


def request(op: str, *arguments: dict, **extra) -> bytes:
    return msgspec.json.encode({**extra, "op": op, "args": list(arguments)})


def test_subscribe_acks_each_argument_in_order_and_echoes_the_id():
    replies = venue().receive(request("subscribe", BOOKS, TRADES, id="r7"), 0)

    assert replies == [
        Send(
            b'{"id":"r7","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},'
            b'"connId":"9f3c01ab"}'
        ),
        Started(BOOKS),
        Send(
            b'{"id":"r7","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},'
            b'"connId":"9f3c01ab"}'
        ),
        Started(TRADES),
    ]


def test_ping_is_answered_with_pong_and_is_no_request():
    conversation = venue(rules=Rules(requests_per_hour=1))

    for second in range(5):
        assert conversation.receive(b"ping", second) == [Send(b"pong")]
    assert Started(BOOKS) in conversation.receive(request("subscribe", BOOKS), 6)


def test_a_bad_argument_earns_its_own_error_and_spoils_no_other():
    stranger = {"channel": "books", "instId": "FOO-BAR"}

    replies = venue().receive(request("subscribe", stranger, TRADES), 0)

    assert replies[0] == Send(
        b'{"event":"error","msg":"Wrong URL or channel:books,instId:FOO-BAR doesn\'t exist. '
        b'Please use the correct URL, channel and parameters referring to API document.",'
        b'"code":"60018","connId":"9f3c01ab"}'
    )
    assert replies[2:] == [Started(TRADES)]


def test_a_repeated_subscribe_is_acked_and_starts_nothing():
    conversation = venue()
    first = conversation.receive(request("subscribe", BOOKS), 0)
    reordered = dict(reversed(BOOKS.items()))

    again = conversation.receive(request("subscribe", BOOKS), 1)

    assert again == first[:1]
    assert not any(
        isinstance(reply, Started)
        for reply in conversation.receive(request("subscribe", reordered), 2)
    )
    assert conversation.arguments == [BOOKS]


def test_unsubscribe_stops_before_it_is_acked_and_a_new_subscribe_starts_again():
    conversation = venue()
    conversation.receive(request("subscribe", BOOKS), 0)

    replies = conversation.receive(request("unsubscribe", BOOKS, id="r8"), 1)

    assert replies == [
        Stopped(BOOKS),
        Send(
            b'{"id":"r8","event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},'
            b'"connId":"9f3c01ab"}'
        ),
    ]
    assert not conversation.holds(BOOKS)
    assert Started(BOOKS) in conversation.receive(request("subscribe", BOOKS), 2)


def test_unsubscribing_what_was_never_subscribed_is_acked():
    (reply,) = venue().receive(request("unsubscribe", BOOKS), 0)

    assert isinstance(reply, Send)
    assert b'"event":"unsubscribe"' in reply.payload


def test_null_and_extra_parameters_are_accepted_and_not_echoed():
    asked = {**BOOKS, "instType": None, "extraParams": '{"updateInterval":"0"}'}

    acked, started = venue().receive(request("subscribe", asked), 0)

    assert started == Started(BOOKS)
    assert b'"arg":{"channel":"books","instId":"BTC-USDT"}' in acked.payload


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"",
        b"[]",
        b"hello",
        b"\xff\xfe",
        b'{"op":"subscribe"}',
        b'{"op":"subscribe","args":[]}',
        b'{"op":"subscribe","args":["books"]}',
        b'{"args":[{}]}',
        b'{"op":"subscribe","id":"not ok","args":[{"channel":"books","instId":"BTC-USDT"}]}',
    ],
)
def test_malformed_requests_earn_60012_with_their_own_text(text: bytes):
    (reply,) = venue().receive(text, 0)

    answer = msgspec.json.decode(reply.payload)
    assert answer["code"] == "60012"
    assert answer["msg"] == "Illegal request: " + text.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("endpoint", "argument", "code"),
    [
        ("public", CANDLE, "60018"),
        ("business", BOOKS, "64002"),
        ("business", {"channel": "no-such"}, "60018"),
        ("public", {"channel": 7}, "60018"),
        ("private", BOOKS, "60018"),
        ("private", {"channel": "orders"}, "60011"),
    ],
)
def test_what_an_endpoint_does_not_serve(endpoint: str, argument: dict, code: str):
    (reply,) = venue(endpoint).receive(request("subscribe", argument), 0)

    assert msgspec.json.decode(reply.payload)["code"] == code


def test_on_public_the_ack_comes_before_please_log_in():
    conversation = venue(needs_login=lambda argument: argument["channel"] == "books")

    acked, refused = conversation.receive(request("subscribe", BOOKS), 0)

    assert b'"event":"subscribe"' in acked.payload
    assert b'"code":"60011"' in refused.payload
    assert not conversation.holds(BOOKS)


def test_login_once():
    conversation = venue("private")

    (accepted,) = conversation.receive(LOGIN, 0)
    assert accepted.payload == (b'{"event":"login","msg":"","code":"0","connId":"9f3c01ab"}')
    assert Started({"channel": "orders"}) in conversation.receive(
        request("subscribe", {"channel": "orders"}), 1
    )
    (second,) = conversation.receive(LOGIN, 2)
    assert b'"code":"60031"' in second.payload


@pytest.mark.parametrize("options", [{"login": refuse_login}, {}])
def test_a_login_that_is_refused_or_incomplete_earns_60009(options):
    text = LOGIN if options else LOGIN.replace(b'"sign":"s"', b'"sign":""')

    (refused,) = venue("private", **options).receive(text, 0)

    assert refused.payload == (
        b'{"event":"error","msg":"Login failed.","code":"60009","connId":"9f3c01ab"}'
    )


def test_requests_are_counted_per_hour_and_the_hour_slides():
    conversation = venue()
    hour = 3_600 * NS_PER_SECOND
    for number in range(480):
        assert b"error" not in conversation.receive(request("subscribe", BOOKS), number)[0].payload

    (refused,) = conversation.receive(request("subscribe", TRADES), 480)
    assert b'"code":"60014"' in refused.payload
    assert not conversation.holds(TRADES)
    assert Started(TRADES) in conversation.receive(request("subscribe", TRADES), hour)
    assert b'"code":"60014"' in conversation.receive(request("subscribe", TRADES), hour)[0].payload


def test_many_arguments_are_one_request():
    conversation = venue(rules=Rules(requests_per_hour=1))

    replies = conversation.receive(request("subscribe", *[BOOKS, TRADES] * 50), 0)

    assert sum(isinstance(reply, Send) for reply in replies) == 100


def test_an_oversize_request_closes_with_1009():
    conversation = venue(rules=Rules(request_bytes=4_096))

    assert conversation.receive(b" " * 4_097, 0) == [Close(1009, "message too big")]
    assert b"60012" in conversation.receive(b" " * 4_096, 0)[0].payload


def test_an_unknown_operation_earns_60019():
    (reply,) = venue().receive(request("ping", {}), 0)

    assert b'"code":"60019"' in reply.payload


def test_the_idle_rule_closes_with_4004_unless_something_is_pushed():
    conversation = venue(rules=Rules(idle_ns=OKX_IDLE_NS), now_ns=5)

    assert conversation.deadline == OKX_IDLE_NS + 5
    assert conversation.tick(OKX_IDLE_NS + 4) == []
    conversation.pushed(100)
    assert conversation.tick(OKX_IDLE_NS + 99) == []
    conversation.receive(b"ping", 200)
    assert conversation.tick(OKX_IDLE_NS + 199) == []
    assert conversation.tick(OKX_IDLE_NS + 200) == [Close(4004, "No data received in 30s.")]


def test_without_the_idle_rule_nothing_closes():
    conversation = venue()

    assert conversation.deadline is None
    assert conversation.tick(10**18) == []


def test_control_frames_of_the_venue():
    assert format_connection_id(0x1_0000_00AB) == "000000ab"
    assert msgspec.json.decode(service_notice("000000ab"))["code"] == "64008"


def test_an_unknown_endpoint_is_the_callers_mistake():
    with pytest.raises(ValueError, match="public"):
        Conversation("spot", "00000000", lambda argument: True)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(text: bytes):
    assert venue().receive(text, 0)


_words = st.text("ab:,é\x00", max_size=4)
_json = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    _words,
    st.lists(_words, max_size=2),
    st.dictionaries(_words, st.none() | _words, max_size=2),
)


@settings(deadline=None)
@given(
    st.sampled_from(["subscribe", "unsubscribe", "login"]),
    st.lists(st.dictionaries(st.sampled_from(["channel", "instId", "x"]), _json), max_size=4),
)
def test_every_argument_is_answered_once_whatever_it_holds(operation: str, arguments: list):
    replies = venue().receive(request(operation, *arguments), 0)

    sent = [msgspec.json.decode(reply.payload) for reply in replies if isinstance(reply, Send)]
    assert len(sent) == max(len(arguments), 1)
    assert all(answer["connId"] == "9f3c01ab" for answer in sent)


def test_trading_operations_are_not_served():
    (reply,) = venue().receive(request("order", {"instId": "BTC-USDT", "side": "buy"}), 0)

    assert b'"code":"60028"' in reply.payload


@pytest.mark.parametrize("code", ["60018", "64001"])
def test_candles_on_public_are_answered_as_the_rules_say(code: str):
    (reply,) = venue(rules=Rules(candles_on_public=code)).receive(request("subscribe", CANDLE), 0)

    answer = msgspec.json.decode(reply.payload)
    assert answer["code"] == code
    assert ("candle1m" in answer["msg"]) == (code == "60018")


@pytest.mark.parametrize("code", ["60018", "60008"])
def test_private_channels_on_public_are_answered_as_the_rules_say(code: str):
    conversation = venue(rules=Rules(login_on_public=code))

    (reply,) = conversation.receive(request("subscribe", {"channel": "orders"}), 0)

    assert msgspec.json.decode(reply.payload)["code"] == code


def test_both_spellings_of_60012_and_of_60018():
    conversation = venue(rules=Rules(illegal="Invalid", separator=", "))

    (illegal,) = conversation.receive(b"x", 0)
    (unknown,) = conversation.receive(
        request("subscribe", {"channel": "books", "instId": "FOO-BAR"}), 0
    )

    assert msgspec.json.decode(illegal.payload)["msg"] == "Invalid request: x"
    assert "channel:books, instId:FOO-BAR doesn't exist" in unknown.payload.decode()


def test_uly_is_no_longer_accepted():
    (reply,) = venue().receive(request("subscribe", {**BOOKS, "uly": "BTC-USD"}), 0)

    assert b'"code":"64000"' in reply.payload


def test_a_fee_tier_below_the_channels_earns_64003():
    tbt = {"channel": "books-l2-tbt", "instId": "BTC-USDT"}

    def codes(tier: int | None) -> list[str]:
        conversation = Conversation(
            "public", "9f3c01ab", lambda argument: True, rules=Rules(tier=tier)
        )
        replies = conversation.receive(request("subscribe", tbt, BOOKS), 0)
        sent = [msgspec.json.decode(item.payload) for item in replies if isinstance(item, Send)]
        return [answer.get("code", "ack") for answer in sent]

    assert codes(3)[0] == "64003"
    assert codes(4)[0] == codes(None)[0] == "ack"


def exclusive() -> Conversation:
    return Conversation("public", "9f3c01ab", lambda argument: True)


def test_books_beside_books_l2_tbt_are_acked_and_then_refused():
    conversation = exclusive()
    conversation.receive(request("subscribe", {**BOOKS, "channel": "books-l2-tbt"}), 0)

    acked, refused = conversation.receive(request("subscribe", BOOKS), 1)

    assert b'"event":"subscribe"' in acked.payload
    assert b'"code":"64004"' in refused.payload
    assert not conversation.holds(BOOKS)
    other = {**BOOKS, "instId": "ETH-USDT"}
    assert Started(other) in conversation.receive(request("subscribe", other), 2)


def test_books_l2_tbt_evicts_the_other_books_of_its_instrument_with_events_nobody_asked_for():
    conversation = exclusive()
    other = {**BOOKS, "instId": "ETH-USDT"}
    fifty, tbt = {**BOOKS, "channel": "books50-l2-tbt"}, {**BOOKS, "channel": "books-l2-tbt"}
    conversation.receive(request("subscribe", BOOKS, other, fifty), 0)

    replies = conversation.receive(request("subscribe", tbt, id="r9"), 1)

    assert replies[0].payload.startswith(b'{"id":"r9","event":"subscribe"')
    assert replies[1:] == [
        Stopped(fifty),
        Send(
            b'{"event":"unsubscribe","arg":{"channel":"books50-l2-tbt","instId":"BTC-USDT"},'
            b'"connId":"9f3c01ab"}'
        ),
        Stopped(BOOKS),
        Send(
            b'{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},'
            b'"connId":"9f3c01ab"}'
        ),
        Started(tbt),
    ]
    assert conversation.arguments == [other, tbt]


def private(connection_id: str, counts: ChannelCounts, **limits) -> Conversation:
    conversation = Conversation(
        "private", connection_id, lambda argument: True, counts=counts, rules=Rules(**limits)
    )
    conversation.receive(LOGIN, 0)
    return conversation


def test_the_sockets_of_a_private_channel_are_counted_after_the_ack():
    counts = ChannelCounts()
    first, second = private("0000000a", counts), private("0000000b", counts)
    orders, spot = {"channel": "orders"}, {"channel": "orders", "instType": "SPOT"}

    acked, counted, started = first.receive(request("subscribe", orders), 1)
    assert b'"event":"subscribe"' in acked.payload
    assert counted == Send(
        b'{"event":"channel-conn-count","channel":"orders","connCount":"1","connId":"0000000a"}'
    )
    assert started == Started(orders)
    again = first.receive(request("subscribe", spot), 2)
    assert b'"connCount":"1"' in again[1].payload, "several arguments of one socket count once"
    assert b'"connCount":"2"' in second.receive(request("subscribe", orders), 3)[1].payload

    first.receive(request("unsubscribe", orders), 4)
    third = private("0000000c", counts)
    assert b'"connCount":"3"' in third.receive(request("subscribe", orders), 5)[1].payload
    first.end()
    second.end()
    assert b'"connCount":"1"' in third.receive(request("subscribe", spot), 6)[1].payload


def test_one_socket_too_many_is_acked_and_then_told_that_it_is_dead():
    counts = ChannelCounts()
    orders = {"channel": "orders"}
    private("0000000a", counts).receive(request("subscribe", orders), 1)
    late = private("0000000b", counts, channel_connections=1)

    acked, refused = late.receive(request("subscribe", orders), 2)

    assert b'"event":"subscribe"' in acked.payload
    assert refused == Send(
        b'{"event":"channel-conn-count-error","channel":"orders","connCount":"1",'
        b'"connId":"0000000b"}'
    )
    assert not late.holds(orders)


def test_too_many_channels_on_a_connection_close_it_with_4009():
    conversation = venue(rules=Rules(channels_per_connection=1))

    replies = conversation.receive(request("subscribe", BOOKS, TRADES, BOOKS), 0)

    assert isinstance(replies[-1], Close)
    assert replies[-1].code == 4009
    assert len(replies) == 3, "nothing may follow a close"


def test_a_failed_login_may_be_followed_by_4001():
    rules = Rules(closes_after_failed_login=True)

    refused, closed = venue("private", login=refuse_login, rules=rules).receive(LOGIN, 0)

    assert b'"code":"60009"' in refused.payload
    assert closed == Close(4001, "Login failed")


def test_a_login_is_judged_by_the_wall_clock_and_answered_with_its_code():
    seen: list[int] = []

    def judge(credentials, now_ns: int) -> str:
        seen.append(now_ns)
        return "60006"

    (refused,) = venue("private", login=judge).receive(LOGIN, 5, 1_790_000_000 * NS_PER_SECOND)

    assert seen == [1_790_000_000 * NS_PER_SECOND]
    assert b'"msg":"Timestamp request expired","code":"60006"' in refused.payload


def test_an_eviction_stops_and_says_so_and_a_drop_only_stops():
    conversation = venue()
    conversation.receive(request("subscribe", BOOKS, TRADES), 0)

    assert conversation.drop(BOOKS) == [Stopped(BOOKS)]
    stopped, told = conversation.evict(TRADES)
    assert stopped == Stopped(TRADES)
    assert b'"event":"unsubscribe"' in told.payload
    assert conversation.evict(TRADES) == conversation.drop(BOOKS) == []
    assert conversation.arguments == []
