"""One TCP connection of the venue: HTTP, WebSocket frames, and what the kernel took of them.

An `asyncio.Protocol` over the sans-I/O core of `websockets`, so that every byte that leaves is
ours to make, hold back and count: a message is `handed` once the kernel has all its bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from recorder.okx.channels import CHANNELS, ENDPOINTS
from recorder.okx.exchange import (
    Close,
    Conversation,
    Send,
    Started,
    Stopped,
    format_connection_id,
)
from recorder.okx.faults import Drop, Refuse, Stall
from recorder.okx.faults.conversation import FaultyConversation
from recorder.okx.faults.plan import (
    Action,
    Cut,
    Hang,
    Pace,
    Restart,
    SendBinary,
    SendPieces,
    SendRaw,
)
from tests.venue.oracle import hash_of

if TYPE_CHECKING:
    from tests.venue.server import Venue

_DRIP_SECONDS = 0.02
_CLOSE_SECONDS = 2.0
_BUFFER_BYTES = 16 << 20
_CLOSE_FRAME = b"\x88"


class Peer(asyncio.Protocol):
    """One connection.

    Attributes:
        number: of the WebSocket, in the order of opening, -1 before; as the oracle names it.
        received: texts of the client, oldest first; a login without its content.
        handed: messages the kernel took wholly.
        how: how it ended, "" while it is open; see `conservation`.
    """

    def __init__(self, venue: Venue) -> None:
        self.number = -1
        self.endpoint = ""
        self.received: list[bytes] = []
        self.handed = 0
        self.how = ""
        self.talk: FaultyConversation | None = None
        self._venue = venue
        self._core = ServerProtocol(max_size=1 << 20)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._dripper: asyncio.TimerHandle | None = None
        self._deadline: int | None = None
        self._pace: int | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._written = 0
        self._ends: deque[tuple[int, str, bytes]] = deque()
        self._is_hanging = False
        self._is_at_end = False
        self._is_lost = False
        self._code: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the WebSocket is open at the venue."""
        return self.talk is not None and not self.how and not self._is_lost

    @property
    def is_gone(self) -> bool:
        """Whether the TCP connection is gone."""
        return self._is_lost

    def holds(self, argument: dict[str, Any]) -> bool:
        """Say whether the client is subscribed to an argument."""
        return self.talk is not None and self.talk.conversation.holds(argument)

    # --- asyncio.Protocol -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        self._venue.peers.append(self)

    def data_received(self, data: bytes) -> None:
        if self._is_hanging:
            return
        try:
            self._take(data)
        except Exception as error:  # noqa: BLE001  # a venue that is wrong must fail its test
            self._venue.failures.append(error)
            self.abort()

    def _take(self, data: bytes) -> None:
        self._core.receive_data(data)
        for event in self._core.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._heard(bytes(event.data))
            elif event.opcode is Opcode.CLOSE:
                self._ended("close")
        self._flush_core()
        if self._core.handshake_exc is not None or self._core.parser_exc is not None:
            self._give_up_after(_CLOSE_SECONDS)

    def eof_received(self) -> bool:
        self._core.receive_eof()
        self._core.data_to_send()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        # What asyncio still held is gone: it was never handed to the kernel.
        if not self._is_lost:
            self._ended("vanished")
        self._is_lost = True
        for timer in (self._timer, self._dripper):
            if timer is not None:
                timer.cancel()
        self._venue.lost(self)

    def resume_writing(self) -> None:
        self._count_handed()

    # --- conversation -----------------------------------------------------------------------

    def _handshake(self, request: Request) -> None:
        venue, path = self._venue, request.path.partition("?")[0]
        endpoint = path.removeprefix("/ws/v5/")
        if endpoint == path or endpoint not in ENDPOINTS:
            self._answer_rest(request)
            return
        now = time.monotonic_ns()
        venue.oracle.note("attempt", endpoint=endpoint)
        venue.attempts.append((now, endpoint))
        fault = venue.faults.at_handshake(endpoint, now)
        if fault is not None:
            venue.tell_faults()
            how = f"HTTP {fault.status}" if isinstance(fault, Refuse) else type(fault).__name__
            venue.oracle.note("refused", endpoint=endpoint, how=how.lower())
            self._refuse(fault)
            return
        response = self._core.accept(request)
        self._core.send_response(response)
        self._flush_core()
        if response.status_code != 101:
            return
        self.endpoint = endpoint
        self.number = venue.next_number()
        ident = format_connection_id((venue.seed * 0x9E3779B1 + self.number * 0x85EBCA6B) ^ 0xC0DE)
        conversation = Conversation(
            endpoint,
            ident,
            lambda argument: venue.hub.knows(endpoint, argument),
            endpoint_of=lambda name: CHANNELS[name].endpoint if name in CHANNELS else None,
            needs_login=lambda argument: CHANNELS[argument["channel"]].login,
            login=venue.login,
            rules=venue.faults.scenario.rules,
            counts=venue.counts,
            now_ns=now,
        )
        self.talk = FaultyConversation(conversation, venue.faults, self.number, now)
        venue.oracle.note("opened", connection=self.number, endpoint=endpoint, id=ident)
        venue.changed()
        self.tick()

    def _refuse(self, fault: Refuse | Drop | Stall) -> None:
        assert self._transport is not None
        if isinstance(fault, Drop):
            self._transport.close()
        elif isinstance(fault, Refuse):
            response = self._core.reject(HTTPStatus(fault.status), "refused on purpose\n")
            if fault.retry_after is not None:
                response.headers["Retry-After"] = str(fault.retry_after)
            self._core.send_response(response)
            self._flush_core()

    def _answer_rest(self, request: Request) -> None:
        fault = self._venue.faults.at_handshake("rest", time.monotonic_ns())
        if isinstance(fault, Stall):
            return
        if isinstance(fault, Drop):
            self._refuse(fault)
            return
        status, body = self._venue.rest(request.path)
        if isinstance(fault, Refuse):
            status, body = fault.status, b'{"code":"50001","data":[],"msg":"on purpose"}'
        headers = Headers(
            {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "Connection": "close",
            }
        )
        phrase = HTTPStatus(status).phrase
        self._core.send_response(Response(status, phrase, headers, body))
        self._flush_core()
        self._venue.oracle.note(
            "rest", target=request.path, status=status, bytes=len(body), hash=hash_of(body)
        )

    def _heard(self, text: bytes) -> None:
        if self.talk is None:
            return
        operation = _operation(text)
        shown = b'{"op":"login"}' if operation == "login" else text
        self.received.append(shown)
        facts = {"bytes": len(text), "hash": None if operation == "login" else hash_of(text)}
        self._venue.oracle.note("received", connection=self.number, op=operation, **facts)
        self._act(self.talk.receive(text, time.monotonic_ns(), time.time_ns()))
        self._venue.changed()

    def push(self, channel: str, instrument: str, payload: bytes) -> None:
        """Send a data push, unless a fault changes it."""
        if self.talk is not None and not self._is_lost:
            self._act(self.talk.push(channel, instrument, payload, time.monotonic_ns()))

    def tick(self) -> None:
        """Do what is due."""
        self._deadline = None
        if self.talk is not None and not self._is_lost:
            self._act(self.talk.tick(time.monotonic_ns()))

    def _act(self, actions: list[Action]) -> None:
        self._venue.tell_faults()
        for action in actions:
            self._perform(action)
        assert self.talk is not None
        if self._timer is None or not self.talk.is_over:
            self._set_timer(self.talk.deadline)

    def _perform(self, action: Action) -> None:
        core, hub = self._core, self._venue.hub
        match action:
            case Send(payload):
                self._message("text", payload, pieces=1)
            case SendPieces(payload, pieces):
                self._message("text", payload, pieces=pieces)
            case SendBinary(payload):
                self._message("binary", payload, pieces=1)
            case SendRaw(data):
                self._ended("broken")
                self._write(data)
                self._give_up_after(_CLOSE_SECONDS)
            case Started(argument):
                hub.start(self, self.endpoint, argument)
            case Stopped(argument):
                hub.stop(self, self.endpoint, argument)
            case Close(code, reason):
                if core.state is State.OPEN:
                    self._code = code
                    core.send_close(code, reason)
                    self._flush_core()
                    self._give_up_after(_CLOSE_SECONDS)
            case Cut():
                self._cut(action)
            case Hang():
                assert self._transport is not None
                self._is_hanging = True
                self._transport.pause_reading()
                self._ended("hang")
            case Pace(rate):
                self._pace = rate
                self._pump()
            case Restart(instrument):
                self._venue.restart(instrument)

    def _cut(self, cut: Cut) -> None:
        transport = self._transport
        assert transport is not None
        self._count_handed()
        self._ended(cut.how)
        if cut.how == "reset":
            raw = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            return
        if cut.how == "inside":
            head = bytes([0x81, len(cut.payload)])
            self._write(head + cut.payload[: len(cut.payload) // 2])
        self._write(b"")
        self._give_up_after(_CLOSE_SECONDS)

    # --- bytes ------------------------------------------------------------------------------

    def _message(self, kind: str, payload: bytes, *, pieces: int) -> None:
        core = self._core
        if core.state is not State.OPEN or self.how:
            return
        size = max(1, -(-len(payload) // max(1, pieces)))
        parts = [payload[i : i + size] for i in range(0, len(payload), size)] or [b""]
        start = core.send_binary if kind == "binary" else core.send_text
        for place, part in enumerate(parts):
            send = start if place == 0 else core.send_continuation
            send(part, fin=place == len(parts) - 1)
        data = b"".join(core.data_to_send())
        self._ends.append((self._queued + len(data), kind, payload))
        self._write(data)
        if self._queued - self._written > _BUFFER_BYTES:
            self._venue.oracle.note("fault", connection=self.number, fault="too slow", detail="")
            self._cut(Cut("reset"))

    def _flush_core(self) -> None:
        for data in self._core.data_to_send():
            self._write(data)

    def _write(self, data: bytes) -> None:
        """Queue bytes; nothing means the end of the stream."""
        if self._is_lost or self._is_hanging:
            return
        self._queue.append(data)
        self._queued += len(data)
        self._pump()

    def _pump(self) -> None:
        """Move queued bytes to the kernel, as fast as the pace allows."""
        transport = self._transport
        assert transport is not None
        if self._dripper is not None:
            if self._pace is not None:
                return
            self._dripper.cancel()
            self._dripper = None
        budget = None if self._pace is None else max(1, int(self._pace * _DRIP_SECONDS))
        while self._queue and (budget is None or budget > 0) and not transport.is_closing():
            data = self._queue.popleft()
            if not data:
                self._is_at_end = True
                with contextlib.suppress(OSError):  # the client may have gone meanwhile
                    transport.write_eof()
                continue
            if self._is_at_end:  # an answer to what the client said after our end
                continue
            if budget is not None and len(data) > budget:
                self._queue.appendleft(data[budget:])
                data = data[:budget]
            transport.write(data)
            self._written += len(data)
            budget = None if budget is None else budget - len(data)
        if self._queue and self._pace is not None and not self._is_lost:
            loop = asyncio.get_running_loop()
            self._dripper = loop.call_later(_DRIP_SECONDS, self._drip)
        self._count_handed()

    def _drip(self) -> None:
        self._dripper = None
        self._pump()

    def _count_handed(self) -> None:
        """Tell the oracle of every message that the kernel has wholly taken."""
        assert self._transport is not None
        if self._is_lost or self._transport.is_closing():
            return
        taken = self._written - self._transport.get_write_buffer_size()
        while self._ends and self._ends[0][0] <= taken:
            _, kind, payload = self._ends.popleft()
            self._note_message("frame", kind, payload)
            self.handed += 1

    def _note_message(self, what: str, kind: str, payload: bytes) -> None:
        self._venue.oracle.note(
            what,
            connection=self.number,
            order=self.handed,
            kind=kind,
            bytes=len(payload),
            hash=hash_of(payload),
        )

    def _ended(self, how: str) -> None:
        """Note how it ended, once; nothing is pushed from here on."""
        if self.how or self.number < 0:
            return
        self._count_handed()
        self.how = how
        self._venue.hub.forget(self)
        if self.talk is not None:
            self.talk.conversation.end()
        self._venue.changed()

    def note_end(self) -> None:
        """Write the last line of this connection; called when the socket is gone."""
        if self.number >= 0:
            for _, kind, payload in self._ends:
                self._note_message("pending", kind, payload)
            self._venue.oracle.note(
                "ended",
                connection=self.number,
                how=self.how,
                handed=self.handed,
                code=self._code,
            )

    # --- time -------------------------------------------------------------------------------

    def _set_timer(self, deadline: int | None) -> None:
        if deadline == self._deadline and self._timer is not None and not self._timer.cancelled():
            return
        self._deadline = deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            wait = max(0.0, (deadline - time.monotonic_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(wait + 0.001, self.tick)

    def _give_up_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def stop(self) -> None:
        """End the TCP connection because the venue ends."""
        self._ended("stopped")
        self.abort()

    def abort(self) -> None:
        """End the TCP connection at once."""
        if self._transport is not None:
            self._transport.abort()


def _operation(text: bytes) -> str:
    if text == b"ping":
        return "ping"
    try:
        return str(msgspec.json.decode(text).get("op"))
    except (msgspec.MsgspecError, AttributeError, UnicodeDecodeError):
        return ""
