"""What a capture can serve: arguments per endpoint, where they begin, and REST bodies.

Responsible for one pass over the capture before serving. Refuses to keep frames: it holds one entry
per argument and a bounded number of REST bodies, however long the capture is.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msgspec

from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.channels import CHANNELS, ENDPOINTS
from recorder.okx.served import ack_of, is_chained, push_of
from recorder.okx.subscription import Subscription

_REST_BODIES_MAX = 64
_REST_BYTES_MAX = 64 << 20
_KINDS = (Kind.TEXT, Kind.SENT, Kind.REST, Kind.OPENED)


class Stream(msgspec.Struct):
    """All recorded pushes of one argument on one endpoint.

    Attributes:
        push: the argument as the pushes name it.
        endpoint: where it was recorded.
        first_seq: its first push.
        is_chained: a book of a snapshot and updates.
    """

    push: Subscription
    endpoint: str
    first_seq: int
    is_chained: bool


class _Opened(msgspec.Struct):
    url: str | None = None
    endpoint: str | None = None


class Catalogue:
    """What one pass over a capture has found.

    Attributes:
        known: arguments per endpoint, in the order of first sight: an ack or a push is recorded.
        streams: recorded pushes by (endpoint, argument of the push).
        pushes: number of recorded data pushes.
        start, end: `ts_recv` of the first and last frame, ns; None while not known.
        is_complete: all has been read.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[Subscription, None]] = {name: {} for name in ENDPOINTS}
        self.streams: dict[tuple[str, Subscription], Stream] = {}
        self.pushes = 0
        self.start: int | None = None
        self.end: int | None = None
        self.is_complete = False
        self._endpoints: dict[int, str] = {}
        self._bodies: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
        self._body_bytes = 0

    def endpoint_of(self, connection: int, subscription: Subscription) -> str:
        """Return where an argument was recorded: as the connection says, else by its channel."""
        endpoint = self._endpoints.get(connection)
        if endpoint is not None:
            return endpoint
        channel = CHANNELS.get(subscription.channel)
        return "public" if channel is None else channel.endpoint

    def rest_body(self, target: str) -> bytes | None:
        """Return the recorded body of a REST request, None where there is none.

        Args:
            target: path and query, in any order of its parameters.
        """
        return self._bodies.get(_request_key(target))

    def opened(self, connection: int, payload: bytes) -> None:
        """Take note of the endpoint a connection went to."""
        try:
            row = msgspec.json.decode(payload, type=_Opened)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        endpoint = row.endpoint or urlsplit(row.url or "").path.rpartition("/")[2]
        if endpoint in ENDPOINTS:
            self._endpoints[connection] = endpoint

    def text(self, seq: int, connection: int, payload: bytes) -> None:
        """Take note of a received text."""
        push = push_of(payload)
        if push is None:
            acked = ack_of(payload)
            if acked is not None:
                self.known[self.endpoint_of(connection, acked)][acked] = None
            return
        self.pushes += 1
        endpoint = self.endpoint_of(connection, push)
        if (endpoint, push) not in self.streams:
            self.known[endpoint][push] = None
            self.streams[endpoint, push] = Stream(push, endpoint, seq, is_chained(push.channel))

    def rest(self, target: str, body: bytes) -> None:
        """Keep a REST body: the first of each request, within bounds."""
        key = _request_key(target)
        is_room = (
            len(self._bodies) < _REST_BODIES_MAX and self._body_bytes + len(body) <= _REST_BYTES_MAX
        )
        if is_room and key not in self._bodies:
            self._bodies[key] = body
            self._body_bytes += len(body)


def read_catalogue(capture: Capture) -> Catalogue:
    """Read a capture once and return what it can serve.

    Raises:
        Damage: something could not be read.
    """
    found = Catalogue()
    requests: dict[int, str] = {}
    for batch in capture.batches(kinds=_KINDS):
        if found.start is None:
            found.start = batch.ts_recv[0]
        found.end = batch.ts_recv[-1]
        rows = zip(batch.seq, batch.connection, batch.kind, batch.payload, strict=True)
        for seq, connection, kind, payload in rows:
            if kind is Kind.TEXT:
                found.text(seq, connection, payload)
            elif kind is Kind.OPENED:
                found.opened(connection, payload)
            elif kind is Kind.SENT:
                if payload.startswith(b"GET "):
                    requests[connection] = payload.decode("utf-8", "replace").split(" ")[1]
            elif connection in requests:
                found.rest(requests.pop(connection), payload)
    found.is_complete = True
    return found


def _request_key(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    parts = urlsplit(target)
    return parts.path, tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))
