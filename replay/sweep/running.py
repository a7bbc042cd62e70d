"""Running: the jobs of a sweep over the processes of an executor, until each has an outcome.

Responsible for the order of the table (that of the grid, whoever was quickest), for what is known
already, and for processes that die: what they held is done again, at last one at a time, so that
the run that kills its process is found and the others are not blamed. Refuses to simulate (`job`)
and to print (`replay.cli.sweep`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from recorder.capture.digest import new_hash
from recorder.capture.reader import Capture
from recorder.errors import ExitCode, UsageError
from recorder.strategy import load_strategy
from replay.backtest.settings import make_settings
from replay.sweep.grid import Value, combinations
from replay.sweep.job import Job, Outcome, run
from replay.sweep.ledger import Ledger

_TRIES = 3
"""Processes a run may take down before it counts as failed; the last of them alone."""


class Progress(msgspec.Struct, frozen=True):
    """How far a sweep is: runs in all, of them known before, done now and failed; the latest."""

    total: int
    known: int
    done: int
    failed: int
    latest: Outcome | None = None


class SweepReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep came to; the JSON of `replay sweep --json`.

    Attributes:
        strategy: as given. parameters: what was varied.
        runs: outcomes in the order of the grid. known: of them taken from an earlier sweep.
        failed: runs without a result. digest: over the runs and their digests, in that order; equal
            wherever and in whatever order the runs were done.
    """

    strategy: str
    parameters: dict[str, list[Value]]
    runs: list[Outcome]
    known: int
    failed: int
    digest: str

    @property
    def exit_code(self) -> ExitCode:
        """1 where a run failed or skipped a part, 3 where one has declared loss, else 0."""
        codes = {outcome.exit_code for outcome in self.runs}
        if int(ExitCode.FAILED) in codes:
            return ExitCode.FAILED
        return ExitCode.LOSS if int(ExitCode.LOSS) in codes else ExitCode.DONE


def sweep(
    captures: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    strategy: str,
    parameters: Mapping[str, Sequence[Value]] | None = None,
    *,
    together: bool = False,
    out: str | os.PathLike[str] | None = None,
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], object] | None = None,
    **settings: Any,
) -> SweepReport:
    """Backtest one strategy with every combination of parameters, on every capture.

    Args:
        captures: each is a run of its own; with `together` they are played as one.
        strategy: MODULE:NAME of a class; the processes import it themselves.
        parameters: values of the class's keyword arguments.
        out: directory for `runs.jsonl` and `results.parquet`. One of an earlier sweep: what is in
            it is not run again, unless captures, the strategy's file or an option are others.
        executor: where the runs are done, `distributed.Client(…).get_executor()` for instance; it
            is not shut down. None: `workers` processes here, one for each processor by default.
        retry_failed: runs that failed earlier are tried again.
        start, end, channels, instruments, settings: see `replay.backtest.backtest`.

    Raises:
        NotACapture, UsageError: a path, parameter or option that cannot be; before the first run.
    """
    make_settings(**settings)
    varied = {name: list(values) for name, values in (parameters or {}).items()}
    folder = os.getcwd()
    paths = [captures] if isinstance(captures, (str, os.PathLike)) else list(captures)
    base = Job(
        number=0,
        captures=(),
        strategy=strategy,
        parameters={},
        start=start,
        end=end,
        channels=None if channels is None else tuple(channels),
        instruments=None if instruments is None else tuple(instruments),
        settings=settings,
        folder=folder,
    )
    jobs = list(_jobs(base, [os.path.abspath(path) for path in paths], varied, together=together))
    load_strategy(strategy, jobs[0].parameters)  # a mistake here would be that of every run
    ledger = Ledger(None if out is None else Path(out))
    try:
        found = {
            job.key: ledger.known[job.key]
            for job in jobs
            if job.key in ledger.known
            and not (retry_failed and ledger.known[job.key].stats is None)
        }
        known = len(found)
        todo = [job for job in jobs if job.key not in found]
        failed = sum(outcome.stats is None for outcome in found.values())
        tell = on_progress or (lambda _: None)
        tell(Progress(len(jobs), known, 0, failed))
        pool = _here(workers) if executor is None else _Lent(executor)
        try:
            for outcome in _outcomes(todo, pool):
                ledger.add(outcome)
                found[outcome.key] = outcome
                failed += outcome.stats is None
                tell(Progress(len(jobs), known, len(found) - known, failed, outcome))
        finally:
            pool.close()
            # Also of what a Ctrl-C left: the table is of the runs there are.
            runs = [found[job.key] for job in jobs if job.key in found]
            if runs:
                ledger.write_table(runs)
    finally:
        ledger.close()
    hashed = new_hash()
    for outcome in runs:
        hashed.update(msgspec.json.encode((outcome.key, outcome.digest)))
    return SweepReport(
        strategy=strategy,
        parameters=varied,
        runs=runs,
        known=known,
        failed=failed,
        digest=hashed.hexdigest(),
    )


def _jobs(
    base: Job, paths: Sequence[str], parameters: dict[str, list[Value]], *, together: bool
) -> Iterator[Job]:
    """Yield every run: by capture, then by parameters."""
    if not paths or not all(parameters.values()):
        raise UsageError("expected a capture and a value of each parameter, received none")
    identity = {path: _frames_of(path) for path in paths}
    source = _source_of(base.strategy, base.folder)
    number = 0
    for group in [tuple(paths)] if together else [(path,) for path in paths]:
        about = {path: identity[path] for path in group} | {"strategy": source}
        for values in combinations(parameters):
            yield msgspec.structs.replace(
                base, number=number, captures=group, parameters=values, identity=about
            )
            number += 1


def _frames_of(path: str) -> str:
    """Return what a capture holds, in a few letters; of one that grows, what it holds now."""
    info = Capture(path).info()
    return f"{info.frames}:{info.end}:{info.input_digest}"


def _source_of(strategy: str, folder: str | None) -> str:
    """Return the digest of the strategy's file; "" where it has none."""
    if folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec = find_spec(strategy.partition(":")[0])
    except (ImportError, ValueError):
        return ""  # `load_strategy` says what is wrong
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    hashed = new_hash()
    hashed.update(Path(spec.origin).read_bytes())
    return hashed.hexdigest()[:32]


class _Lent:
    """An executor of the caller's: it has workers of its own to replace those that die."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.width = max(int(getattr(executor, "_max_workers", 0) or 0), 8)

    def submit(self, job: Job) -> Future[Outcome]:
        """Have a job run."""
        return self._executor.submit(run, job)

    def renew(self) -> None:
        """Go on with the same."""

    def close(self) -> None:
        """Leave it to its owner."""


class _Processes:
    """Processes on this machine, made anew when one of them has died."""

    def __init__(self, workers: int) -> None:
        self.width = workers
        self._executor = self._made()

    def submit(self, job: Job) -> Future[Outcome]:
        """Have a job run; Ctrl-C is not for its process, from its first moment on."""
        if threading.current_thread() is not threading.main_thread():
            return self._executor.submit(run, job)
        # A process that is started while it is ignored ignores it, too: also amid its imports.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return self._executor.submit(run, job)
        finally:
            signal.signal(signal.SIGINT, before)

    def renew(self) -> None:
        """Replace all processes."""
        self.close()
        self._executor = self._made()

    def close(self) -> None:
        """End the processes at once: what they still run would be of no use."""
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def _made(self) -> ProcessPoolExecutor:
        # Never forked: this process has the threads of pyarrow, which a fork would not.
        return ProcessPoolExecutor(
            self.width, mp_context=multiprocessing.get_context("spawn"), initializer=_begin
        )


def _here(workers: int | None) -> _Processes:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = (available or 1) if workers is None else workers
    if wanted < 1:
        raise UsageError(f"expected at least one worker, received {wanted}")
    return _Processes(wanted)


def _begin() -> None:
    """Begin a process: Ctrl-C is for its parent, and each has one processor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pa.set_cpu_count(1)


def _outcomes(jobs: Sequence[Job], pool: _Processes | _Lent) -> Iterator[Outcome]:
    """Yield the outcome of every job, as they come."""
    waiting, tries = deque(jobs), dict.fromkeys((job.key for job in jobs), 0)
    suspects: deque[Job] = deque()
    running: dict[Future[Outcome], Job] = {}
    with _abandoned(running):
        while waiting or suspects or running:
            width = 2 * pool.width
            while waiting and len(running) < width:
                job = waiting.popleft()
                running[pool.submit(job)] = job
            if not running:
                job = suspects.popleft()
                running[pool.submit(job)] = job
            died: list[tuple[Job, BaseException]] = []
            ended = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(ended, key=lambda future: running[future].number):
                job = running.pop(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    yield future.result()
                else:
                    died.append((job, error))
            if not died:
                continue
            broken = [error for _, error in died if isinstance(error, BrokenExecutor)]
            if broken:
                # A pool whose process died gives up all it held: every one of them is a suspect.
                died += [(job, broken[0]) for job in running.values()]
                running.clear()
                pool.renew()
            for job, _ in died:
                tries[job.key] += 1
                if tries[job.key] >= _TRIES:
                    yield _killed(job)
                elif tries[job.key] == _TRIES - 1:
                    suspects.append(job)
                else:
                    waiting.append(job)


def _killed(job: Job) -> Outcome:
    return Outcome(
        key=job.key,
        captures=job.captures,
        parameters=job.parameters,
        error=f"its process died {_TRIES} times, the last time with nothing beside it",
        exit_code=int(ExitCode.FAILED),
    )


@contextmanager
def _abandoned(running: dict[Future[Outcome], Job]) -> Iterator[None]:
    """Cancel what has not begun when the sweep ends early."""
    try:
        yield
    finally:
        for future in running:
            future.cancel()
