"""The states of a recorded account at an instant, as those who subscribe then are told them.

Responsible for finding them without reading more of the capture than they depend on. Refuses to
join pushes itself: `okx.served_account` does.

Theory of operation. What an account channel pushed before its last whole state says nothing about
the state after it. So segments are looked through from the instant backwards, first only for where
that last whole state of each argument begins; then the pushes from there on are joined, forwards.
OKX repeats `account` and `positions` every few seconds, so that mostly one segment is read. No push
is kept in memory on the way.
"""

from __future__ import annotations

from collections.abc import Collection

from recorder.capture.block import Selection
from recorder.capture.reader import Capture
from recorder.frame import Kind
from recorder.okx.served import push_of
from recorder.okx.served_account import AccountState, begins_state
from recorder.okx.subscription import Subscription
from replay.server.history import texts_of
from replay.server.survey import stretches

_TEXTS = frozenset({Kind.TEXT})


def account_states_before(
    capture: Capture,
    channels: Collection[str],
    seq: int,
    *,
    pushes: Collection[Subscription] | None,
    elects: bool = False,
) -> dict[Subscription, AccountState]:
    """Return the state of every account argument as it stood before frame `seq`.

    Args:
        channels: the names of the channels to look for.
        pushes: all arguments there are of these channels; None where that is not known, and then
            all is read that lies before.
        elects: see `texts_of`.
    """
    begins = _beginnings(capture, channels, seq, pushes, elects=elects)
    states: dict[Subscription, AccountState] = {}
    if not begins:
        return states
    chosen = Selection(
        first_seq=min(begins.values()),
        last_seq=seq - 1,
        channels=frozenset(push.channel for push in begins),
        kinds=_TEXTS,
    )
    for number, payload in texts_of(capture, chosen, elects=elects):
        push = push_of(payload)
        if push is not None and number >= begins.get(push, seq):
            states.setdefault(push, AccountState(push.channel)).take(payload)
    return states


def _beginnings(
    capture: Capture,
    channels: Collection[str],
    seq: int,
    pushes: Collection[Subscription] | None,
    *,
    elects: bool,
) -> dict[Subscription, int]:
    """Return where the last whole state of each argument begins, or its first push of all."""
    begins: dict[Subscription, int] = {}
    settled: set[Subscription] = set()
    for first_seq, last_seq in stretches(capture, seq):
        left = channels if pushes is None else {push.channel for push in pushes} & set(channels)
        if not left:
            break
        chosen = Selection(
            first_seq=first_seq, last_seq=last_seq, channels=frozenset(left), kinds=_TEXTS
        )
        earliest: dict[Subscription, int] = {}
        latest: dict[Subscription, int] = {}
        for number, payload in texts_of(capture, chosen, elects=elects):
            push = push_of(payload)
            if push is None or push in settled:
                continue
            earliest.setdefault(push, number)
            if begins_state(payload):
                latest[push] = number
        begins |= earliest | latest
        settled |= set(latest)
        if pushes is not None:
            pushes = [push for push in pushes if push not in latest]
    return begins
