"""Sinks of a recording, each in a process of its own that follows the capture.

Responsible for starting them, for starting them again when they die, and for what they say. So no
sink can slow a recording, fill its memory or end it: what it has not got yet waits in the capture.
Refuses to feed a sink itself, and to wait long for one at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from recorder.live.sink_child import News, Order
from recorder.sinks.addresses import masked, sink_of
from recorder.sinks.runner import Counts, sentence

T = TypeVar("T")

DRAIN_SECONDS = 10.0
"""How long the end of a recording waits for a sink to get the last events."""

_decode_news = msgspec.json.Decoder(News).decode  # built here, in one thread

_MARGIN_S = 5.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 1.0, 60.0


class SinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a sink did.

    Attributes:
        sink: its address, without what is secret.
        is_complete: it has everything that the capture holds.
        records, batches, refused, failures, missed, seq, index, error: see `runner.Counts`.
    """

    sink: str
    is_complete: bool
    records: int
    batches: int
    refused: int
    failures: int
    missed: int
    seq: int | None
    index: int | None
    error: str | None


def checked(addresses: Sequence[str]) -> list[str]:
    """Return the addresses of sinks, each of which can be made here.

    Raises:
        UsageError: one cannot, or is there twice.
    """
    for address in addresses:
        sink_of(address).close()
    return list(dict.fromkeys(addresses))


class SinkProcess:
    """One sink: its process, and what it said last.

    Attributes:
        name: the address without what is secret. counts: how it is doing, as of a moment ago.
        restarts: how often its process died and was started again.
    """

    def __init__(self, capture: str, address: str) -> None:
        self.name = masked(address)
        self.counts = Counts()
        self.restarts = 0
        self.is_complete = False
        self._order = Order(os.path.abspath(capture), address, DRAIN_SECONDS)
        self._words: deque[str] = deque(maxlen=100)
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="recorder-sink", daemon=True)
        self._thread.start()

    def take_words(self) -> list[str]:
        """Return what a person should be told since the last call, one sentence each."""
        return [self._words.popleft() for _ in range(len(self._words))]

    def status(self, written_seq: int) -> dict[str, Any]:
        """Return how it is doing, for `status.json`."""
        seq = self.counts.seq
        return {
            "sink": self.name,
            **msgspec.structs.asdict(self.counts),
            "behind": written_seq - (-1 if seq is None else seq),
            "restarts": self.restarts,
        }

    def end(self) -> None:
        """Say that the recorder has ended: from now on the sink has its time for the rest."""
        self._ended.set()
        self._close_input()

    def wait(self) -> SinkReport:
        """Wait until the sink has the rest, or has had its time; return how it did."""
        self.end()
        self._thread.join(DRAIN_SECONDS + _MARGIN_S)
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_MARGIN_S)
        counts = self.counts
        if not self.is_complete:
            where = "nothing of it" if counts.seq is None else f"frames up to {counts.seq}"
            self._words.append(
                f"warning: sink {self.name} has got {where}; the capture holds the rest, which "
                f"`replay play {self._order.capture} --sink …` or the next --append brings"
            )
        return SinkReport(
            sink=self.name,
            is_complete=self.is_complete,
            records=counts.records,
            batches=counts.batches,
            refused=counts.refused,
            failures=counts.failures,
            missed=counts.missed,
            seq=counts.seq,
            index=counts.index,
            error=counts.error,
        )

    # --- in its thread -----------------------------------------------------------------------

    def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            code = self._live()
            if self.is_complete or self._ended.is_set():
                return
            self.restarts += 1
            self._words.append(
                f"warning: sink {self.name}: its process ended ({code}); recording goes on, and it "
                f"is started again"
            )
            if self._ended.wait(delay):
                return
            delay = min(2 * delay, _LONGEST_DELAY_S)

    def _live(self) -> str:
        """Run one process to its end; say how it ended."""
        try:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "recorder.live.sink_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0,  # Ctrl-C at the terminal is for the recorder
            )
        except OSError as error:
            return str(error)
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            return "it has no pipes"
        with suppress(OSError):
            stdin.write(msgspec.json.encode(self._order) + b"\n")
            stdin.flush()
        if self._ended.is_set():
            self._close_input()
        with suppress(OSError, ValueError):
            for line in stdout:
                self._hear(line)
        self._close_input()
        stdout.close()
        return f"exit code {process.wait()}"

    def _hear(self, line: bytes) -> None:
        try:
            news = _decode_news(line)
        except msgspec.MsgspecError:
            return  # a process that was killed while it spoke
        self.counts = news.counts
        self.is_complete = news.is_done
        self._words.extend(sentence(self.name, words) for words in news.words)

    def _close_input(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()


class SinkProcesses:
    """All sinks of a recording."""

    def __init__(self, capture: str, addresses: Sequence[str]) -> None:
        self.all = tuple(SinkProcess(capture, address) for address in addresses)

    def status(self, written_seq: int) -> dict[str, Any]:
        """Return what `status.json` says of them; nothing where there are none."""
        return {"sinks": [item.status(written_seq) for item in self.all]} if self.all else {}

    def tell(self, notify: Callable[[str], None]) -> None:
        """Pass on what they said."""
        for item in self.all:
            for words in item.take_words():
                notify(words)

    def telling(
        self, notify: Callable[[str], None], also: Callable[[T], None]
    ) -> Callable[[T], None]:
        """Return what passes on what they said, and then does something else as well."""

        def told(what: T) -> None:
            self.tell(notify)
            also(what)

        return told

    def finish(self) -> list[SinkReport]:
        """Let all of them get the rest, at the same time; return how each did."""
        for item in self.all:
            item.end()
        return [item.wait() for item in self.all]
