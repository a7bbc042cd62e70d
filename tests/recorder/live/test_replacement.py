"""Notice 64008: a second socket before the first one goes, and nothing missing over both.

The venue's own log says what was sent to whom; the books of the interpreter are held against it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture.reader import Capture
from recorder.event import BookUpdate, ConnectionState, Event, SequenceGap, Trade
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.okx.faults import Announce, CloseWith, Refuse, Scenario
from tests.venue.conservation import check
from tests.venue.feeds import MarketFeed
from tests.venue.server import Venue

WANTED = ["books:BTC-USDT", "trades:BTC-USDT", "tickers:BTC-USDT"]
FAST = LinkOptions(first_delay=0.05, longest_delay=0.2, lived=30, close_timeout=2)


def closings(path: Path) -> list[dict[str, Any]]:
    rows = [frame for frame in Capture(path).frames() if frame.kind is Kind.CLOSED]
    return [{"connection": row.connection, **json.loads(row.payload)} for row in rows]


class Eye:
    """A handler that holds the book in force against the rules, event by event."""

    def __init__(self, stop: asyncio.Event) -> None:
        self.updates: dict[int, list[int]] = {}
        self.trades: set[str] = set()
        self.backward = 0
        self.gaps = 0
        self.sockets = 0
        self.not_whole = 0
        self._best = -1
        self._stop = stop

    def on_event(self, event: Event, context: Any) -> None:
        if isinstance(event, Trade):
            self.trades.add(event.trade_id)
        elif isinstance(event, SequenceGap):
            self.gaps += 1
        elif isinstance(event, BookUpdate) and event.seq_id is not None:
            book = context.books.get("BTC-USDT", "books")
            self.not_whole += not book.is_whole
            self.backward += book.seq_id < self._best
            self._best = max(self._best, book.seq_id)


async def run(
    tmp_path: Path, scenario: Scenario, *, until: Any, link: LinkOptions = FAST
) -> tuple[Eye, Venue, Any]:
    """Record until the venue says so; return what was seen, with nothing missing."""
    stop = asyncio.Event()
    eye = Eye(stop)
    async with Venue(
        scenario, MarketFeed(seed=3, instruments=["BTC-USDT"], account=False)
    ) as venue:
        task = asyncio.create_task(
            record(
                tmp_path / "c", WANTED, url=venue.url, rest=False, link=link, stop=stop,
                on_event=eye,
            )
        )  # fmt: skip
        await venue.until(lambda: until(venue))
        stop.set()
        report = await task
    verdict = check(tmp_path / "c", venue.oracle.lines)
    assert verdict.problems == []
    assert (eye.gaps, eye.not_whole, eye.backward) == (0, 0, 0)
    return eye, venue, report


def has_replaced(venue: Venue, sockets: int = 2) -> bool:
    """Whether the last of so many sockets is the only one, and has been pushed to for a while."""
    opened = venue.connections("public")
    return (
        len(opened) == sockets
        and not any(peer.is_open for peer in opened[:-1])
        and opened[-1].handed > 40
    )


async def test_the_new_socket_is_restored_before_the_old_one_goes(tmp_path: Path) -> None:
    scenario = Scenario(faults=(Announce(after=0.3, connection=0, close_after=15),))
    _, venue, report = await run(tmp_path, scenario, until=has_replaced)
    first, second = venue.connections("public")
    assert first.how == "close", "closed by us, long before the venue would have"
    rows = closings(tmp_path / "c")
    assert [(row["reason"], row["then"]) for row in rows] == [
        ("replaced", "replaced"), ("stopped", "closed")
    ]  # fmt: skip
    assert (report.disconnects, report.connections) == (0, 2)
    # The new socket's snapshot is no newer than the last update of the old one: no update between.
    frames = list(Capture(tmp_path / "c").frames())
    socket = {frame.seq: frame.connection for frame in frames}
    updates = [e for e in Capture(tmp_path / "c").events() if isinstance(e, BookUpdate)]
    snapshot = next(e for e in updates if socket[e.seq] == 1 and e.is_snapshot)
    last = [e for e in updates if socket[e.seq] == 0][-1]
    assert snapshot.seq_id is not None
    assert last.seq_id is not None
    assert snapshot.seq_id <= last.seq_id
    ended = next(f.seq for f in frames if f.kind is Kind.CLOSED and f.connection == 0)
    assert snapshot.seq < ended
    assert second.handed > 0


async def test_the_old_socket_dies_first(tmp_path: Path) -> None:
    """The notice comes, the next handshake is refused, and the venue closes meanwhile."""
    scenario = Scenario(
        faults=(
            Announce(after=0.3, connection=0, close_after=0.4),
            Refuse(connection=1, status=503, times=3),
        )
    )
    link = msgspec.structs.replace(FAST, first_delay=0.3, longest_delay=0.5)
    stop = asyncio.Event()
    async with Venue(scenario, MarketFeed(seed=3, instruments=["BTC-USDT"])) as venue:
        task = asyncio.create_task(
            record(tmp_path / "c", WANTED, url=venue.url, rest=False, link=link, stop=stop)
        )
        await venue.until(lambda: has_replaced(venue))
        stop.set()
        report = await task
    assert check(tmp_path / "c", venue.oracle.lines).problems == []
    rows = closings(tmp_path / "c")
    old = next(row for row in rows if row["connection"] == 0)
    assert (old["by"], old["code"], old["then"]) == ("venue", 4006, "reconnecting")
    assert sum(row["code"] == 503 for row in rows) == 3
    assert report.disconnects == 1
    states = [e.state for e in Capture(tmp_path / "c").events() if isinstance(e, ConnectionState)]
    assert states[:2] == ["connecting", "connected"]
    assert states[-2:] == ["connected", "closed"]


async def test_a_replacement_that_fails_is_tried_again_while_the_old_socket_goes_on(
    tmp_path: Path,
) -> None:
    scenario = Scenario(
        faults=(
            Announce(after=0.3, connection=0, close_after=20),
            Refuse(connection=1, status=503, times=2),
            CloseWith(connection=1, after=0.0, code=4006),
        )
    )
    _, venue, report = await run(tmp_path, scenario, until=lambda venue: has_replaced(venue, 3))
    assert venue.connections("public")[0].how == "close"
    assert report.connections == 5
    rows = {row["connection"]: row for row in closings(tmp_path / "c")}
    assert rows[0]["then"] == "replaced"
    assert [rows[number]["then"] for number in (1, 2, 3)] == ["reconnecting"] * 3


async def test_a_second_notice_on_the_replacement(tmp_path: Path) -> None:
    """Once before it could take over, once after."""
    scenario = Scenario(
        faults=(
            Announce(after=0.3, connection=0, close_after=20),
            Announce(after=0.0, connection=1, close_after=20),
            Announce(after=0.3, connection=2, close_after=20),
        )
    )
    _, venue, _ = await run(tmp_path, scenario, until=lambda venue: has_replaced(venue, 4))
    reasons = [row["reason"] for row in closings(tmp_path / "c")]
    assert reasons.count("replaced") == 2 or reasons.count("replaced") == 3
    both = [peer for peer in venue.connections("public") if peer.how == "close"]
    assert len(both) == 4


async def test_a_replacement_that_is_never_restored_does_not_keep_two_sockets(
    tmp_path: Path,
) -> None:
    """The venue announced its end, did not close, and answers nothing on the new socket."""
    from recorder.okx.faults import NoAnswer

    scenario = Scenario(
        faults=(
            Announce(after=0.2, connection=0, close_after=60),
            NoAnswer(connection=1, times=0),
        )
    )
    link = msgspec.structs.replace(FAST, replace_timeout=0.5)
    stop = asyncio.Event()
    async with Venue(scenario, MarketFeed(seed=3, instruments=["BTC-USDT"])) as venue:
        task = asyncio.create_task(
            record(tmp_path / "c", WANTED, url=venue.url, rest=False, link=link, stop=stop)
        )
        await venue.until(lambda: any(not peer.is_open for peer in venue.connections("public")))
        stop.set()
        await task
    assert closings(tmp_path / "c")[0]["reason"] == "replaced"


async def test_nothing_is_replaced_where_the_venue_is_to_end_it(tmp_path: Path) -> None:
    scenario = Scenario(faults=(Announce(after=0.1, connection=0, close_after=0.2, code=1000),))
    async with Venue(scenario, MarketFeed(seed=3, instruments=["BTC-USDT"])) as venue:
        report = await record(
            tmp_path / "c", WANTED, url=venue.url, rest=False, link=FAST, until_closed=True
        )
        assert len(venue.connections("public")) == 1
    assert report.stopped_by == "closed by the venue"
