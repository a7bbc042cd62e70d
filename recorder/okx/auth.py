"""Login: what proves who we are, how it is written, and how it is kept out of sight.

Responsible for the signature, the login request, the form of it that may be stored, and the
venue's judgement of one. Refuses to read the environment or a clock, and to show a secret: no
`repr`, format, copy, pickle, dump or error message made here holds one.

A login is signed by HMAC-SHA256 over `timestamp + "GET" + "/users/self/verify"`, Base64; the
timestamp is in Unix epoch seconds and valid for 30 s (OKX API docs, "Login").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.errors import UsageError
from recorder.okx.exchange import Login

VALID_SECONDS = 30
"""How far the timestamp of a login may be from the venue's clock (OKX API docs, "Login")."""

MASK = b"***"
"""What stands for a secret in what is stored; also for a request that cannot be masked."""

_SIGNED_PATH = "GET/users/self/verify"
_BYTES_MAX = 512
_SECRET_KEYS = frozenset({"apikey", "passphrase", "sign"})
_SPEAKS_OF_KEYS = re.compile("apikey|passphrase")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SCALAR = re.compile(rb"[^,\]}\s]+")
_STEP = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Credentials:
    """An API key with its secret and passphrase; nothing but `login_request` can show them.

    Raises:
        UsageError: one of them is empty, too long or no text; the sentence names which, not what.
    """

    __slots__ = ("__key", "__passphrase", "__secret")

    def __init__(self, key: str, secret: str, passphrase: str) -> None:
        wrong = _first_wrong(key, secret, passphrase)
        if wrong is not None:
            key = secret = passphrase = ""  # a traceback with local variables shows none of them
            raise UsageError(
                f"expected the {wrong} as 1 to {_BYTES_MAX} bytes of UTF-8 text without line "
                f"breaks, received something else; check OKX_API_KEY, OKX_SECRET_KEY and "
                f"OKX_PASSPHRASE"
            )
        self.__key = key
        self.__secret = secret
        self.__passphrase = passphrase

    def __repr__(self) -> str:
        """Show that there are some, not which."""
        return "Credentials(***)"

    def __copy__(self) -> Credentials:
        """Return itself: it never changes, and no second object needs to hold secrets."""
        return self

    def __deepcopy__(self, memo: object) -> Credentials:
        """Return itself, as for a shallow copy."""
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("credentials are never pickled")

    def __getstate__(self) -> NoReturn:
        """Refuse to be taken apart."""
        raise TypeError("credentials are never pickled")

    def signed(self, timestamp: str) -> dict[str, str]:
        """Return the one element of a login's `args`, in the wire's order of keys."""
        return {
            "apiKey": self.__key,
            "passphrase": self.__passphrase,
            "timestamp": timestamp,
            "sign": sign(self.__secret, timestamp),
        }

    def faults(self, argument: Mapping[str, Any], timestamp: str) -> str | None:
        """Return the code of what is wrong with the argument of a login, None if it is ours."""
        for name, ours, code in (
            ("apiKey", self.__key, "60005"),
            ("passphrase", self.__passphrase, "60024"),
            ("sign", sign(self.__secret, timestamp), "60007"),
        ):
            theirs = argument.get(name)
            if not isinstance(theirs, str) or not hmac.compare_digest(_utf8(theirs), _utf8(ours)):
                return code
        return None


def sign(secret: str, timestamp: str) -> str:
    """Return the signature of a login: HMAC-SHA256 in Base64.

    Args:
        secret: the API key's secret. timestamp: exactly as it stands in the request.
    """
    prehash = _utf8(timestamp + _SIGNED_PATH)
    return base64.b64encode(hmac.new(_utf8(secret), prehash, hashlib.sha256).digest()).decode()


def login_request(credentials: Credentials, epoch_s: int, request_id: str) -> bytes:
    """Return the login request, ready to be sent and never to be stored: see `mask_login`.

    Args:
        credentials: whose.
        epoch_s: wall clock, whole seconds since the Unix epoch.
        request_id: echoed by an error; 1 to 32 letters and digits.
    """
    arguments = [credentials.signed(str(epoch_s))]
    return _encode({"id": request_id, "op": "login", "args": arguments})


def mask_login(payload: bytes) -> bytes:
    r"""Return a login request as it may be stored: its secret values are `***`.

    The values of `apiKey`, `passphrase` and `sign` are replaced wherever these keys stand and
    however they are spelled (`"api\u004bey"`, any case); every other byte stays. Bytes that are
    no JSON might hide a secret anywhere: of them nothing is kept, the result is just `***`.
    """
    try:
        _decode(payload)
        masked = _mask(payload)
        safe = not _shows_secret(_decode(masked))
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        safe = False
    return masked if safe else MASK


def judge(
    credentials: Credentials, *, epoch_offset_ns: int = 0, valid_s: int = VALID_SECONDS
) -> Login:
    """Return the venue's judge of logins for one account.

    The codes are those of the OKX API docs: 60004 no timestamp, 60006 expired, 60005 another
    key, 60024 another passphrase, 60007 another signature. The timestamp may be text or a
    number, whole or decimal: clients of all these kinds exist.

    Args:
        credentials: the account.
        epoch_offset_ns: what to add to the conversation's clock to have the Unix epoch, ns.
        valid_s: how far a timestamp may be from that, s.
    """

    def login(argument: Mapping[str, Any], now_ns: int) -> str | None:
        timestamp = _timestamp(argument.get("timestamp"))
        if timestamp is None:
            return "60004"
        now_s = Decimal(now_ns + epoch_offset_ns) / NS_PER_SECOND
        if abs(Decimal(timestamp) - now_s) > valid_s:
            return "60006"
        return credentials.faults(argument, timestamp)

    return login


# --- internals -----------------------------------------------------------------------------


def _first_wrong(key: str, secret: str, passphrase: str) -> str | None:
    given = (("API key", key), ("secret key", secret), ("passphrase", passphrase))
    return next((name for name, value in given if not _is_credential(value)), None)


def _is_credential(value: object) -> bool:
    if not isinstance(value, str) or not value or len(value) > _BYTES_MAX:
        return False
    if any(character in value for character in "\r\n\0"):
        return False
    try:
        return len(value.encode()) <= _BYTES_MAX
    except UnicodeEncodeError:  # not chained to anything: it would carry the text
        return False


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _timestamp(value: object) -> str | None:
    """Return a timestamp as the client signed it, None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    try:
        return text if len(text) <= 64 and Decimal(text).is_finite() else None
    except InvalidOperation:
        return None


def _mask(payload: bytes) -> bytes:
    """Replace the values of the secret keys in valid JSON."""
    kept, done, position = bytearray(), 0, 0
    while (string := _STRING.search(payload, position)) is not None:
        position = string.end()
        colon = _COLON.match(payload, position)
        if colon is None or not _is_secret_key(_decode(string[0])):
            continue
        end = _value_end(payload, colon.end())
        kept += payload[done : colon.end()] + b'"' + MASK + b'"'
        done = position = end
    return bytes(kept + payload[done:])


def _value_end(payload: bytes, start: int) -> int:
    """Return where the JSON value that starts at an offset ends."""
    if payload[start : start + 1] not in (b"{", b"["):
        value = _STRING.match(payload, start) or _SCALAR.match(payload, start)
        if value is None:
            raise ValueError("no value")
        return value.end()
    depth = 0
    for step in _STEP.finditer(payload, start):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(step[0], 0)
        if depth == 0:
            return step.end()
    raise ValueError("unbalanced")


def _is_secret_key(key: object) -> bool:
    return isinstance(key, str) and key.casefold() in _SECRET_KEYS


def _shows_secret(document: object) -> bool:
    """Say whether a decoded document may still show a secret.

    It does where a secret key has another value than the mask, or where a text speaks of keys
    itself, as a login within a text would.
    """
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, value in item.items():
                if _is_secret_key(key) and value != MASK.decode():
                    return True
                pending.append(value)
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, str) and _SPEAKS_OF_KEYS.search(item.casefold()):
            return True
    return False
