"""`replay cat`: print a capture as payloads, frames or events.

Responsible for the bytes on standard output. Refuses to keep anything: lines go out as they are
read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from recorder.capture.reader import Capture, ReadReport
from recorder.console import say
from recorder.errors import ExitCode, UsageError
from recorder.event import encode_event
from recorder.frame import KIND_OF_LABEL, LABELS
from replay.cli.selection import names_in, quiet_pipe, say_problems, window_options

_WRITE_BYTES = 1 << 20


@click.command("cat")
@click.argument("capture", type=click.Path(path_type=Path))
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
@click.option("--null", is_flag=True, help="End records with a NUL byte instead of a newline.")
def cat_command(
    capture: Path,
    form: str,
    start: int | None,
    end: int | None,
    channels: tuple[str, ...],
    instruments: tuple[str, ...],
    kinds: tuple[str, ...],
    null: bool,  # noqa: FBT001 - a click flag
) -> ExitCode:
    """Print a capture, one record per line, in the order recorded.

    A payload that holds a newline is written as it is, with one warning; --null tells records
    apart then. Works while the capture is being recorded, up to what is written now.
    """
    opened = Capture(capture)
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
    records = _FORMS[form](opened, selection)
    with quiet_pipe():
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


def _payloads(capture: Capture, selection: dict[str, Any]) -> Iterator[list[bytes]]:
    for batch in capture.batches(**selection):
        yield batch.payload


def _frames(capture: Capture, selection: dict[str, Any]) -> Iterator[list[bytes]]:
    encode = msgspec.json.Encoder().encode
    for batch in capture.batches(**selection):
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
