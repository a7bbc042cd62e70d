"""MetricsServer: /metrics, /healthz and /readyz of a recording, over HTTP.

Responsible for the port, for one thread that answers, and for bounds on who may keep it busy.
Refuses to touch the recording: it reads plain numbers.

Why a thread and not a task: making the answer takes milliseconds of Python in one piece. In the
event loop every socket read that falls into them would be stamped late by as much; in a thread it
waits for the interpreter lock no longer than a switch interval, which is 0.5 ms while this runs.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from recorder.errors import StartError, UsageError
from recorder.live.meter import Meter

_SWITCH_SECONDS = 0.0005
_REQUEST_SECONDS = 5.0
_REQUESTS_MAX = 8


class MetricsServer:
    """Listens from the beginning; answers 503 until it is given a meter.

    Args:
        port: 0 for any free one. host: this machine alone by default.

    Attributes:
        port: the one in use. meter: what to tell.

    Raises:
        UsageError: `prometheus-client` is not installed. StartError: the port cannot be had.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        try:
            import recorder.live.metrics  # noqa: F401
        except ModuleNotFoundError as error:
            raise UsageError(
                f"expected the package prometheus-client for metrics, but {error}; "
                f"pip install 'okx-recorder[metrics]'"
            ) from None
        self.meter: Meter | None = None
        try:
            self._server = _Server((host, port), self)
        except (OSError, OverflowError) as error:
            raise StartError(
                f"expected to listen for scrapes on {host}:{port}, but the system said "
                f"{getattr(error, 'strerror', None) or error}; choose another --metrics-port"
            ) from None
        self.port = int(self._server.server_address[1])
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(min(self._switch_seconds, _SWITCH_SECONDS))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True, args=(0.2,)
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_REQUEST_SECONDS)
        sys.setswitchinterval(self._switch_seconds)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        from recorder.live.metrics import CONTENT_TYPE, render

        meter = self.meter
        if path == "/metrics":
            if meter is None:
                return 503, "text/plain", b"the recording has not begun\n"
            return 200, CONTENT_TYPE, render(meter)
        if path not in ("/healthz", "/readyz"):
            return 404, "text/plain", b"expected /metrics, /healthz or /readyz\n"
        if meter is None:
            problems = ["the recording has not begun"] if path == "/readyz" else []
        else:
            problems = meter.unhealthy() if path == "/healthz" else meter.unready()
        body = json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"
        return (503 if problems else 200), "application/json", body


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], owner: MetricsServer) -> None:
        self.owner = owner
        self._room = threading.BoundedSemaphore(_REQUESTS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, but only so many at once."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Somebody hung up: nothing of ours."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_SECONDS
    server: _Server
    server_version = "okx-recorder"
    sys_version = ""

    def do_GET(self) -> None:
        status, kind, body = self.server.owner.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: a scrape is no news."""
