"""Metrics: a recording's plain integers as Prometheus metrics, made when they are scraped.

Responsible for the names, units and labels; docs/metrics.md lists them. Refuses to count anything
itself: the recording does, whether somebody scrapes it or not. Needs `prometheus-client`, and is
imported only where metrics are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from recorder import __version__
from recorder.clock import NS_PER_SECOND
from recorder.latency import Latencies
from recorder.live.meter import Meter
from recorder.okx.parser import PARSER_VERSION

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PREFIX = "okx_recorder_"


class RecordingCollector(Collector):
    """The metrics of one recording."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def describe(self) -> list[Metric]:
        """Register without a scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Make every metric from the numbers as they stand."""
        yield from self._received()
        yield from self._integrity()
        yield from self._disk()
        yield from self._sockets()
        yield from self._sinks()

    def _received(self) -> Iterator[Metric]:
        meter = self._meter
        counts = meter.pipeline.counts
        info = GaugeMetricFamily(
            f"{PREFIX}info", "Always 1; what records.", labels=("version", "parser")
        )
        info.add_metric((__version__, str(PARSER_VERSION)), 1)
        yield info
        yield _gauge("start_time_seconds", "Unix time of the start.", meter.started / NS_PER_SECOND)
        yield _gauge("healthy", "1: the recorder is alive; /healthz.", not meter.unhealthy())
        yield _gauge("ready", "1: all is acked and data flows; /readyz.", not meter.unready())
        yield _counter("frames", "Rows of every kind, numbered.", counts.frames)
        yield _counter("messages", "Messages received.", counts.messages)
        yield _counter("received_bytes", "Payload bytes received.", counts.bytes)
        yield _counter("events", "Events made of frames.", counts.events)
        messages = CounterMetricFamily(
            f"{PREFIX}channel_messages", "Data pushes, by channel.", labels=("channel",)
        )
        size = CounterMetricFamily(
            f"{PREFIX}channel_bytes", "Bytes of data pushes, by channel.", labels=("channel",)
        )
        venue = HistogramMetricFamily(
            f"{PREFIX}venue_latency_seconds",
            "Receive time minus the venue's time in the last push of a socket read.",
            labels=("channel",),
        )
        for name, count in list(meter.channels.items()):
            messages.add_metric((name,), count.messages)
            size.add_metric((name,), count.bytes)
            if sum(count.venue.counts):
                _add(venue, (name,), count.venue)
        yield from (messages, size, venue)
        handling = HistogramMetricFamily(
            f"{PREFIX}read_handling_seconds",
            "From a socket read until its frames are handed to the disk and interpreted.",
        )
        _add(handling, (), meter.handling)
        yield handling

    def _integrity(self) -> Iterator[Metric]:
        counts, integrity = self._meter.pipeline.counts, self._meter.pipeline.integrity
        yield _counter("gaps", "Sequence gaps of book chains.", counts.gaps)
        yield _counter("lost_frames", "Frames known to be lost; `lost` rows.", counts.lost)
        yield _counter("connections", "Sockets, attempts and REST exchanges.", counts.connections)
        yield _counter("disconnects", "Sockets lost after having been open.", counts.disconnects)
        yield _counter("unrecognized", "Frames that no type knows.", integrity.unrecognized)
        yield _counter("handler_errors", "Exceptions of the handler.", counts.handler_errors)
        yield _counter("handler_lost_frames", "Frames the handler missed.", counts.handler_lost)
        yield _counter("pauses", "Sockets of this machine left unread.", counts.pauses)
        checks = CounterMetricFamily(
            f"{PREFIX}book_checks",
            "Books compared with the venue's checksum or its own book by REST.",
            labels=("how", "result"),
        )
        for how, result, number in (
            ("checksum", "match", integrity.match),
            ("checksum", "mismatch", integrity.mismatch),
            ("rest", "match", integrity.books_match),
            ("rest", "mismatch", integrity.books_mismatch),
        ):
            checks.add_metric((how, result), number)
        yield checks

    def _disk(self) -> Iterator[Metric]:
        now = self._meter.figures()
        yield _gauge("queue_bytes", "Frames waiting to be written.", now.queued_bytes)
        yield _gauge("unsynced_bytes", "Frames written, not yet durable.", now.unsynced_bytes)
        lag = max(now.seq - now.durable_seq, 0)
        yield _gauge("durable_lag_frames", "Frames not yet durable.", lag)
        lag_s = self._meter.durable_lag()
        yield _gauge("durable_lag_seconds", "Age of the oldest frame not yet durable.", lag_s)
        yield _gauge("disk_waiting", "1: the disk is full, frames wait.", now.is_waiting)
        yield _counter("journal_bytes", "Bytes written to the journal.", now.journal_bytes)
        yield _counter("segments_sealed", "Segments sealed.", now.segments)
        yield _counter("sealed_bytes", "Bytes of sealed segments.", now.sealed_bytes)
        yield _counter("segments_removed", "Segments deleted by retention.", now.removed)
        yield _gauge("segments_unsealed", "Finished segments waiting to be sealed.", now.unsealed)
        yield _gauge("sealing_failed", "1: a segment cannot be sealed for now.", not now.is_sealing)
        syncs = HistogramMetricFamily(
            f"{PREFIX}journal_sync_seconds", "Durations of fdatasync on the journal."
        )
        _add(syncs, (), now.syncs)
        yield syncs

    def _sockets(self) -> Iterator[Metric]:
        labels = ("endpoint", "link")
        opened = GaugeMetricFamily(f"{PREFIX}socket_open", "1: a socket is open.", labels=labels)
        silence = GaugeMetricFamily(
            f"{PREFIX}socket_silence_seconds", "Since the latest message.", labels=labels
        )
        held = GaugeMetricFamily(
            f"{PREFIX}subscriptions", "Subscriptions, by how they stand.",
            labels=(*labels, "standing"),
        )  # fmt: skip
        for item in self._meter.status.get("connections", ()):
            key = (item["endpoint"], str(item["link"]))
            opened.add_metric(key, item["open"])
            quiet = self._meter.silence(item["connection"])
            if quiet is not None:
                silence.add_metric(key, quiet)
            for standing, number in item["subscriptions"].items():
                held.add_metric((*key, standing), number)
        yield from (opened, silence, held)

    def _sinks(self) -> Iterator[Metric]:
        label = ("sink",)
        records = CounterMetricFamily(f"{PREFIX}sink_records", "Records kept.", labels=label)
        failures = CounterMetricFamily(f"{PREFIX}sink_failures", "Failures.", labels=label)
        missed = CounterMetricFamily(f"{PREFIX}sink_missed_frames", "Missed.", labels=label)
        behind = GaugeMetricFamily(
            f"{PREFIX}sink_behind_frames", "Frames written, not yet kept.", labels=label
        )
        ready = GaugeMetricFamily(f"{PREFIX}sink_ready", "1: it takes records.", labels=label)
        for item in self._meter.status.get("sinks", ()):
            key = (item["sink"],)
            records.add_metric(key, item["records"])
            failures.add_metric(key, item["failures"])
            missed.add_metric(key, item["missed"])
            behind.add_metric(key, item["behind"])
            ready.add_metric(key, item["state"] == "ready")
        yield from (records, failures, missed, behind, ready)


def render(meter: Meter) -> bytes:
    """Return everything in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RecordingCollector(meter))
    return generate_latest(registry)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}{name}", words, value=value)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", words, value=float(value))


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], found: Latencies) -> None:
    family.add_metric(labels, found.buckets(), found.total / NS_PER_SECOND)
