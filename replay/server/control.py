"""Control of a served capture: the socket at `/replay`, `GET /replay/status`, the page at `/`.

Responsible for obeying commands (`commands`), by handing orders to the running replay, and for
telling watchers how it stands. Refuses to pace, to seek and to send pushes: the server takes the
orders between two frames. Who may ask is judged by `origin`.

Theory of operation. Each command gets exactly one answer, in order: `done`, with the status behind
it, or `error`, with one sentence. `watch` asks for the status again and again, with a ladder if an
instrument is named, until `unwatch`. A watcher that does not read is skipped, not waited for, and
the timeline is found by another process: who looks on does not slow the clock.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.errors import RecorderError, UsageError
from replay.ladder import Ladder, ladder_of
from replay.server.commands import (
    TEXT_MAX,
    AskStatus,
    AskTimeline,
    ChangeSpeed,
    Command,
    Describe,
    Description,
    Done,
    Inject,
    Message,
    Pause,
    Refused,
    Resume,
    Seek,
    Step,
    TimelineUpdate,
    Unwatch,
    Update,
    Watch,
    read_command,
)
from replay.server.origin import control_refusal
from replay.server.status import Served
from replay.server.timeline import Timeline

CONTROL_PATH = "/replay"
STATUS_PATH = "/replay/status"
PAGE_PATH = "/"
WATCHERS_MAX = 32
_UNSENT_MAX = 1 << 20
_OBEYED_S = 60.0
_LOOK_S = 0.005
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Control:
    """What a server offers beside the venue's protocol.

    Args:
        served: the running server. listening_on: the host it was told to listen on.
    """

    def __init__(self, served: Served, *, listening_on: str) -> None:
        self._served = served
        self._host = listening_on
        self._timeline = Timeline(served.capture)
        self._count = 0

    async def close(self) -> None:
        """Let go of everything."""
        await self._timeline.close()

    def answer_http(self, socket: ServerConnection, request: Request) -> Response | None:
        """Return the answer to a request of one of these paths; None: let it be a WebSocket."""
        refused = control_refusal(request.headers, self._host)
        if refused is not None:
            return _response(socket, HTTPStatus.FORBIDDEN, "text/plain", f"{refused}\n".encode())
        path = urlsplit(request.path).path
        if path == STATUS_PATH:
            body = msgspec.json.encode(self._served.status())
            return _response(socket, HTTPStatus.OK, "application/json", body)
        if path == PAGE_PATH:
            body = files("replay.server").joinpath("page", "index.html").read_bytes()
            return _response(socket, HTTPStatus.OK, "text/html", body)
        if self._count >= WATCHERS_MAX:
            refused = f"expected at most {WATCHERS_MAX} sockets at {CONTROL_PATH}, received another"
            body = f"{refused}\n".encode()
            return _response(socket, HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", body)
        return None

    async def converse(self, socket: ServerConnection) -> None:
        """Answer one socket at `/replay` until it closes."""
        self._count += 1
        watcher = _Watcher(self._served, self._timeline, socket)
        try:
            while True:
                await watcher.receive(await socket.recv(decode=False))
        except ConnectionClosed:
            pass
        finally:
            self._count -= 1
            await watcher.end()


class _Watcher:
    """One socket at `/replay`."""

    def __init__(self, served: Served, timeline: Timeline, socket: ServerConnection) -> None:
        self._served = served
        self._timeline = timeline
        self._socket = socket
        self._watching: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    async def receive(self, text: bytes) -> None:
        """Answer one message."""
        if len(text) > TEXT_MAX:
            message = f"expected at most {TEXT_MAX} bytes, received {len(text)}"
            await self._send(Refused(message=message))
            return
        command = read_command(text)
        if isinstance(command, Refused):
            await self._send(command)
            return
        op = str(type(command).__struct_config__.tag)
        try:
            await self._obey(command)
        except RecorderError as error:
            await self._send(Refused(message=str(error), op=op, id=command.id))
            return
        if not isinstance(command, Describe):
            status = self._served.status()
            await self._send(Done(op=op, status=status, id=command.id))

    async def end(self) -> None:
        """Let go of everything."""
        for task in (self._watching, self._telling):
            await _ended(task)

    async def _obey(self, command: Command) -> None:
        controls = self._served.controls
        match command:
            case AskStatus():
                return
            case Pause():
                controls.pause()
            case Resume():
                controls.resume()
            case Step():
                controls.step(command.frames)
            case ChangeSpeed():
                controls.change_speed(command.value)
            case Seek():
                if command.to_ns is not None:
                    controls.seek(command.to_ns)
                else:
                    controls.seek_by(command.by_ns)
            case Inject():
                self._served.inject(command.fault)
            case Describe():
                await self._send(
                    Description(
                        id=command.id,
                        capture=self._served.capture.path.resolve().name,
                        url=self._served.url,
                        arguments=self._served.arguments,
                        instruments=self._served.instruments,
                    )
                )
                return
            case AskTimeline():
                await _ended(self._telling)
                self._telling = asyncio.create_task(self._tell_timeline())
                return
            case Watch():
                if command.instrument not in (None, *self._served.instruments):
                    raise UsageError(
                        f"expected an instrument with a book in this capture "
                        f"({', '.join(self._served.instruments[:12]) or 'there is none'}), "
                        f"received {command.instrument!r}"
                    )
                await _ended(self._watching)
                self._watching = asyncio.create_task(self._watch(command))
                return
            case Unwatch():
                await _ended(self._watching)
                return
        await self._obeyed()

    async def _obeyed(self) -> None:
        """Wait until the replay has taken its orders and stands where it was sent."""
        served = self._served
        with suppress(TimeoutError):
            async with asyncio.timeout(_OBEYED_S):
                while served.controls.pending or served.is_moving:  # noqa: ASYNC110  # both are looked at
                    await asyncio.sleep(_LOOK_S)

    async def _watch(self, command: Watch) -> None:
        while True:
            if self._socket.transport.get_write_buffer_size() < _UNSENT_MAX:
                ladder = self._ladder(command)
                status = self._served.status()
                text = msgspec.json.encode(Update(status=status, ladder=ladder))
                broadcast([self._socket], text, text=True)
            await asyncio.sleep(command.every_ms / 1_000)

    def _ladder(self, command: Watch) -> Ladder | None:
        if command.instrument is None:
            return None
        book = self._served.book(command.instrument)
        return None if book is None else ladder_of(book, command.depth)

    async def _tell_timeline(self) -> None:
        with suppress(ConnectionClosed):
            async for part in self._timeline.parts():
                await self._send(TimelineUpdate(timeline=part))

    async def _send(self, message: Message) -> None:
        await self._socket.send(msgspec.json.encode(message), text=True)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _response(socket: ServerConnection, status: HTTPStatus, kind: str, body: bytes) -> Response:
    response = socket.respond(status, "")
    for name in ("Content-Type", "Content-Length"):
        del response.headers[name]
    response.headers["Content-Type"] = f"{kind}; charset=utf-8"
    response.headers["Content-Length"] = str(len(body))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.body = body
    return response
