"""Running: how far a query is, and a way to stop it.

Responsible for looking at a query from another thread while DuckDB works. Refuses to show anything:
the command does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import duckdb

from replay.extent import Extent, Stopped


class Done(NamedTuple):
    """How far the scan is that reads: frames passed, of so many; all at 0 where none reads."""

    frames: int
    of: int


class Running:
    """One query while it runs; used from other threads than the one that runs it.

    Attributes:
        is_stopped: somebody asked it to stop: what it raises then means just that.
    """

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._extents: list[Extent] = []
        self.is_stopped = False

    def begin(self, connection: duckdb.DuckDBPyConnection, extents: Iterable[Extent]) -> None:
        """Take note of what runs from now on.

        Raises:
            Stopped: it was asked to stop before.
        """
        self._connection, self._extents = connection, list(extents)
        if self.is_stopped:
            raise Stopped

    def end(self) -> None:
        """Nothing runs any more."""
        self._connection = None

    def stop(self) -> None:
        """Make it stop, at its next batch at the latest; again where it goes on."""
        self.is_stopped = True
        for extent in self._extents:
            extent.report.is_stopped = True
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def done(self) -> Done:
        """Return how far the reading of captures is; a file that DuckDB reads itself counts not."""
        frames = of = 0
        for extent in self._extents:
            begin = extent.first_seq
            of += extent.last_seq + 1 - begin
            frames += max(extent.report.reached + 1 - begin, 0)
        return Done(min(frames, of), of) if frames else Done(0, 0)
