"""ClientState: how a `Client` goes, for a look from outside.

Responsible for this shape. Refuses to change anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from recorder.live.changing import ChangingEndpoints
from recorder.live.lane import Lane
from recorder.live.pipeline import Pipeline


class SubscriptionState(msgspec.Struct, frozen=True, kw_only=True):
    """How one subscription stands.

    Attributes:
        subscription: as text. endpoint: where it is held.
        standing: `held` (the venue acked it), `asked`, `due` (to be asked for), `leaving` (to be
            asked for anew) or `refused`.
        code, message: of the refusal, else blank.
    """

    subscription: str
    endpoint: str
    standing: str
    code: str
    message: str


class BookState(msgspec.Struct, frozen=True, kw_only=True):
    """One live book: whether it is whole, and up to which update of the venue's."""

    channel: str
    instrument: str
    connection: int
    is_whole: bool
    seq_id: int | None


class ConsumerState(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer's queue: frames and bytes that wait, frames it missed."""

    waiting: int
    waiting_bytes: int
    lost: int


class ClientState(msgspec.Struct, frozen=True, kw_only=True):
    """How a client goes; `msgspec.to_builtins` and `msgspec.json.encode` take it.

    Attributes:
        connections: for each endpoint what `status.json` of a recording shows.
        frames: rows of every kind; messages: received ones; bytes: of these. events: made of them.
        gaps: sequence gaps. disconnects: sockets that were lost.
    """

    is_running: bool
    connections: list[dict[str, Any]]
    subscriptions: list[SubscriptionState]
    books: list[BookState]
    consumers: list[ConsumerState]
    frames: int
    messages: int
    bytes: int
    events: int
    gaps: int
    disconnects: int


def state_of(
    endpoints: ChangingEndpoints, pipeline: Pipeline, lanes: Sequence[Lane], *, is_running: bool
) -> ClientState:
    """Return a client's state as of now."""
    counts = pipeline.counts
    refusals = {item.subscription.key: item for item in endpoints.refusals}
    subscriptions = []
    for endpoint in endpoints.endpoints:
        for wanted in endpoint.wanted:
            how, refusal = endpoint.standing(wanted), refusals.get(wanted.key)
            subscriptions.append(
                SubscriptionState(
                    subscription=str(wanted),
                    endpoint=endpoint.name,
                    standing="due" if how is None else how.value,
                    code="" if refusal is None else refusal.code,
                    message="" if refusal is None else refusal.message,
                )
            )
    return ClientState(
        is_running=is_running,
        connections=[endpoint.status for endpoint in endpoints.endpoints],
        subscriptions=subscriptions,
        books=[
            BookState(
                channel=book.channel,
                instrument=book.instrument,
                connection=book.connection,
                is_whole=book.is_whole,
                seq_id=book.seq_id,
            )
            for book in pipeline.books
        ],
        consumers=[
            ConsumerState(waiting=it.waiting, waiting_bytes=it.waiting_bytes, lost=it.lost)
            for it in lanes
        ],
        frames=counts.frames,
        messages=counts.messages,
        bytes=counts.bytes,
        events=counts.events,
        gaps=counts.gaps,
        disconnects=counts.disconnects,
    )
