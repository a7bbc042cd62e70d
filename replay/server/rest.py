"""HTTP on the port of a served capture: what OKX's REST API would say at the replay's instant.

Responsible for which WebSocket paths exist and for answering plain requests: from the book and the
clock of the replay, from the pushes before its position, from recorded bodies. Refuses to invent:
what the capture does not hold is an error in OKX's form, or an empty list that says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.capture.reader import Capture
from recorder.okx.channels import ENDPOINTS
from recorder.okx.served import books_body
from recorder.okx.served_rest import (
    NOT_FOUND,
    NOT_HERE,
    Answer,
    Refusal,
    Wanted,
    body_of,
    error_body,
    instruments_body,
    time_body,
    underlying_body,
    wanted_for,
)
from replay.server.catalogue import Catalogue
from replay.server.playback import Playback
from replay.server.survey import pushes_before

BASE_PATH = "/ws/v5"
_REST_PATH = "/api/v5/"
_TIME_PATH = "/api/v5/public/time"
_INSTRUMENTS_PATH = "/api/v5/public/instruments"
_UNDERLYING_PATH = "/api/v5/public/underlying"
_DEPTH_MAX = {"/api/v5/market/books": 400, "/api/v5/market/books-full": 5_000}


class Rest:
    """The REST API of one server.

    Args:
        surveyed: returns when the catalogue is complete.
    """

    def __init__(
        self,
        capture: Capture,
        catalogue: Catalogue,
        playback: Playback,
        surveyed: Callable[[], Awaitable[None]],
    ) -> None:
        self._capture = capture
        self._catalogue = catalogue
        self._playback = playback
        self._surveyed = surveyed

    async def answer_http(self, socket: ServerConnection, request: Request) -> Response | None:
        """Return None for the paths of WebSockets (any query), else the whole answer."""
        parts = urlsplit(request.path)
        if parts.path in [f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS]:
            return None
        if not parts.path.startswith(_REST_PATH):
            sockets = ", ".join(f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS)
            return respond(socket, Refusal(404, "404", f"{NOT_FOUND}; sockets are at {sockets}"))
        query = dict(parse_qsl(parts.query))
        return respond(socket, await self._answer(request.path, parts.path, query))

    async def _answer(self, target: str, path: str, query: Mapping[str, str]) -> bytes | Refusal:
        """Return what the venue would say at this instant."""
        playback = self._playback
        await playback.placed.wait()
        if path == _TIME_PATH and playback.now:
            return playback.dress(time_body(playback.time))
        if path in _DEPTH_MAX:
            return self._book(path, query)
        wanted = wanted_for(path, query)
        if isinstance(wanted, Refusal):
            return wanted
        if isinstance(wanted, Wanted):
            seq = playback.board.position
            found = await asyncio.to_thread(self._from_pushes, wanted, query, seq)
            if isinstance(found, bytes):
                return playback.dress(found, wanted.channel)
            recorded = self._catalogue.rest_body(target)
            return found if recorded is None else playback.dress(recorded, wanted.channel)
        if self._catalogue.rest_body(target) is None:
            await self._surveyed()
        recorded = self._catalogue.rest_body(target)
        if recorded is not None:
            return playback.dress(recorded)
        if path in (_INSTRUMENTS_PATH, _UNDERLYING_PATH):
            listed = await asyncio.to_thread(self._from_instruments, path, query)
            return playback.dress(listed) if isinstance(listed, bytes) else listed
        return Refusal(404, "404", f"{NOT_FOUND}: {target[:200]}")

    def _book(self, path: str, query: Mapping[str, str]) -> bytes | Refusal:
        instrument, asked = query.get("instId"), query.get("sz", "1")
        if not instrument:
            return Refusal(400, "50014", "Parameter instId can not be empty")
        book = self._playback.board.book(instrument)
        if book is None:
            return Refusal(200, "51001", "Instrument ID does not exist: no whole book of it here")
        depth = int(asked) if asked.isdecimal() else 1
        return self._playback.dress(books_body(book, max(1, min(depth, _DEPTH_MAX[path]))))

    def _from_pushes(self, wanted: Wanted, query: Mapping[str, str], seq: int) -> bytes | Refusal:
        answer = Answer(wanted, query)
        parts = pushes_before(
            self._capture,
            wanted.channel,
            wanted.instrument,
            seq,
            elects=self._playback.board.elects,
        )
        for payloads in parts:
            answer.take(payloads)
            if answer.is_enough:
                break
        return answer.body()

    def _from_instruments(self, path: str, query: Mapping[str, str]) -> bytes | Refusal:
        """Answer from the recorded list of that type of instruments."""
        kind = query.get("instType")
        if not kind:
            return Refusal(400, "50014", "Parameter instType can not be empty")
        target = f"{_INSTRUMENTS_PATH}?{urlencode({'instType': kind})}"
        recorded = self._catalogue.rest_body(target)
        if path == _UNDERLYING_PATH:
            return body_of([[]], NOT_HERE) if recorded is None else underlying_body(recorded)
        return body_of([], NOT_HERE) if recorded is None else instruments_body(recorded, query)


def respond(socket: ServerConnection, answer: bytes | Refusal) -> Response:
    """Return an HTTP response with a JSON body."""
    status = HTTPStatus(answer.status) if isinstance(answer, Refusal) else HTTPStatus.OK
    body = error_body(answer.code, answer.message) if isinstance(answer, Refusal) else answer
    response = socket.respond(status, "")
    headers: Any = response.headers
    for name in ("Content-Type", "Content-Length"):
        del headers[name]
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(body))
    response.body = body
    return response
