"""The process of one sink of a recording: follows the capture and feeds the sink.

Responsible for one sink for as long as the recorder lives, and a little longer: then for what it
still lacks. Started by `live.sink_processes`; the order comes on standard input, so that no
password stands in a list of processes; what is to be known goes to standard output, a line of JSON
each. Refuses to outlive a recorder for long, and to touch the capture.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from typing import BinaryIO

import msgspec

from recorder.capture.reader import Capture
from recorder.capture.reading.resume import capture_key
from recorder.errors import RecorderError, StartError
from recorder.live.sink_feed import feed
from recorder.sinks.addresses import parse_address, sink_of
from recorder.sinks.runner import Counts, Runner

_REPORT_S = 0.5
_NICENESS = 5
"""A sink may be late; the recorder and its sockets may not."""


class Order(msgspec.Struct, frozen=True):
    """What is to be done: feed a capture to the sink at an address.

    Attributes:
        drain_seconds: how long a sink may take for the rest after the recorder has ended.
    """

    capture: str
    address: str
    drain_seconds: float


class News(msgspec.Struct, omit_defaults=True):
    """One line of the child's standard output.

    Attributes:
        counts: how the sink is doing. words: to be told a person, since the last line.
        is_done: the sink has everything that the capture holds.
    """

    counts: Counts
    words: list[str] = []
    is_done: bool = False


class _Voice:
    """Says every half second how the sink is doing, until nobody listens any more."""

    def __init__(self, out: BinaryIO) -> None:
        self.words: deque[str] = deque(maxlen=100)
        self.counts = Counts()
        self.is_done = False
        self._out = out
        self._lock = threading.Lock()
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="voice", daemon=True).start()

    def say(self) -> None:
        """Say it now."""
        with self._lock:
            words = [self.words.popleft() for _ in range(len(self.words))]
            line = msgspec.json.encode(News(self.counts, words, self.is_done)) + b"\n"
            with suppress(OSError, ValueError):  # the recorder is gone: standard input says so too
                self._out.write(line)
                self._out.flush()

    def _run(self) -> None:
        while not self._stop.wait(_REPORT_S):
            self.say()


def main() -> None:
    """Run until the capture has ended and the sink has it all, or has had its time."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the recorder, whose end is ours
    with suppress(OSError):
        os.nice(_NICENESS)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    voice = _Voice(sys.stdout.buffer)
    sys.stdout = sys.stderr  # a sink that prints must not be taken for us
    try:
        voice.is_done = _run(order, voice)
    except StartError:
        pass  # it was left; the counts say why
    except RecorderError as error:
        voice.words.append(f"warning: {parse_address(order.address).scrub(str(error))}")
    except Exception:  # noqa: BLE001 - told without its secrets; the recorder starts another
        sys.stderr.write(parse_address(order.address).scrub(traceback.format_exc()))
        sys.stderr.flush()
        os._exit(1)
    voice.say()
    sys.stderr.flush()
    os._exit(0)  # a driver that waits for a server must not keep the process


def _run(order: Order, voice: _Voice) -> bool:
    address = parse_address(order.address)
    capture = Capture(order.capture)
    sink = sink_of(order.address)
    runner = Runner(
        sink,
        capture_key(capture),
        monotonic=time.monotonic,
        tell=voice.words.append,
        scrub=address.scrub,
    )
    voice.counts = runner.counts

    def watch() -> None:
        with suppress(OSError):
            while sys.stdin.buffer.read(4096):
                pass
        time.sleep(order.drain_seconds)
        runner.leave()

    threading.Thread(target=watch, name="watch", daemon=True).start()
    feed(capture, runner, history_seconds=sink.history_seconds)
    return runner.finish(order.drain_seconds)


if __name__ == "__main__":
    main()
