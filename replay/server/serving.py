"""`serve(...)`: the one call that makes a server of a capture.

Responsible for its arguments and for refusing those that make no sense. Refuses to serve: that is
`shell`.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable
from os import PathLike

from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND, format_time
from recorder.errors import UsageError
from recorder.okx.exchange import Login, Rules, accept_any_login
from recorder.okx.faults import Fault, Scenario
from recorder.okx.faults.words import scenario_of
from replay.pace import Speed, parse_speed
from replay.server.origin import ANY_ORIGIN
from replay.server.settings import AT_END, Settings
from replay.server.shell import Server

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")


def serve(
    capture: Capture | str | PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    speed: str | float | Speed = None,
    start: int | None = None,
    at_end: str = "idle",
    wait_for_subscribers: int = 0,
    start_paused: bool = False,
    buffer_bytes: int = 8 << 20,
    idle_close: float | None = None,
    clients: int = 1_000,
    subscriptions: int | None = 10_000,
    message_bytes: int = 65_536,
    allow_origins: Iterable[str] = (),
    login: Login = accept_any_login,
    books_need_login: bool = False,
    tls: ssl.SSLContext | None = None,
    reproduce: bool = False,
    retime: bool = False,
    faults: Scenario | Iterable[str | Fault] = (),
    seed: int | None = None,
    log: Callable[[str], None] | None = None,
) -> Server:
    """Make a local OKX of a capture; enter the result (`async with`) to start it.

    Args:
        capture: a capture or its path.
        host, port: where to listen; port 0 takes any free one.
        speed: data seconds per second, e.g. 1, 0.5 or "10x"; None or "max": as fast as the
            clients can take it.
        start: begin at the first frame with `ts_recv` at or after this, ns.
        at_end: `close` the sockets (1000) when all is sent, stay `idle`, `loop`, or `follow` the
            recorder that still adds to the capture, then stay.
        wait_for_subscribers: start the clock when this many distinct arguments are held.
        start_paused: stand still until `controls` say otherwise.
        buffer_bytes: unsent bytes above which a client is too slow, at a speed other than max.
        idle_close: apply the venue's idle rule after so many seconds (30 at OKX); None: do not.
        clients: connections at a time; one more is refused with HTTP 503.
        subscriptions: arguments one connection may hold; one more closes it with 4009.
        message_bytes: longest request; a longer one closes the connection with 1009.
        allow_origins: web pages that may be clients beside those of this machine, each
            `scheme://host[:port]`; `*` for all. Programs always may.
        login: judge of logins; by default every complete one is accepted. Account channels want
            one, on `private` and on `business`; tick-by-tick books take one.
        books_need_login: tick-by-tick books want one, as at the venue.
        tls: makes the sockets `wss`; `replay.server.tls` has one.
        reproduce: recorded notices and disconnects happen to those who hold what came over the
            connection they happened to.
        retime: move every venue time in the pushes to now; their bytes then change.
        faults: what shall go wrong on the wire, e.g. `gap:books:BTC-USDT@p=0.001`, or a scenario
            (docs/faults.md). seed: decides those with a `p`, by the `seq` of the recorded push.
        log: takes lines for a person.

    Raises:
        UsageError: an argument makes no sense. NotACapture: there is no capture.
        On entering also StartError: the port cannot be had. Damage: the capture is broken.
    """
    if at_end not in AT_END:
        raise UsageError(f"expected at-end as one of {', '.join(AT_END)}, received {at_end!r}")
    if wait_for_subscribers < 0:
        raise UsageError(f"expected 0 or more subscribers, received {wait_for_subscribers}")
    for what, number in (("clients", clients), ("subscriptions", subscriptions)):
        if number is not None and number < 1:
            raise UsageError(f"expected at least 1 for {what}, received {number}")
    if idle_close is not None and idle_close <= 0:
        raise UsageError(f"expected an idle time above 0 s, received {idle_close}")
    source = capture if isinstance(capture, Capture) else Capture(capture)
    on_disk(source.path, "served")
    if start is not None and next(source.frames(start=start), None) is None:
        raise UsageError(
            f"expected a start before the end of {source.path}, received {format_time(start)}"
        )
    origins = tuple(origin.lower().rstrip("/") for origin in allow_origins)
    for origin in origins:
        if origin not in (ANY_ORIGIN, "null") and not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"expected an origin as scheme://host or scheme://host:port, null or *, "
                f"received {origin!r}"
            )
    settings = Settings(
        host=host,
        port=port,
        speed=parse_speed(speed),
        start=start,
        at_end=at_end,
        wait_for_subscribers=wait_for_subscribers,
        start_paused=start_paused,
        buffer_bytes=buffer_bytes,
        clients=clients,
        rules=Rules(
            idle_ns=None if idle_close is None else round(idle_close * NS_PER_SECOND),
            request_bytes=message_bytes,
            channels_per_connection=subscriptions,
        ),
        origins=origins,
        login=login,
        books_need_login=books_need_login,
        tls=tls,
        reproduce=reproduce,
        retime=retime,
        scenario=scenario_of(faults, seed=seed),
    )
    return Server(source, settings, log=log or (lambda line: None))
