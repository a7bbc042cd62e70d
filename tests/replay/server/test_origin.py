"""Which web pages may ask a served capture for what, and which may not."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from recorder.errors import UsageError
from replay.server import Server, serve
from replay.server.origin import client_refusal, control_refusal


@pytest.fixture
def stress(datasets: Path) -> Path:
    return datasets / "eth-stress"


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


async def test_a_page_of_another_origin_is_kept_out(stress: Path):
    async with serve(stress, port=0, speed=1, start_paused=True) as server:
        here = f"127.0.0.1:{server.port}"
        address = f"ws://{here}/replay"
        async with connect(address, origin=Origin(f"http://{here}")) as asker:
            await asker.send('{"op":"status"}')
            assert json.loads(await asyncio.wait_for(asker.recv(), 60))["event"] == "done"
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null", f"ftp://{here}"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address, origin=Origin(origin)):
                    pass
            assert refused.value.response.status_code == 403
        for path in ("/", "/replay/status"):
            code, body = await asyncio.to_thread(get, server, path, Host="rebound.example")
            assert code == 403
            assert b"received the host 'rebound.example'" in body


@pytest.mark.parametrize(
    ("host", "origin", "listening_on", "is_let_in"),
    [
        ("127.0.0.1:8765", None, "127.0.0.1", True),
        ("localhost:8765", "http://localhost:8765", "127.0.0.1", True),
        ("[::1]:8765", "http://[::1]:8765", "::1", True),
        ("10.0.0.7:8765", "http://10.0.0.7:8765", "0.0.0.0", True),
        ("lab.example:8765", "https://lab.example:8765", "lab.example", True),
        ("lab.example:8765", None, "0.0.0.0", False),
        ("localhost:8765", "http://127.0.0.1:8765", "127.0.0.1", False),
        ("", None, "127.0.0.1", False),
        ("", None, "", False),
        ("[", None, "127.0.0.1", False),
        ("127.0.0.1:8765", "http://127.0.0.1:8765.evil.example", "127.0.0.1", False),
        ("127.0.0.1:8765", "http://[", "127.0.0.1", False),
    ],
)
def test_who_may_ask(host: str, origin: str | None, listening_on: str, is_let_in: bool):
    headers = Headers(Host=host)
    if origin is not None:
        headers["Origin"] = origin
    assert (control_refusal(headers, listening_on) is None) is is_let_in


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Accept-Language": "en"}


@pytest.mark.parametrize(
    ("host", "origin", "more", "allowed", "is_let_in"),
    [
        # programs, whatever they call it and whether they name an origin or not
        ("127.0.0.1:8765", None, {}, (), True),
        ("ws.okx.com:8443", None, {}, (), True),
        ("replay:8765", "http://replay:8765", {}, (), True),
        ("127.0.0.1:8765", "http://127.0.0.1:8765", {}, (), True),
        # pages of this machine, at any port
        ("127.0.0.1:8765", "http://localhost:3000", BROWSER, (), True),
        ("localhost:8765", "http://[::1]:5173", BROWSER, (), True),
        ("127.0.0.1:8765", None, BROWSER, (), True),
        ("10.0.0.7:8765", "http://10.0.0.7:3000", BROWSER, (), True),
        # pages of others
        ("127.0.0.1:8765", "https://evil.example", BROWSER, (), False),
        ("127.0.0.1:8765", "https://evil.example", {}, (), False),
        ("127.0.0.1:8765", "null", BROWSER, (), False),
        ("127.0.0.1:8765", "http://localhost.evil.example", BROWSER, (), False),
        ("127.0.0.1:8765", "http://[", BROWSER, (), False),
        ("10.0.0.7:8765", "http://10.0.0.8:3000", BROWSER, (), False),
        # a foreign name made to point here
        ("evil.example:8765", "http://evil.example:8765", BROWSER, (), False),
        ("evil.example:8765", None, BROWSER, (), False),
        ("evil.example:8765", None, {"Sec-Fetch-Site": "same-origin"}, (), False),
        # allowed ones
        ("127.0.0.1:8765", "https://lab.example", BROWSER, ("https://lab.example",), True),
        ("127.0.0.1:8765", "https://LAB.example", BROWSER, ("https://lab.example",), True),
        ("127.0.0.1:8765", "https://lab.example:1", BROWSER, ("https://lab.example",), False),
        ("127.0.0.1:8765", "null", BROWSER, ("null",), True),
        ("evil.example:8765", "http://evil.example:8765", BROWSER, ("*",), True),
    ],
)
def test_who_may_be_a_client(
    host: str, origin: str | None, more: dict[str, str], allowed: tuple[str, ...], is_let_in: bool
):
    headers = Headers(Host=host, **more)
    if origin is not None:
        headers["Origin"] = origin
    assert (client_refusal(headers, "127.0.0.1", allowed) is None) is is_let_in


@pytest.mark.parametrize("endpoint", ["public", "private", "business"])
async def test_a_page_of_another_origin_is_no_client(stress: Path, endpoint: str):
    async with serve(
        stress, port=0, start_paused=True, allow_origins=["https://lab.example/"]
    ) as server:
        address = f"{server.url}/{endpoint}"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address, origin=Origin("https://evil.example")):
                pass
        assert refused.value.response.status_code == 403
        assert b"--allow-origin" in refused.value.response.body
        for origin in ("https://lab.example", "http://localhost:3000", None):
            async with connect(
                address, origin=None if origin is None else Origin(origin)
            ) as socket:
                await socket.send("ping")
                assert await asyncio.wait_for(socket.recv(), 60) == "pong"
        code, body = await asyncio.to_thread(
            get, server, "/api/v5/public/time", Origin="https://evil.example"
        )
        assert code == 403
        assert json.loads(body)["code"] == "403"


def test_an_origin_that_is_none_is_a_usage_error(stress: Path):
    with pytest.raises(UsageError, match=r"scheme://host"):
        serve(stress, allow_origins=["lab.example"])


def test_two_origins_are_none():
    headers = Headers(Host="localhost:1")
    headers["Origin"] = "http://localhost:1"
    headers["Origin"] = "http://evil.example"
    assert control_refusal(headers, "127.0.0.1") is not None
    assert client_refusal(headers, "127.0.0.1", ()) is not None
