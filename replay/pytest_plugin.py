"""pytest plugin: test a bot against a recorded session, served on this machine.

Responsible for the fixtures `replay_server` and `serve_capture` and the marker `replay`. Refuses to
load anything of the recorder before a test asks for a server: every pytest run of an environment
that has this package installed imports this file.

    @pytest.mark.replay("captures/btc", wait_for_subscribers=2)
    def test_my_bot(replay_server):
        bot = Bot(replay_server.url)           # ws://127.0.0.1:…/ws/v5, as of OKX
        bot.run()                              # the server closes when all has been sent
        assert bot.best_bid == "64250.1"

The server runs in a thread with an event loop of its own, so tests may be sync or async. A server
is stopped when its test ends, however it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from replay.controls import Controls
    from replay.server import Server, ServeReport
    from replay.server.status import ServeStatus

_START_S = 120.0
_STOP_S = 60.0

T = TypeVar("T")


class ReplayServer:
    """A served capture, for a test; its methods may be called from any thread.

    Attributes:
        url: base address for clients, e.g. `ws://127.0.0.1:40123/ws/v5`; they append `/public`,
            `/business` or `/private`.
        rest_url: base address for REST, e.g. `http://127.0.0.1:40123`.
        port: the port in use.
        controls: pause, resume, step, seek, change speed; they return at once.
    """

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self.url: str = server.url
        self.port: int = server.port
        self.rest_url: str = self.url.replace("ws", "http", 1).removesuffix("/ws/v5")
        self.controls: Controls = server.controls

    @property
    def arguments(self) -> dict[str, list[dict[str, str]]]:
        """What may be subscribed, per endpoint."""
        return self._server.arguments

    def status(self) -> ServeStatus:
        """Return how the replay stands: position, speed, lag, clients."""
        return self._in_loop(self._server.status)

    def report(self) -> ServeReport:
        """Return what was served so far."""
        return self._in_loop(self._server.report)

    def book(self, instrument: str) -> dict[str, list[tuple[str, str]]] | None:
        """Return the server's own book of an instrument as it stands, None where there is none.

        Returns:
            `bids` and `asks`, best first, as (price, size) in the texts the venue sent.
        """

        def look() -> dict[str, list[tuple[str, str]]] | None:
            book = self._server.book(instrument)
            if book is None:
                return None
            bids, asks = book.sides()
            return {
                "bids": [(level.price, level.size) for level in bids],
                "asks": [(level.price, level.size) for level in asks],
            }

        return self._in_loop(look)

    def wait_finished(self, timeout: float = 60.0) -> None:
        """Wait until all has been sent, in a sync test; with `close` all sockets are closed then.

        Raises:
            TimeoutError: it has not after so many seconds.
        """
        self._ending().result(timeout)

    async def finished(self, timeout: float = 60.0) -> None:
        """Wait until all has been sent, in an async test.

        Raises:
            TimeoutError: it has not after so many seconds.
        """
        async with asyncio.timeout(timeout):
            await asyncio.wrap_future(self._ending())

    def _ending(self) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self._server.wait_finished(), self._loop)

    def _in_loop(self, look: Callable[[], T]) -> T:
        """Call in the server's loop, between two frames."""

        async def call() -> T:
            return look()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_START_S)


ServeCapture = Callable[..., ReplayServer]
"""`serve_capture(capture, **options)`; the options are those of `replay.serve`."""


@pytest.fixture
def serve_capture(request: pytest.FixtureRequest) -> Iterator[ServeCapture]:
    """Serve captures in a test, as many as it likes: `server = serve_capture("captures/btc")`.

    Takes what `replay.serve` takes, with other defaults: any free port, as fast as the clients
    take it, the clock starts with the first subscription, and the sockets are closed when all has
    been sent. A relative path is looked for beside the test's file, then in pytest's root.
    """
    places = (request.path.parent, request.config.rootpath)
    with ExitStack() as running:

        def serve_one(capture: Any, /, **options: Any) -> ReplayServer:
            chosen = {"port": 0, "speed": None, "at_end": "close", **options}
            if not chosen.get("start_paused"):
                chosen.setdefault("wait_for_subscribers", 1)
            return running.enter_context(_serving(_found(capture, places), chosen))

        yield serve_one


@pytest.fixture
def replay_server(request: pytest.FixtureRequest, serve_capture: ServeCapture) -> ReplayServer:
    """The capture named by the marker `replay(capture, **options)`, served."""
    marker = request.node.get_closest_marker("replay")
    if marker is None or len(marker.args) != 1:
        raise pytest.UsageError(
            f'expected @pytest.mark.replay("path/to/capture") on {request.node.name}, received '
            f"{'no such marker' if marker is None else f'{len(marker.args)} arguments'}; "
            f"or use the fixture serve_capture"
        )
    return serve_capture(marker.args[0], **marker.kwargs)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "replay(capture, **options): what the fixture replay_server serves, as replay.serve does",
    )


def _found(capture: Any, places: tuple[Path, ...]) -> Any:
    if not isinstance(capture, str | Path) or Path(capture).is_absolute():
        return capture
    for place in places:
        if (place / capture).exists():
            return place / capture
    return capture


@contextmanager
def _serving(capture: Any, options: dict[str, Any]) -> Iterator[ReplayServer]:
    """Serve from a thread with a loop of its own until the block ends."""
    started: Future[ReplayServer] = Future()
    stop: list[Callable[[], object]] = []

    async def run() -> None:
        from replay.server import serve

        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        async with serve(capture, **options) as server:
            stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
            started.set_result(ReplayServer(server, loop))
            await stopping.wait()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  # it belongs to the test that asked
            if not started.done():
                started.set_exception(error)

    thread = threading.Thread(target=work, name="replay-server", daemon=True)
    thread.start()
    try:
        yield started.result(_START_S)
    finally:
        for call in stop:
            call()
        thread.join(_STOP_S)
