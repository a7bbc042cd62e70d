"""What a capture can serve: arguments per endpoint, where they begin, and REST bodies.

Responsible for what is known of a capture while it is surveyed and played. Refuses to keep frames:
it holds one entry per argument and a bounded number of REST bodies, however long the capture is.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import msgspec

from recorder.capture.reader import Capture
from recorder.frame import Frame, Kind
from recorder.okx.channels import CHANNELS, ENDPOINTS
from recorder.okx.served import ack_of, push_of
from recorder.okx.subscription import Subscription
from replay.server.survey import Survey

_REST_BODIES_MAX = 64
_REST_BYTES_MAX = 64 << 20


class _Opened(msgspec.Struct):
    url: str | None = None
    endpoint: str | None = None


_decode_opened = msgspec.json.Decoder(_Opened).decode


class Catalogue:
    """What is known of a capture so far: the survey and the playback add to it.

    Attributes:
        known: arguments per endpoint, in the order of first sight: an ack or a push is recorded.
        first: `seq` of the first push seen of (endpoint, argument of the push).
        start, end: `ts_recv` of the first and last frame, ns; None while not known.
        is_complete: the survey has come to its end.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[Subscription, None]] = {name: {} for name in ENDPOINTS}
        self.first: dict[tuple[str, Subscription], int] = {}
        self.start: int | None = None
        self.end: int | None = None
        self.is_complete = False
        self._endpoints: dict[int, str] = {}
        self._requests: dict[int, str] = {}
        self._bodies: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
        self._body_bytes = 0

    @property
    def count(self) -> int:
        """How many arguments are known."""
        return sum(len(arguments) for arguments in self.known.values())

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

    def take(self, frame: Frame, *, is_now: bool = False) -> None:
        """Take note of one frame.

        Args:
            is_now: it is being played: a REST body of now takes the place of an earlier one.
        """
        if frame.kind is Kind.TEXT:
            self.text(frame.seq, frame.connection, frame.payload)
        elif frame.kind is Kind.OPENED:
            self.opened(frame.connection, frame.payload)
        elif frame.kind is Kind.SENT:
            if frame.payload.startswith(b"GET "):
                line = frame.payload.decode("utf-8", "replace").split(" ")
                self._requests[frame.connection] = line[1]
        elif frame.kind is Kind.REST and frame.connection in self._requests:
            self.rest(self._requests.pop(frame.connection), frame.payload, is_now=is_now)

    def opened(self, connection: int, payload: bytes) -> None:
        """Take note of the endpoint a connection went to."""
        try:
            row = _decode_opened(payload)
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
        endpoint = self.endpoint_of(connection, push)
        self.known[endpoint][push] = None
        self.first[endpoint, push] = min(seq, self.first.get((endpoint, push), seq))

    def rest(self, target: str, body: bytes, *, is_now: bool = False) -> None:
        """Keep a REST body: the first of each request, or that of now; within bounds."""
        key = _request_key(target)
        held = self._bodies.get(key)
        if held is not None and not is_now:
            return
        size = self._body_bytes + len(body) - len(held or b"")
        has_room = held is not None or len(self._bodies) < _REST_BODIES_MAX
        if has_room and size <= _REST_BYTES_MAX:
            self._bodies[key] = body
            self._body_bytes = size


def read_catalogue(capture: Capture) -> Catalogue:
    """Survey a capture to its end and return what it can serve."""
    found, survey = Catalogue(), Survey(capture)
    for frames in survey.frames():
        for frame in frames:
            found.take(frame)
    found.start, found.end, found.is_complete = survey.start, survey.end, True
    return found


def _request_key(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    parts = urlsplit(target)
    return parts.path, tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))
