"""No test can hang the run: a pytest plugin, loaded by tests/conftest.py.

Responsible for going on to watch a test that has failed (pytest ends a worker after
`faulthandler_timeout`, pyproject.toml, with the stacks of all threads, but not if the test failed
before its teardown hung); for a limit of the whole run; for naming a failure when it happens, in
case the summary is never reached; and for ending the processes that tests leave behind, which is an
error of the run. Refuses to interrupt a test by an exception: what hangs may swallow it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

RUN_S = 30 * 60
"""For the whole suite, which takes less than six minutes on two cores."""
GRACE_S = 20.0
"""A process whose parent has gone may take so long to notice."""


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Start the clock again that pytest has just stopped: the teardown is still to come."""
    seconds = float(node.config.getini("faulthandler_timeout") or 0)
    if seconds and isinstance(node, pytest.Item):
        stderr = node.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(seconds, exit=True, file=stderr)


@pytest.hookimpl(trylast=True)  # after the one that makes the `dsession`
def pytest_configure(config: pytest.Config) -> None:
    """Watch over the run in the process that hands out the tests, where there is one."""
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(_Run(config), "deadline-of-the-run")


class _Run:
    def __init__(self, config: pytest.Config) -> None:
        self._stderr = config.stash[fault_handler_stderr_fd_key]
        self._uid = ""
        self._left: list[str] = []

    def pytest_sessionstart(self) -> None:
        faulthandler.dump_traceback_later(RUN_S, exit=True, file=self._stderr)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._stderr, f"\nfailed: {report.nodeid} ({report.when})\n".encode())

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self._uid = node.workerinput["testrunuid"]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """End what a worker that died can end no more."""
        if error:
            _kill(dict(_children(self._uid, node.gateway.id)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        until = time.monotonic() + GRACE_S
        while (left := dict(_children(self._uid))) and time.monotonic() < until:
            time.sleep(0.1)
        _kill(left)
        self._left = list(left.values())
        if left and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for command in self._left:
            terminalreporter.write_line(f"ERROR a test left a process behind: {command}", red=True)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()


def _children(uid: str, worker: str = "") -> Iterator[tuple[int, str]]:
    """Yield process id and command of what the tests of a run, or of one worker, have started.

    A worker has the two names in its environment, which its children inherit.
    """
    wanted = [f"PYTEST_XDIST_TESTRUNUID={uid}".encode()]
    if worker:
        wanted.append(f"PYTEST_XDIST_WORKER={worker}".encode())
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone, or another user's
            environment = (folder / "environ").read_bytes().split(b"\0")
            if uid and all(one in environment for one in wanted):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(folder.name), command.decode(errors="replace").strip()


def _kill(processes: dict[int, str]) -> None:
    for pid in processes:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
