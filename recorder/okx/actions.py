"""Actions: what a session wants its shell to do, in order.

Responsible for these shapes. Refuses to decide anything: that is `okx.session`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PING = b"ping"
"""The text the venue answers with `pong` (OKX API docs, "Connect")."""


class Send(msgspec.Struct, frozen=True):
    """Send this text message, exact bytes."""

    payload: bytes


class LogIn(msgspec.Struct, frozen=True):
    """Build a login request with this id, send it, and store its masked form."""

    request_id: str


class Close(msgspec.Struct, frozen=True):
    """Close the connection: it is dead or useless."""

    reason: str


class GiveUp(msgspec.Struct, frozen=True):
    """The login cannot succeed, here or on another connection; said once.

    What needs it is REFUSED; everything else of this connection goes on.

    Attributes:
        code: the venue's code, `4001` for a close instead of an answer, or `no answer`.
        message: the venue's words. `okx.login.login_cause(code)` says what is likely wrong.
    """

    code: str
    message: str


Action: TypeAlias = Send | LogIn | Close | GiveUp
