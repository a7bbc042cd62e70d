"""The network of a simulation: how long messages take, and what a connection is.

Responsible for latency and for the state of both ends of a simulated connection. Refuses to decide
what is sent: that is `replay.simulation.session`.
"""

from __future__ import annotations

from recorder.clock import NS_PER_MS
from recorder.okx.exchange import Conversation
from replay.market.chance import EXPONENTIAL

UPLINK_NS = 4 * NS_PER_MS
"""From the client's send to the venue's answer."""

LATENCY_NS = tuple(
    # A path of 3.4 ms, 0.5 ms of exponential jitter, and now and then a hiccup.
    3_400_000 + wait * 500 + (12_000_000 if index == 255 else 0)
    for index, wait in enumerate(EXPONENTIAL)
)
"""Quantiles of the time from the venue to the client, ns; index with 8 random bits."""


class Link:
    """One WebSocket connection: the client's end, and the venue's end in `conversation`."""

    def __init__(self, number: int, endpoint: str, conversation: Conversation) -> None:
        self.number = number
        self.endpoint = endpoint
        self.conversation = conversation
        self.is_open = True
        self.opened_seq = self.closed_seq = 0
        self.heard_at = 0
        self.request_count = 0

    def next_id(self) -> str:
        self.request_count += 1
        return f"r{self.request_count}"
