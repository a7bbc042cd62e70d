"""Options that several recording commands share, and help texts in sections.

Responsible for how options are declared, read and listed. Refuses to act on any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from recorder.errors import UsageError
from recorder.live.config_file import read_config
from recorder.live.settings import JOURNALS, ON_DISK_FULL, parse_size
from recorder.okx.hosts import REGIONS

Command = TypeVar("Command", bound=Callable[..., Any])
_FIRST_COLUMN = 26
_OTHER = "Other options"
_ASKED = ("subscribe", "channel", "instrument")


class SectionedOption(click.Option):
    """An option that stands in a section of the help text.

    A flag with a `--no-` form is listed by the one that changes something.
    """

    def __init__(self, *args: Any, section: str = _OTHER, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.secondary_opts:
            return record
        shown = self.secondary_opts if self.default is True else self.opts
        return ", ".join(shown), record[1]


class SectionedCommand(click.Command):
    """A command whose help lists its options in sections, all aligned."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(getattr(param, "section", _OTHER), []).append(record)
        if _OTHER in sections:  # --json and --help come last
            sections[_OTHER] = sections.pop(_OTHER)
        for title, rows in sections.items():
            # The first row is padded: click would measure each list by itself.
            padded = [(rows[0][0].ljust(_FIRST_COLUMN), rows[0][1]), *rows[1:]]
            with formatter.section(title):
                formatter.write_dl(padded, col_max=_FIRST_COLUMN)


class SizeType(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.5
    """`10G`, `500M`, `64MiB` or a number of bytes; given to Python as bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


SIZE = SizeType()


def in_section(title: str) -> Callable[..., Callable[[Command], Command]]:
    """Return `click.option` for one section of the help text."""
    return partial(click.option, cls=SectionedOption, section=title)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that adds options in the order given."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


def _use_config(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Let a file's settings be the defaults of the options: the command line wins by itself."""
    if value is not None:
        known = {item.name for item in ctx.command.params}
        settings = read_config(value)
        ctx.default_map = {key: item for key, item in settings.items() if key in known}
    return value


def without_replaced(ctx: click.Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what a file subscribes to where the command line says what to subscribe to."""
    sources = {name: ctx.get_parameter_source(name) for name in _ASKED}
    if ParameterSource.COMMANDLINE not in sources.values():
        return dict(settings)
    dropped = {name for name, source in sources.items() if source is ParameterSource.DEFAULT_MAP}
    return {name: value for name, value in settings.items() if name not in dropped}


_what = in_section("What to subscribe to")
_venue = in_section("Which venue")
_end = in_section("When to end")
_socket = in_section("Sockets and books")
_capture = in_section("The capture")
_disk = in_section("The disk")
_sink = in_section("Where events go as well")
_config = in_section("Settings from a file")

what_options = together(
    _what(
        "--subscribe", "-s", multiple=True, metavar="CHANNEL[:INSTRUMENT]",
        help="E.g. books:BTC-USDT or liquidation-orders:SWAP; again for more. "
        "`recorder channels` lists what there is.",
    ),
    _what(
        "--channel", multiple=True, metavar="NAME",
        help="A channel, for every --instrument; again for more.",
    ),
    _what(
        "--instrument", multiple=True, metavar="ID",
        help="An instrument, for every --channel, or a pattern such as 'BTC-*-SWAP' for all that "
        "the venue lists; again for more.",
    ),
    _what(
        "--instruments-file", metavar="FILE", type=click.Path(),
        help="Look patterns up in this saved body of /api/v5/public/instruments. [ask the venue]",
    ),
    _what(
        "--private/--no-private", default=False,
        help="Log in where a channel wants it, with OKX_API_KEY, OKX_SECRET_KEY and "
        "OKX_PASSPHRASE of the environment, or each with _FILE and a path.",
    ),
)  # fmt: skip
"""What to subscribe to."""

shard_options = together(
    _what(
        "--shard", metavar="N/COUNT",
        help="Record only part N of COUNT: several recorders divide one list, by instrument "
        "family; docs/client.md#shards.",
    ),
    _what(
        "--dry-run", is_flag=True,
        help="Print what would be subscribed to, patterns looked up, and do nothing else.",
    ),
)  # fmt: skip
"""Which part of it."""

venue_options = together(
    _venue(
        "--region", type=click.Choice(REGIONS), default="global", show_default=True,
        help="Which OKX: where accounts of that region trade.",
    ),
    _venue(
        "--demo-trading/--no-demo-trading", default=False,
        help="The venue's demo instead of the real market.",
    ),
    _venue(
        "--url", metavar="BASE",
        help="Connect here, e.g. ws://127.0.0.1:8765/ws/v5; /public and so on is appended. "
        "[OKX, by --region]",
    ),
)  # fmt: skip
"""Which venue."""

rest_options = together(
    _venue(
        "--rest/--no-rest", default=True, help="Do not fetch the instrument lists at the start."
    ),
)
"""What a recording asks REST for."""

end_options = together(
    _end(
        "--duration", type=float, metavar="SECONDS",
        help="So long after the first ack. [until stopped]",
    ),
    _end("--frames", type=int, metavar="N", help="After N received text frames."),
    _end(
        "--until-closed/--no-until-closed", default=False,
        help="When the venue has closed every socket, instead of reconnecting.",
    ),
)  # fmt: skip
"""When to end by itself."""

socket_options = together(
    _socket(
        "--connect-timeout", type=float, metavar="S",
        help="Give up (exit 5) when nothing could be reached for so long. [never]",
    ),
    _socket(
        "--ping-after", type=float, metavar="S", help="Send a ping after so long a silence. [15]"
    ),
    _socket(
        "--pong-timeout", type=float, metavar="S",
        help="Reconnect when nothing comes for so long after a ping. [10]",
    ),
    _socket(
        "--redundancy", type=int, metavar="N",
        help="Hold everything on N sockets at once: what one misses another has. [1]",
    ),
    _socket(
        "--resync/--no-resync", default=True,
        help="After a sequence gap, do not subscribe anew for a fresh book.",
    ),
)  # fmt: skip
"""How sockets are kept."""

check_options = together(
    _socket(
        "--resnapshot", type=float, metavar="HOURS",
        help="Fetch each live book by REST so often and compare it with ours; 0: never. [6]",
    ),
)  # fmt: skip
"""How books are checked while recording."""

capture_options = together(
    _capture("--append/--no-append", default=False, help="Continue the capture at OUT."),
    _capture("--note", metavar="TEXT", help="Kept in the header of a new capture."),
    _capture(
        "--segment-seconds", type=float, metavar="N",
        help="Seconds of data in one Parquet file. [60]",
    ),
    _capture(
        "--segment-bytes", type=SIZE, metavar="SIZE",
        help="A file also ends with so much data. [64MiB]",
    ),
    _capture(
        "--journal", type=click.Choice(JOURNALS),
        help="Hand each frame to the system at once, or many together as a compressed block. "
        "[write-through]",
    ),
    _capture(
        "--flush-ms", type=int, metavar="N",
        help="Longest time a frame waits for its block: what a killed recorder can lose. [50]",
    ),
    _capture(
        "--sync-ms", type=int, metavar="N",
        help="After at most so many milliseconds a frame survives a power cut. [200]",
    ),
    _capture(
        "--digest/--no-digest", default=False,
        help="Hash the events as delivered; compare replay play.",
    ),
)  # fmt: skip
"""How the capture is written."""

disk_options = together(
    _disk(
        "--on-disk-full", type=click.Choice(ON_DISK_FULL),
        help="Stop (exit 4), wait for room with the newest frames in memory, or also delete the "
        "oldest segments. [stop]",
    ),
    _disk(
        "--keep-free", type=SIZE, metavar="SIZE",
        help="The disk counts as full when less than this is free, e.g. 10G. [0]",
    ),
    _disk(
        "--retain-days", type=float, metavar="N",
        help="Delete sealed segments older than so many days. [keep all]",
    ),
    _disk(
        "--retain-bytes", type=SIZE, metavar="SIZE",
        help="Delete the oldest sealed segments when the capture is larger. [keep all]",
    ),
)  # fmt: skip
"""What happens as the disk fills."""

sink_options = together(
    _sink(
        "--sink", multiple=True, metavar="ADDRESS",
        help="timescale:postgresql://USER@HOST/DB, redis://HOST:6379/0 or module:MODULE:NAME, with "
        "options behind ?, see docs/sinks.md; again for more. What is down catches up.",
    ),
    _sink(
        "--tables", is_flag=True, default=None,
        help="Make derived tables of what is sealed, for quick queries: `replay tables --follow`, "
        "in a process of its own.",
    ),
)  # fmt: skip
"""Databases and the like."""

metrics_options = together(
    _socket(
        "--metrics-port", type=click.IntRange(0, 65_535), metavar="N",
        help="Serve /metrics for Prometheus, /healthz and /readyz there; needs the extra metrics. "
        "[off]",
    ),
    _socket(
        "--metrics-host", metavar="ADDRESS",
        help="Listen for scrapes there; anybody who reaches it may read. [127.0.0.1]",
    ),
)  # fmt: skip
"""Whether somebody may watch it."""

config_options = together(
    _config(
        "--config", metavar="FILE", type=click.Path(), is_eager=True, callback=_use_config,
        help="Take what is not given here from this TOML file, see docs/examples/record.toml. "
        "Options win, the --no- form of a flag included; subscriptions replace the file's.",
    ),
    _config(
        "--print-config", is_flag=True,
        help="Print the settings in force as such a file, and do nothing else.",
    ),
)  # fmt: skip
"""Settings from a file."""

json_option = click.option(
    "--json", "as_json", cls=SectionedOption, is_flag=True,
    help="Print a report on standard output.",
)  # fmt: skip
"""A report for programs."""
