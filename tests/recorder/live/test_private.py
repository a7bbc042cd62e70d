"""Private recordings: login on real sockets, and secrets that are found nowhere."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import stat
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.reader import Capture
from recorder.errors import AuthError, CredentialsError, ExitCode, UrlError, UsageError
from recorder.event import ConnectionState, LoggedIn
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.failures import _clock_words
from recorder.okx.auth import Credentials, judge, sign
from recorder.okx.faults import AnyFault, CloseWith, LoginError, Scenario
from tests.venue.feeds import QuietFeed
from tests.venue.server import Venue

KEY, SECRET, PHRASE = "KEY-9d1f-distinct", "SECRET-a77e-distinct", "PHRASE-51c0-distinct"
ENVIRONMENT = {"OKX_API_KEY": KEY, "OKX_SECRET_KEY": SECRET, "OKX_PASSPHRASE": PHRASE}
WANTED = ["orders", "orders-algo", "books-l2-tbt:BTC-USDT", "trades:BTC-USDT"]
FAST = LinkOptions(open_timeout=5, close_timeout=1, first_delay=0.01, longest_delay=0.02)
ORDERS = {"channel": "orders", "instType": "ANY"}


def venue_of(*faults: AnyFault) -> Venue:
    account = judge(Credentials(KEY, SECRET, PHRASE), epoch_offset_ns=0)
    return Venue(Scenario(faults=faults), QuietFeed(*WANTED), login=account)


def logins(frames: Iterable[Any]) -> list[dict[str, Any]]:
    sent = [json.loads(f.payload) for f in frames if f.kind is Kind.SENT and b"login" in f.payload]
    return [item["args"][0] for item in sent]


def found_in(text: bytes | str, needles: Iterable[str]) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return [needle for needle in needles if needle.encode() in data]


def shown_of(item: object) -> str:
    """What a debugger shows of an object: itself and its attributes."""
    slots = [name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())]
    try:
        attributes = {name: getattr(item, name, None) for name in slots}
        return f"{item!r} {getattr(item, '__dict__', '')!r} {attributes!r}"
    except Exception as error:  # noqa: BLE001  # a repr may fail in the middle of things
        return repr(error)


def shown_with_variables(error: Exception) -> str:
    """A traceback as some loggers print it, with the variables of its frames."""
    try:
        raise error
    except Exception:  # noqa: BLE001
        formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(formatted.format()) + "".join(traceback.format_stack())


def search(root: Path, *texts: str) -> None:
    """Look for every secret, and every signature made with them, in all there is."""
    frames = list(Capture(root).frames())
    signatures = {sign(SECRET, item["timestamp"]) for item in logins(frames)}
    needles = [KEY, SECRET, PHRASE, *signatures]
    payloads = b"\n".join(frame.payload for frame in frames)
    assert found_in(payloads, needles) == []
    for path in root.rglob("*"):
        if path.is_file():
            assert found_in(path.read_bytes(), needles) == [], path
    for text in texts:
        assert found_in(text, needles) == []


@pytest.fixture
def new_objects_only() -> Iterator[None]:
    """Hide from `gc.get_objects` what other tests left behind: it may be large, and is not ours."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("new_objects_only")
async def test_each_socket_that_needs_it_logs_in_and_nothing_shows_the_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A good login, a handler that raises, and a look at everything alive in between."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "websockets.server")  # the venue lives in this process
    root, stop = tmp_path / "c", asyncio.Event()
    told: list[str] = []
    looked = {"reprs": 0, "credentials": 0, "tracebacks": 0}
    leaks: list[str] = []
    secrets = (KEY, SECRET, PHRASE)

    def look(progress: object) -> None:
        """Show everything alive, with its attributes, once."""
        if not looked["reprs"]:
            for item in gc.get_objects():
                if type(item).__module__.startswith(("recorder.", "websockets.")):
                    shown = shown_of(item)
                    looked["reprs"] += 1
                    looked["credentials"] += "Credentials(***)" in shown
                    leaks.extend(found_in(shown, secrets))
        told.append(f"{progress!r} {(root / 'status.json').read_text()}")
        stop.set()

    def on_event(event: object, context: object) -> None:
        error = KeyError(repr(event))
        if not looked["tracebacks"]:
            told.append(shown_with_variables(error))
        looked["tracebacks"] += 1
        raise error

    async with venue_of() as venue:
        report = await record(
            root, WANTED, url=venue.url, private=True, rest=False, link=FAST, stop=stop,
            on_event=on_event, on_progress=look, notify=told.append,
        )  # fmt: skip
        held = {peer.endpoint: peer.received for peer in venue.connections()}
    assert report.handler_errors > 0
    assert looked["reprs"] > 50
    assert looked["credentials"] > 0
    assert leaks == []
    frames = list(Capture(root).frames())
    for name in ("public", "private", "business"):
        assert b'{"op":"login"}' in held[name]
    assert all(
        item["apiKey"] == item["passphrase"] == item["sign"] == "***" for item in logins(frames)
    )
    assert len(logins(frames)) == 3
    assert sum(isinstance(e, LoggedIn) for e in Capture(root).events()) == 3
    # What needs no login went out beside it, not after it.
    sent = [f.payload for f in frames if f.kind is Kind.SENT and f.connection == 0]
    assert b"trades" in sent[0] + sent[1]
    assert b"books-l2-tbt" in sent[-1]
    search(root, "\n".join(told), caplog.text)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in [root, *root.rglob("*")] if p.is_dir()} <= {
        0o700
    }


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("60007", "OKX_SECRET_KEY"),
        ("60032", "--region"),
    ],
)
async def test_a_login_that_cannot_succeed_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    root, told = tmp_path / "c", list[str]()
    async with venue_of(LoginError(code=code, times=0, closes=code == "60007")) as venue:
        with pytest.raises(AuthError, match=f"received {code}.*{words}") as caught:
            await record(
                root, ["orders"], url=venue.url, private=True, rest=False, link=FAST,
                notify=told.append,
            )  # fmt: skip
        assert len(venue.attempts) == 1, "no endless retry"
    assert caught.value.code == code
    assert caught.value.exit_code is ExitCode.REFUSED
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # not this test's own variables
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True)
    search(root, "".join(formatted.format()), str(error), "\n".join(told))


async def test_the_command_shows_no_secret_either(tmp_path: Path) -> None:
    """A wrong passphrase, as somebody sees it at a terminal or in a log."""
    root = tmp_path / "c"
    async with venue_of() as venue:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-m", "recorder", "record", str(root), "--private",
            "--subscribe", "orders", "--url", venue.url, "--no-rest", "--json",
            env={**os.environ, **ENVIRONMENT, "OKX_PASSPHRASE": PHRASE + "-wrong"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == ExitCode.REFUSED
    assert b"60024" in err
    assert b"OKX_PASSPHRASE" in err
    search(root, out.decode(), err.decode())


async def test_a_key_that_is_deleted_later_ends_what_needs_it_and_nothing_else(
    tmp_path: Path,
) -> None:
    stop, told = asyncio.Event(), list[str]()
    faults = (
        CloseWith(code=4007, endpoint="private", connection=0, after=0.1),
        LoginError(code="60005", endpoint="private", connection=1, times=0),
    )
    async with venue_of(*faults) as venue:
        task = asyncio.create_task(
            record(
                tmp_path / "c", ["orders", "trades:BTC-USDT"], url=venue.url, private=True,
                credentials=Credentials(KEY, SECRET, PHRASE), rest=False, link=FAST, stop=stop,
                notify=told.append,
            )
        )  # fmt: skip
        await venue.until(
            lambda: (
                len(venue.connections("private")) == 2
                and not venue.connections("private")[1].is_open
            )
        )
        assert venue.holders("trades:BTC-USDT")
        stop.set()
        report = await task
    assert report.exit_code is ExitCode.LOSS
    assert [row["code"] for row in report.refused] == ["60005"]
    assert any("what needs it is not recorded any more" in line for line in told)
    states = [
        (event.endpoint, event.state)
        for event in Capture(tmp_path / "c").events()
        if isinstance(event, ConnectionState)
    ]
    assert states.count(("private", "failed")) == 1
    assert states[-1] == ("public", "closed")


async def test_a_key_that_is_deleted_later_ends_it_where_nothing_else_is_recorded(
    tmp_path: Path,
) -> None:
    faults = (
        CloseWith(code=4007, connection=0, after=0.1),
        LoginError(code="60005", connection=1, times=0),
    )
    async with venue_of(*faults) as venue:
        with pytest.raises(AuthError, match="60005"):
            await record(
                tmp_path / "c", ["orders"], url=venue.url, private=True,
                credentials=Credentials(KEY, SECRET, PHRASE), rest=False, link=FAST,
            )  # fmt: skip
        assert len(venue.connections()) == 2


async def test_a_capture_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    root = tmp_path / "c"
    async with venue_of() as venue:
        await record(root, ["trades:BTC-USDT"], url=venue.url, rest=False, link=FAST, frames=1)
        assert stat.S_IMODE(root.stat().st_mode) == 0o755
        await record(
            root, ["orders"], url=venue.url, private=True, append=True, rest=False, link=FAST,
            credentials=Credentials(KEY, SECRET, PHRASE), frames=1,
        )  # fmt: skip
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"subscriptions": ["orders"]}, UsageError, "log in with --private"),
        ({"subscriptions": ["orders"], "private": True}, CredentialsError, "received no OKX_API"),
        (
            {
                "subscriptions": ["orders"],
                "private": True,
                "credentials": Credentials(KEY, SECRET, PHRASE),
                "url": "ws://192.0.2.1/ws/v5",
            },
            UrlError,
            "wss://",
        ),
    ],
)
async def test_mistakes_are_told_before_anything_is_touched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(error, match=words):
        await record(tmp_path / "c", **arguments)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("code", "ahead", "words"),
    [
        ("60006", 45.2, "; this machine's clock is 45 s ahead of the venue's, set it by NTP"),
        ("60006", -3_600.0, "; this machine's clock is 3600 s behind the venue's"),
        ("60006", 1.0, "; by the venue's answers this machine's clock is right"),
        ("60006", None, "; check that this machine's clock is right"),
        ("60005", 45.2, ""),
    ],
)
def test_how_far_the_clock_is_off(code: str, ahead: float | None, words: str) -> None:
    told = _clock_words(code, ahead)
    assert told.startswith(words)
    assert bool(told) == bool(words)
