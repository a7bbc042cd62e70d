"""strace on a child: SIGKILL, an error or a delay at the k-th call of one name.

Responsible for attaching before the child begins and for saying why a machine cannot. Calls are
counted by strace per thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from types import TracebackType

from tests.torture.zygote import Experiment, Outcome, Zygote

CALLS = (
    "openat",
    "write",
    "writev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "unlink",
    "mkdir",
    "close",
)
"""The calls by which a capture changes, and `close`, so that every moment between is met, too."""


def why_not() -> str | None:
    """Return why this machine cannot inject, None if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    probe = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"],
        capture_output=True,
        text=True,
    )
    return None if probe.returncode == 0 else f"strace cannot trace here: {probe.stderr[:100]}"


class Tracer:
    """strace attached to a process and all it starts."""

    def __init__(self, pid: int, injection: str) -> None:
        self._process = subprocess.Popen(
            ["strace", "-f", "-o", os.devnull, "-e", f"inject={injection}", "-p", str(pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        stderr = self._process.stderr
        assert stderr is not None
        line = stderr.readline()
        if "attached" not in line:
            raise RuntimeError(f"strace said {line}")

    def __enter__(self) -> Tracer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate(timeout=60)


def run(zygote: Zygote, experiment: Experiment, injection: str) -> Outcome:
    """Run an experiment under strace; the shim only counts."""
    pid = zygote.start(experiment)
    with Tracer(pid, injection):
        zygote.release()
        return zygote.outcome()
