"""A mistake of ours in a conversation costs a socket, is said, and is tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.okx.session import Session


@pytest.mark.parametrize("name", ["handle", "tick"])
async def test_a_mistake_in_a_session_is_told_and_the_socket_opened_again(
    venue_of: Any, tmp_path: Path, fast: LinkOptions, monkeypatch: Any, name: str
) -> None:
    right, calls = getattr(Session, name), []

    def wrong_at_first(self: Session, *args: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise ZeroDivisionError("oh")
        return right(self, *args)

    monkeypatch.setattr(Session, name, wrong_at_first)

    async def script(socket: Any) -> None:
        if name == "handle" and socket.number == 0:
            await socket.until_closed()
        else:
            await socket.until_subscribed()
            await socket.send(b"data")

    told: list[str] = []
    async with venue_of(script) as venue:
        report = await record(
            tmp_path / "c", ["books:BTC-USDT"], url=venue.url, rest=False, link=fast,
            frames=3 if name == "handle" else 2, notify=told.append, duration=20,
        )  # fmt: skip
    assert report.exit_code == ExitCode.DONE
    assert [words for words in told if "ZeroDivisionError" in words] == [
        "warning: public: the recorder made a mistake (ZeroDivisionError('oh')); report this"
    ]
    frames = list(Capture(tmp_path / "c").frames())
    assert sum(frame.kind is Kind.OPENED for frame in frames) == 2
    assert b"data" in [frame.payload for frame in frames]
