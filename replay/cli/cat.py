"""`replay cat`: print a capture as payloads, frames or events.

Responsible for the bytes on standard output. Refuses to keep anything: lines go out as they are
read.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import click
import msgspec

from recorder.capture.batch import FrameBatch
from recorder.capture.block import Selection
from recorder.capture.reader import Capture, ReadReport, names_to_keep
from recorder.capture.reading.follow import Patience, following_batches, following_events
from recorder.console import say
from recorder.errors import ExitCode, UsageError
from recorder.event import Event, encode_event
from recorder.frame import KIND_OF_LABEL, LABELS
from replay.cli.selection import (
    follow_option,
    interrupt_asks,
    links_option,
    names_in,
    quiet_pipe,
    say_problems,
    window_options,
)

_WRITE_BYTES = 1 << 20


@click.command("cat")
@click.argument("capture", type=click.Path())
@click.option(
    "--as",
    "form",
    type=click.Choice(["payloads", "frames", "events"]),
    default="payloads",
    show_default=True,
    help="Exact bytes of received text, whole frames as JSON, or the events they mean as JSON.",
)
@window_options
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(LABELS),
    help="Only frames of this kind; again for more. [payloads: text, else all]",
)
@links_option
@follow_option
@click.option("--null", is_flag=True, help="End records with a NUL byte instead of a newline.")
def cat_command(
    capture: str,
    form: str,
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    kinds: tuple[str, ...],
    links: str,
    follow: bool,  # noqa: FBT001 - a click flag
    null: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Print a capture, one record per line, in the order recorded.

    A payload that holds a newline is written as it is, with one warning; --null tells records
    apart then. Works while the capture is being recorded, up to what is written now; with
    --follow it goes on with what comes, a few milliseconds behind the recorder.
    """
    opened = Capture(capture, links=links)
    if follow:  # what is not there yet may come
        wanted_channels, wanted_instruments = list(channels) or None, list(instruments) or None
    else:
        wanted_channels, wanted_instruments = names_in(opened, channels, instruments)
    if form == "payloads" and not kinds:
        kinds = ("text",)
    report = ReadReport()
    selection: dict[str, Any] = {
        "start": start,
        "end": end,
        "channels": wanted_channels,
        "instruments": wanted_instruments,
        "kinds": [KIND_OF_LABEL[label] for label in kinds] or None,
        "report": report,
    }
    if start is not None and end is not None and start > end:
        raise UsageError("expected --start before --end, received them the other way; swap them")
    stop = threading.Event()
    if follow:
        records = _followed(form, opened, selection, stop)
    else:
        records = _FORMS[form](opened, selection)
    with quiet_pipe(), interrupt_asks(stop.set) if follow else nullcontext():
        _write(records, b"\0" if null else b"\n", warn=form == "payloads" and not null)
    say_problems(report.problems, lost_rows=report.lost_rows, torn_tail=report.torn_tail)
    return report.exit_code


def _write(chunks: Iterator[list[bytes]], end: bytes, *, warn: bool) -> None:
    """Write records, each followed by `end`, in large pieces."""
    output = sys.stdout.buffer
    for records in chunks:
        if not records:
            continue
        piece = end.join(records)
        if warn and piece.count(b"\n") >= len(records):
            say("warning: a payload with a newline takes several lines; --null keeps them apart")
            warn = False
        output.write(piece)
        output.write(end)
    output.flush()


def _followed(
    form: str, capture: Capture, selection: dict[str, Any], stop: threading.Event
) -> Iterator[list[bytes]]:
    """Yield records as they come; where nothing is new, what was written goes out first."""
    report, start, end = selection["report"], selection["start"], selection["end"]
    wanted = Selection(
        channels=names_to_keep(selection["channels"], "channels"),
        instruments=names_to_keep(selection["instruments"], "instruments"),
        kinds=None if selection["kinds"] is None else frozenset(selection["kinds"]),
    )
    patience = Patience()
    parts: Iterator[FrameBatch | list[Event] | None]
    if form == "events":
        parts = following_events(capture, wanted, start=start, end=end, report=report)
    else:
        parts = following_batches(capture, wanted, start=start, end=end, report=report)
    for part in parts:
        if stop.is_set():
            return
        if part is None:
            sys.stdout.buffer.flush()
            stop.wait(patience.grow())
            continue
        patience.news()
        if isinstance(part, list):
            yield [encode_event(event) for event in part]
        elif form == "payloads":
            yield part.payload
        else:
            yield from _frame_lines([part])


def _payloads(capture: Capture, selection: dict[str, Any]) -> Iterator[list[bytes]]:
    for batch in capture.batches(**selection):
        yield batch.payload


def _frames(capture: Capture, selection: dict[str, Any]) -> Iterator[list[bytes]]:
    return _frame_lines(capture.batches(**selection))


def _frame_lines(batches: Iterable[FrameBatch]) -> Iterator[list[bytes]]:
    encode = msgspec.json.Encoder().encode
    for batch in batches:
        lines = []
        index = zip(batch.channel, batch.instrument, strict=True)
        for frame, (channel, instrument) in zip(batch.frames(), index, strict=True):
            row: dict[str, Any] = {
                "seq": frame.seq,
                "ts_recv": frame.ts_recv,
                "ts_mono": frame.ts_mono,
                "connection": frame.connection,
                "kind": LABELS[frame.kind],
                "channel": channel,
                "instrument": instrument,
            }
            try:
                row["payload"] = frame.payload.decode()
            except UnicodeDecodeError:
                row["payload_base64"] = frame.payload  # the encoder writes bytes as base64
            lines.append(encode(row))
        yield lines


def _events(capture: Capture, selection: dict[str, Any]) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for event in capture.events(**selection):
        line = encode_event(event)
        lines.append(line)
        size += len(line)
        if size > _WRITE_BYTES:
            yield lines
            lines, size = [], 0
    yield lines


_FORMS = {"payloads": _payloads, "frames": _frames, "events": _events}
