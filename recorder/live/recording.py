"""`record`: open a capture, run a client into it, close it, report.

Responsible for the one function that programs and the command line call. Refuses to do anything at
import, to install signal handlers and to own the caller's event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from recorder.capture.writer import CaptureWriter, CloseReport, WriterOptions
from recorder.errors import ExitCode
from recorder.live.config import Limits, LinkOptions
from recorder.live.credentials import (
    credentials_from_environment,
    keep_secrets_off_the_wire,
)
from recorder.live.dial import is_loopback
from recorder.live.endpoints import Endpoints
from recorder.live.patterns import resolve
from recorder.live.pipeline import Pipeline
from recorder.live.report import Progress, RecordReport, refusal_row
from recorder.live.resnapshot import RESNAPSHOT_HOURS
from recorder.live.routing import route_to_endpoints
from recorder.live.scraping import Scraping
from recorder.live.sink_processes import SinkProcesses, SinkReport, checked
from recorder.live.tables_process import TablesProcess
from recorder.okx.auth import Credentials
from recorder.okx.hosts import hosts_at, hosts_of
from recorder.okx.shards import parse_shard
from recorder.okx.subscription import Subscription, parse_subscription
from recorder.sinks.addresses import masked
from recorder.strategy import adapt

T = TypeVar("T")


async def record(
    out: str | os.PathLike[str],
    subscriptions: Sequence[Subscription | str],
    *,
    url: str | None = None,
    region: str = "global",
    demo_trading: bool = False,
    private: bool = False,
    credentials: Credentials | None = None,
    rest: bool = True,
    resnapshot: float | None = RESNAPSHOT_HOURS,
    instruments_file: str | os.PathLike[str] | None = None,
    duration: float | None = None,
    frames: int | None = None,
    until_closed: bool = False,
    connect_timeout: float | None = None,
    append: bool = False,
    note: str | None = None,
    digest: bool = False,
    sinks: Sequence[str] = (),
    tables: bool = False,
    on_event: object | None = None,
    strategy: object | None = None,
    shard: str | None = None,
    metrics_port: int | None = None,
    metrics_host: str = "127.0.0.1",
    on_progress: Callable[[Progress], None] = lambda _: None,
    notify: Callable[[str], None] = lambda _: None,
    stop: asyncio.Event | None = None,
    link: LinkOptions | None = None,
    writer_options: WriterOptions | None = None,
) -> RecordReport:
    """Record subscriptions of OKX into a capture until stopped.

    Args:
        out: directory of the capture; must not exist yet unless `append`.
        subscriptions: `Subscription`s, or texts such as `books:BTC-USDT`.
        url: base address such as `ws://127.0.0.1:8765/ws/v5`; None means the venue.
        region: `global`, `us` or `eea`; demo_trading: the venue's demo.
        private: log in where a channel needs it, and keep the capture from other users' eyes.
        credentials: to log in with; None: those of the environment (`live.credentials`).
        rest: record the instrument lists at the start, and the venue's books for comparison.
        resnapshot: hours between two comparisons of every book with the venue's own by REST;
            None or 0: none.
        instruments_file: look patterns such as `books:BTC-*-SWAP` up in this saved list of
            instruments; None asks REST, once, before anything is recorded.
        duration: seconds from the first ack; frames: received text messages; until_closed: end
            when the venue closed every socket. The first limit that is reached ends it.
        connect_timeout: seconds until a venue that cannot be reached is given up; None: never.
        append: continue the capture at `out`. note: kept in a new capture's header.
        digest: hash the events as delivered, for comparison with a replay.
        sinks: addresses of databases, caches and the like that events go to as well; see
            docs/sinks.md. Each has a process of its own, which can neither end nor slow it.
        tables: make derived tables of what is sealed, in a process of its own (docs/sql.md).
        on_event: a handler `(event, context)` or an object with `on_event`, called in a thread of
            its own. It cannot end the recording by raising, nor slow it down: what it is too slow
            for it misses, and is told so by a `Lost`. To end the recording it calls
            `loop.call_soon_threadsafe(stop.set)`.
        strategy: a strategy, as `replay play` takes it (`recorder.strategy`): called as `on_event`
            is, on the code path on which it is replayed, so a replay of the capture calls it alike.
        shard: `2/5`: record only the second of five parts of the subscriptions; `okx.shards`.
        metrics_port: serve metrics and health there by HTTP (docs/metrics.md), 0: any free port,
            told by `notify`; None: not at all. metrics_host: where to listen.
        on_progress: called once a second. notify: called with warnings, one sentence each.
            Neither can end the recording by raising.
        stop: set it to end the recording; every frame received before the venue's close is stored.
        link: how sockets are kept. writer_options: how the capture is written.

    Raises:
        UsageError: the arguments; nothing was connected to. CaptureExists: `out` is there.
        RestError: there are patterns, and the venue gave no list to look them up in.
        StartError: the venue could not be reached in time or refused for good.
        DiskFull: the disk takes no more; what was written before is whole.
    """
    notify, on_progress = _harmless(notify), _harmless(on_progress)
    wanted = [parse_subscription(item) if isinstance(item, str) else item for item in subscriptions]
    route_to_endpoints(wanted, private=private)
    if private and credentials is None:
        credentials = credentials_from_environment(os.environ, notify=notify)
    hosts = (
        hosts_of(region, demo_trading=demo_trading)
        if url is None
        else hosts_at(url, demo_trading=demo_trading)
    )
    if private:
        keep_secrets_off_the_wire(hosts)
    limits = Limits(
        duration=duration,
        frames=frames,
        until_closed=until_closed,
        connect_timeout=connect_timeout,
    )
    link = link or LinkOptions()
    writer_options = writer_options or WriterOptions()
    if private:
        writer_options = msgspec.structs.replace(writer_options, private=True)
    handlers = [item for item in (on_event, strategy) if item is not None]
    handler = None if not handlers else adapt(handlers if len(handlers) > 1 else handlers[0])
    part = None if shard is None else parse_shard(shard)
    sinks = checked(sinks)
    wanted = await resolve(wanted, hosts, instruments_file=instruments_file)
    if part is not None:
        whole, wanted = len(wanted), part.of(wanted)
        notify(f"shard {part}: {len(wanted)} of {whole} subscriptions")
    options: dict[str, Any] = {
        "subscriptions": [str(item) for item in wanted],
        "url": hosts.websocket,
        "rest": hosts.rest if rest else None,
        "demo_trading": demo_trading,
        "private": private,
        "resnapshot": resnapshot,
        "duration": duration,
        "frames": frames,
        "until_closed": until_closed,
        "connect_timeout": connect_timeout,
        "ping_after": link.ping_after,
        "pong_timeout": link.pong_timeout,
        "resync": link.resync,
        "segment_seconds": writer_options.segment_seconds,
        "segment_bytes": writer_options.segment_bytes,
        "sync_ms": writer_options.sync_ms,
        "journal": writer_options.journal,
        "flush_ms": writer_options.flush_ms,
        "on_disk_full": writer_options.on_disk_full,
        "keep_free": writer_options.keep_free,
        "retain_days": writer_options.retain_days,
        "retain_bytes": writer_options.retain_bytes,
        "append": append,
        "shard": shard,
        "sinks": [masked(item) for item in sinks],
        "tables": tables,
    }
    metrics = Scraping(metrics_port, metrics_host, notify)
    try:
        # In a thread: continuing a capture may have to recover it first.
        writer = await asyncio.to_thread(
            CaptureWriter, out, options=writer_options, append=append, note=note
        )
    except BaseException:
        metrics.close()
        raise
    notify(f"disk: {writer.forecast}")
    pipeline, outputs = None, SinkProcesses(os.fspath(out), ())
    deriving = TablesProcess(os.fspath(out), is_wanted=tables)
    try:
        if private:  # also one that was begun without a login
            await asyncio.to_thread(Path(out).chmod, 0o700)
        pipeline = Pipeline(
            writer,
            handler=handler,
            digest=digest,
            take_losses=writer.take_losses,
            text_limit=frames,
            may_wait=is_loopback(urlsplit(hosts.websocket).hostname or ""),
            notify=notify,
        )
        outputs = SinkProcesses(os.fspath(out), sinks)
        client = Endpoints(
            pipeline,
            hosts,
            wanted,
            limits=limits,
            link=link,
            rest=rest,
            options=options,
            notify=notify,
            on_progress=deriving.telling(notify, outputs.telling(notify, on_progress)),
            queued_bytes=lambda: writer.queued_bytes,
            set_status=lambda status: writer.set_status(
                metrics.tick({**status, **outputs.status(writer.written_seq)})
            ),
            trouble=lambda: writer.sealing_failure,
            take_notes=writer.take_notes,
            credentials=credentials if private else None,
            resnapshot=resnapshot if rest else None,
        )
        metrics.begin(pipeline, writer.figures, wanted, link)
        await client.run(stop or asyncio.Event())
    except BaseException:
        metrics.close()
        # Sealing what there is must not hide why the recording ended.
        await asyncio.gather(
            asyncio.to_thread(writer.close if pipeline is None else pipeline.close),
            return_exceptions=True,
        )
        await asyncio.to_thread(outputs.finish)
        outputs.tell(notify)
        await asyncio.to_thread(deriving.finish)
        deriving.tell(notify)
        raise
    metrics.close()
    seconds = client.seconds
    closed = await asyncio.to_thread(pipeline.close)
    pipeline.tell()
    of_sinks = await asyncio.to_thread(outputs.finish)
    outputs.tell(notify)
    await asyncio.to_thread(deriving.finish)
    deriving.tell(notify)
    return _report(pipeline, client, closed, seconds, of_sinks)


def _harmless(tell: Callable[[T], None]) -> Callable[[T], None]:
    """Return a callable that does the same and never raises: talk must not cost a frame."""

    def told(what: T) -> None:
        with suppress(Exception):
            tell(what)

    return told


def _report(
    pipeline: Pipeline,
    client: Endpoints,
    closed: CloseReport,
    seconds: float,
    of_sinks: list[SinkReport],
) -> RecordReport:
    counts, digest = pipeline.counts, pipeline.event_digest
    refusals, never_held = client.refusals, [str(item) for item in client.never_held]
    return RecordReport(
        frames=closed.frames,
        messages=counts.messages,
        bytes=counts.bytes,
        events=counts.events,
        seconds=round(seconds, 3),
        lost=counts.lost,
        gaps=counts.gaps,
        connections=counts.connections,
        disconnects=counts.disconnects,
        refused=[refusal_row(item) for item in refusals],
        never_held=never_held,
        handler_errors=counts.handler_errors,
        handler_lost=counts.handler_lost,
        pauses=counts.pauses,
        segments=closed.segments,
        first_seq=closed.first_seq,
        last_seq=closed.last_seq,
        stopped_by=client.stopped_by,
        output_digest=None if digest is None else digest.hexdigest(),
        sinks=of_sinks,
        exit_code=(ExitCode.LOSS if counts.lost or refusals or never_held else ExitCode.DONE),
    )
