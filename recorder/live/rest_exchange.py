"""RestExchange: one REST request of a recording, with its rows.

Responsible for recording what was asked and exactly what came, or how it failed. Refuses to decide
when to ask and to read the answer: the interpreter does, live as in a replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from recorder.frame import Kind
from recorder.live.connection import read_clocks
from recorder.live.ending import Closed
from recorder.live.pipeline import Pipeline
from recorder.live.rest import RestFailure, fetch
from recorder.okx.hosts import Hosts


class RestExchange:
    """Asks one host.

    Args:
        pipeline: takes the rows. hosts: where REST is.
        notify: told one sentence when a request fails.
    """

    def __init__(self, pipeline: Pipeline, hosts: Hosts, notify: Callable[[str], None]) -> None:
        self._pipeline = pipeline
        self._hosts = hosts
        self._notify = notify

    async def get(self, path: str, consequence: str) -> bool:
        """Ask for a path and record the exchange, as a connection of its own.

        A failure is a row and a warning, never the end.

        Args:
            path: from the host on, with its query.
            consequence: what is missing without it, as the warning begins.

        Returns:
            Whether a body came.

        Raises:
            RecorderError: the disk takes no more.
        """
        number = self._pipeline.new_connection()
        failure = None
        self._pipeline.sent(number, f"GET {path} HTTP/1.1".encode(), read_clocks())
        try:
            body = await fetch(self._hosts.rest + path, demo_trading=self._hosts.demo_trading)
        except RestFailure as error:
            by = "network" if error.status is None else "venue"
            failure = Closed(error.status, error.reason, by, False)
            self._notify(
                f"warning: {consequence} by REST from {self._hosts.rest} ({error.reason}); "
                f"recording goes on"
            )
        except asyncio.CancelledError:
            self._closed(number, Closed(None, "stopped before an answer came", "recorder", False))
            raise
        if failure is not None:
            self._closed(number, failure)
            return False
        self._pipeline.body(number, body, read_clocks())
        return True

    def _closed(self, number: int, closed: Closed) -> None:
        row = {"code": closed.code, "reason": closed.reason, "by": closed.by, "opened": False}
        self._pipeline.row(number, Kind.CLOSED, row, read_clocks())
