"""Making: bring the tables of a capture up to date, once or for as long as it is recorded.

Responsible for which segments lack a fresh table, for handing them to a bounded number of
processes, for removing what belongs to no segment any more, and for being the only one at it.
Refuses to touch anything outside `tables/`.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from recorder.capture.derived import (
    INDEX_DIR,
    TABLES_DIR,
    date_of,
    list_parts,
    list_unfinished_parts,
    part_path,
    remove_tables,
)
from recorder.capture.layout import FRAMES_DIR, is_locked, list_days
from recorder.capture.place import on_disk
from recorder.capture.reader import Capture
from recorder.capture.reading.hold import only_one
from recorder.capture.snapshot import SealedSource
from recorder.errors import ExitCode, RecorderError, UsageError
from replay.derived.building import Built
from replay.derived.index import read_index
from replay.derived.worker import Request, Worker
from replay.views import VIEWS

WORKERS_MAX = 4
LOOK_S = 0.5
"""How long `follow` waits between two looks for a new segment."""
_LOOKS = 60
"""After so many looks it lists again although no folder has changed."""


class Skipped(msgspec.Struct, frozen=True):
    """A segment whose tables could not be made, and why."""

    segment: int
    reason: str


class ViewRows(msgspec.Struct):
    """What was made of one view."""

    rows: int = 0
    bytes: int = 0


class TablesReport(msgspec.Struct, kw_only=True):
    """What was done.

    Attributes:
        segments: sealed segments looked at; fresh: those that had all their tables before.
        built: those whose tables were made; frames, events: in these.
        rows, bytes: of the tables made; removed_bytes: of those that belonged to no segment.
        views: what was made of each view that has rows.
        skipped: segments that stay without, and why.
    """

    capture: str
    segments: int = 0
    fresh: int = 0
    built: int = 0
    frames: int = 0
    events: int = 0
    rows: int = 0
    bytes: int = 0
    removed_bytes: int = 0
    views: dict[str, ViewRows] = msgspec.field(default_factory=dict)
    skipped: list[Skipped] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """1 where a segment cannot be made into tables, else 0."""
        return ExitCode.FAILED if self.skipped else ExitCode.DONE

    def add(self, built: Built) -> None:
        """Add what came of one segment."""
        if built.reason is not None:
            self.skipped.append(Skipped(built.segment, built.reason))
            return
        self.built += 1
        self.frames += built.frames
        self.events += built.events
        for name, (rows, size) in built.views.items():
            if rows:
                total = self.views.setdefault(name, ViewRows())
                total.rows += rows
                total.bytes += size
                self.rows += rows
                self.bytes += size


Progress = Callable[[TablesReport, int], None]
"""Called with what was done and how many segments are still to be made."""


def make_tables(
    path: str | os.PathLike[str],
    *,
    views: Iterable[str] | None = None,
    follow: bool = False,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda _report, _left: None,
) -> TablesReport:
    """Make the derived tables that are missing or stale, and remove those of gone segments.

    Args:
        views: names of those to make; None: all. Others that are there stay.
        follow: go on with what is sealed, until the recorder has ended.
        workers: processes at once; None: one for each processor, at most four.
        should_stop: asked every moment; what is finished by then counts.

    Raises:
        NotACapture: there is none. UsageError: no such view; another process is at it.
        DiskFull: no room; nothing that is recorded has changed.
    """
    capture = Capture(path)
    names = _names(views)
    root = on_disk(capture.path, "given tables")
    folder = root / TABLES_DIR
    try:
        folder.mkdir(mode=root.stat().st_mode & 0o777, exist_ok=True)
        with only_one(folder, "making of tables"):
            for left in list_unfinished_parts(root):
                left.unlink(missing_ok=True)
            count = min(os.cpu_count() or 1, WORKERS_MAX) if workers is None else workers
            making = _Making(capture, root, names, count, should_stop, progress)
            making.run(follow=follow)
            return making.report
    except OSError as error:
        raise RecorderError(
            f"expected to write the tables of {root}, but the system said "
            f"{error.strerror or error}; put that right, or query without them"
        ) from error


def _names(views: Iterable[str] | None) -> list[str]:
    if views is None:
        return list(VIEWS)
    names = list(dict.fromkeys(views))
    for name in names:
        if name not in VIEWS:
            raise UsageError(
                f"expected a view that is made of events, received {name!r}; they are "
                f"{', '.join(VIEWS)}"
            )
    return names


class _Making:
    """One process's work on one capture; it holds `tables/`."""

    def __init__(
        self,
        capture: Capture,
        root: Path,
        views: Sequence[str],
        workers: int,
        should_stop: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self.report = TablesReport(capture=str(capture.path))
        self._capture = capture
        self._root = root.absolute()
        self._views = views
        self._crew = _Crew(workers, should_stop)
        self._should_stop = should_stop
        self._progress = progress
        self._done: set[str] = set()

    def run(self, *, follow: bool) -> None:
        """Make what is missing; with `follow` until the recorder has ended."""
        try:
            while True:
                stamp = _stamp(self._root)
                # Before the listing: where LOCK was free then, the listing holds all there is.
                is_live = is_locked(self._root)
                self._bring_up_to_date()
                if not follow or not is_live or self._should_stop():
                    return
                self._wait(stamp)
        finally:
            self._crew.close()

    def _wait(self, stamp: list[tuple[str, int]]) -> None:
        for _ in range(_LOOKS):
            if self._should_stop() or _stamp(self._root) != stamp or not is_locked(self._root):
                return
            time.sleep(LOOK_S)

    def _bring_up_to_date(self) -> None:
        sealed = self._capture.snapshot().sealed
        self.report.removed_bytes += _remove_gone(self._root, sealed)
        todo: list[Request] = []
        for source in sealed:
            if source.path in self._done:
                continue
            self._done.add(source.path)
            self.report.segments += 1
            missing = self._missing(source)
            if missing:
                todo.append(Request(str(self._root), source, missing))
            else:
                self.report.fresh += 1
        left = len(todo)
        self._progress(self.report, left)
        for built in self._crew.make(todo):
            left -= 1
            if built is not None:
                self.report.add(built)
            self._progress(self.report, left)

    def _missing(self, source: SealedSource) -> list[str]:
        """Return the views that have no fresh table of this segment."""
        index = read_index(self._root, source)
        if index is None:
            return list(self._views)
        missing = []
        for name in self._views:
            part = index.part_of(VIEWS[name])
            path = self._root / part_path(name, date_of(source.path), source.segment)
            if part is None or (part.rows and _size(path) != part.bytes):
                missing.append(name)
        return missing


class _Crew:
    """A few threads, each with a process that makes tables."""

    def __init__(self, count: int, should_stop: Callable[[], bool]) -> None:
        self._workers = [Worker() for _ in range(max(count, 1))]
        self._should_stop = should_stop

    def make(self, requests: Sequence[Request]) -> Iterable[Built | None]:
        """Yield what came of each request, in no particular order; None: gone, or stopped."""
        waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
        answers: queue.SimpleQueue[Built | Exception | None] = queue.SimpleQueue()
        for request in requests:
            waiting.put(request)

        def work(worker: Worker) -> None:
            while not self._should_stop():
                try:
                    answers.put(worker.make(waiting.get_nowait()))
                except queue.Empty:
                    return
                except Exception as error:  # noqa: BLE001 - raised where it is waited for
                    answers.put(error)
                    return

        crew = self._workers[: len(requests)]
        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in crew]
        for thread in threads:
            thread.start()
        answered = 0
        while answered < len(requests) and not self._should_stop():
            try:
                answer = answers.get(timeout=0.1)
            except queue.Empty:
                continue
            answered += 1
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def close(self) -> None:
        """End the processes; what they have not finished leaves nothing that counts."""
        for worker in self._workers:
            worker.close()


def _stamp(root: Path) -> list[tuple[str, int]]:
    """Return what changes when a segment appears or goes."""
    stamp = []
    for day in list_days(root):
        with suppress(FileNotFoundError):
            stamp.append((day, (root / FRAMES_DIR / day).stat().st_mtime_ns))
    return stamp


def _remove_gone(root: Path, sealed: Sequence[SealedSource]) -> int:
    """Remove the tables of segments that are joined into others or expired."""
    present = {source.segment: date_of(source.path) for source in sealed}
    gone = {number for _, _, number, _ in list_parts(root) if number not in present}
    freed = remove_tables(root, gone.__contains__) if gone else 0
    for folder, date, number, path in list_parts(root):
        if present.get(number) != date or (folder != INDEX_DIR and folder not in VIEWS):
            freed += _size(path)
            path.unlink(missing_ok=True)
    return freed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
