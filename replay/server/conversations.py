"""The conversations with the clients of a served capture.

Responsible for one conversation per socket, for carrying out what the venue's side answers, for
the idle rule, and for starting the clock when enough is subscribed. Refuses to know what a venue
answers (`okx.exchange`), who receives what (`switchboard`) and when (`playback`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from recorder.okx.channels import CHANNELS
from recorder.okx.exchange import (
    ChannelCounts,
    Close,
    Conversation,
    Reply,
    Send,
    Started,
    Stopped,
    format_connection_id,
    subscriptions_in,
)
from replay.server.catalogue import Catalogue
from replay.server.client import Client
from replay.server.controls import ServedControls
from replay.server.playback import BURST, Playback
from replay.server.settings import Settings
from replay.server.switchboard import identity


class Conversations:
    """All conversations of one server.

    Args:
        clients: those connected now, kept here.

    Attributes:
        is_awaited: the clock waits for subscribers.
        news: set, and replaced by another, each time the catalogue knows more.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        playback: Playback,
        controls: ServedControls,
        clients: dict[Client, None],
        *,
        log: Callable[[str], None],
    ) -> None:
        self.is_awaited = settings.wait_for_subscribers > 0
        self.news = asyncio.Event()
        self._catalogue = catalogue
        self._settings = settings
        self._playback = playback
        self._controls = controls
        self._clients = clients
        self._wire_faults = playback.wire_faults
        self._wire_faults.bind(self._turn, playback.board.forget)
        self._counts = ChannelCounts()
        self._log = log

    async def converse(self, socket: ServerConnection, endpoint: str) -> None:
        """Answer one client until its socket closes."""
        board = self._playback.board
        conversation = Conversation(
            endpoint,
            format_connection_id(secrets.randbits(32)),
            lambda argument: board.knows(endpoint, argument),
            endpoint_of=lambda name: CHANNELS[name].endpoint if name in CHANNELS else None,
            needs_login=self._needs_login,
            login=self._settings.login,
            rules=self._settings.rules,
            counts=self._counts,
            now_ns=time.monotonic_ns(),
        )
        dress = self._playback.dress if self._settings.retime else None
        most = BURST * self._settings.buffer_bytes
        client = Client(
            socket, endpoint, conversation, dress, most=most, overflow=self._playback.cut_off
        )
        talk = self._wire_faults.begin(client)
        self._clients[client] = None
        self._log(f"a client connected to {endpoint}, {len(self._clients)} in all")
        try:
            while True:
                text = await socket.recv(decode=False)
                if not self._catalogue.is_complete:
                    await self._until_known(endpoint, text)
                now, wall = time.monotonic_ns(), time.time_ns()
                if self._wire_faults.is_any:
                    self._wire_faults.carry_out(client, talk.receive(text, now, wall))
                    continue
                for reply in conversation.receive(text, now, wall):
                    await self._obey(client, reply)
                    await self._playback.until_room(client)
        except ConnectionClosed:
            pass
        finally:
            self._clients.pop(client, None)
            self._wire_faults.end(client)
            board.forget(client)
            conversation.end()
            self._log(f"a client left {endpoint}, {len(self._clients)} remain")

    async def _obey(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Send):
            client.push(reply.payload)
        elif isinstance(reply, Close):
            await client.socket.close(reply.code, reply.reason)
        else:
            self._turn(client, reply)

    def _turn(self, client: Client, reply: Started | Stopped) -> None:
        """Begin or end an argument of a client."""
        if isinstance(reply, Stopped):
            self._playback.board.unsubscribe(client, reply.argument)
            return
        self._playback.board.subscribe(client, reply.argument)
        self._playback.look_back()
        self._count_subscribers()

    def _needs_login(self, argument: Mapping[str, Any]) -> bool:
        """Say whether an argument wants a login: all that is about an account.

        Tick-by-tick books do only where it is asked for: they are gated by fee tier at OKX, and
        whoever has the capture has them already; a client that logs in first is served as well.
        """
        channel = CHANNELS.get(argument["channel"])
        if channel is None or not channel.login:
            return False
        return self._settings.books_need_login or not channel.is_book

    def _count_subscribers(self) -> None:
        """Start the clock when enough distinct arguments are held, over all clients."""
        if not self.is_awaited:
            return
        held = {
            (client.endpoint, identity(argument))
            for client in self._clients
            for argument in client.conversation.arguments
        }
        wanted = self._settings.wait_for_subscribers
        if self._catalogue.is_complete:
            wanted = min(wanted, self._catalogue.count)
        if len(held) >= wanted:
            self.is_awaited = False
            if not self._settings.start_paused:
                self._log(f"the clock starts: arguments subscribed: {len(held)}")
                self._controls.resume()

    async def close_idle(self) -> None:
        """Apply the venue's idle rule, to the second."""
        while True:
            await asyncio.sleep(1)
            for client in list(self._clients):
                for reply in client.conversation.tick(time.monotonic_ns()):
                    await self._obey(client, reply)

    def learnt(self) -> None:
        """Wake those who wait for an argument to be found."""
        self.news.set()
        self.news = asyncio.Event()

    async def _until_known(self, endpoint: str, text: bytes) -> None:
        """Wait until the survey has found what a request asks for, or has come to its end."""
        while not self._catalogue.is_complete:
            asked = subscriptions_in(text)
            if all(self._playback.board.knows(endpoint, argument) for argument in asked):
                return
            await self.news.wait()
