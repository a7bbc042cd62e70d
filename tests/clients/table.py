"""Real OKX clients: where each lives, how it is run, and what it must end with.

Responsible for the table of clients and for running one of them against a served capture. Nothing
here is imported by the package; `make test-clients` installs, `test_clients.py` runs.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from recorder.capture.reader import Capture
from replay.ladder import book_at
from replay.server import Server

HERE = Path(__file__).resolve().parent
HOME = HERE.parent.parent / ".venv-clients"
PATIENCE_S = 240.0


class Client(NamedTuple):
    """One client.

    Attributes:
        name: of its environment under `.venv-clients/`.
        packages: what pip or npm is to install, at the versions that were tested.
        driver: the script beside this file that makes it follow a capture.
        arguments: how many arguments it subscribes to: the clock starts with the last.
        python: the oldest Python it has a wheel for; None: npm.
        wants_tls: it takes `wss` only.
    """

    name: str
    packages: tuple[str, ...]
    driver: str
    arguments: int
    python: tuple[int, int] | None = (3, 11)
    wants_tls: bool = False

    @property
    def executable(self) -> Path | None:
        """What runs its driver; None where it is not installed."""
        if not (HOME / self.name / ".installed").exists():
            return None
        if self.python is not None:
            return HOME / self.name / "bin" / "python"
        return Path("node")

    @property
    def refusal(self) -> str:
        """Why it is not installed."""
        told = HOME / self.name / ".refused"
        return told.read_text().strip() if told.exists() else "`make test-clients` installs it"


CLIENTS = {
    client.name: client
    for client in (
        Client("ccxt", ("ccxt==4.5.90",), "follow_ccxt.py", 4),
        Client("nautilus", ("nautilus_trader==1.231.0",), "follow_nautilus.py", 2, python=(3, 12)),
        Client("python-okx", ("python-okx==0.4.4",), "follow_python_okx.py", 2, wants_tls=True),
        Client("cryptofeed", ("cryptofeed==3.0.1",), "follow_cryptofeed.py", 2, (3, 12), True),
        Client("tardis", ("tardis-dev@13.35.3",), "follow_tardis.mjs", 1, python=None),
    )
}


class Truth(NamedTuple):
    """What our own book is at the end of a capture, as floats, best first."""

    seq_id: int
    ts_ms: int
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


def truth_of(capture: Path, instrument: str) -> Truth:
    """Return the last whole book that the `books` channel tells."""
    book = book_at(Capture(capture), instrument, channel="books", number=str)
    assert book.is_whole
    assert book.seq_id is not None
    assert book.ts_event is not None
    return Truth(
        book.seq_id,
        book.ts_event // 1_000_000,
        [(float(level.price), float(level.size)) for level in book.bids()],
        [(float(level.price), float(level.size)) for level in book.asks()],
    )


async def follow(
    client: Client, server: Server, instrument: str, truth: Truth, *, authority: Path | None = None
) -> dict[str, Any]:
    """Run a client against a server until it holds the last book; return what it tells.

    Args:
        authority: the certificate to trust, where the server speaks TLS.
    """
    executable = client.executable
    assert executable is not None
    task = {
        "ws": server.url,
        "rest": server.url.replace("ws", "http", 1).removesuffix("/ws/v5"),
        "instrument": instrument,
        "seq_id": truth.seq_id,
        "ts_ms": truth.ts_ms,
    }
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    if authority is not None:
        environment["SSL_CERT_FILE"] = str(authority)
    process = await asyncio.create_subprocess_exec(
        str(executable),
        str(HERE / client.driver),
        json.dumps(task),
        cwd=HOME / client.name,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            output, talk = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, talk.decode(errors="replace")[-3_000:]
    return dict(json.loads(output.splitlines()[-1]))
