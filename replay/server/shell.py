"""Sockets and clock of a served capture.

Responsible for listening, for the conversations, for sending recorded pushes when they are due,
and for bounded buffers. Refuses to know what a venue answers
(`okx.exchange`) and who receives what (`switchboard`), and to change a byte of a recorded push.

Theory of operation. One clock walks through the capture in `seq` order; each frame goes to its
receivers when it is due, late ones at once. Requests are answered between two frames, so a client
sees a clean cut. At max speed the clock waits for clients that are full; at any other speed a
client whose buffer is over the bound is closed with 4005, as OKX does.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed

from recorder.capture.batch import FrameBatch
from recorder.capture.reader import Capture
from recorder.clock import NS_PER_SECOND
from recorder.errors import StartError, UsageError
from recorder.frame import Kind
from recorder.okx.channels import CHANNELS
from recorder.okx.exchange import (
    ChannelCounts,
    Close,
    Conversation,
    Login,
    Reply,
    Rules,
    Send,
    Started,
    Stopped,
    format_connection_id,
)
from recorder.okx.interpreter import Interpreter
from recorder.okx.served_account import ACCOUNT_CHANNELS, AccountState, states_of
from recorder.okx.subscription import Subscription
from replay.pace import Speed
from replay.pacer import Schedule
from replay.server.catalogue import Catalogue, read_catalogue
from replay.server.client import Client
from replay.server.rest import BASE_PATH, answer_http
from replay.server.switchboard import Switchboard, identity

_PLAYED = (Kind.TEXT, Kind.OPENED, Kind.CLOSED, Kind.LOST, Kind.RUN)
_TURN_FRAMES = 64  # frames between two chances for everybody else, at max speed
_ROOM_BYTES = 1 << 20  # unsent bytes of a client above which the clock waits, at max speed
_POLL_S = 0.0005


class ServeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a server did.

    Attributes:
        frames: recorded pushes that had at least one receiver; sent: messages to receivers.
        achieved_speed: data seconds per second, None at max and before time has passed.
        max_lag_ms: how late the latest frame was; 0 at max speed.
        too_slow: clients closed with 4005.
    """

    frames: int
    sent: int
    achieved_speed: float | None
    max_lag_ms: float
    too_slow: int


class Server:
    """Serve a capture; made by `serve`, used as `async with serve(...) as server`.

    Attributes:
        port: the port in use.
    """

    def __init__(
        self,
        capture: Capture,
        *,
        host: str,
        port: int,
        speed: Speed,
        start: int | None,
        at_end: str,
        wait_for_subscribers: int,
        buffer_bytes: int,
        idle_close: float | None,
        login: Login,
        log: Callable[[str], None],
    ) -> None:
        self.port = port
        self._capture = capture
        self._host = host
        self._start = start
        self._at_end = at_end
        self._wanted_subscribers = wait_for_subscribers
        self._buffer_bytes = buffer_bytes
        idle_ns = None if idle_close is None else round(idle_close * NS_PER_SECOND)
        self._rules = Rules(idle_ns=idle_ns)
        self._login = login
        self._counts = ChannelCounts()
        self._now_ns = 0  # ts_recv of the frame in hand: what REST says the time is
        self._log = log
        self._schedule = Schedule(speed)
        self._is_max = speed is None
        self._clients: dict[Client, None] = {}
        self._frames = self._sent = self._too_slow = 0
        self._enough = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._clock: asyncio.Task[None] | None = None
        self._catalogue = Catalogue()
        self._switchboard: Switchboard[Client] = Switchboard(self._catalogue)
        self._listener: Listener | None = None

    # --- life -------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base address for clients, e.g. `ws://127.0.0.1:8765/ws/v5`."""
        host = "127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host
        shown = f"[{host}]" if ":" in host else host
        return f"ws://{shown}:{self.port}{BASE_PATH}"

    @property
    def arguments(self) -> dict[str, list[dict[str, str]]]:
        """The known arguments of each endpoint, in the order of first sight."""
        return {
            endpoint: [subscription.argument for subscription in known]
            for endpoint, known in self._catalogue.known.items()
        }

    def report(self) -> ServeReport:
        """Return what was done so far."""
        return ServeReport(
            frames=self._frames,
            sent=self._sent,
            achieved_speed=self._schedule.achieved_speed(time.monotonic_ns()),
            max_lag_ms=self._schedule.max_lag / 1e6,
            too_slow=self._too_slow,
        )

    async def wait_finished(self) -> None:
        """Wait until the capture has been served to its end (never with `loop`).

        With `close` every socket has been closed by then.

        Raises:
            Damage: something could not be read.
        """
        if self._clock is not None:
            await asyncio.shield(self._clock)

    async def __aenter__(self) -> Server:
        self._catalogue = await asyncio.to_thread(read_catalogue, self._capture)
        self._switchboard = Switchboard(self._catalogue)
        known = sum(len(arguments) for arguments in self._catalogue.known.values())
        if self._wanted_subscribers > known:
            raise UsageError(
                f"expected to wait for at most {known} distinct arguments, which is what "
                f"{self._capture.path} holds, received {self._wanted_subscribers}"
            )
        try:
            self._listener = await listen(
                self._converse,
                self._host,
                self.port,
                process_request=partial(answer_http, self._catalogue, self._replay_instant),
                compression=None,
                ping_interval=None,  # OKX's heartbeat is the text ping
                max_size=1 << 20,
                max_queue=64,
            )
        except (OSError, OverflowError) as error:
            raise StartError(
                f"expected to listen on {self._host}:{self.port}, but the system said "
                f"{getattr(error, 'strerror', None) or error}; choose another port, "
                f"or 0 for any free one"
            ) from error
        self.port = next(iter(self._listener.sockets)).getsockname()[1]
        if self._wanted_subscribers == 0:
            self._enough.set()
        self._clock = asyncio.create_task(self._run())
        self._keep(self._clock)
        if self._rules.idle_ns is not None:
            self._keep(asyncio.create_task(self._close_idle()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    # --- conversations ----------------------------------------------------------------------

    async def _converse(self, socket: ServerConnection) -> None:
        path = "" if socket.request is None else urlsplit(socket.request.path).path
        endpoint = path.removeprefix(BASE_PATH + "/")
        conversation = Conversation(
            endpoint,
            format_connection_id(secrets.randbits(32)),
            lambda argument: self._switchboard.knows(endpoint, argument),
            endpoint_of=lambda name: CHANNELS[name].endpoint if name in CHANNELS else None,
            needs_login=_needs_login,
            login=self._login,
            rules=self._rules,
            counts=self._counts,
            now_ns=time.monotonic_ns(),
        )
        client = Client(socket, endpoint, conversation)
        self._clients[client] = None
        self._log(f"a client connected to {endpoint}, {len(self._clients)} in all")
        try:
            while True:
                text = await socket.recv(decode=False)
                for reply in conversation.receive(text, time.monotonic_ns(), time.time_ns()):
                    await self._obey(client, reply)
        except ConnectionClosed:
            pass
        finally:
            self._clients.pop(client, None)
            self._switchboard.forget(client)
            conversation.end()
            self._log(f"a client left {endpoint}, {len(self._clients)} remain")

    async def _obey(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Send):
            client.push(reply.payload)
        elif isinstance(reply, Started):
            self._switchboard.subscribe(client, reply.argument)
            self._count_subscribers()
        elif isinstance(reply, Stopped):
            self._switchboard.unsubscribe(client, reply.argument)
        elif isinstance(reply, Close):
            await client.socket.close(reply.code, reply.reason)

    def _count_subscribers(self) -> None:
        """Start the clock when enough distinct arguments are held, over all clients."""
        if self._enough.is_set():
            return
        held = {
            (client.endpoint, identity(argument))
            for client in self._clients
            for argument in client.conversation.arguments
        }
        if len(held) >= self._wanted_subscribers:
            self._log(f"the clock starts: arguments subscribed: {len(held)}")
            self._enough.set()

    async def _close_idle(self) -> None:
        """Apply the venue's idle rule, to the second."""
        while True:
            await asyncio.sleep(1)
            for client in list(self._clients):
                for reply in client.conversation.tick(time.monotonic_ns()):
                    await self._obey(client, reply)

    # --- the clock --------------------------------------------------------------------------

    async def _run(self) -> None:
        """Serve the capture from its start to its end, again and again with `loop`."""
        while True:
            batches = _read_ahead(self._capture, self._start)
            first = await anext(batches, None)
            if first is None:
                self._log("the capture holds nothing to serve")
                break
            await self._rewind(first.seq[0])
            await self._enough.wait()
            await self._play(first)
            async for batch in batches:
                await self._play(batch)
            self._log("the capture has been served to its end")
            if self._at_end != "loop":
                break
        if self._at_end == "close":
            await self._close_all()

    async def _rewind(self, seq: int) -> None:
        """Stand before frame `seq`, with the books as they were there."""
        interpreter, accounts = Interpreter(str), None
        if self._start is not None:
            interpreter = await asyncio.to_thread(self._capture.interpreter_before, seq, str)
            accounts = await asyncio.to_thread(self._accounts_before, seq)
        self._schedule.seek()
        self._switchboard.rewind(seq, interpreter, accounts)

    def _accounts_before(self, seq: int) -> dict[Subscription, AccountState]:
        """Return the states of the account channels as they stood before frame `seq`."""
        channels = {push.channel for _, push in self._catalogue.streams}
        channels &= set(ACCOUNT_CHANNELS)
        if not channels or seq == 0:
            return {}
        frames = self._capture.frames(
            kinds=(Kind.TEXT,), channels=sorted(channels), last_seq=seq - 1
        )
        return states_of(frame.payload for frame in frames)

    def _replay_instant(self) -> tuple[int, Switchboard[Client]]:
        """Return the time of the frame in hand, ns, and the books as they stand."""
        return self._now_ns, self._switchboard

    async def _play(self, batch: FrameBatch) -> None:
        """Send a batch of frames, each when it is due."""
        schedule, play, idle_rule = self._schedule, self._switchboard.play, self._rules.idle_ns
        limit = _ROOM_BYTES if self._is_max else self._buffer_bytes
        for turn, frame in enumerate(batch.frames()):
            if not self._is_max:
                now = time.monotonic_ns()
                due = schedule.due(frame, now)
                if due > now:
                    await asyncio.sleep((due - now) / NS_PER_SECOND)
                    now = time.monotonic_ns()
                schedule.sent(now)
            self._now_ns = frame.ts_recv
            receivers = play(frame)
            if receivers:
                broadcast([client.socket for client in receivers], frame.payload, text=True)
                self._frames += 1
                self._sent += len(receivers)
                if idle_rule is not None:
                    for client in receivers:
                        client.conversation.pushed(time.monotonic_ns())
                full = [client for client in receivers if client.unsent > limit]
                if full:
                    await self._relieve(full)
            if turn % _TURN_FRAMES == 0:
                await asyncio.sleep(0)

    async def _relieve(self, full: list[Client]) -> None:
        """Wait for full clients at max speed; close them at any other, as OKX does."""
        for client in full:
            if self._is_max:
                # Nobody is told when a transport's buffer shrinks to a given size: look often.
                while client in self._clients and client.unsent > _ROOM_BYTES // 4:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
            else:
                self._too_slow += 1
                self._switchboard.forget(client)
                self._log(f"a client of {client.endpoint} is too slow: closed with 4005")
                self._keep(asyncio.create_task(client.cut_off()))

    async def _close_all(self) -> None:
        """Close every socket when all is sent, and listen no more."""
        sockets = [client.socket for client in self._clients]
        await asyncio.gather(*(socket.close(1000) for socket in sockets), return_exceptions=True)
        if self._listener is not None:
            self._listener.close()


def _needs_login(argument: Mapping[str, Any]) -> bool:
    """Say whether an argument wants a login: all that is about an account.

    Tick-by-tick books do not: they are gated by fee tier at OKX, and whoever has the capture has
    them already; a client that logs in for them first is served as well.
    """
    channel = CHANNELS.get(argument["channel"])
    return channel is not None and channel.login and not channel.is_book


async def _read_ahead(capture: Capture, start: int | None) -> AsyncIterator[FrameBatch]:
    """Read batches in a thread, one ahead of the one in hand: decoding must not stall the clock."""
    batches = capture.batches(start=start, kinds=_PLAYED)
    pending = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await pending) is not None:
            pending = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        pending.cancel()
