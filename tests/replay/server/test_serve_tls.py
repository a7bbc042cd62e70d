"""TLS: a pair made on the spot, as a client sees it that checks certificates."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from recorder.errors import UsageError
from replay.server import serve
from replay.server.certificate import make_pair
from replay.server.tls import kept_pair, load_pair


def trusting(authority: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


async def test_clients_that_trust_the_kept_authority_are_served(datasets: Path, tmp_path: Path):
    tls, authority = kept_pair(tmp_path / "kept", "127.0.0.1")
    async with serve(datasets / "btc-calm", port=0, start_paused=True, tls=tls) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        for host in ("127.0.0.1", "localhost"):
            url = server.url.replace("127.0.0.1", host)
            async with connect(f"{url}/public", ssl=trusting(authority)) as socket:
                await socket.send(json.dumps({"op": "ping"}))
                assert json.loads(await socket.recv())["event"] == "error"
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(f"{server.url}/public", ssl=ssl.create_default_context()):
                pass


def test_what_was_made_once_is_kept_and_only_its_owner_may_read_it(tmp_path: Path):
    _, authority = kept_pair(tmp_path / "kept", "")
    first = authority.read_text()
    kept_pair(tmp_path / "kept", "0.0.0.0")

    assert authority.read_text() == first
    assert {path.name for path in authority.parent.iterdir()} == {
        "ca.pem",
        "server.pem",
        "server.key",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in authority.parent.iterdir())


def test_another_host_has_a_certificate_of_its_own(tmp_path: Path):
    pair = make_pair(["replay.example", "::1"], datetime(2026, 11, 22, tzinfo=UTC), days=30)
    (tmp_path / "a.pem").write_text(pair.chain)
    (tmp_path / "a.key").write_text(pair.key)

    load_pair(tmp_path / "a.pem", tmp_path / "a.key")
    context = ssl.create_default_context(cadata=pair.authority)
    (authority,) = context.get_ca_certs()
    assert authority["notAfter"] == "Dec 22 00:00:00 2026 GMT"


def test_files_that_are_none_are_one_sentence(tmp_path: Path):
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(UsageError, match="both PEM"):
        load_pair(tmp_path / "x.pem", tmp_path / "x.pem")
