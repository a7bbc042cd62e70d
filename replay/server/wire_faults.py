"""Faults on the wire of a served capture.

Responsible for the faulty conversation of each client and for carrying out what it asks of a
socket. Refuses to decide what goes wrong and when: that is `okx.faults.conversation`, as at the
tests' venue; and to touch anything while there is no fault at all.
"""

from __future__ import annotations

import asyncio
import socket as sockets
import struct
import time
from collections.abc import Callable
from typing import TypeAlias

from websockets.asyncio.server import broadcast

from recorder.errors import UsageError
from recorder.frame import Frame
from recorder.okx import faults as kinds
from recorder.okx.exchange import Close, Send, Started, Stopped
from recorder.okx.faults import AnyFault, Fault, Scenario, name_of
from recorder.okx.faults.conversation import FaultyConversation
from recorder.okx.faults.plan import Action, Cut, Faults, Hang, SendBinary, SendRaw
from recorder.okx.route import route
from replay.server.client import Client

_NOT_SERVED = (kinds.Split, kinds.Drip, kinds.ResetSequence)
_TICK_S = 0.02
_LINGER_0 = struct.pack("ii", 1, 0)

Happens: TypeAlias = Callable[[Client, Started | Stopped], None]


class WireFaults:
    """What goes wrong between one server and its clients.

    Attributes:
        faults: the scenario's state; its seconds are real ones, whatever the speed.
    """

    def __init__(self, scenario: Scenario) -> None:
        for fault in scenario.faults:
            check_served(fault)
        self.faults = Faults(scenario)
        self.is_any = bool(scenario.faults)
        self._talks: dict[Client, FaultyConversation] = {}
        self._numbers = 0
        self._obey: Happens = lambda client, reply: None
        self._forget: Callable[[Client], None] = lambda client: None

    def bind(self, obey: Happens, forget: Callable[[Client], None]) -> None:
        """Say who starts, stops and forgets what is pushed to a client."""
        self._obey, self._forget = obey, forget

    def add(self, fault: AnyFault) -> None:
        """Let something go wrong from now on.

        Raises:
            UsageError: it cannot be done here.
        """
        check_served(fault)
        self.faults.add(fault)
        self.is_any = True

    def at_handshake(self, endpoint: str) -> kinds.AtHandshake | None:
        """Return what goes wrong with a handshake, or with a request of `rest`."""
        return self.faults.at_handshake(endpoint, time.monotonic_ns()) if self.is_any else None

    def begin(self, client: Client) -> FaultyConversation:
        """Return the conversation of a new client, with faults."""
        self._numbers += 1
        talk = FaultyConversation(
            client.conversation, self.faults, self._numbers - 1, time.monotonic_ns()
        )
        self._talks[client] = talk
        return talk

    def end(self, client: Client) -> None:
        """A client has left."""
        self._talks.pop(client, None)

    def push(self, client: Client, frame: Frame) -> None:
        """Send a recorded push to a client, unless a fault changes it.

        The dice are thrown by its `seq`: every client that gets it gets the same fault, and so does
        a strategy in a replay with the same scenario.
        """
        talk = self._talks.get(client)
        if talk is None:
            return
        channel, instrument = route(frame.payload)
        now = time.monotonic_ns()
        self.carry_out(
            client, talk.push(channel or "", instrument or "", frame.payload, now, frame.seq)
        )
        client.held = talk.held_bytes

    async def keep_time(self) -> None:
        """Let what has become due happen, for as long as the server runs."""
        while True:
            await asyncio.sleep(_TICK_S)
            if self.is_any:
                now = time.monotonic_ns()
                for client, talk in list(self._talks.items()):
                    deadline = talk.deadline
                    if deadline is not None and deadline <= now:
                        self.carry_out(client, talk.tick(now))
                        client.held = talk.held_bytes

    def carry_out(self, client: Client, actions: list[Action]) -> None:
        """Do what a conversation asks for, in order, without waiting."""
        for action in actions:
            match action:
                case Started() | Stopped():
                    self._obey(client, action)
                case Close(code, reason):
                    self._forget(client)
                    client.close_soon(code, reason)
                case Cut(how=how):
                    self._forget(client)
                    _cut(client, how)
                case Hang():
                    self._forget(client)
                    client.is_hung = True
                    client.socket.transport.pause_reading()
                case SendBinary(payload=payload):
                    broadcast([client.socket], payload)
                case SendRaw(data=data):
                    client.socket.transport.write(data)
                case Send(payload=payload):
                    client.push(payload)


def check_served(fault: Fault) -> None:
    """Refuse a fault that a server of recordings cannot make.

    Raises:
        UsageError: names it.
    """
    if isinstance(fault, _NOT_SERVED):
        raise UsageError(
            f"expected a fault that a served capture can have, received {name_of(fault)!r}; all "
            f"but {', '.join(name_of(kind) for kind in _NOT_SERVED)} can be served"
        )


def _cut(client: Client, how: str) -> None:
    """End a TCP stream without a close frame."""
    transport = client.socket.transport
    if how == "reset":
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _LINGER_0)
        transport.abort()
        return
    if how == "inside":
        transport.write(b"\x81\x7e\x02\x00" + b'{"arg":')  # a frame of 512 bytes that never ends
    transport.close()  # when all is sent
