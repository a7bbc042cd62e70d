"""Ending: how a connection, or the attempt at one, came to its end, as data.

Responsible for the kinds of ends, for reading one out of an exception or a refused handshake, and
for the words. Refuses to decide what follows: `live.rules` does.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

from websockets.exceptions import InvalidMessage, InvalidProxyStatus, InvalidStatus, ProxyError

from recorder.errors import UsageError


class Cause(Enum):
    """What kind of end it was; `live.rules` says what follows each."""

    CLOSED = "closed"  # an open socket; the code says more
    SILENCE = "silence"  # no answer to a ping
    UNREAD = "unread"  # the venue reads nothing of what it is sent
    PROTOCOL = "protocol"
    DNS = "dns"
    TCP = "tcp"
    TIMEOUT = "timeout"
    TLS = "tls"
    CERTIFICATE = "certificate"
    PROXY = "proxy"  # the code is its HTTP status, if it gave one
    PROXY_KIND = "proxy kind"
    HTTP = "http"  # the code is the status of the refused handshake
    HANDSHAKE = "handshake"
    STOPPED = "stopped"  # by us, at the end


class Closed(NamedTuple):
    """How a connection, or the attempt at one, ended.

    Attributes:
        code: WebSocket close code, 1006 where none was received; the HTTP status of a refused
            handshake; None where there was no connection.
        reason: the peer's words, or ours.
        by: `venue`, `recorder` or `network`.
        opened: the handshake had succeeded.
        cause: what kind of end it was.
        retry_after: seconds the venue asked us to stay away, None if it did not.
        oversize: bytes announced for a message above the limit, which is lost;
            None where that is not what happened.
    """

    code: int | None
    reason: str
    by: str
    opened: bool
    cause: Cause = Cause.CLOSED
    retry_after: float | None = None
    oversize: int | None = None


def closed_by_failure(error: BaseException, open_timeout: float) -> Closed:
    """Say in words why an attempt failed, and of which kind that is."""
    if isinstance(error, InvalidStatus):
        response = error.response
        status = response.status_code
        reason = f"HTTP {status} {response.reason_phrase}".strip()
        wait = retry_after(response.headers)
        return Closed(status, reason, "venue", False, Cause.HTTP, wait)
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        wait = retry_after(error.response.headers)
        return Closed(status, words_of(error), "network", False, Cause.PROXY, wait)
    if isinstance(error, TimeoutError) and not str(error):
        return Closed(None, f"no answer within {open_timeout:g} s", "network", False, Cause.TIMEOUT)
    if isinstance(error, InvalidMessage) and error.__cause__ is not None:
        words = f"no HTTP answer: {error.__cause__}"
        return Closed(None, words, "network", False, Cause.HANDSHAKE)
    cause = next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.HANDSHAKE)
    by = "venue" if cause is Cause.HANDSHAKE else "network"
    return Closed(None, words_of(error), by, False, cause)


_CAUSES: tuple[tuple[type[BaseException], Cause], ...] = (
    (UsageError, Cause.PROXY_KIND),
    (ProxyError, Cause.PROXY),
    (ssl.SSLCertVerificationError, Cause.CERTIFICATE),
    (ssl.SSLError, Cause.TLS),
    (socket.gaierror, Cause.DNS),
    (OSError, Cause.TCP),
)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, None where there is none to read.

    A date is read against the `Date` of the same answer, so that no clock of ours matters.
    """
    told = _header(headers, "Retry-After").strip()
    if re.fullmatch(r"\d{1,9}", told):
        return float(told)
    until, now = http_date(headers, "Retry-After"), http_date(headers, "Date")
    return None if until is None or now is None else max((until - now).total_seconds(), 0.0)


def _header(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers[name]
    except LookupError:  # none, or given twice
        return ""


def http_date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(_header(headers, name))
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None


def words_of(error: BaseException) -> str:
    """Return the system's words for an error, without addresses.

    asyncio puts the address into `strerror`, and joins the errors of several addresses into text.
    """
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        numbers = dict.fromkeys(re.findall(r"\[Errno (\d+)\]", str(error)))
        if numbers:
            return " or ".join(os.strerror(int(number)) for number in numbers)
        if error.strerror:
            return error.strerror
    return str(error) or type(error).__name__
