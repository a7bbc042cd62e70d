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
    seed: int, *, seconds: float, count: int = 30, endpoints: tuple[str, ...] = _SOCKETS
) -> Scenario:
    """Draw faults of every group, spread over a time.

    A client that keeps trying can survive each of them with every argument restored: nothing is
    refused for good.

    Args:
        seed: decides everything.
        seconds: faults begin within the first four fifths of this time.
        count: how many faults; kinds come in turn, so that 30 hold every one.
        endpoints: which sockets they may hit.
    """
    random = Random(seed)
    deck: list[AnyFault] = []
    faults: list[AnyFault] = []
    for number in range(count):
        if not deck:
            deck = list(_SURVIVABLE)
            random.shuffle(deck)
        drawn = deck.pop()
        at = seconds * 0.8 * (number + random.random()) / count
        faults.append(
            msgspec.structs.replace(
                drawn,
                at=round(at, 3),
                endpoint=drawn.endpoint
                if drawn.endpoint in endpoints
                else random.choice(endpoints),
            )
        )
    return Scenario(faults=tuple(faults), seed=seed)


_SURVIVABLE: tuple[AnyFault, ...] = (
    Refuse(status=503),
    Refuse(status=429, retry_after=1),
    Drop(),
    CloseWith(code=4006),
    CloseWith(code=4005),
    CloseWith(code=4007, endpoint="private"),
    CutOff(how="eof"),
    CutOff(how="inside"),
    CutOff(how="reset"),
    GoSilent(),
    Announce(close_after=2.0),
    Drip(bytes_per_second=40_000, seconds=1.0),
    Hold(seconds=1.0),
    Split(pieces=3, seconds=1.0),
    Evict(channel="books", endpoint="public"),
    Say(text=""),
    Say(text='{"arg":'),
    SayHuge(bytes=1_000_000),
    SayGarbled(),
    SayBinary(),
    BreakFraming(),
    ResetSequence(endpoint="public"),
    LateAck(seconds=0.2),
    RepeatAck(count=3),
    AnswerError(code="64007"),
    AnswerError(code="60014"),
    NoAnswer(),
    LoginError(code="63999", endpoint="private"),
    Trail(seconds=0.5, endpoint="public"),
    Gap(count=2, channel="books", endpoint="public"),
    DeleteUnknown(channel="books", endpoint="public"),
    OldFirst(seconds=60.0),
    Repeat(channel="trades", endpoint="public"),
    NewField(),
)
