"""Delivery: events to a handler, in a thread of its own.

Responsible for the thread, for the process settings that a busy one needs, and for ending without
waiting for the handler for ever. Refuses to touch the capture, the sockets or the live interpreter:
whatever a handler does, recording goes on. What it is too slow for is `live.lane`'s affair, what
it sees `live.handling`'s.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from recorder.book import Books
from recorder.frame import Frame
from recorder.live.handling import Handling
from recorder.live.lane import Item, Lane
from recorder.okx.interpreter import Interpreter
from recorder.strategy import adapt

QUEUE_BYTES = 64 << 20
"""Memory of the frames that may wait for a handler; the writer shares most of it."""

DRAIN_SECONDS = 10.0
"""How long the end of a recording waits for a handler to see the last frames."""

_SWITCH_SECONDS = 0.0005


class Delivery:
    """One handler and its thread. `offer` and `finish` belong to the event loop.

    Args:
        handler: a strategy; exceptions are counted and told.
        queue_bytes: memory of the frames that may wait.
        state: of an interpreter, to go on from; None: from the very beginning.
        solace: what becomes of the frames it misses; goes_on: what its mistakes do not end.
    """

    def __init__(
        self,
        handler: object,
        *,
        queue_bytes: int = QUEUE_BYTES,
        state: bytes | None = None,
        solace: str = "the capture holds them",
        goes_on: str = "recording goes on",
    ) -> None:
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._solace, self._goes_on = solace, goes_on
        self.lane = Lane(self._queue.put, queue_bytes=queue_bytes, who="handler", solace=solace)
        self._handling = Handling(adapt(handler), self.lane, state=state, goes_on=goes_on)
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name="recorder-handler", daemon=True)
        # The socket reader must not wait 5 ms for the interpreter lock whenever the handler is
        # busy: its stamps would be late by as much.
        self._switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(min(self._switch_seconds, _SWITCH_SECONDS))
        self._thread.start()

    @property
    def books(self) -> Books:
        """The handler's books; for its thread."""
        return self._handling.books

    @property
    def errors(self) -> int:
        """Exceptions the handler raised."""
        return self._handling.errors

    @property
    def lost(self) -> int:
        """Frames it did not and will not see."""
        return self.lane.lost

    @property
    def waiting_bytes(self) -> int:
        """Memory of the frames offered and not delivered yet."""
        return self.lane.waiting_bytes

    def offer(self, frames: Sequence[Frame], live: Interpreter) -> None:
        """Hand frames over, or drop them where there is no room; see `Lane.offer`."""
        self.lane.offer(frames, live)

    def take_words(self) -> list[str]:
        """Return what a person should be told since the last call, one sentence each."""
        return self.lane.take_words()

    def finish(self) -> None:
        """Say that nothing more will be offered; the handler goes on with what waits."""
        self.lane.finish()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the handler has seen everything, but no longer than this; then leave it.

        A handler that is left goes no further than the event in hand; its thread does not keep
        the process alive.

        Args:
            seconds: None means `DRAIN_SECONDS`.
        """
        seconds = DRAIN_SECONDS if seconds is None else seconds
        self.finish()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)
        sys.setswitchinterval(self._switch_seconds)
        left = self.lane.waiting
        if self._thread.is_alive():
            self._is_abandoned = True
            self.lane.words.append(
                f"warning: the handler had not seen the last {left} frames {seconds:g} s after the "
                f"end of the recording and is left behind; {self._solace}"
            )
        self.lane.lost += left

    def _run(self) -> None:
        handling, call = self._handling, self._handling.call
        try:
            while (item := self._queue.get()) is not None and not self._is_abandoned:
                for event in handling.events_of(item):
                    if self._is_abandoned:
                        return
                    call(event)
            if not self._is_abandoned:
                handling.stop()
        except BaseException as error:  # noqa: BLE001  # a fault of ours must not end a recording
            self.lane.is_dead = True
            self.lane.words.append(
                f"warning: events are no longer delivered to the handler "
                f"({type(error).__name__}: {error}); {self._goes_on}"
            )
