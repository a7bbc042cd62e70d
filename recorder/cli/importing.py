"""`recorder import`: recorded lines become a capture.

Responsible for the options and for what a person sees. Refuses to read a line: that is
`capture.reshape.importer`.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from recorder.capture.reshape.importer import STANDARD_INPUT, import_sessions
from recorder.capture.writer import WriterOptions
from recorder.console import say, talk


@click.command("import")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl"]),
    default="jsonl",
    show_default=True,
    help="Form of the sources.",
)
@click.option("--append", is_flag=True, help="Continue the capture OUT instead of making one.")
@click.option("--note", help="A note to keep in the capture.")
@click.option(
    "--links",
    is_flag=True,
    help="The sources are redundant links of one recorder: readers get one stream of them.",
)
@click.option(
    "--segment-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Data time in one segment.",
)
@click.option(
    "--reproducible", is_flag=True, help="Leave out host and id: same sources, same capture."
)
def import_command(
    sources: tuple[str, ...],
    out: Path,
    form: str,
    append: bool,  # noqa: FBT001 - a click flag
    note: str | None,
    links: bool,  # noqa: FBT001 - a click flag
    segment_seconds: float,
    reproducible: bool,  # noqa: FBT001 - a click flag
) -> None:
    """Make a capture OUT of recorded lines; `-` reads standard input.

    One JSON object a line: {"t": Unix seconds | "ts_recv": ns, "kind": "text", "connection": 0,
    "payload": "..."}, or payload_base64 for bytes. Several sources are merged by time and become
    connections 0, 1 and so on. A malformed line ends the import and leaves nothing behind.
    """
    total = sum(Path(s).stat().st_size for s in sources if s != STANDARD_INPUT and Path(s).exists())
    with Progress(
        TextColumn("importing"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    ) as bar:
        task = bar.add_task("import", total=total or None)
        report = import_sessions(
            sources,
            out,
            form=form,
            append=append,
            note=note,
            options=WriterOptions(segment_seconds=segment_seconds),
            reproducible=reproducible,
            links=links,
            progress=lambda _, read: bar.update(task, completed=read),
        )
    say(
        f"imported {report.frames:,} frames of {report.connections} connection"
        f"{'' if report.connections == 1 else 's'} into {out} "
        f"({report.segments} segment{'' if report.segments == 1 else 's'})"
    )
