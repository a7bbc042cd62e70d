"""What can be set about a recording.

Responsible for the options, their defaults and their bounds. Refuses to read files or the
environment.
"""

from __future__ import annotations

import ssl

import msgspec

from recorder.errors import UsageError

REDUNDANCY_MAX = 8
"""Each link is one of the 30 connections that may hold a channel (OKX API docs, "Overview")."""


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a socket is opened, kept and given up; all times in seconds.

    Attributes:
        open_timeout: DNS, TCP, TLS and handshake of one attempt together.
        close_timeout: wait for the venue's close frame after ours.
        ping_after: silence after which `ping` is sent; OKX closes a silent socket after 30.
        pong_timeout: silence after the ping that counts as dead.
        first_delay: longest wait before the first reconnect; doubles up to `longest_delay`.
        lived: how long a connection must have lived for the delays to start anew.
        later_delay: longest first wait where the venue says that there are too many of us.
        refused_delay: wait after the venue refused every argument of an endpoint.
        replace_timeout: how long two sockets are kept open when one replaces the other.
        resync: ask for a new snapshot when a book's chain breaks.
        redundancy: links to each endpoint, sockets that hold the same; 1 to 8.
        tls: context for `wss`; None means the system's certificates.
    """

    open_timeout: float = 10.0
    close_timeout: float = 5.0
    ping_after: float = 15.0
    pong_timeout: float = 10.0
    first_delay: float = 0.5
    longest_delay: float = 60.0
    lived: float = 30.0
    later_delay: float = 30.0
    refused_delay: float = 600.0
    replace_timeout: float = 120.0
    resync: bool = True
    redundancy: int = 1
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        for name in ("open_timeout", "close_timeout", "ping_after", "pong_timeout"):
            above_zero(name, getattr(self, name))
        if not 1 <= self.redundancy <= REDUNDANCY_MAX:
            raise UsageError(
                f"expected redundancy of 1 to {REDUNDANCY_MAX} links, received {self.redundancy}; "
                f"2 is what outlives the loss of a socket"
            )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a recording ends by itself; None means never.

    Attributes:
        duration: seconds from the first ack, at the latest from start + connect timeout.
        frames: received text messages; exactly so many are stored.
        until_closed: end when the venue has closed every socket, instead of reconnecting.
        connect_timeout: seconds without any open socket since the start until giving up.
    """

    duration: float | None = None
    frames: int | None = None
    until_closed: bool = False
    connect_timeout: float | None = None

    def __post_init__(self) -> None:
        for name in ("duration", "frames", "connect_timeout"):
            above_zero(name, getattr(self, name))


def above_zero(name: str, value: float | None) -> None:
    """Refuse zero, negative numbers and NaN.

    Raises:
        UsageError: the value is one of these.
    """
    if value is not None and not value > 0:
        raise UsageError(f"expected {name} above 0, received {value}; leave it out for the default")
