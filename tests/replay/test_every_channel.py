"""Goal: every channel OKX has is understood, from the wire to SQL and back through a socket.

Method: the committed session that holds them all (`datasets/every-channel`), checked against the
table of channels, so that a channel added there without a type or a push fails here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode, UsageError
from recorder.event import (
    EVENT_TYPES,
    Candle,
    Data,
    Event,
    LoggedIn,
    SequenceGap,
    Subscribed,
    Unrecognized,
    VenueError,
)
from recorder.frame import Frame, Kind
from recorder.live import record
from recorder.okx.auth import Credentials
from recorder.okx.channels import CHANNELS
from recorder.okx.interpreter import Interpreter
from recorder.okx.novelty import Census
from recorder.okx.origins import ORIGINS
from recorder.okx.route import is_push, route
from recorder.okx.served import push_of
from recorder.okx.subscription import subscription_of
from replay.server import serve
from replay.simulation.simulator import simulated_frames
from replay.sql import connect

NAME = "every-channel"
SECRETS = ("the-api-key-of-this-test", "its-secret", "its-passphrase")


@pytest.fixture(scope="module")
def frames(datasets: Path) -> list[Frame]:
    return list(Capture(datasets / NAME).frames())


@pytest.fixture(scope="module")
def by_channel(frames: list[Frame]) -> dict[str, list[list[Event]]]:
    """Events of every push, by the channel of the push."""
    interpreter = Interpreter()
    found: dict[str, list[list[Event]]] = defaultdict(list)
    for frame in frames:
        events = interpreter.step(frame)
        if frame.kind is Kind.TEXT and is_push(frame.payload):
            found[route(frame.payload)[0] or ""].append(events)
    assert interpreter.integrity.gaps == interpreter.integrity.mismatch == 0
    return found


def test_every_channel_is_pushed_and_none_beside(by_channel: dict[str, list[list[Event]]]) -> None:
    assert by_channel.keys() == CHANNELS.keys()


def test_every_push_becomes_an_event_of_its_channels_own_type(
    by_channel: dict[str, list[list[Event]]],
) -> None:
    for channel, pushes in by_channel.items():
        for events in pushes:
            assert events, channel
            for event in events:
                assert not isinstance(event, Data | Unrecognized), channel
                assert channel in (ORIGINS[type(event)].channels or ()), channel
    told = {type(event) for pushes in by_channel.values() for events in pushes for event in events}
    of_pushes = {kind for kind in EVENT_TYPES if ORIGINS[kind].channels}
    derived = {kind for kind in of_pushes if ORIGINS[kind].has_state}
    assert told == of_pushes - derived - {Data}


def test_the_session_is_held_by_logged_in_sockets_without_a_word_amiss(
    frames: list[Frame],
) -> None:
    interpreter = Interpreter()
    events = [event for frame in frames for event in interpreter.step(frame)]
    kinds = Counter(type(event) for event in events)
    assert kinds[LoggedIn] == 3
    assert not kinds[VenueError] + kinds[SequenceGap] + kinds[Unrecognized]
    logins = [f.payload for f in frames if f.kind is Kind.SENT and b'"op":"login"' in f.payload]
    assert len(logins) == 3
    for login in logins:
        assert login.count(b'"***"') == 3
        assert b"simulated" not in login


def test_nothing_in_it_is_new(frames: list[Frame]) -> None:
    census = Census()
    for frame in frames:
        census.take(frame)
    assert census.found == []


def test_bars_of_every_interval_are_sound(by_channel: dict[str, list[list[Event]]]) -> None:
    bars = [event for pushes in by_channel.values() for events in pushes for event in events
            if isinstance(event, Candle)]  # fmt: skip
    assert {bar.channel for bar in bars} == {name for name in CHANNELS if "candle" in name}
    for bar in bars:
        low, high = bar.low, bar.high
        assert low is not None
        assert high is not None
        assert low <= (bar.open or 0.0) <= high
        assert low <= (bar.close or 0.0) <= high
        assert bar.ts_event is not None
        assert bar.ts_event <= bar.ts_recv
    assert any(bar.confirmed for bar in bars)


def test_every_view_of_a_channel_has_rows(datasets: Path) -> None:
    with connect(datasets / NAME) as connection:
        for view in ("grid_bot_updates", "order_updates", "fills", "block_fills", "spread_fills",
                     "deposit_updates", "rfq_updates", "empty_snapshots", "option_summaries",
                     "economic_releases", "recurring_buy_updates"):  # fmt: skip
            (count,) = connection.execute(f"SELECT count(*) FROM {view}").fetchone() or (0,)
            assert count, view
        (data,) = connection.execute("SELECT count(*) FROM data").fetchone() or (1,)
        assert data == 0
        sql = (
            "SELECT count(*) FROM fills f JOIN trades t ON t.channel = 'trades' "
            "AND t.trade_id = f.trade_id AND t.price = f.price AND t.instrument = f.instrument"
        )
        (matched,) = connection.execute(sql).fetchone() or (0,)
        assert matched > 3


def test_every_channel_needs_three_instruments() -> None:
    with pytest.raises(UsageError, match="at least three instruments"):
        next(simulated_frames(seed=1, frames=5, scenario=NAME,
                              instruments=["BTC-USDT", "BTC-USDT-SWAP"]))  # fmt: skip


def pushes_of(path: Path) -> dict[object, list[bytes]]:
    found: dict[object, list[bytes]] = defaultdict(list)
    for frame in Capture(path).frames(kinds=[Kind.TEXT]):
        asked = push_of(frame.payload)
        if asked is not None:
            found[asked].append(frame.payload)
    return found


async def test_served_and_recorded_again_every_channel_is_the_same(
    datasets: Path, tmp_path: Path
) -> None:
    source, out = datasets / NAME, tmp_path / "out"
    acked = [event for event in Capture(source).events() if isinstance(event, Subscribed)]
    wanted = [item for event in acked if (item := subscription_of(event.argument)) is not None]
    async with serve(
        source, port=0, speed="max", at_end="close", wait_for_subscribers=len(wanted)
    ) as server:
        report = await record(
            out, wanted, url=server.url, rest=False, until_closed=True, digest=True,
            private=True, credentials=Credentials(*SECRETS),
        )  # fmt: skip
    assert report.exit_code is ExitCode.DONE
    assert pushes_of(out) == pushes_of(source), "byte for byte, per argument"
    assert {item.channel for item in wanted} == CHANNELS.keys()
    for path in out.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, "what an account is told is its owner's"
            assert not [secret for secret in SECRETS if secret.encode() in path.read_bytes()]
    logins = [f for f in Capture(out).frames(kinds=[Kind.SENT]) if b'"login"' in f.payload]
    assert len(logins) == 3
    assert not [f for f in Capture(out).frames() for s in SECRETS if s.encode() in f.payload]
