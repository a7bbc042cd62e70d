"""Scenarios drawn by seed, for soaks: every kind of fault a client can survive.

Responsible for which faults are drawn and when they begin. Refuses to draw what ends a client for
good (a wrong key, HTTP 403): a soak asks that every subscription is back in the end.
"""

from __future__ import annotations

from random import Random

import msgspec

from recorder.okx.faults import (
    Announce,
    AnswerError,
    AnyFault,
    BreakFraming,
    CloseWith,
    CutOff,
    DeleteUnknown,
    Drip,
    Drop,
    Evict,
    Gap,
    GoSilent,
    Hold,
    LateAck,
    LoginError,
    NewField,
    NoAnswer,
    OldFirst,
    Refuse,
    Rename,
    Repeat,
    RepeatAck,
    ResetSequence,
    Say,
    SayBinary,
    SayGarbled,
    SayHuge,
    Scenario,
    Split,
    Trail,
)

_SOCKETS = ("public", "business", "private")


def random_scenario(
    seed: int,
    *,
    seconds: float,
    count: int = 30,
    endpoints: tuple[str, ...] = _SOCKETS,
    recovery: float = 75.0,
    rest: bool = False,
) -> Scenario:
    """Draw faults of every group, spread over a time.

    A client that keeps trying can survive each of them with every argument restored: nothing is
    refused for good.

    Args:
        seed: decides everything.
        seconds: faults begin within the first four fifths of this time.
        count: how many faults; kinds come in turn, so that 40 hold every one.
        endpoints: which sockets they may hit.
        recovery: seconds a client may need to be whole again after a fault; kinds that need more
            (a client waits before it asks again for what was taken away) are not drawn.
        rest: draw faults of REST requests as well.
    """
    random = Random(seed)
    places = (None, *endpoints, *(("rest",) if rest else ()))
    possible = [
        fault for fault, needed in _SURVIVABLE if needed <= recovery and fault.endpoint in places
    ]
    deck: list[AnyFault] = []
    faults: list[AnyFault] = []
    for number in range(count):
        if not deck:
            deck = list(possible)
            random.shuffle(deck)
        drawn = deck.pop()
        at = seconds * 0.8 * (number + random.random()) / count
        endpoint = random.choice(endpoints) if drawn.endpoint is None else drawn.endpoint
        faults.append(msgspec.structs.replace(drawn, at=round(at, 3), endpoint=endpoint))
    return Scenario(faults=tuple(faults), seed=seed)


_SURVIVABLE: tuple[tuple[AnyFault, int], ...] = (
    (Refuse(status=503), 2),
    (Refuse(status=429, retry_after=1), 2),
    (Drop(), 2),
    (CloseWith(code=4006), 2),
    (CloseWith(code=4005), 2),
    (CloseWith(code=4007, endpoint="private"), 2),
    (CutOff(how="eof"), 2),
    (CutOff(how="inside"), 2),
    (CutOff(how="reset"), 2),
    (GoSilent(), 2),
    (Announce(close_after=2.0), 3),
    (Drip(bytes_per_second=40_000, seconds=1.0), 2),
    (Hold(seconds=1.0), 2),
    (Split(pieces=3, seconds=1.0), 2),
    (Evict(channel="books", endpoint="public"), 65),
    (Say(text=""), 2),
    (Say(text='{"arg":'), 2),
    (SayHuge(bytes=1_000_000), 2),
    (SayGarbled(), 2),
    (SayBinary(), 2),
    (BreakFraming(), 2),
    (ResetSequence(endpoint="public"), 2),
    (LateAck(seconds=0.2), 2),
    (RepeatAck(count=3), 2),
    (AnswerError(code="64007"), 2),
    (AnswerError(code="60014"), 2),
    (NoAnswer(), 15),
    (LoginError(code="63999", endpoint="private"), 2),
    (Trail(seconds=0.5, endpoint="public"), 2),
    (Gap(count=2, channel="books", endpoint="public"), 2),
    (DeleteUnknown(channel="books", endpoint="public"), 2),
    (OldFirst(seconds=60.0), 2),
    (Repeat(channel="trades", endpoint="public"), 2),
    (NewField(), 2),
    (Repeat(channel="orders", endpoint="private"), 2),
    (Rename(channel="trades", endpoint="public"), 2),
    (Refuse(status=500, endpoint="rest"), 2),
    (Drop(endpoint="rest"), 2),
)
"""Faults, and about how many seconds a client needs to be whole again after each."""
