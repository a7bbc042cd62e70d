"""Who may ask: keeps web pages of other origins away from a served capture.

Responsible for judging the headers of one request. Refuses to know paths.

A browser lets any page open a WebSocket to this machine, but it tells whose page it is (`Origin`).
And it can be made to call this machine by a foreign name (DNS rebinding), which `Host` then tells.

Whoever asks for the control (`control_refusal`) must name the very host it was sent to as its
origin, and that host must be an address, `localhost` or the name this server was told to listen on.

Whoever asks as a client of OKX (`client_refusal`) may be a page of this machine, at any port, as a
front end in development is, or one of an origin that was allowed; other pages could read a recorded
account. Programs may call the server whatever they like (`ws.okx.com` in a hosts file, `replay` in
a container's network), and some of them name that as their origin: they are told from browsers by
what only those send.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.datastructures import Headers

ANY_ORIGIN = "*"
_OF_BROWSERS = ("Accept-Language", "Sec-Fetch-Site", "Sec-Fetch-Mode")


def client_refusal(headers: Headers, listening_on: str, allowed: Collection[str]) -> str | None:
    """Return in one sentence why a client of OKX is not let in, None where it is.

    Args:
        headers: of the request. listening_on: the host this server was told to listen on.
        allowed: origins that are let in as well, in lower case; `*` for every one.
    """
    if ANY_ORIGIN in allowed:
        return None
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    name = _name_of(f"//{hosts[0]}") if len(hosts) == 1 else ""
    is_known = _is_ours(name, listening_on) or not _is_browser(headers)
    if not origins:
        if is_known:
            return None
        return (
            f"expected a browser to call this server by an address, localhost or {listening_on}, "
            f"received the host {name[:80]!r}"
        )
    if len(origins) == 1:
        origin = origins[0].lower()
        its_name = _name_of(origin)
        is_same = its_name == name and is_known
        if origin in allowed or _is_loopback(its_name) or (is_same and its_name):
            return None
    return (
        f"expected a program or a page of this machine, received a request of a page of "
        f"{origins[0][:80]!r}: allow it by --allow-origin if it may see what was recorded"
    )


def control_refusal(headers: Headers, listening_on: str) -> str | None:
    """Return in one sentence why a request for the control is not let in, None where it is.

    Args:
        headers: of the request. listening_on: the host this server was told to listen on.
    """
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    host = hosts[0] if len(hosts) == 1 else ""
    name = _name_of(f"//{host}")
    if not _is_ours(name, listening_on):
        return (
            f"expected to be called by an address, localhost or {listening_on}, "
            f"received the host {host[:80]!r}"
        )
    if not origins:
        return None
    own = (f"http://{host}".lower(), f"https://{host}".lower())
    if len(origins) == 1 and origins[0].lower() in own:
        return None
    return (
        f"expected the page of this server or a program, received a request of a page of "
        f"{origins[0][:80]!r}: open http://{host}/ instead"
    )


def _is_browser(headers: Headers) -> bool:
    agent = headers.get("User-Agent", "") if len(headers.get_all("User-Agent")) < 2 else "Mozilla/"
    return agent.startswith("Mozilla/") or any(name in headers for name in _OF_BROWSERS)


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _name_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_ours(name: str, listening_on: str) -> bool:
    if name in ("localhost", listening_on.lower()):
        return bool(name)
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
