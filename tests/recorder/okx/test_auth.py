"""Login: the signature, the request, its masked form, the venue's judgement; nothing leaks."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError
from recorder.okx.auth import MASK, Credentials, judge, login_request, mask_login, sign
from recorder.okx.exchange import Conversation, Send

KEY, SECRET, PASSPHRASE = "key-1234-ABCD", "SECRETKEY0123456789", 'pass "phrase" \\ ☃'
NOW = 1_790_000_000
OURS = Credentials(KEY, SECRET, PASSPHRASE)


def argument(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(login_request(OURS, NOW, "l1"))["args"][0]
    return {k: v for k, v in (found | changes).items() if v is not None}


def test_the_signature_of_a_worked_example() -> None:
    assert sign(SECRET, "1790000000") == "RPLmfhePQKKlv9sZUrBrf9oxA97tvNSJYeJx3PMyw58="


def test_the_request_as_the_wire_wants_it() -> None:
    payload = login_request(Credentials("k", SECRET, "p"), NOW, "l1")
    assert payload == (
        b'{"id":"l1","op":"login","args":[{"apiKey":"k","passphrase":"p",'
        b'"timestamp":"1790000000","sign":"RPLmfhePQKKlv9sZUrBrf9oxA97tvNSJYeJx3PMyw58="}]}'
    )


def test_the_masked_request_keeps_every_other_byte() -> None:
    assert mask_login(login_request(OURS, NOW, "l1")) == (
        b'{"id":"l1","op":"login","args":[{"apiKey":"***","passphrase":"***",'
        b'"timestamp":"1790000000","sign":"***"}]}'
    )


@pytest.mark.parametrize(
    ("payload", "masked"),
    [
        (
            b'{ "args" : [\t{"sign"\r\n:\n"a\\"b" , "timestamp":1790000000.5}],"op":"login" }\n',
            b'{ "args" : [\t{"sign"\r\n:\n"***" , "timestamp":1790000000.5}],"op":"login" }\n',
        ),
        (b'{"api\\u004Bey":"x","APIKEY":"y"}', b'{"api\\u004Bey":"***","APIKEY":"***"}'),
        (b'{"sign":"a","sign":{"sign":"]}"}}', b'{"sign":"***","sign":"***"}'),
        (b'{"sign":1,"x":[{"passphrase":[1,"]"]}]}', b'{"sign":"***","x":[{"passphrase":"***"}]}'),
        (b'{"sign":null,"passphrase":true}', b'{"sign":"***","passphrase":"***"}'),
        (b'{"op":"subscribe","args":[{"channel":"books"}]}',) * 2,
        (b'{"note":"sign: it","signature":"kept"}',) * 2,
        (b"[]", b"[]"),
    ],
)  # fmt: skip
def test_any_spelling_is_masked(payload: bytes, masked: bytes) -> None:
    assert mask_login(payload) == masked
    assert mask_login(masked) == masked


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b'{"apiKey":"secret"',
        b'{"apiKey":"secret"}}',
        b"{\"apiKey\":'secret'}",
        b'{"apiKey":"\xff"}',
        b'{"args":"{\\"apiKey\\":\\"secret\\"}"}',
        b'"the apiKey is secret"',
        b"[" * 100_000 + b"]" * 100_000,
        '{"apiKey":"secret"}'.encode("utf-16"),
    ],
)
def test_what_cannot_be_masked_safely_is_not_kept_at_all(payload: bytes) -> None:
    assert mask_login(payload) == MASK


TEXTS = st.text(min_size=1, max_size=40).filter(
    lambda text: (
        not set(text) & set("\r\n\0") and text.encode("utf-8", "ignore").decode() == text != "***"
    )
)
AWKWARD = st.text('"\\/{}[]:,*\u2028☃é u0', min_size=1, max_size=12).filter(lambda t: t != "***")


@settings(max_examples=300, deadline=None)
@given(
    key=TEXTS | AWKWARD,
    secret=TEXTS | AWKWARD,
    passphrase=TEXTS | AWKWARD,
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
    case=st.sampled_from([str, str.upper, lambda name: f"\\u{ord(name[0]):04x}{name[1:]}"]),
)
def test_no_secret_ever_gets_through(
    key: str, secret: str, passphrase: str, ascii_only: bool, indent: int | None, case: Any
) -> None:
    credentials = Credentials(key, secret, passphrase)
    request = json.loads(login_request(credentials, NOW, "l1"))
    hidden = {key, passphrase, request["args"][0]["sign"]}
    text = json.dumps(request, ensure_ascii=ascii_only, indent=indent)
    for name in ("apiKey", "passphrase", "sign"):
        text = text.replace(f'"{name}":', f'"{case(name)}":')
    masked = json.loads(mask_login(text.encode()))
    (login,) = masked["args"]
    assert list(login.values()) == ["***", "***", str(NOW), "***"]
    assert not hidden & set(login.values())
    assert (masked["op"], masked["id"]) == ("login", "l1")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,\\apiKeysgnu004', max_size=60).map(str.encode))
def test_masking_never_raises_and_shows_no_value_of_a_secret_key(payload: bytes) -> None:
    masked = mask_login(payload)
    if masked == MASK:
        return

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:
            assert name.casefold() not in ("apikey", "passphrase", "sign") or value == "***"
        return dict(pairs)

    json.loads(masked, object_pairs_hook=look)


# --- what holds secrets shows none ----------------------------------------------------------


@dataclasses.dataclass
class Holder:
    credentials: Credentials


def test_nothing_shows_a_secret() -> None:
    shown = [
        repr(OURS), str(OURS), f"{OURS}", f"{OURS!r:>40}", f"{OURS!s}", ascii(OURS),
        repr([OURS]), repr(Holder(OURS)), str(dataclasses.asdict(Holder(OURS))),
        repr(copy.copy(OURS)), repr(copy.deepcopy(OURS)), repr(vars(Holder(OURS))),
    ]  # fmt: skip
    for text in shown:
        for secret in (KEY, SECRET, PASSPHRASE):
            assert secret not in text
    assert not hasattr(OURS, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_credentials_are_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(OURS, protocol)
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps([{"deep": OURS}], protocol)


def test_credentials_are_not_encoded() -> None:
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, json.dumps):
        with pytest.raises(TypeError):
            encode({"credentials": OURS})


@pytest.mark.parametrize(
    ("key", "secret", "passphrase", "name"),
    [
        ("", "s3cr3t", "phr4se", "API key"),
        ("k3y", "", "phr4se", "secret key"),
        ("k3y", "s3cr3t", "", "passphrase"),
        ("k3y", "s3cr3t\n", "phr4se", "secret key"),
        ("k3y\x00", "s3cr3t", "phr4se", "API key"),
        ("k3y", "s3cr3t", "phr4se\ud800", "passphrase"),
        ("k3y", "s3cr3t" * 100, "phr4se", "secret key"),
        ("k3y", None, "phr4se", "secret key"),
    ],
)
def test_a_wrong_credential_is_named_and_none_is_shown(
    key: str, secret: Any, passphrase: str, name: str
) -> None:
    with pytest.raises(UsageError, match=f"expected the {name}") as caught:
        Credentials(key, secret, passphrase)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    summary = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in summary.stack if frame.filename.endswith("/auth.py")]
    assert ours
    shown = str(error) + str([frame.locals for frame in ours])
    for secret_text in ("k3y", "s3cr3t", "phr4se"):
        assert secret_text not in shown


# --- the venue's side -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "after_s", "code"),
    [
        ({}, 0, None),
        ({}, 30, None),
        ({}, -30, None),
        ({}, 30.001, "60006"),
        ({}, -31, "60006"),
        ({"timestamp": None}, 0, "60004"),
        ({"timestamp": "soon"}, 0, "60004"),
        ({"timestamp": "NaN"}, 0, "60004"),
        ({"timestamp": True}, 0, "60004"),
        ({"timestamp": [1]}, 0, "60004"),
        ({"timestamp": "1" * 65}, 0, "60004"),
        ({"apiKey": "other"}, 0, "60005"),
        ({"apiKey": None}, 0, "60005"),
        ({"passphrase": PASSPHRASE + "x"}, 0, "60024"),
        ({"passphrase": 5}, 0, "60024"),
        ({"sign": sign(SECRET, "1790000001")}, 0, "60007"),
        ({"sign": None}, 0, "60007"),
        ({"timestamp": NOW}, 0, None),
        ({"timestamp": f"{NOW}.25", "sign": sign(SECRET, f"{NOW}.25")}, 0, None),
        ({"timestamp": NOW + 0.25, "sign": sign(SECRET, f"{NOW}.25")}, 0, None),
    ],
)
def test_the_judge(changes: dict[str, Any], after_s: float, code: str | None) -> None:
    now = NOW * NS_PER_SECOND + round(after_s * NS_PER_SECOND)
    assert judge(OURS)(argument(**changes), now) == code
    assert judge(OURS, epoch_offset_ns=now)(argument(**changes), 0) == code


def test_a_conversation_that_judges() -> None:
    venue = Conversation("private", "9f3c01ab", lambda _: True, login=judge(OURS))
    now = NOW * NS_PER_SECOND
    late = venue.receive(login_request(OURS, NOW - 31, "l1"), now)
    right = venue.receive(login_request(OURS, NOW, "l2"), now)
    answers = [json.loads(reply.payload) for reply in late + right if isinstance(reply, Send)]
    assert [(answer["event"], answer["code"]) for answer in answers] == [
        ("error", "60006"),
        ("login", "0"),
    ]
