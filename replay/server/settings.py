"""Settings of a served capture, as data.

Responsible for what may be chosen and for the defaults. Refuses to check: `serving` does.
"""

from __future__ import annotations

import ssl

import msgspec

from recorder.okx.exchange import Login, Rules, accept_any_login
from recorder.okx.faults import Scenario
from replay.pace import Speed

AT_END = ("close", "idle", "loop", "follow")
"""What happens when the capture ends. `follow`: what a recorder adds is served as it comes, and
when the recorder has ended, the server stays."""
STAYING = ("idle", "follow")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a capture is served.

    Attributes:
        host, port: where to listen; port 0 takes any free one.
        tls: what makes the sockets `wss`; None: plain.
        speed: data seconds per second, None: as fast as the clients can take it.
        start: begin at the first frame received at or after this, ns.
        at_end: one of `AT_END`.
        wait_for_subscribers: the clock stands still until so many distinct arguments are held.
        start_paused: it stands still until somebody says otherwise.
        buffer_bytes: unsent bytes above which a client is too slow, at a speed other than max.
        patience: seconds that a full client may take nothing at all, at max, before it is closed.
        clients: connections at a time; one more is refused with HTTP 503.
        origins: of web pages that are let in beside those of this machine, in lower case; `*`: all.
        rules: limits and choices of the venue.
        login: judge of logins.
        books_need_login: tick-by-tick books want a login, as at the venue.
        reproduce: recorded notices and disconnects happen again.
        retime: venue times in the pushes are moved to now.
        scenario: what goes wrong on purpose.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    tls: ssl.SSLContext | None = None
    speed: Speed = None
    start: int | None = None
    at_end: str = "idle"
    wait_for_subscribers: int = 0
    start_paused: bool = False
    buffer_bytes: int = 8 << 20
    patience: float = 30.0
    clients: int = 1_000
    origins: tuple[str, ...] = ()
    rules: Rules = Rules()
    login: Login = accept_any_login
    books_need_login: bool = False
    reproduce: bool = False
    retime: bool = False
    scenario: Scenario = Scenario()
