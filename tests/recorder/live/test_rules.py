"""The table of rules: as data, as printed in the docs, and obeyed on real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from recorder.capture.reader import Capture
from recorder.errors import ExitCode, HandshakeError, VenueRefused
from recorder.event import ConnectionState
from recorder.frame import Kind
from recorder.live import LinkOptions, record
from recorder.live.ending import Cause, Closed, retry_after
from recorder.live.rules import RULES, Retry, rule_of
from recorder.live.schedule import Backoff
from recorder.okx.faults import (
    AnswerError,
    AnyFault,
    CloseWith,
    CutOff,
    Drop,
    GoSilent,
    Refuse,
    Scenario,
    Stall,
)
from tests.venue.feeds import QuietFeed
from tests.venue.server import Venue

BOOKS = "books:BTC-USDT"
FAST = LinkOptions(
    open_timeout=5, close_timeout=1, first_delay=0.01, longest_delay=0.02, lived=60,
    later_delay=0.4, refused_delay=0.3,
)  # fmt: skip


def printed() -> str:
    """The table as docs/client.md holds it; run `pytest` with the words it asks for."""
    lines = ["| what ends | fault | first | later | exit |", "| --- | --- | --- | --- | --- |"]
    for rule in RULES:
        code = "—" if rule.exit_code is None else str(int(rule.exit_code))
        row = (rule.what, rule.fault, rule.first.value, rule.later.value, code)
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def test_the_docs_print_the_table_as_it_is(repository: Path) -> None:
    page = (repository / "docs" / "client.md").read_text()
    found = re.search(r"<!-- rules -->\n(.*?)\n?<!-- /rules -->", page, re.DOTALL)
    assert found is not None
    assert found[1] == printed(), f"put this between the marks:\n\n{printed()}\n"


@pytest.mark.parametrize(
    ("closed", "words", "first", "later"),
    [
        (Closed(1000, "", "venue", True), "close 1000", Retry.BACK_OFF, Retry.BACK_OFF),
        (Closed(1001, "", "venue", True), "close 1000, 1001", Retry.BACK_OFF, Retry.BACK_OFF),
        (Closed(1006, "", "network", True), "close 1006", Retry.BACK_OFF, Retry.BACK_OFF),
        (Closed(1009, "", "venue", True), "close 1009", Retry.BACK_OFF, Retry.BACK_OFF),
        (Closed(1013, "", "venue", True), "close 1008, 1013", Retry.LATER, Retry.LATER),
        *(
            (Closed(code, "", "venue", True), f"close {code}", Retry.BACK_OFF, Retry.BACK_OFF)
            for code in (4001, 4002, 4004, 4005, 4006)
        ),
        (Closed(4003, "", "venue", True), "close 4003", Retry.LATER, Retry.LATER),
        (Closed(4007, "", "venue", True), "close 4007", Retry.BACK_OFF, Retry.AT_ONCE),
        (Closed(4008, "", "venue", True), "close 4008", Retry.NEVER, Retry.LATER),
        (Closed(4009, "", "venue", True), "close 4008, 4009", Retry.NEVER, Retry.LATER),
        (Closed(4999, "", "venue", True), "any other close", Retry.BACK_OFF, Retry.BACK_OFF),
        *(
            (Closed(None, "", "network", False, cause), words, Retry.BACK_OFF, Retry.BACK_OFF)
            for cause, words in (
                (Cause.DNS, "DNS"), (Cause.TCP, "TCP"), (Cause.TLS, "TLS"),
                (Cause.TIMEOUT, "no answer"), (Cause.PROXY, "proxy fails"),
                (Cause.HANDSHAKE, "an answer that"), (Cause.SILENCE, "half-open"),
                (Cause.UNREAD, "the venue reads"), (Cause.PROTOCOL, "broken"),
            )
        ),
        *(
            (Closed(code, "", "network", False, cause), words, Retry.NEVER, Retry.LATER)
            for code, cause, words in (
                (None, Cause.CERTIFICATE, "certificate"), (407, Cause.PROXY, "proxy answers"),
                (None, Cause.PROXY_KIND, "proxy of a kind"), (401, Cause.HTTP, "HTTP 401"),
                (403, Cause.HTTP, "HTTP 401"), (404, Cause.HTTP, "HTTP 401"),
                (418, Cause.HTTP, "HTTP 401"), (301, Cause.HTTP, "HTTP redirect"),
                (200, Cause.HTTP, "HTTP, any other"),
            )
        ),
        (Closed(429, "", "venue", False, Cause.HTTP), "HTTP 429", Retry.LATER, Retry.LATER),
        (Closed(502, "", "venue", False, Cause.HTTP), "HTTP 5xx", Retry.BACK_OFF, Retry.BACK_OFF),
        (Closed(502, "", "network", False, Cause.PROXY), "proxy fails", Retry.BACK_OFF,
         Retry.BACK_OFF),
    ],
)  # fmt: skip
def test_every_end_has_its_rule(closed: Closed, words: str, first: Retry, later: Retry) -> None:
    rule = rule_of(closed)
    assert rule.what.startswith(words)
    assert (rule.first, rule.later) == (first, later)
    assert rule.exit_code == (ExitCode.REFUSED if first is Retry.NEVER else None)


def test_a_final_rule_says_what_to_do() -> None:
    assert all(rule.hint or not rule.causes for rule in RULES if rule.first is Retry.NEVER)


def test_no_rule_hides_another() -> None:
    for place, rule in enumerate(RULES):
        for cause in rule.causes:
            codes = [code for codes in rule.codes for code in (codes[0], codes[-1])] or [None]
            earlier = [rule_of(Closed(code, "", "", True, cause)) for code in codes]
            assert rule in earlier, f"{rule.what} is never reached (row {place})"


def test_delays_grow_start_anew_and_obey_what_they_are_told() -> None:
    backoff = Backoff(Random(1), first=0.5, longest=60, lived=30, later=30)
    delays = [backoff.next_delay(None) for _ in range(12)]
    for number, delay in enumerate(delays):
        bound = min(0.5 * 2**number, 60)
        assert bound / 2 <= delay <= bound
    assert backoff.next_delay(29.9) >= 30, "too short a life proves nothing"
    assert backoff.next_delay(30.0) <= 0.5
    assert 15 <= Backoff(Random(1), later=30).next_delay(None, is_later=True) <= 30
    assert Backoff(Random(1)).next_delay(None, at_least=77.0) == 77.0
    later = Backoff(Random(1), later=30)
    assert max(later.next_delay(None, is_later=True) for _ in range(20)) <= 240


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": " 7 "}, 7.0),
        (
            {
                "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT",
                "Date": "Fri, 31 Dec 1999 23:59:29 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Fri, 31 Dec 1999 23:00:00 GMT",
                "Date": "Fri, 31 Dec 1999 23:59:29 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


# --- on real sockets ---------------------------------------------------------------------------


def closings(path: Path) -> list[dict[str, Any]]:
    return [json.loads(f.payload) for f in Capture(path).frames() if f.kind is Kind.CLOSED]


async def outlive(
    tmp_path: Path, *faults: AnyFault, link: LinkOptions = FAST, sockets: int = 2
) -> tuple[list[dict[str, Any]], Venue]:
    """Record through faults until the last of so many sockets holds the book; return the ends."""
    stop = asyncio.Event()
    async with Venue(Scenario(faults=faults), QuietFeed(BOOKS)) as venue:
        task = asyncio.create_task(
            record(tmp_path / "c", [BOOKS], url=venue.url, rest=False, link=link, stop=stop)
        )
        await venue.until(
            lambda: len(venue.connections()) == sockets and bool(venue.holders(BOOKS))
        )
        stop.set()
        report = await task
    assert report.exit_code is ExitCode.DONE
    rows = closings(tmp_path / "c")
    assert [row["then"] for row in rows] == ["reconnecting"] * (len(rows) - 1) + ["closed"]
    return rows, venue


async def test_what_is_tried_again_after_the_back_off(tmp_path: Path) -> None:
    """One end after the other, on one recording."""
    faults: list[AnyFault] = [
        CloseWith(code=code, connection=number)
        for number, code in enumerate((1001, 4002, 4004, 4005, 4007))
    ]
    faults += [CutOff(how="eof", connection=5), CutOff(how="inside", connection=6)]
    faults += [CutOff(how="reset", connection=7), Drop(connection=8)]
    faults += [Refuse(connection=8, status=503)]
    rows, _ = await outlive(tmp_path, *faults, sockets=9)
    ends = [(row["code"], row["by"], row["opened"]) for row in rows[:-1]]
    assert ends == [
        (1001, "venue", True), (4002, "venue", True), (4004, "venue", True),
        (4005, "venue", True), (4007, "venue", True), (1006, "network", True),
        (1006, "network", True), (1006, "network", True), (None, "network", False),
        (503, "venue", False),
    ]  # fmt: skip
    assert all(0 < row["retry_in_s"] <= 0.02 for row in rows[:-1])


async def test_too_many_means_a_longer_back_off_and_retry_after_is_obeyed(tmp_path: Path) -> None:
    rows, venue = await outlive(
        tmp_path,
        Refuse(connection=0, status=429),
        CloseWith(connection=0, code=1013),
        Refuse(connection=1, status=503, retry_after=1),
    )
    assert 0.2 <= rows[0]["retry_in_s"] <= 0.4
    assert 0.2 <= rows[1]["retry_in_s"] <= 0.8
    assert rows[2]["retry_in_s"] == 1
    times = [moment for moment, _ in venue.attempts]
    assert times[1] - times[0] >= 0.2e9
    assert times[3] - times[2] >= 1e9


async def test_a_handshake_that_is_never_answered(tmp_path: Path) -> None:
    link = msgspec.structs.replace(FAST, open_timeout=0.2)
    rows, _ = await outlive(tmp_path, Stall(connection=0), link=link, sockets=1)
    assert rows[0]["reason"] == "no answer within 0.2 s"


async def test_a_half_open_socket(tmp_path: Path) -> None:
    link = msgspec.structs.replace(FAST, ping_after=0.05, pong_timeout=0.4, close_timeout=0.1)
    rows, _ = await outlive(tmp_path, GoSilent(after=0.01), link=link)
    assert (rows[0]["by"], rows[0]["reason"]) == (
        "recorder", "no answer to a ping within 0.4 s"
    )  # fmt: skip
    states = [e for e in Capture(tmp_path / "c").events() if isinstance(e, ConnectionState)]
    assert [event.state for event in states] == [
        "connecting", "connected", "reconnecting", "connected", "closed"
    ]  # fmt: skip
    assert {event.endpoint for event in states} == {"public"}
    assert states[2].retry_in is not None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CloseWith(code=4008), "received 4008 .*fewer channels"),
        (Refuse(status=401, times=0), "HTTP 401"),
    ],
)
async def test_what_cannot_succeed_ends_it_at_the_start(
    tmp_path: Path, fault: AnyFault, words: str
) -> None:
    async with Venue(Scenario(faults=(fault,)), QuietFeed(BOOKS)) as venue:
        with pytest.raises(HandshakeError, match=words) as caught:
            await record(tmp_path / "c", [BOOKS], url=venue.url, rest=False, link=FAST)
        assert len(venue.attempts) == 1
    assert caught.value.exit_code is ExitCode.REFUSED
    assert closings(tmp_path / "c")[-1]["then"] == "failed"


async def test_the_same_answer_later_is_only_a_reason_to_wait(tmp_path: Path) -> None:
    link = msgspec.structs.replace(FAST, lived=0.0)
    rows, _ = await outlive(
        tmp_path, CloseWith(code=4006, connection=0), Refuse(connection=1, status=403), link=link
    )
    assert [row["code"] for row in rows[:2]] == [4006, 403]
    assert 0.2 <= rows[1]["retry_in_s"] <= 0.8


async def test_all_refused_in_a_later_conversation_is_no_idle_loop(tmp_path: Path) -> None:
    rows, venue = await outlive(
        tmp_path,
        CloseWith(code=4006, connection=0, after=0.05),
        AnswerError(code="60018", connection=1, times=0),
        sockets=3,
    )
    assert rows[1]["reason"] == "every subscription was refused"
    assert rows[1]["retry_in_s"] >= 0.3
    times = [moment for moment, _ in venue.attempts]
    assert times[2] - times[1] >= 0.3e9


async def test_all_refused_on_one_endpoint_while_another_one_works(tmp_path: Path) -> None:
    """At the start: the one is left alone for a while, the recording goes on."""
    candles = "candle1m:BTC-USDT"
    faults = (AnswerError(code="60018", endpoint="business", connection=0),)
    stop = asyncio.Event()
    async with Venue(Scenario(faults=faults), QuietFeed(BOOKS, candles)) as venue:
        task = asyncio.create_task(
            record(
                tmp_path / "c", [BOOKS, candles], url=venue.url, rest=False, link=FAST, stop=stop
            )
        )
        await venue.until(lambda: bool(venue.holders(candles)) and bool(venue.holders(BOOKS)))
        stop.set()
        report = await task
    assert report.exit_code is ExitCode.DONE, "in the end everything was held"


async def test_everything_refused_at_the_start(tmp_path: Path) -> None:
    fault = AnswerError(code="60018", times=0)
    async with Venue(Scenario(faults=(fault,)), QuietFeed(BOOKS)) as venue:
        with pytest.raises(VenueRefused, match="60018") as caught:
            await record(tmp_path / "c", [BOOKS], url=venue.url, rest=False, link=FAST)
    assert caught.value.code == "60018"
