"""Two links to a venue that loses pushes on each: one stream without a hole, live and from disk."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorder.capture.reader import Capture
from recorder.errors import UsageError
from recorder.event import BookUpdate, Event, SequenceGap, Subscribed, Trade
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.links import places
from recorder.okx.faults import Announce, CloseWith, Gap, Lose, Scenario
from replay.player import play
from tests.venue.feeds import MarketFeed
from tests.venue.server import Venue

WANTED = ["books:BTC-USDT", "trades:BTC-USDT"]
TWO = LinkOptions(redundancy=2, first_delay=0.05, longest_delay=0.2, lived=30, close_timeout=2)


async def recorded(path: Path, scenario: Scenario, *, until: Any) -> tuple[list[Event], Any]:
    """Record over two links until the venue says so; return what a handler saw, and the report."""
    stop, seen = asyncio.Event(), list[Event]()
    feed = MarketFeed(seed=3, instruments=["BTC-USDT"], account=False)
    async with Venue(scenario, feed) as venue:
        task = asyncio.create_task(
            record(
                path, WANTED, url=venue.url, rest=False, link=TWO, stop=stop, digest=True,
                on_event=lambda event, context: seen.append(event),
            )
        )  # fmt: skip
        await venue.until(lambda: until(venue.connections("public")))
        stop.set()
        return seen, await task


def chain_of(events: list[Event]) -> list[tuple[int | None, int | None]]:
    return [(e.prev_seq_id, e.seq_id) for e in events if isinstance(e, BookUpdate)]


def is_snapshot(event: Event) -> bool:
    return isinstance(event, BookUpdate) and event.is_snapshot


def opened_and_closed(path: Path) -> list[tuple[str, int, int]]:
    """Return (kind, link, connection) of the rows that tell of sockets."""
    rows = (f for f in Capture(path).frames() if f.kind in (Kind.OPENED, Kind.CLOSED))
    return [(f.kind.label, json.loads(f.payload)["link"], f.connection) for f in rows]


async def test_what_each_link_loses_the_other_has(tmp_path: Path) -> None:
    scenario = Scenario(
        seed=5,
        faults=(
            Gap(connection=0, p=0.1),
            Lose(connection=1, channel="trades", p=0.2),
        ),
    )
    seen, report = await recorded(
        tmp_path / "c", scenario, until=lambda peers: sum(p.handed > 150 for p in peers) == 2
    )
    # Until the second link holds the same, what the first one loses is lost, and begun anew.
    both = max(n for n, e in enumerate(seen) if isinstance(e, Subscribed) and e.connection == 1)
    early = [n for n, e in enumerate(seen[:both]) if isinstance(e, SequenceGap)]
    later = seen[early[-1] + 1 :] if early else seen
    chain = chain_of(list(itertools.dropwhile(lambda e: not is_snapshot(e), later)))
    assert len(chain) > 20
    assert all(prev == last for (_, last), (prev, _) in itertools.pairwise(chain))
    assert not [event for event in later if isinstance(event, SequenceGap)]
    trades = [event.trade_id for event in seen if isinstance(event, Trade)]
    every = list(Capture(tmp_path / "c", links="all").events())
    assert [event for event in every if isinstance(event, SequenceGap)], "nothing was lost: no test"
    assert sorted(trades) == sorted({e.trade_id for e in every if isinstance(e, Trade)})
    assert list(Capture(tmp_path / "c").events()) == seen
    assert play(tmp_path / "c", digest=True).output_digest == report.output_digest
    figures = Capture(tmp_path / "c").info().links
    assert [(item.endpoint, item.link) for item in figures] == [("public", 0), ("public", 1)]
    assert all(item.missed > 0 and item.open_s > 0 for item in figures)
    assert sum(item.first for item in figures) >= len(chain) + len(trades)
    assert any(item.copies > 0 and item.lag_max_ms is not None for item in figures)


async def test_a_link_that_is_gone_leaves_no_hole(tmp_path: Path) -> None:
    """Link 0 is closed by the venue, and comes back; its snapshots change nothing."""
    scenario = Scenario(faults=(CloseWith(connection=0, after=0.8),))
    seen, report = await recorded(
        tmp_path / "c",
        scenario,
        until=lambda peers: len(peers) == 3 and min(p.handed for p in peers[1:]) > 40,
    )
    chain = chain_of(seen)
    assert sum(prev in (None, -1) for prev, _ in chain) == 1
    assert all(prev == last for (_, last), (prev, _) in itertools.pairwise(chain))
    assert (report.disconnects, report.gaps) == (1, 0)
    rows = opened_and_closed(tmp_path / "c")
    assert rows[:2] == [("opened", 0, 0), ("opened", 1, 1)]
    assert ("opened", 0, 2) in rows


async def test_one_link_at_a_time_is_replaced(tmp_path: Path) -> None:
    scenario = Scenario(
        faults=(
            Announce(connection=0, after=1.2, close_after=30),
            Announce(connection=1, after=0.7, close_after=30),
        )
    )

    def is_done(peers: Any) -> bool:
        return len(peers) == 4 and [p.is_open for p in peers] == [False, False, True, True]

    seen, report = await recorded(tmp_path / "c", scenario, until=is_done)
    rows = opened_and_closed(tmp_path / "c")
    ends = [index for index, row in enumerate(rows) if row[0] == "closed"]
    starts = [index for index, row in enumerate(rows) if row[0] == "opened"]
    assert starts[2] < ends[0] < starts[3] < ends[1], rows
    assert chain_of(seen)
    assert (report.disconnects, report.gaps) == (0, 0)


async def test_turns_are_given_on() -> None:
    first, second = places(2)
    told: list[str] = []
    assert first.take_turn(lambda: told.append("first"))
    assert not second.take_turn(lambda: told.append("second"))
    first.give_turn()
    await asyncio.sleep(0)
    assert told == ["second"]
    assert first.take_turn(lambda: None), "nobody took the turn, so it is free"


@pytest.mark.parametrize("count", [0, 9])
def test_redundancy_is_bounded(count: int) -> None:
    with pytest.raises(UsageError, match="redundancy of 1 to 8"):
        msgspec.structs.replace(TWO, redundancy=count)
