"""Scraping: the metrics of one recording, where somebody wants them.

Responsible for beginning and ending them with the recording. Without a port it does nothing, and
costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recorder.capture.writing.figures import WriterFigures
from recorder.live.config import LinkOptions
from recorder.live.meter import Meter, is_steady
from recorder.live.metrics_server import MetricsServer
from recorder.live.pipeline import Pipeline
from recorder.okx.channels import channel_of
from recorder.okx.subscription import Subscription

_SILENCE_MARGIN_S = 5.0


class Scraping:
    """A metrics server, or none.

    Args:
        port: 0 for any free one, None for no server. host: where to listen.
        notify: told where it listens.

    Raises:
        UsageError, StartError: as `MetricsServer`.
    """

    def __init__(self, port: int | None, host: str, notify: Callable[[str], None]) -> None:
        self._server = None if port is None else MetricsServer(port, host)
        if self._server is not None:
            notify(f"metrics: http://{host}:{self._server.port}/metrics")

    def begin(
        self,
        pipeline: Pipeline,
        figures: Callable[[], WriterFigures],
        wanted: Sequence[Subscription],
        link: LinkOptions,
    ) -> None:
        """Count what metrics need, from now on."""
        if self._server is None:
            return
        meter = Meter(
            pipeline,
            figures,
            steady=frozenset(
                channel_of(item.channel).endpoint for item in wanted if is_steady(item.channel)
            ),
            silence_max=link.ping_after + link.pong_timeout + _SILENCE_MARGIN_S,
        )
        self._server.meter = meter
        pipeline.meter = meter.took

    def tick(self, status: dict[str, Any]) -> Mapping[str, Any]:
        """Take, and pass on, what `status.json` shows; once a second."""
        if self._server is not None and self._server.meter is not None:
            self._server.meter.tick(status)
        return status

    def close(self) -> None:
        """Answer no more; safe to call twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
