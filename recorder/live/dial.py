"""Dial: a TCP connection to the venue, through TLS and a proxy where there is one.

Responsible for DNS, TCP, TLS with the system's certificates and the environment's HTTP proxy.
Refuses to speak WebSocket (that is `live.connection`) and to retry (that is `live.endpoint`).

Proxies: `wss_proxy`, `https_proxy`, `http_proxy`, `no_proxy` are honoured as websockets reads
them. Loopback is always dialled directly: a local replay server is never behind a proxy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from websockets.asyncio.client import connect_http_proxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import WebSocketURI

from recorder.errors import UsageError

_PREFERRED_SECONDS = 3.0
"""Of an attempt, for the address that a link prefers; then any will do."""

P = TypeVar("P", bound=asyncio.Protocol)


async def dial(
    uri: WebSocketURI,
    protocol_factory: Callable[[], P],
    *,
    tls: ssl.SSLContext | None = None,
    address: int | None = None,
) -> P:
    """Connect and return the protocol, whose `connection_made` was called.

    Args:
        uri: where to; `wss` means TLS.
        protocol_factory: called once, when the TCP connection stands.
        tls: the context for `wss`; None means the system's certificates.
        address: which of the host's addresses to try first, by number in their order; so links
            with different numbers prefer different ones where there are several.

    Raises:
        OSError: DNS, TCP or TLS failed (`ssl.SSLCertVerificationError` is one).
        websockets.exceptions.ProxyError: the proxy refused.
        UsageError: the proxy of the environment is of a kind that is not supported.
    """
    loop = asyncio.get_running_loop()
    context = (tls or ssl.create_default_context()) if uri.secure else None
    server_hostname = uri.host if uri.secure else None
    proxy_url = None if is_loopback(uri.host) else get_proxy(uri)
    if proxy_url is None:
        preferred = None if address is None else await _address_of(uri, address)
        if preferred is not None:
            with suppress(OSError):
                async with asyncio.timeout(_PREFERRED_SECONDS):
                    _, protocol = await loop.create_connection(
                        protocol_factory, preferred, uri.port, ssl=context,
                        server_hostname=server_hostname,
                    )  # fmt: skip
                    return protocol
        _, protocol = await loop.create_connection(
            protocol_factory,
            uri.host,
            uri.port,
            ssl=context,
            server_hostname=server_hostname,
            happy_eyeballs_delay=0.25,
        )
        return protocol
    proxy = parse_proxy(proxy_url)
    if proxy.scheme != "http":
        raise UsageError(
            f"expected an http:// proxy in the environment, received one of scheme "
            f"{proxy.scheme} on {proxy.host}; set no_proxy={uri.host} to connect directly"
        )
    transport: asyncio.Transport = await connect_http_proxy(proxy, uri, user_agent_header=None)
    protocol = protocol_factory()
    transport.set_protocol(protocol)
    if context is not None:
        secured = await loop.start_tls(
            transport, protocol, context, server_hostname=server_hostname
        )
        if secured is None:
            raise ConnectionResetError("connection lost during the TLS handshake")
        transport = secured
    protocol.connection_made(transport)
    return protocol


async def _address_of(uri: WebSocketURI, number: int) -> str | None:
    """Return one of the addresses of a host that has several of the family preferred here."""
    found = await asyncio.get_running_loop().getaddrinfo(
        uri.host, uri.port, type=socket.SOCK_STREAM
    )
    family = found[0][0]
    addresses = sorted({str(item[4][0]) for item in found if item[0] == family})
    return addresses[number % len(addresses)] if len(addresses) > 1 else None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, without asking DNS."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
