"""Rules: what may end, whose fault it is, whether it is tried again and how, and the exit code.

Responsible for this one table; endpoints and the client obey it, docs/client.md prints it, a test
compares the two. Refuses to wait, to count and to read a clock: `live.schedule` and the shells do.

Facts about close codes and statuses are from the OKX API docs ("Close Frame", "Error code") and
RFC 6455 section 7.4.1; what a refused handshake of OKX looks like is nowhere documented, so HTTP
is judged by its own rules.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from recorder.errors import ExitCode
from recorder.live.ending import Cause, Closed

RETRY_AFTER_MAX = 600.0
"""Longest `Retry-After` that is obeyed, s: nobody may silence a recorder for a day."""


class Retry(Enum):
    """How the next attempt is made; the value is how the docs say it."""

    AT_ONCE = "at once"
    BACK_OFF = "back-off"
    LATER = "longer back-off"
    RARELY = "every 10 minutes"
    NEVER = "no"


class Rule(msgspec.Struct, frozen=True):
    """What follows one kind of end.

    Attributes:
        what: ended, in words.
        fault: whose it most likely is.
        first: how it is tried again when it never worked before in this run.
        later: and when it had.
        exit_code: where `first` is never; None where the recording goes on.
        causes, codes: which ends it is about; no codes means any other of these causes.
        hint: what to do, for the sentence of an error.
    """

    what: str
    fault: str
    first: Retry
    later: Retry
    causes: tuple[Cause, ...] = ()
    codes: tuple[range, ...] = ()
    hint: str = ""

    @property
    def exit_code(self) -> ExitCode | None:
        """What the recording ends with where it is not tried at all."""
        return ExitCode.REFUSED if self.first is Retry.NEVER else None


_ADDRESS = "check the address (--url, --region)"
_FEWER = "subscribe to fewer channels in one recording"
_CERTIFICATE = "check the address, this machine's clock and its certificates"
_PROXY = "check the proxy of the environment (https_proxy, no_proxy)"


def _code(*codes: int) -> tuple[range, ...]:
    return tuple(range(code, code + 1) for code in codes)


_BACK, _LATER, _NEVER = Retry.BACK_OFF, Retry.LATER, Retry.NEVER
_CLOSED = (Cause.CLOSED,)
_HTTP = (Cause.HTTP,)

NOTICE = Rule("notice 64008: a service upgrade", "venue", Retry.AT_ONCE, Retry.AT_ONCE)
LOGIN_REFUSED = Rule("login refused for good", "account", _NEVER, _NEVER)
ALL_REFUSED = Rule(
    "every subscription refused", "caller", _NEVER, Retry.RARELY,
    hint="check channels and instruments",
)  # fmt: skip

RULES: tuple[Rule, ...] = (
    Rule("close 1000, 1001: proper end, going away", "venue", _BACK, _BACK, _CLOSED,
         _code(1000, 1001)),
    Rule("close 1006: cut without a close frame", "network", _BACK, _BACK, _CLOSED, _code(1006)),
    Rule("close 1009: a message was too long", "recorder", _BACK, _BACK, _CLOSED, _code(1009)),
    Rule("close 1008, 1013: refused by policy, try again later", "venue", _LATER, _LATER, _CLOSED,
         _code(1008, 1013)),
    Rule("close 4001: login failed", "account", _BACK, _BACK, _CLOSED, _code(4001)),
    Rule("close 4002: invalid request", "recorder", _BACK, _BACK, _CLOSED, _code(4002)),
    Rule("close 4003: the API key is in use too often", "account", _LATER, _LATER, _CLOSED,
         _code(4003)),
    Rule("close 4004: nothing to push for 30 s", "venue", _BACK, _BACK, _CLOSED, _code(4004)),
    Rule("close 4005: read too slowly", "machine", _BACK, _BACK, _CLOSED, _code(4005)),
    Rule("close 4006: abnormal disconnection", "venue", _BACK, _BACK, _CLOSED, _code(4006)),
    Rule("close 4007: API key updated or deleted", "account", _BACK, Retry.AT_ONCE, _CLOSED,
         _code(4007)),
    Rule("close 4008, 4009: too many channels", "caller", _NEVER, _LATER, _CLOSED,
         _code(4008, 4009), _FEWER),
    Rule("any other close", "venue", _BACK, _BACK, _CLOSED),
    Rule("half-open: no answer to a ping", "network", _BACK, _BACK, (Cause.SILENCE,)),
    Rule("the venue reads nothing", "network", _BACK, _BACK, (Cause.UNREAD,)),
    Rule("broken WebSocket protocol", "network", _BACK, _BACK, (Cause.PROTOCOL,)),
    Rule("DNS failed", "network", _BACK, _BACK, (Cause.DNS,)),
    Rule("TCP refused, unreachable or reset", "network", _BACK, _BACK, (Cause.TCP,)),
    Rule("no answer in time", "network", _BACK, _BACK, (Cause.TIMEOUT,)),
    Rule("TLS failed", "network", _BACK, _BACK, (Cause.TLS,)),
    Rule("certificate not trusted", "caller", _NEVER, _LATER, (Cause.CERTIFICATE,), (),
         _CERTIFICATE),
    Rule("proxy answers 401, 403 or 407", "caller", _NEVER, _LATER, (Cause.PROXY,),
         _code(401, 403, 407), _PROXY),
    Rule("proxy fails otherwise", "network", _BACK, _BACK, (Cause.PROXY,)),
    Rule("proxy of a kind not supported", "caller", _NEVER, _LATER, (Cause.PROXY_KIND,), (),
         _PROXY),
    Rule("HTTP 429: too many connections", "recorder", _LATER, _LATER, _HTTP, _code(429)),
    Rule("HTTP 408, 425", "network", _BACK, _BACK, _HTTP, _code(408, 425)),
    Rule("HTTP 401, 403, 404, any other 4xx", "caller", _NEVER, _LATER, _HTTP,
         (range(400, 500),), _ADDRESS),
    Rule("HTTP redirect", "caller", _NEVER, _LATER, _HTTP, (range(300, 400),), _ADDRESS),
    Rule("HTTP 5xx", "venue", _BACK, _BACK, _HTTP, (range(500, 600),)),
    Rule("HTTP, any other status: no WebSocket there", "caller", _NEVER, _LATER, _HTTP, (),
         _ADDRESS),
    Rule("an answer that is no WebSocket handshake", "network", _BACK, _BACK,
         (Cause.HANDSHAKE,)),
    NOTICE,
    LOGIN_REFUSED,
    ALL_REFUSED,
)  # fmt: skip
"""First match wins. A connection that is closed by the recorder itself, at its end, has no rule."""

_UNFORESEEN = Rule("anything else", "network", _BACK, _BACK)


def rule_of(closed: Closed) -> Rule:
    """Return the rule for an end that was not wanted."""
    for rule in RULES:
        if closed.cause in rule.causes and (
            not rule.codes or any(closed.code in codes for codes in rule.codes)
        ):
            return rule
    return _UNFORESEEN
