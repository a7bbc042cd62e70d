"""A certificate for a server on one's own machine, made without any further library.

Responsible for keys on the curve P-256, for X.509 in DER, and for signing one certificate with the
key of another. Refuses to keep anything, to read a clock, and to be used for anything that matters:
the arithmetic is not constant in time.

The authority signs one certificate and its key is forgotten, so trusting it trusts nothing else.
Curve: SEC 2, secp256r1. Signature: FIPS 186, ECDSA with SHA-256. Certificate: RFC 5280.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_EC_KEY, _P256 = "1.2.840.10045.2.1", "1.2.840.10045.3.1.7"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"

Point = tuple[int, int]


class Pair(NamedTuple):
    """What a server and its clients need, as PEM.

    Attributes:
        authority: what clients are to trust. chain: what the server shows. key: its secret.
    """

    authority: str
    chain: str
    key: str


def make_pair(hosts: list[str], now: datetime, *, days: int) -> Pair:
    """Return a certificate for these host names and addresses, and the authority that signed it."""
    begin = now.astimezone(UTC) - timedelta(days=1)
    end = now.astimezone(UTC) + timedelta(days=days)
    above, own = _new_key(), _new_key()
    signer, subject = "recorder: local servers of this machine", "recorder: local server"
    is_authority = [
        _extension("2.5.29.19", _sequence(_der(0x01, b"\xff")), is_critical=True),
        _extension("2.5.29.15", _der(0x03, b"\x01\x06"), is_critical=True),  # signs certificates
        _extension("2.5.29.14", _der(0x04, _identifier(above))),
    ]
    names = b"".join(_name_of_host(host) for host in hosts)
    is_server = [
        _extension("2.5.29.19", _sequence(), is_critical=True),
        _extension("2.5.29.15", _der(0x03, b"\x07\x80"), is_critical=True),  # signs handshakes
        _extension("2.5.29.37", _sequence(_oid("1.3.6.1.5.5.7.3.1"))),
        _extension("2.5.29.17", _der(0x30, names)),
        _extension("2.5.29.14", _der(0x04, _identifier(own))),
        _extension("2.5.29.35", _sequence(_der(0x80, _identifier(above)))),
    ]
    authority = _certificate(signer, signer, above, above, begin, end, is_authority)
    leaf = _certificate(subject, signer, own, above, begin, end, is_server)
    shown = _pem("CERTIFICATE", authority)
    return Pair(shown, _pem("CERTIFICATE", leaf) + shown, _pem("EC PRIVATE KEY", _private(own)))


# --- the curve ----------------------------------------------------------------------------------


def _new_key() -> int:
    return secrets.randbelow(_N - 1) + 1


def _add(left: Point | None, right: Point | None) -> Point | None:
    """Add two points; None is the point at infinity."""
    if left is None or right is None:
        return right if left is None else left
    if left[0] == right[0]:
        if (left[1] + right[1]) % _P == 0:
            return None
        slope = (3 * left[0] * left[0] - 3) * pow(2 * left[1], -1, _P)
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, _P)
    x = (slope * slope - left[0] - right[0]) % _P
    return x, (slope * (left[0] - x) - left[1]) % _P


def _times(factor: int) -> Point:
    """Return the generator's multiple."""
    found: Point | None = None
    power: Point | None = _G
    while factor:
        if factor & 1:
            found = _add(found, power)
        power = _add(power, power)
        factor >>= 1
    if found is None:
        raise ValueError("expected a factor below the order of the curve, received a multiple")
    return found


def _sign(key: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest())
    while True:
        nonce = _new_key()
        r = _times(nonce)[0] % _N
        s = pow(nonce, -1, _N) * (digest + r * key) % _N
        if r and s:
            return _sequence(_integer(r), _integer(s))


def _public(key: int) -> bytes:
    x, y = _times(key)
    return b"\x04" + x.to_bytes(32) + y.to_bytes(32)


def _identifier(key: int) -> bytes:
    return hashlib.sha256(_public(key)).digest()[:20]


# --- X.509 --------------------------------------------------------------------------------------


def _certificate(
    subject: str,
    issuer: str,
    key: int,
    signer: int,
    begin: datetime,
    end: datetime,
    extensions: list[bytes],
) -> bytes:
    algorithm = _sequence(_oid(_ECDSA_SHA256))
    body = _sequence(
        _der(0xA0, _integer(2)),  # version 3
        _integer(secrets.randbits(126) | 1 << 126),
        algorithm,
        _name(issuer),
        _sequence(_time(begin), _time(end)),
        _name(subject),
        _sequence(_sequence(_oid(_EC_KEY), _oid(_P256)), _der(0x03, b"\0" + _public(key))),
        _der(0xA3, _sequence(*extensions)),
    )
    return _sequence(body, algorithm, _der(0x03, b"\0" + _sign(signer, body)))


def _private(key: int) -> bytes:
    """Return a private key as RFC 5915 writes it."""
    return _sequence(
        _integer(1),
        _der(0x04, key.to_bytes(32)),
        _der(0xA0, _oid(_P256)),
        _der(0xA1, _der(0x03, b"\0" + _public(key))),
    )


def _extension(oid: str, value: bytes, *, is_critical: bool = False) -> bytes:
    critical = _der(0x01, b"\xff") if is_critical else b""
    return _sequence(_oid(oid), critical, _der(0x04, value))


def _name(common_name: str) -> bytes:
    pair = _sequence(_oid("2.5.4.3"), _der(0x0C, common_name.encode()))
    return _sequence(_der(0x31, pair))


def _name_of_host(host: str) -> bytes:
    try:
        return _der(0x87, ip_address(host).packed)
    except ValueError:
        return _der(0x82, host.encode("idna"))


# --- DER ----------------------------------------------------------------------------------------


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytearray([first * 40 + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        content += bytes(reversed(digits))
    return _der(0x06, bytes(content))


def _time(moment: datetime) -> bytes:
    return _der(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _pem(label: str, content: bytes) -> str:
    text = base64.encodebytes(content).decode().replace("\n", "")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
