"""Goal 11: readers while a recorder rolls, its sealer dies, segments are joined and expire.

Responsible for a following reader and a DuckDB loop that never stop, beside a recorder at full
speed, a compaction and a retention, with sealers killed at random. Each payload is compared with
the oracle's, and no reader may see an error, a duplicate, a hole, or fewer frames than before.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.capture.expiry.retention import expire
from recorder.capture.reader import Capture
from recorder.capture.reshape.compact import compact
from recorder.frame import Kind
from replay import sql
from tests.torture.checker import Wrong, expect
from tests.torture.kills import sealers_of
from tests.torture.receiver import Log
from tests.torture.shim import clear
from tests.torture.zygote import PATIENCE_S, Experiment, Zygote


class Reading(msgspec.Struct, kw_only=True):
    """What the readers did meanwhile."""

    received: int
    followed: int
    scans: int = 0
    queries: int = 0
    joined: int = 0
    expired: int = 0
    sealers_killed: int = 0


class _Meanwhile:
    def __init__(self, root: Path, log: Log, seed: int) -> None:
        self._root = root
        self._log = log
        self._seed = seed
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.reading = Reading(received=0, followed=0)

    def guard(self, work: Callable[[], None]) -> None:
        """Repeat a piece of work until told to stop; keep the first error."""
        try:
            while not self.stop.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - judged by the caller
            self.errors.append(error)
            self.stop.set()

    def follow(self) -> None:
        """Read on from where the last look ended; what expired before it was read may be gone."""
        reading = self.reading
        for frame in Capture(self._root).frames(first_seq=reading.followed):
            if frame.seq != reading.followed:
                begin = Capture(self._root).snapshot().first_seq
                expect(frame.seq <= begin, f"{frame.seq} follows {reading.followed - 1}")
            expect(frame == self._log.truth(self._seed, frame.seq), f"frame {frame.seq} is wrong")
            reading.followed = frame.seq + 1
        time.sleep(0.01)

    def scan(self) -> None:
        """Read everything there is."""
        expected = None
        for frame in Capture(self._root).frames():
            expect(expected in (None, frame.seq), f"{frame.seq}, expected {expected}")
            expect(frame.kind is not Kind.LOST, "a lost row")
            expected = frame.seq + 1
        self.reading.scans += 1

    def query(self) -> None:
        """Ask DuckDB for counts that prove that no number is missing or doubled."""
        with sql.connect(self._root) as connection:
            first, last, count, distinct = connection.execute(
                "SELECT min(seq), max(seq), count(*), count(DISTINCT seq) FROM frames"
            ).fetchone() or (0, 0, 0, 0)
        if count:
            expect(count == distinct == last - first + 1, f"{first}..{last}: {count}, {distinct}")
        self.reading.queries += 1

    def keep(self) -> None:
        """Join and expire what is old: after seconds, for this is a test."""
        report = compact(
            self._root,
            clock=time.time_ns,
            sleep=time.sleep,
            span_s=0.5,
            level=1,
            grace_s=0.5,
            wait=False,
        )
        # Longer than a look takes on a busy machine: who reads slower than that is told so.
        gone = expire(self._root, days=5 / 86_400, now_ns=time.time_ns(), grace_s=3)
        self.reading.joined += report.joined
        self.reading.expired += len(gone)
        time.sleep(0.05)


def read_meanwhile(
    zygote: Zygote, scratch: Path, *, seed: int, seconds: float, rate: int = 1_500
) -> Reading:
    """Record for some seconds with everything else going on; judge what the readers saw."""
    rng = random.Random(seed)
    root, path = scratch / "capture", scratch / "log"
    clear(root)
    path.unlink(missing_ok=True)
    log = Log(path)
    arguments = {
        "log": str(path),
        "seed": seed,
        "rate": rate,
        "seconds": seconds,
        "append": False,
        "options": {"segment_seconds": 0.12},
    }
    pid = zygote.start(
        Experiment(
            scenario="receive",
            root=str(root),
            arguments=arguments,
            shim=False,
            patience_s=2 * seconds + PATIENCE_S,  # at the end it seals what has piled up
        )
    )
    zygote.release()
    while log.marks()[1] < 0:
        time.sleep(0.005)
    meanwhile = _Meanwhile(root, log, seed)
    works = (meanwhile.follow, meanwhile.scan, meanwhile.query, meanwhile.keep)
    threads = [threading.Thread(target=meanwhile.guard, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds * 0.8
    while time.monotonic() < end and not meanwhile.stop.is_set():
        time.sleep(0.2 + rng.random() * 0.5)
        for child in sealers_of(pid)[: rng.randrange(2)]:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                meanwhile.reading.sealers_killed += 1
    outcome = zygote.outcome()
    meanwhile.stop.set()
    for thread in threads:
        thread.join()
    try:
        if meanwhile.errors:
            raise meanwhile.errors[0]
        expect(outcome.status == 0, f"the recorder ended with {outcome.said}")
        received = log.marks()[0] + 1
        meanwhile.follow()
        expect(meanwhile.reading.followed == received, f"{meanwhile.reading} of {received}")
        meanwhile.reading.received = received
    except Exception as error:
        raise Wrong(f"readers, seed {seed}: {error!r}; capture in {root}") from error
    finally:
        log.close()
    return meanwhile.reading
