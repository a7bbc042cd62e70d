"""Who may ask: keeps web pages of other origins away from the control of a served capture.

Responsible for judging the `Host` and `Origin` headers of one request. Refuses to know paths.

A browser lets any page open a WebSocket to this machine, but it tells whose page it is: such a
request must name the very host it was sent to as its origin. And that host must be an address,
`localhost` or the name this server was told to listen on, so that a foreign name which was made to
point here (DNS rebinding) is no way in either. Programs send no origin.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.datastructures import Headers


def refusal(headers: Headers, listening_on: str) -> str | None:
    """Return in one sentence why a request is not let in, None where it is.

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
