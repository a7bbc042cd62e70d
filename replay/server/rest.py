"""HTTP on the port of a served capture: REST bodies that were recorded, 404 for everything else.

Responsible for which WebSocket paths exist and for answering plain requests from the capture.
Refuses to invent a body.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.okx.channels import ENDPOINTS
from replay.server.catalogue import Catalogue

BASE_PATH = "/ws/v5"
_REST_PATH = "/api/v5/"


def answer_http(
    catalogue: Catalogue, socket: ServerConnection, request: Request
) -> Response | None:
    """Return None for the paths of WebSockets (any query), else the whole answer.

    What is not recorded gets HTTP 404 with a body in the form of OKX's errors.
    """
    path = urlsplit(request.path).path
    if path in [f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS]:
        return None
    body = catalogue.rest_body(request.path) if path.startswith(_REST_PATH) else None
    if body is not None:
        return _json(socket, HTTPStatus.OK, body)
    sockets = ", ".join(f"{BASE_PATH}/{endpoint}" for endpoint in ENDPOINTS)
    message = f"not in this capture: {request.path[:200]}; sockets are at {sockets}"
    refusal = msgspec.json.encode({"code": "404", "data": [], "msg": message})
    return _json(socket, HTTPStatus.NOT_FOUND, refusal)


def _json(socket: ServerConnection, status: HTTPStatus, body: bytes) -> Response:
    response = socket.respond(status, "")
    del response.headers["Content-Type"]
    del response.headers["Content-Length"]
    response.headers["Content-Type"] = "application/json"
    response.headers["Content-Length"] = str(len(body))
    response.body = body
    return response
