"""Meter: plain integers of a running recording, for metrics and health.

Responsible for what is counted beside `pipeline.Counts` when somebody wants metrics, and for
whether a recorder is healthy and ready. Refuses to format anything and to lock: the event loop
writes, another thread reads, and each number is right by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recorder.capture.writing.figures import WriterFigures
from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.frame import Frame
from recorder.latency import Latencies
from recorder.live.connection import Stamp, read_clocks
from recorder.live.pipeline import Pipeline
from recorder.okx.channels import CHANNELS
from recorder.okx.route import route

TICK_SECONDS_MAX = 10.0
"""The event loop counts as stuck when it has not looked at its clocks for so long."""

DURABLE_SECONDS_MAX = 10.0
"""The disk counts as behind when a frame has waited so long to be durable."""

CHANNELS_MAX = 200
"""Most values of the label `channel`; what comes beyond is `other`. OKX has fewer."""

_STEADY = (
    "tickers", "mark-price", "index-tickers", "open-interest", "funding-rate", "account",
    "positions", "balance_and_position",
)  # fmt: skip
_STAMPED = ("trades", "trades-all", "tickers", "mark-price", "index-tickers", "price-limit")
_VENUE_BOUNDS = tuple(
    ms * NS_PER_MS
    for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000)
)


def is_steady(channel: str) -> bool:
    """Say whether a channel pushes at once when it is subscribed to, and goes on."""
    known = CHANNELS.get(channel)
    return channel in _STEADY or "candle" in channel or (known is not None and known.is_book)


def is_stamped(channel: str) -> bool:
    """Say whether the venue's time of a channel's push is when it happened."""
    known = CHANNELS.get(channel)
    return channel in _STAMPED or (known is not None and known.is_book)


class ChannelCount:
    """Received messages and bytes of one channel."""

    __slots__ = ("bytes", "messages", "venue")

    def __init__(self) -> None:
        self.messages = self.bytes = 0
        self.venue = Latencies(_VENUE_BOUNDS)


class Meter:
    """What one recording counts for metrics.

    Args:
        pipeline: whose counts are shown too. figures: how the writer stands.
        steady: endpoints that hold something which pushes at once.
        silence_max: seconds without a message after which a socket is dead.

    Attributes:
        channels: counts by channel. handling: from a socket read until its frames are handed over
            and interpreted. status: what `status.json` shows, as of the latest second.
        started: wall clock, ns. ended: why the recording has ended, None while it runs.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        figures: Callable[[], WriterFigures],
        *,
        steady: frozenset[str],
        silence_max: float,
    ) -> None:
        stamp = read_clocks()
        self.pipeline = pipeline
        self.figures = figures
        self.channels: dict[str, ChannelCount] = {}
        self.handling = Latencies()
        self.status: Mapping[str, Any] = {}
        self.started = stamp.ts_recv
        self.ended: str | None = None
        self._steady = steady
        self._silence_max = silence_max
        self._ticked = stamp.ts_mono
        self._heard: dict[int, int] = {}
        self._pushed: dict[int, None] = {}

    def took(self, connection: int, frames: Sequence[Frame], stamp: Stamp) -> None:
        """Count what one socket read brought, after it was handed over and interpreted."""
        self._heard[connection] = stamp.ts_mono
        channel = None
        for frame in frames:
            payload = frame.payload
            channel = route(payload)[0] if payload.startswith(b'{"arg"') else None
            if channel is not None:
                count = self.channels.get(channel)
                if count is None:
                    count = self._new_channel(channel)
                count.messages += 1
                count.bytes += len(payload)
                self._pushed[connection] = None
        last = self.pipeline.counts.last_event
        if channel is not None and last is not None and is_stamped(channel):
            self.channels[channel if channel in self.channels else "other"].venue.add(
                stamp.ts_recv - last
            )
        self.handling.add(read_clocks().ts_mono - stamp.ts_mono)

    def tick(self, status: Mapping[str, Any]) -> None:
        """Take what `status.json` shows; once a second, in the event loop."""
        self.status = dict(status)
        self._ticked = read_clocks().ts_mono
        alive = {item["connection"] for item in self.status.get("connections", ())}
        for number in [number for number in self._heard if number not in alive]:
            del self._heard[number]
            self._pushed.pop(number, None)

    def silence(self, connection: int) -> float | None:
        """Return for how long a connection has brought nothing, s; None: it never brought any."""
        heard = self._heard.get(connection)
        return None if heard is None else _seconds_since(heard)

    def durable_lag(self) -> float:
        """Return how old the oldest frame is that is not durable yet, s."""
        oldest = self.figures().oldest_mono
        return 0.0 if oldest is None else _seconds_since(oldest)

    def unhealthy(self) -> list[str]:
        """Return what is wrong with the process itself, nothing where it is alive."""
        stuck = _seconds_since(self._ticked)
        if self.ended is not None:
            return [f"the recording has ended: {self.ended}"]
        return [f"the event loop has been stuck for {stuck:.0f} s"] * (stuck > TICK_SECONDS_MAX)

    def unready(self) -> list[str]:
        """Return what is missing until everything is recorded as it should be."""
        problems = self.unhealthy()
        connections = self.status.get("connections", ())
        if not connections:
            problems.append("no endpoint yet")
        for name in dict.fromkeys(item["endpoint"] for item in connections):
            links = [item for item in connections if item["endpoint"] == name]
            found = [self._unready_link(item) for item in links]
            if all(found):  # one link of several is enough
                problems.append(found[0] or "")
        lag = self.durable_lag()
        if lag > DURABLE_SECONDS_MAX:
            problems.append(f"the oldest frame has waited {lag:.0f} s to be durable")
        if self.figures().is_waiting:
            problems.append("the disk is full")
        return problems

    def _unready_link(self, status: Mapping[str, Any]) -> str | None:
        name, number, counts = status["endpoint"], status["connection"], status["subscriptions"]
        if not status["open"]:
            return f"{name}: no open socket"
        if counts["asked"] or counts["refused"]:
            return f"{name}: {counts['asked']} not acked, {counts['refused']} refused"
        silence = self.silence(number)
        if silence is None or silence > self._silence_max:
            return f"{name}: silent"
        if name in self._steady and number not in self._pushed:
            return f"{name}: no data yet"
        return None

    def _new_channel(self, channel: str) -> ChannelCount:
        if len(self.channels) >= CHANNELS_MAX:
            return self.channels.setdefault("other", ChannelCount())
        return self.channels.setdefault(channel, ChannelCount())


def _seconds_since(moment: int) -> float:
    return (read_clocks().ts_mono - moment) / NS_PER_SECOND
