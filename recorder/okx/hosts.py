"""Hosts: where the venue is, by account entity, live and demo.

Responsible for the addresses of WebSocket endpoints and of REST, also below a base address of the
user's own (a local replay server). Refuses to connect.

Hosts are from the OKX v5 API docs ("Overview", "Demo trading services"), as of 2026-07; the port
is 8443 for WebSockets. The `aws` hosts were switched off on 2025-04-28.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from recorder.errors import UrlError, UsageError


class Hosts(msgspec.Struct, frozen=True):
    """Addresses of one venue.

    Attributes:
        websocket: base that `/public`, `/business` or `/private` is appended to.
        rest: scheme, host and port of REST.
        demo_trading: REST requests must carry `x-simulated-trading: 1`.
    """

    websocket: str
    rest: str
    demo_trading: bool = False

    def endpoint(self, name: str) -> str:
        """Return the address of an endpoint, e.g. `wss://ws.okx.com:8443/ws/v5/public`."""
        return f"{self.websocket}/{name}"


_REGIONS = {
    "global": ("ws.okx.com", "wspap.okx.com", "openapi.okx.com"),
    "us": ("wsus.okx.com", "wsuspap.okx.com", "us.okx.com"),
    "eea": ("wseea.okx.com", "wseeapap.okx.com", "eea.okx.com"),
}

REGIONS: tuple[str, ...] = tuple(_REGIONS)
"""Account entities: where the API key was made decides."""


def hosts_of(region: str, *, demo_trading: bool = False) -> Hosts:
    """Return the hosts of a region.

    Raises:
        UsageError: there is no such region.
    """
    if region not in _REGIONS:
        raise UsageError(f"expected a region out of {', '.join(REGIONS)}, received {region!r}")
    live, demo, rest = _REGIONS[region]
    host = demo if demo_trading else live
    return Hosts(f"wss://{host}:8443/ws/v5", f"https://{rest}", demo_trading)


def hosts_at(url: str, *, demo_trading: bool = False) -> Hosts:
    """Return hosts below a base such as `ws://127.0.0.1:8765/ws/v5`; REST is on the same port.

    Raises:
        UrlError: it is no WebSocket address, or it holds a user name, query or fragment.
    """
    example = "e.g. ws://127.0.0.1:8765/ws/v5"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlError(
            f"expected a WebSocket address, received {url!r} ({error}); {example}"
        ) from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UrlError(f"expected an address ws://… or wss://…, received {url!r}; {example}")
    if parts.username is not None or parts.query or parts.fragment:
        raise UrlError(
            f"expected a plain address, received one with credentials, a query or a fragment for "
            f"host {parts.hostname}; {example}"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host if port is None else f"{host}:{port}"
    path = parts.path.rstrip("/")
    rest_scheme = "https" if parts.scheme == "wss" else "http"
    return Hosts(f"{parts.scheme}://{where}{path}", f"{rest_scheme}://{where}", demo_trading)
