"""Metrics and health of a recording, scraped over real HTTP while it runs."""

from __future__ import annotations

import asyncio
import builtins
import json
import re
import socket as sockets
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from recorder import Capture, record
from recorder.capture.options import WriterOptions
from recorder.capture.writing.figures import WriterFigures
from recorder.errors import StartError, UsageError
from recorder.latency import Latencies
from recorder.live import LinkOptions
from recorder.live.meter import Meter
from recorder.live.metrics_server import MetricsServer
from recorder.live.nowhere import Nowhere
from recorder.live.pipeline import Pipeline
from tests.bench.metrics import measure

pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")
from prometheus_client.parser import text_string_to_metric_families

VenueOf = Callable[..., AbstractAsyncContextManager[Any]]
SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[3]


def trade(number: int) -> bytes:
    return (
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":'
        b'"%d","px":"1.5","sz":"2","side":"buy","ts":"1790000000101","count":"1","source":"0",'
        b'"seqId":7}]}' % number
    )


def book(number: int, after: int) -> bytes:
    action = b"snapshot" if after < 0 else b"update"
    return (
        b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"%s","data":[{"asks":[["%d","1",'
        b'"0","1"]],"bids":[["%d","2","0","1"]],"ts":"1790000000101","checksum":0,"seqId":%d,'
        b'"prevSeqId":%d}]}' % (action, 200 + number, 100 + number, number, after)
    )


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Samples(dict[tuple[str, tuple[tuple[str, str], ...]], float]):
    """What a scrape said, by name and labels."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.families = {item.name: item for item in text_string_to_metric_families(body.decode())}
        for family in self.families.values():
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                assert key not in self, f"{key} twice"
                self[key] = sample.value

    def of(self, name: str, **labels: str) -> float:
        return self[f"okx_recorder_{name}", tuple(sorted(labels.items()))]

    def handled(self, channel: str) -> bool:
        counted = ("okx_recorder_venue_latency_seconds_count", (("channel", channel),)) in self
        return counted and self.of("channel_messages_total", channel=channel) == 101


class Scraped:
    """Told by the recorder where to scrape."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.found = asyncio.Event()

    def __call__(self, words: str) -> None:
        self.words.append(words)
        if words.startswith("metrics: "):
            self.base = words.removeprefix("metrics: ").removesuffix("/metrics")
            self.found.set()

    async def get(self, path: str) -> tuple[int, bytes]:
        return await asyncio.to_thread(get, self.base + path)

    async def until(self, path: str, status: int) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                found, body = await self.get(path)
                if found == status:
                    return json.loads(body)
                await asyncio.sleep(0.05)

    async def until_said(self, path: str, words: str) -> str:
        async with asyncio.timeout(SECONDS):
            while True:
                body = (await self.get(path))[1].decode()
                if words in body:
                    return body
                await asyncio.sleep(0.05)


async def test_a_recording_is_scraped_and_says_what_its_capture_holds(
    venue_of: VenueOf, tmp_path: Path, fast: LinkOptions
) -> None:
    go_on = asyncio.Event()

    async def script(socket: Any) -> None:
        await socket.until_subscribed(2)
        await go_on.wait()
        for number in range(1, 101):
            await socket.send(book(number, number - 1 if number > 1 else -1), trade(number))
        await socket.send(book(200, 150))
        await socket.until_closed()

    scraped, stop = Scraped(), asyncio.Event()
    async with venue_of(script) as venue:
        recording = asyncio.create_task(
            record(
                tmp_path / "c", ["books:BTC-USDT", "trades:BTC-USDT"], url=venue.url, rest=False,
                metrics_port=0, notify=scraped, stop=stop,
                link=LinkOptions(resync=False),
                writer_options=WriterOptions(segment_bytes=20_000),
            )
        )  # fmt: skip
        await scraped.found.wait()
        assert scraped.base.startswith("http://127.0.0.1:")
        waiting = await scraped.until("/readyz", 503)
        assert waiting["problems"]
        assert (await scraped.until("/healthz", 200))["problems"] == []
        assert "no data yet" in await scraped.until_said("/readyz", "no data yet")
        go_on.set()
        assert await scraped.until("/readyz", 200) == {"ok": True, "problems": []}
        async with asyncio.timeout(SECONDS):
            while True:
                status, body = await scraped.get("/metrics")
                samples = Samples(body)
                # A scrape may fall between two numbers of one socket read.
                if samples.handled("books") and samples.of("gaps_total"):
                    break
                await asyncio.sleep(0.05)
        assert status == 200
        assert samples.of("channel_messages_total", channel="trades") == 100
        assert samples.of("gaps_total") == 1
        assert samples.of("healthy") == 1
        assert samples.of("socket_open", endpoint="public", link="0") == 1
        assert samples.of("subscriptions", endpoint="public", link="0", standing="held") == 2
        assert samples.of("read_handling_seconds_count") >= 2
        count = samples.of("venue_latency_seconds_count", channel="books")
        assert samples.of("venue_latency_seconds_bucket", channel="books", le="+Inf") == count
        last = samples.of("messages_total")
        assert (await scraped.get("/nowhere"))[0] == 404
        await asyncio.gather(*(scraped.get("/metrics") for _ in range(30)), return_exceptions=True)
        stop.set()
        report = await recording
    assert report.messages >= last
    assert report.gaps == 1
    assert samples.of("channel_bytes_total", channel="books") == sum(
        len(frame.payload) for frame in Capture(tmp_path / "c").frames(channels=["books"])
        if frame.payload.startswith(b'{"arg"')
    )  # fmt: skip
    with pytest.raises(urllib.error.URLError):
        get(scraped.base + "/metrics")


async def test_a_dead_venue_makes_it_unready_but_not_unhealthy(
    venue_of: VenueOf, tmp_path: Path, fast: LinkOptions
) -> None:
    async def script(socket: Any) -> None:
        await socket.until_subscribed()
        await socket.send(trade(1))
        await socket.until_closed()

    scraped, stop = Scraped(), asyncio.Event()
    async with venue_of(script) as venue:
        recording = asyncio.create_task(
            record(
                tmp_path / "c", ["trades:BTC-USDT"], url=venue.url, rest=False, metrics_port=0,
                notify=scraped, stop=stop, link=fast,
            )
        )  # fmt: skip
        await scraped.found.wait()
        await scraped.until("/readyz", 200)
        venue.refusals.extend([503] * 10_000)
        await venue.sockets[0].ws.close(1001, "restart")
        problems = (await scraped.until("/readyz", 503))["problems"]
        assert problems == ["public: no open socket"]
        assert (await scraped.get("/healthz"))[0] == 200
        samples = Samples((await scraped.get("/metrics"))[1])
        assert samples.of("ready") == 0
        assert samples.of("disconnects_total") == 1
        stop.set()
        await recording


async def test_a_port_that_is_taken_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match="another --metrics-port"):
            await record(tmp_path / "c", ["trades:A"], url="ws://127.0.0.1:9", metrics_port=port)
    assert not (tmp_path / "c").exists()


async def test_without_the_extra_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any, **options: Any) -> Any:
        if name == "recorder.live.metrics" or name.startswith("prometheus_client"):
            raise ModuleNotFoundError("No module named 'prometheus_client'")
        return real(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"okx-recorder\[metrics\]"):
        await record(tmp_path / "c", ["trades:A"], metrics_port=0)
    assert not (tmp_path / "c").exists()


def test_nothing_to_tell_yet_and_slow_clients_keep_nobody_waiting() -> None:
    server = MetricsServer(0)
    base = f"http://127.0.0.1:{server.port}"
    idle = [sockets.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
    try:
        assert get(base + "/metrics")[0] == 503
        assert get(base + "/readyz")[0] == 503
        assert get(base + "/healthz")[0] == 200
    finally:
        for item in idle:
            item.close()
        server.close()


def test_latencies_are_cumulative_buckets() -> None:
    found = Latencies((10, 100))
    for value in (-5, 10, 11, 100, 101, 7):
        found.add(value)
    assert [count for _, count in found.buckets()] == [3.0, 5.0, 6.0]
    assert found.total == 224


def test_docs_and_dashboard_name_only_metrics_there_are() -> None:
    """docs/metrics.md lists each metric; every expression of the dashboard uses only these."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(okx_recorder_\w+)", page, re.MULTILINE))
    assert listed == known_names()
    dashboard = json.loads((ROOT / "docs" / "examples" / "grafana.json").read_text())
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    assert len(expressions) >= 12
    used = {name for text in expressions for name in re.findall(r"okx_recorder_\w+", text)}
    suffixes = ("_bucket", "_sum", "_count")
    plain = {
        next((name.removesuffix(end) for end in suffixes if name.endswith(end)), name)
        for name in used
    }
    assert plain <= listed


def known_names() -> set[str]:
    """Return the names that a collector makes, as they are scraped."""
    from recorder.live.metrics import RecordingCollector

    figures = WriterFigures(
        seq=1, written_seq=1, durable_seq=1, oldest_mono=None, queued_bytes=0, unsynced_bytes=0,
        journal_bytes=0, segments=0, sealed_bytes=0, sealed_from=0, removed=0, unsealed=0,
        is_sealing=True, is_waiting=False, syncs=Latencies(),
    )  # fmt: skip
    meter = Meter(Pipeline(Nowhere()), lambda: figures, steady=frozenset(), silence_max=1)
    return {
        f"{item.name}_total" if item.type == "counter" else item.name
        for item in RecordingCollector(meter).collect()
    }


def test_the_bench_runs_and_metrics_cost_little() -> None:
    without, with_metrics = measure(4_000)
    assert with_metrics < 2 * without, "a few per cent; the bound is for a busy machine"
