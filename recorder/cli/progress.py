"""The progress line of a recording, and the one line that sums it up.

Responsible for words and numbers a person can read at a glance. Refuses to write anything but
warnings where standard error is no terminal: logs stay free of carriage returns.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from recorder.cli.words import count_text
from recorder.clock import NS_PER_MS, NS_PER_SECOND
from recorder.console import say

if TYPE_CHECKING:
    from recorder.live import Progress, RecordReport

_QUIET_SECONDS = 3.0
_LONG_LAG = 100 * NS_PER_SECOND
_BUSY_QUEUE = 100_000  # bytes; less is what is always on its way


class ProgressLine:
    """One line, rewritten each second; warnings go above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._on_terminal = stream.isatty()
        self._is_shown = False
        self._seconds = self._messages = self._bytes = 0.0

    def show(self, progress: Progress) -> None:
        """Rewrite the line; does nothing where there is no terminal."""
        if not self._on_terminal:
            return
        text = self.text(progress)
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\x1b[2K{text[:width]}")
        self._is_shown = True

    def say(self, message: str) -> None:
        """Print a line of its own to a person."""
        self.clear()
        say(message)

    def clear(self) -> None:
        """Remove the line, so that the next output starts on a clean one."""
        if self._is_shown:
            self._write("\r\x1b[2K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a terminal may go away while the recording goes on
            self._stream.write(text)
            self._stream.flush()

    def text(self, progress: Progress) -> str:
        """Return the line: totals, rates since the last call, what went wrong, lag.

        What matters most comes first: a narrow terminal cuts the end.
        """
        counts = progress.counts
        span = max(progress.seconds - self._seconds, 1e-9)
        frame_rate = (counts.messages - self._messages) / span
        byte_rate = (counts.bytes - self._bytes) / span
        self._seconds, self._messages = progress.seconds, counts.messages
        self._bytes = counts.bytes
        parts = [
            duration_text(progress.seconds),
            f"{counts.messages:,} frames",
            f"{frame_rate:,.0f}/s",
            f"{byte_rate / 1e6:.2f} MB/s",
            f"sockets {progress.connected}/{progress.wanted}",
            f"gaps {counts.gaps:,}",
        ]
        if counts.lost:
            parts.append(f"lost {counts.lost:,}")
        if counts.disconnects:
            parts.append(f"disconnects {counts.disconnects:,}")
        parts.append(_lag_text(progress))
        if progress.queued_bytes >= _BUSY_QUEUE:
            parts.append(f"queue {progress.queued_bytes / 1e6:.1f} MB")
        return "  ".join(parts)

    def summary(self, report: RecordReport, out: str) -> str:
        """Return the line that sums a recording up."""
        parts = [
            f"recorded {report.messages:,} frames ({report.bytes / 1e6:.2f} MB) "
            f"in {duration_text(report.seconds)} to {out}: {report.stopped_by}",
            count_text(report.gaps, "gap"),
            f"{count_text(report.lost, 'frame')} lost",
            count_text(report.disconnects, "disconnect"),
        ]
        if report.refused:
            parts.append(f"{count_text(len(report.refused), 'subscription')} refused")
        if report.never_held:
            parts.append(f"never held: {', '.join(report.never_held[:3])}")
            if len(report.never_held) > 3:
                parts.append(f"and {len(report.never_held) - 3} more")
        if report.handler_errors:
            parts.append(count_text(report.handler_errors, "handler error"))
        return ", ".join(parts)


def duration_text(seconds: float) -> str:
    """Return `12.3 s`, `4:05` or `27:04:05`."""
    if seconds < 0:
        return f"-{duration_text(-seconds)}"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _lag_text(progress: Progress) -> str:
    """Return how far behind the venue's clock the data is, or how long nothing has come."""
    counts = progress.counts
    if counts.last_recv is None:
        return "nothing yet"
    silent = (progress.now - counts.last_recv) / NS_PER_SECOND
    if silent > _QUIET_SECONDS:
        return f"silent {duration_text(silent)}"
    if counts.last_event is None:
        return "lag -"
    lag = counts.last_recv - counts.last_event
    if abs(lag) >= _LONG_LAG:  # e.g. an old session, served again
        return f"lag {duration_text(lag / NS_PER_SECOND)}"
    return f"lag {lag / NS_PER_MS:,.0f} ms"
