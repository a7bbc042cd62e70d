"""The sockets of a served capture.

Responsible for listening, for which path leads where, and for what the server says of itself.
Refuses to converse (`conversations`), to know who receives what (`switchboard`) and when
(`playback`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import Server as Listener
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.http11 import Request, Response

from recorder.book import Book
from recorder.capture.reader import Capture
from recorder.errors import RecorderError, StartError, UsageError
from recorder.okx.faults import AnyFault, Drop, Refuse, Stall
from recorder.okx.served_rest import Refusal
from replay.server.catalogue import Catalogue
from replay.server.client import Client
from replay.server.control import CONTROL_PATH, PAGE_PATH, STATUS_PATH, Control
from replay.server.controls import ServedControls
from replay.server.conversations import Conversations
from replay.server.origin import client_refusal
from replay.server.playback import Playback
from replay.server.rest import BASE_PATH, Rest, respond
from replay.server.settings import STAYING, Settings
from replay.server.status import ServeStatus, status_of
from replay.server.survey import Survey

_SURVEY_S = 1.0
_STALL_S = 600.0  # whoever still waits for a handshake then is cut off


class ServeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a server did.

    Attributes:
        frames: recorded pushes that had at least one receiver; sent: messages to receivers.
        achieved_speed: data seconds per second, None before time has passed.
        max_lag_ms: how late the latest frame was; 0 at max speed.
        too_slow: clients closed with 4005.
        faults: how often each kind of fault was made on purpose.
    """

    frames: int
    sent: int
    achieved_speed: float | None
    max_lag_ms: float
    too_slow: int
    faults: dict[str, int] = {}


class Server:
    """Serve a capture; made by `serve`, used as `async with serve(...) as server`.

    Attributes:
        port: the port in use.
        controls: pause, step, seek, change speed, and the status; see `ServedControls`.
    """

    def __init__(self, capture: Capture, settings: Settings, *, log: Callable[[str], None]) -> None:
        self.port = settings.port
        self.controls = ServedControls()
        self._capture = capture
        self._settings = settings
        self._log = log
        self._clients: dict[Client, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._clock: asyncio.Task[None] | None = None
        self._catalogue = Catalogue()
        self._playback = Playback(
            capture, self._catalogue, settings, self.controls, self._clients, log=log
        )
        self._conversations = Conversations(
            self._catalogue, settings, self._playback, self.controls, self._clients, log=log
        )
        self._rest = Rest(capture, self._catalogue, self._playback, self.wait_surveyed)
        self._control = Control(self, listening_on=settings.host)
        self._listener: Listener | None = None

    # --- life -------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base address for clients, e.g. `ws://127.0.0.1:8765/ws/v5`."""
        host = self._settings.host
        host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
        shown = f"[{host}]" if ":" in host else host
        scheme = "ws" if self._settings.tls is None else "wss"
        return f"{scheme}://{shown}:{self.port}{BASE_PATH}"

    @property
    def arguments(self) -> dict[str, list[dict[str, str]]]:
        """The known arguments of each endpoint, in the order of first sight."""
        return {
            endpoint: [subscription.argument for subscription in known]
            for endpoint, known in self._catalogue.known.items()
        }

    @property
    def capture(self) -> Capture:
        """What is served."""
        return self._capture

    @property
    def instruments(self) -> list[str]:
        """The instruments of which there are books to look at."""
        return self._playback.board.instruments()

    def inject(self, fault: AnyFault) -> None:
        """Let something go wrong from now on.

        Raises:
            UsageError: this fault cannot be done here.
        """
        self._playback.wire_faults.add(fault)

    @property
    def is_moving(self) -> bool:
        """Whether it is on its way to another position, which the status does not tell yet."""
        return self._playback.is_moving

    def book(self, instrument: str) -> Book | None:
        """Return the deepest whole book of an instrument at the position reached, as texts."""
        return self._playback.board.book(instrument)

    def report(self) -> ServeReport:
        """Return what was done so far."""
        playback = self._playback
        return ServeReport(
            frames=playback.frames,
            sent=playback.sent,
            achieved_speed=playback.schedule.achieved_speed(time.monotonic_ns()),
            max_lag_ms=playback.schedule.max_lag / 1e6,
            too_slow=playback.too_slow,
            faults=dict(playback.wire_faults.faults.counts),
        )

    def status(self) -> ServeStatus:
        """Return how it stands, now."""
        playback = self._playback
        return status_of(
            capture=self._capture,
            url=self.url,
            state=self._state(),
            at=playback.time or None,
            position=playback.board.position,
            schedule=playback.schedule,
            now=time.monotonic_ns(),
            frames=playback.frames,
            sent=playback.sent,
            too_slow=playback.too_slow,
            clients=self._clients,
        )

    def _state(self) -> str:
        playback = self._playback
        if playback.is_ended:
            return "ended"
        if playback.schedule.is_paused:
            return "waiting" if self._conversations.is_awaited else "paused"
        return "playing"

    async def wait_finished(self) -> None:
        """Wait until the capture has been served to its end (never with `loop`).

        With `close` every socket has been closed by then.

        Raises:
            Damage: something could not be read.
        """
        clock = self._clock
        if clock is None:
            return
        if self._settings.at_end in STAYING:
            ended = asyncio.create_task(self._playback.finished.wait())
            await asyncio.wait((ended, clock), return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not clock.done():
                return
        await asyncio.shield(clock)

    async def __aenter__(self) -> Server:
        settings = self._settings
        try:
            self._listener = await listen(
                self._converse,
                settings.host,
                self.port,
                ssl=settings.tls,
                process_request=self._answer_http,
                compression=None,
                ping_interval=None,  # OKX's heartbeat is the text ping
                max_size=_largest(settings),
                max_queue=16,
            )
        except (OSError, OverflowError) as error:
            raise StartError(
                f"expected to listen on {settings.host}:{self.port}, but the system said "
                f"{getattr(error, 'strerror', None) or error}; choose another port, "
                f"or 0 for any free one"
            ) from error
        self.port = next(iter(self._listener.sockets)).getsockname()[1]
        self.controls.bind()
        survey = asyncio.create_task(self._survey())
        self._keep(survey)
        self._clock = asyncio.create_task(self._run())
        self._keep(self._clock)
        self._keep(asyncio.create_task(self._playback.wire_faults.keep_time()))
        if settings.rules.idle_ns is not None:
            self._keep(asyncio.create_task(self._conversations.close_idle()))
        # Clients are answered already; whoever looks at `arguments` sees all of a small capture.
        await asyncio.wait((survey,), timeout=_SURVEY_S)
        known = self._catalogue.count
        if self._catalogue.is_complete and settings.wait_for_subscribers > known:
            await self.close()
            raise UsageError(
                f"expected to wait for at most {known} distinct arguments, which is what "
                f"{self._capture.path} holds, received {settings.wait_for_subscribers}"
            )
        return self

    async def wait_surveyed(self) -> None:
        """Wait until all arguments of the capture are known; with a small one they are at once."""
        while not self._catalogue.is_complete:
            await self._conversations.news.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every socket and end."""
        self.controls.unbind()
        self._drop_hung()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        await self._control.close()

    async def _survey(self) -> None:
        """Find out what there is to serve, while it is being served."""
        found, survey = self._catalogue, Survey(self._capture)
        parts = survey.frames()
        try:
            while (frames := await asyncio.to_thread(next, parts, None)) is not None:
                for frame in frames:
                    found.take(frame)
                found.start, found.end = survey.start, survey.end
                if frames:
                    self._playback.board.surveyed()
                    self._conversations.learnt()
        except RecorderError as error:
            self._log(f"not all of the capture is known before it is played: {error}")
        finally:
            found.is_complete = True
            self._conversations.learnt()

    async def _run(self) -> None:
        await self._playback.run()
        if self._settings.at_end == "close":
            await self._close_all()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    # --- what arrives -----------------------------------------------------------------------

    async def _answer_http(self, socket: ServerConnection, request: Request) -> Response | None:
        """Return None for the paths of WebSockets, else the whole answer."""
        if urlsplit(request.path).path in (PAGE_PATH, CONTROL_PATH, STATUS_PATH):
            return self._control.answer_http(socket, request)
        settings = self._settings
        foreign = client_refusal(request.headers, settings.host, settings.origins)
        if foreign is not None:
            return respond(socket, Refusal(403, "403", foreign))
        if urlsplit(request.path).path.startswith(BASE_PATH + "/"):
            refused_by_fault = await self._refuse(socket, urlsplit(request.path).path)
            if refused_by_fault is not None:
                return refused_by_fault
            most = self._settings.clients
            if len(self._clients) >= most:
                refused = f"at most {most} clients at a time; try again later"
                return respond(socket, Refusal(503, "50001", refused))
        return await self._rest.answer_http(socket, request)

    async def _refuse(self, socket: ServerConnection, path: str) -> Response | None:
        """Let a handshake go wrong where a fault says so; None: it goes on."""
        fault = self._playback.wire_faults.at_handshake(path.removeprefix(BASE_PATH + "/"))
        if isinstance(fault, Stall):
            await asyncio.sleep(_STALL_S)
        if isinstance(fault, Drop | Stall):
            socket.transport.abort()
            return respond(socket, Refusal(503, "50001", "dropped on purpose"))
        if not isinstance(fault, Refuse):
            return None
        response = respond(socket, Refusal(fault.status, "50001", "refused on purpose"))
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response

    async def _converse(self, socket: ServerConnection) -> None:
        path = "" if socket.request is None else urlsplit(socket.request.path).path
        if path == CONTROL_PATH:
            await self._control.converse(socket)
        else:
            await self._conversations.converse(socket, path.removeprefix(BASE_PATH + "/"))

    async def _close_all(self) -> None:
        """Close every socket when all is sent, and listen no more."""
        self._drop_hung()
        sockets = [client.socket for client in self._clients]
        await asyncio.gather(*(socket.close(1000) for socket in sockets), return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    def _drop_hung(self) -> None:
        """Cut what a fault made half-open: it would not answer a close either."""
        for client in list(self._clients):
            if client.is_hung:
                client.drop()


def _largest(settings: Settings) -> int:
    """Return the longest message the socket takes: a little more than the rules allow.

    What the rules do not allow gets the venue's own answer; what is longer still is not read.
    """
    limit = settings.rules.request_bytes
    return 1 << 20 if limit is None else max(2 * limit, 4_096)
