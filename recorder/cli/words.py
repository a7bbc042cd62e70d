"""Counts, sizes, spans and problems in words.

Responsible for how a number reads in a sentence, the same in every command. Refuses to print.
"""

from __future__ import annotations

from recorder.capture.reading.serve import Problem

_UNITS = ("B", "kB", "MB", "GB", "TB")


def problem_sentence(problem: Problem) -> str:
    """Return a problem of a capture as `file (segment, seq range): cause`."""
    where = "" if problem.segment is None else f" (segment {problem.segment}"
    if where and problem.first_seq is not None:
        last = "?" if problem.last_seq is None else str(problem.last_seq)
        where += f", seq {problem.first_seq} to {last}"
    return f"{problem.file}{where}{')' if where else ''}: {problem.cause}"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """Return `1 frame`, `2,000 frames`, `0 frames`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size_text(count: int) -> str:
    """Return bytes as `812 B` or `1.2 GB`; powers of 1,000."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def span_text(ns: int) -> str:
    """Return a span of ns as `(12.3 s)` or `(2 d 3 h 5 s)`."""
    seconds = ns / 1e9
    if seconds < 120:
        return f"({seconds:.1f} s)"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return "(" + " ".join(f"{n} {unit}" for n, unit in parts if n) + ")"
