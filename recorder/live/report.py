"""What a recording tells about itself: while it runs, when it ends, and in its `run` row.

Responsible for these three shapes. Refuses to print.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from recorder import __version__
from recorder.errors import ExitCode
from recorder.live.pipeline import Counts
from recorder.live.sink_processes import SinkReport
from recorder.okx.channels import channel_of
from recorder.okx.parser import PARSER_VERSION
from recorder.okx.session import Refusal
from recorder.okx.subscription import Subscription

if TYPE_CHECKING:
    from recorder.live.endpoint import Endpoint

_LIBRARIES = ("websockets", "msgspec", "pyarrow", "zstandard")


class Progress(NamedTuple):
    """A look at a running recording.

    Attributes:
        seconds: since the start. counts: everything so far.
        queued_bytes: handed to the writer and not yet written.
        connected: open sockets; wanted: sockets there should be.
        now: wall clock, ns since the Unix epoch.
    """

    seconds: float
    counts: Counts
    queued_bytes: int
    connected: int
    wanted: int
    now: int


class RecordReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """How a recording went.

    Attributes:
        frames: rows of every kind written in this run; messages: received ones among them.
        bytes: payload bytes received. events: delivered. seconds: wall time of the run.
        lost: frames known to be lost; gaps: sequence gaps; connections: sockets, attempts and
            REST exchanges; disconnects: sockets that were lost after having been open,
            those that the recorder closed itself not among them.
        refused: subscriptions the venue refused, with its code and words.
        never_held: subscriptions that could not even be asked for: their endpoint was never
            reached, or the login never succeeded.
        handler_errors: exceptions that the handler raised; handler_lost: frames it did not see,
            for it was too slow. segments: sealed files.
        pauses: times a socket of a server on this machine was left unread because the disk was
            behind; nothing was lost by it, and no other is ever made to wait.
        first_seq, last_seq: range written, None if nothing was.
        stopped_by: why it ended, in words.
        output_digest: over the delivered events, None unless asked for.
        sinks: how each of them did; what one lacks is no loss, the capture holds it.
        exit_code: 0, or 3 where something was lost, refused or never held.
    """

    frames: int
    messages: int
    bytes: int
    events: int
    seconds: float
    lost: int
    gaps: int
    connections: int
    disconnects: int
    refused: list[dict[str, str]]
    never_held: list[str]
    handler_errors: int
    handler_lost: int
    pauses: int
    segments: int
    first_seq: int | None
    last_seq: int | None
    stopped_by: str
    output_digest: str | None
    exit_code: ExitCode
    sinks: list[SinkReport] = msgspec.field(default_factory=list)


def never_held(endpoint: Endpoint) -> list[Subscription]:
    """Return the arguments that could not even be asked for.

    No socket of their endpoint ever opened though it was tried, or no login succeeded though one
    was. What was merely not answered yet when the recording ended is not among them.
    """
    if not endpoint.times_opened:
        was_tried = endpoint.attempts > 1 or endpoint.state in ("reconnecting", "failed")
        return list(endpoint.wanted) if was_tried else []
    if endpoint.has_logged_in or not (endpoint.login_failures or endpoint.login_refused):
        return []
    refused = {item.subscription for item in endpoint.refusals}
    return [
        item for item in endpoint.wanted if channel_of(item.channel).login and item not in refused
    ]


def refusal_row(refusal: Refusal) -> dict[str, str]:
    """Return a refusal as JSON shows it."""
    return {
        "subscription": str(refusal.subscription),
        "code": refusal.code,
        "message": refusal.message,
    }


def run_row(
    options: Mapping[str, Any], endpoints: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the payload of the `run` row: what recorded, how it was told to, since which boot.

    Args:
        options: as the user gave them.
        endpoints: `endpoint`, `url` and `link` of each that is about to be connected.

    The host's name and paths are left out; credentials are never among the options.
    """
    versions = {"recorder": __version__, "parser": PARSER_VERSION}
    versions["python"] = platform.python_version()
    for name in _LIBRARIES:
        versions[name] = metadata.version(name)
    return {
        "versions": versions,
        "system": f"{platform.system()} {platform.machine()}",
        "options": dict(options),
        "endpoints": list(endpoints),
        "boot_id": _boot_id(),
        "pid": os.getpid(),
    }


def _boot_id() -> str | None:
    """Return what tells one boot's monotonic clock from another's, where the system has it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
