"""HTTP on the port of a served capture: the time and books of the replay, recorded REST bodies.

Responsible for which WebSocket paths exist and for answering plain requests from the capture; what
it does not hold is a 404. Refuses to invent a body.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.clock import NS_PER_MS
from recorder.okx.channels import ENDPOINTS
from recorder.okx.served import books_body
from replay.server.catalogue import Catalogue
from replay.server.switchboard import Switchboard

BASE_PATH = "/ws/v5"
_REST_PATH = "/api/v5/"
_TIME_PATH = "/api/v5/public/time"
_DEPTH_MAX = {"/api/v5/market/books": 400, "/api/v5/market/books-full": 5_000}


def answer_http(
    catalogue: Catalogue,
    instant: Callable[[], tuple[int, Switchboard[Any]]],
    socket: ServerConnection,
    request: Request,
) -> Response | None:
    """Return None for the paths of WebSockets (any query), else the whole answer.

    Books and the time are those of the instant the replay has reached, for a recorded body is of
    another one; the rest is as recorded. What is not there gets HTTP 404 with a body in the form
    of OKX's errors.
    """
    path = urlsplit(request.path).path
    if path in [f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS]:
        return None
    body = _now_at(request.path, *instant())
    if body is None and path.startswith(_REST_PATH):
        body = catalogue.rest_body(request.path)
    if body is not None:
        return _json(socket, HTTPStatus.OK, body)
    sockets = ", ".join(f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS)
    message = f"not in this capture: {request.path[:200]}; sockets are at {sockets}"
    refusal = msgspec.json.encode({"code": "404", "data": [], "msg": message})
    return _json(socket, HTTPStatus.NOT_FOUND, refusal)


def refusal(socket: ServerConnection, message: str) -> Response:
    """Return the answer to a handshake that is one too many, as OKX writes it."""
    body = msgspec.json.encode({"code": "50001", "data": [], "msg": message})
    return _json(socket, HTTPStatus.SERVICE_UNAVAILABLE, body)


def _now_at(target: str, now_ns: int, board: Switchboard[Any]) -> bytes | None:
    """Return the body of what changes while a capture is served, None for anything else."""
    parts = urlsplit(target)
    if parts.path == _TIME_PATH and now_ns:
        data = [{"ts": str(now_ns // NS_PER_MS)}]
        return msgspec.json.encode({"code": "0", "data": data, "msg": ""})
    if parts.path in _DEPTH_MAX:
        query = dict(parse_qsl(parts.query))
        book, asked = board.book(query.get("instId", "")), query.get("sz", "1")
        if book is not None and asked.isdecimal():
            return books_body(book, min(int(asked), _DEPTH_MAX[parts.path]))
    return None


def _json(socket: ServerConnection, status: HTTPStatus, body: bytes) -> Response:
    response = socket.respond(status, "")
    del response.headers["Content-Type"]
    del response.headers["Content-Length"]
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Length"] = str(len(body))
    response.body = body
    return response
