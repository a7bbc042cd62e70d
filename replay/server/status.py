"""How a served capture stands: the one answer for `/replay`, `/replay/status` and the page.

Responsible for what is told and its names. Refuses to measure: the running server is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any, Protocol

import msgspec

from recorder.book import Book
from recorder.capture.reader import Capture
from recorder.clock import NS_PER_MS, format_time
from recorder.okx.faults import AnyFault
from replay.controls import Controls
from replay.pacer import Schedule
from replay.server.client import Client

CLIENTS_TOLD = 64


class ClientStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One client.

    Attributes:
        endpoint: `public`, `business` or `private`. address: where it is, host and port.
        arguments: how many it holds. unsent: bytes the kernel has not taken yet.
    """

    endpoint: str
    address: str
    arguments: int
    unsent: int


class ServeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a served capture stands.

    Attributes:
        state: `waiting` for subscribers, `playing`, `paused` or `ended`.
        at: `ts_recv` of the frame passed last, ns; None before the first. time: the same, RFC 3339.
        position: `seq` of the next frame.
        speed: as asked for: a number, or `max`. achieved_speed: data seconds per second reached,
            pauses excluded; None at max and before time has passed.
        lag_ms: how late the latest frame was; max_lag_ms: the latest of all. 0 at max.
        frames: recorded pushes that had a receiver; sent: messages to receivers.
        too_slow: clients closed with 4005.
        client_count: how many are connected; clients: who, at most `CLIENTS_TOLD` of them.
        url: base address for clients. capture: name of the folder.
    """

    state: str
    at: int | None
    time: str | None
    position: int
    speed: float | str
    achieved_speed: float | None
    lag_ms: float
    max_lag_ms: float
    frames: int
    sent: int
    too_slow: int
    client_count: int
    clients: list[ClientStatus]
    url: str
    capture: str


class Served(Protocol):
    """What control needs of a running server."""

    @property
    def capture(self) -> Capture:
        """What is served."""
        ...

    @property
    def controls(self) -> Controls:
        """Where orders go; they are taken between two frames."""
        ...

    @property
    def url(self) -> str:
        """Base address for clients."""
        ...

    @property
    def arguments(self) -> dict[str, list[dict[str, str]]]:
        """The known arguments of each endpoint."""
        ...

    @property
    def instruments(self) -> list[str]:
        """The instruments of which there are books to look at."""
        ...

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to another position, which the status does not tell yet."""
        ...

    def status(self) -> ServeStatus:
        """Return how it stands, now."""
        ...

    def book(self, instrument: str) -> Book | None:
        """Return the deepest whole book of an instrument as it stands, None: there is none."""
        ...

    def inject(self, fault: AnyFault) -> None:
        """Let something go wrong from now on.

        Raises:
            UsageError: this fault cannot be done here.
        """
        ...


def status_of(
    *,
    capture: Capture,
    url: str,
    state: str,
    at: int | None,
    position: int,
    schedule: Schedule,
    now: int,
    frames: int,
    sent: int,
    too_slow: int,
    clients: Collection[Client],
) -> ServeStatus:
    """Return the status as it is told.

    Args:
        at: ns; None before the first frame. now: steady time, ns.
        clients: at most the first `CLIENTS_TOLD` of them are told.
    """
    speed = schedule.speed
    return ServeStatus(
        state=state,
        at=at,
        time=None if at is None else format_time(at),
        position=position,
        speed="max" if speed is None else float(speed),
        achieved_speed=None if speed is None else schedule.achieved_speed(now),
        lag_ms=schedule.lag / NS_PER_MS,
        max_lag_ms=schedule.max_lag / NS_PER_MS,
        frames=frames,
        sent=sent,
        too_slow=too_slow,
        client_count=len(clients),
        clients=[_client(client) for client in islice(clients, CLIENTS_TOLD)],
        url=url,
        capture=capture.path.resolve().name,
    )


def _client(client: Client) -> ClientStatus:
    address: Any = client.socket.remote_address
    return ClientStatus(
        endpoint=client.endpoint,
        address=f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address),
        arguments=len(client.conversation.arguments),
        unsent=client.unsent,
    )
