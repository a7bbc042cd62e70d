"""`replay sweep`: the same table however it was run, whatever died, wherever it went on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from recorder.errors import ExitCode, UsageError
from replay.backtest import backtest
from replay.cli.sweep import sweep_command
from replay.sweep import Progress, SweepReport, sweep
from replay.sweep.job import Job, run
from tests.replay.sweep.swept import Taker

HERE = "tests.replay.sweep.swept"
GRID = {"every": [200, 300], "size": ["0.01", "0.02"]}


class Inline(Executor):
    """Runs here and now; counts what it was given. The processes have tests of their own."""

    def __init__(self) -> None:
        self.count = 0

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


@pytest.fixture
def btc(datasets: Path) -> Path:
    return datasets / "btc-calm"


@pytest.fixture(scope="module")
def inline(datasets: Path) -> SweepReport:
    return sweep(datasets / "btc-calm", f"{HERE}:Taker", GRID, executor=Inline())


def test_each_run_is_that_backtest(inline: SweepReport, btc: Path) -> None:
    assert [outcome.parameters for outcome in inline.runs] == [
        {"every": every, "size": size} for every in (200, 300) for size in ("0.01", "0.02")
    ]
    assert len({outcome.digest for outcome in inline.runs}) == 4
    alone = backtest(btc, Taker(300, "0.02")).report
    assert inline.runs[3].digest == alone.digest
    assert inline.runs[3].stats == alone.strategies[0]
    assert inline.runs[3].stats is not None
    assert inline.runs[3].stats.fills > 0
    assert inline.exit_code == ExitCode.DONE


def test_processes_that_die_change_nothing(inline: SweepReport, btc: Path, tmp_path: Path) -> None:
    """Two processes; one run kills its own once, which takes its neighbour's with it."""
    grid: dict[str, Any] = {**GRID, "mishap": [str(tmp_path / "once")]}
    seen: list[Progress] = []
    report = sweep(btc, f"{HERE}:Taker", grid, workers=2, on_progress=seen.append)
    assert (tmp_path / "once").exists()
    assert [outcome.digest for outcome in report.runs] == [
        outcome.digest for outcome in inline.runs
    ]
    assert [progress.done for progress in seen] == [0, 1, 2, 3, 4]
    assert report.failed == 0


def test_who_kills_his_process_again_and_again_is_found(btc: Path) -> None:
    grid = {"every": [300], "mishap": ["", "kill", "raise", "exit"]}
    report = sweep(btc, f"{HERE}:Taker", grid, workers=2)
    good, killer, raiser, leaver = report.runs
    assert good.stats is not None
    assert killer.error is not None
    assert "its process died 3 times" in killer.error
    assert raiser.error == "ZeroDivisionError: on purpose"
    assert raiser.traceback is not None
    assert "swept.py" in raiser.traceback
    assert leaver.error == "SystemExit: 3"
    assert report.failed == 3
    assert report.exit_code == ExitCode.FAILED


def test_a_sweep_that_was_cut_off_goes_on(inline: SweepReport, btc: Path, tmp_path: Path) -> None:
    out, first = tmp_path / "out", Inline()

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(btc, f"{HERE}:Taker", GRID, out=out, executor=first, on_progress=stop)
    assert pq.read_table(out / "results.parquet").num_rows == 2
    with (out / "runs.jsonl").open("ab") as runs:
        runs.write(b'{"key":"cut of')  # by a crash
    again = Inline()
    report = sweep(btc, f"{HERE}:Taker", GRID, out=out, executor=again)
    assert again.count == 2
    assert report.known == 2
    assert report.digest == inline.digest
    assert report.runs == [
        msgspec.structs.replace(outcome, seconds=mine.seconds)
        for outcome, mine in zip(inline.runs, report.runs, strict=True)
    ]
    assert [json.loads(line)["parameters"] for line in (out / "runs.jsonl").open()] == [
        outcome.parameters for outcome in inline.runs
    ]
    table = pq.read_table(out / "results.parquet").to_pylist()
    assert [(row["every"], row["size"]) for row in table] == [
        (200, "0.01"), (200, "0.02"), (300, "0.01"), (300, "0.02"),
    ]  # fmt: skip
    assert [row["digest"] for row in table] == [outcome.digest for outcome in inline.runs]


def test_another_option_or_file_is_another_run(
    btc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept.py").write_text("class Kept:\n    def on_trade(self, event, context): ...\n")
    monkeypatch.chdir(tmp_path)
    counts = []
    for change, settings in (("", {}), ("", {}), ("", {"seed": 1}), ("# another\n", {})):
        with (tmp_path / "kept.py").open("a") as file:
            file.write(change)
        executor = Inline()
        sweep(btc, "kept:Kept", out=tmp_path / "out", executor=executor, **settings)
        counts.append(executor.count)
    assert counts == [1, 0, 1, 1]


def test_failed_runs_are_tried_again_when_asked(btc: Path, tmp_path: Path) -> None:
    counts = []
    for retry in (False, False, True):
        executor = Inline()
        grid = {"every": [300], "mishap": ["raise"]}
        sweep(
            btc, f"{HERE}:Taker", grid, out=tmp_path / "out", executor=executor, retry_failed=retry
        )
        counts.append(executor.count)
    assert counts == [1, 0, 1]


def test_captures_alone_or_together(datasets: Path) -> None:
    both = [datasets / "btc-calm", datasets / "eth-stress"]
    alone = sweep(both, f"{HERE}:Taker", executor=Inline())
    assert [len(outcome.captures) for outcome in alone.runs] == [1, 1]
    assert len({outcome.digest for outcome in alone.runs}) == 2
    together = sweep(both, f"{HERE}:Taker", together=True, executor=Inline())
    assert [len(outcome.captures) for outcome in together.runs] == [2]


@pytest.mark.parametrize(
    ("strategy", "grid", "said"),
    [
        (f"{HERE}:Taker", {"windo": [1]}, "Taker takes (every, size, mishap), received windo"),
        (f"{HERE}:still", {"window": [1]}, "expected a class"),
        (f"{HERE}:Nobody", {}, "it has none"),
        (f"{HERE}:Taker", {"every": []}, "received none"),
    ],
)
def test_mistakes_are_told_before_the_first_run(
    btc: Path, strategy: str, grid: dict[str, Any], said: str
) -> None:
    executor = Inline()
    with pytest.raises(UsageError) as error:
        sweep(btc, strategy, grid, executor=executor)
    assert said in str(error.value)
    assert executor.count == 0


def test_what_is_no_sweep_is_not_written_over(btc: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="earlier sweep"):
        sweep(btc, f"{HERE}:Taker", out=tmp_path, executor=Inline())
    (tmp_path / "runs.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="line 1 of"):
        sweep(btc, f"{HERE}:Taker", out=tmp_path, executor=Inline())
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_job_travels_as_data(btc: Path) -> None:
    job = Job(number=3, captures=(str(btc),), strategy=f"{HERE}:Taker", parameters={"every": 300})
    back = msgspec.json.decode(msgspec.json.encode(job), type=Job)
    assert back.key == job.key
    assert run(back).digest == run(job).digest
    other = msgspec.structs.replace(job, parameters={"every": 301})
    assert other.key != job.key
    assert msgspec.structs.replace(job, number=9, folder="/x").key == job.key


def test_command_prints_the_table(btc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replay.cli.sweep._executor", _inline)
    words = [str(btc), "--strategy", f"{HERE}:Taker", "--param", "every=300,600"]
    words += ["--param", "mishap=no,raise", "--by", "fills"]
    monkeypatch.setattr(Taker, "_fail", _fail_if_told)
    done = CliRunner().invoke(sweep_command, words, standalone_mode=False)
    assert done.exception is None
    lines = done.stdout.splitlines()
    assert lines[0] == f"4 backtests of {HERE}:Taker"
    assert lines[2].split() == [
        "every", "mishap", "profit", "fees", "funding", "turnover", "drawdown", "sharpe", "fills",
        "filled",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[4:6]] == ["300", "600"]  # the most fills first
    assert "2 failed:" in lines
    assert "  every=300 mishap=raise: ZeroDivisionError: on purpose" in lines
    assert done.return_value == ExitCode.FAILED


def _inline(_: object) -> Any:
    from contextlib import nullcontext

    return nullcontext(Inline())


def _fail_if_told(taker: Taker) -> None:
    if taker.mishap == "raise":
        raise ZeroDivisionError("on purpose")


@pytest.fixture
def scheduler() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def test_on_a_cluster_with_a_worker_killed_in_mid_run(
    inline: SweepReport, btc: Path, tmp_path: Path, scheduler: Any
) -> None:
    from replay.sweep.cluster import cluster_executor

    grid: dict[str, Any] = {**GRID, "mishap": [str(tmp_path / "once")]}
    with cluster_executor(scheduler.scheduler_address) as executor:
        report = sweep(btc, f"{HERE}:Taker", grid, executor=executor)
    assert (tmp_path / "once").exists()
    assert [outcome.digest for outcome in report.runs] == [
        outcome.digest for outcome in inline.runs
    ]


def test_no_scheduler_is_one_sentence() -> None:
    pytest.importorskip("distributed", reason="dask is not installed")
    done = CliRunner().invoke(
        sweep_command,
        ["datasets/btc-calm", "--strategy", f"{HERE}:Taker", "--cluster", "nowhere"],
        standalone_mode=False,
    )
    assert "expected a dask scheduler at nowhere" in str(done.exception)
