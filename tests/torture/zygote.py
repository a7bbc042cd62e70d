"""A process with everything imported that forks a child per experiment: some milliseconds each.

Responsible for running a scenario in a child that may be killed at any call, and for marks in
shared memory that outlive it: the last `written_seq` and `durable_seq` it published. One JSON
object a line on standard input (an `Experiment`), one (an `Outcome`) on standard output; with
`paused` the child's pid comes first, and it begins when a line comes back (strace attaches).
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from tests.torture.shim import Fault, Shim

PATIENCE_S = 120.0
"""How long a child may take before it counts as hanging."""
_MARKS = struct.Struct("<qqqq")


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario of `scenarios`, its arguments, and the fault that meets it."""

    scenario: str
    root: str
    arguments: dict[str, Any] = {}
    fault: Fault = Fault()
    shim: bool = True
    paused: bool = False
    patience_s: float = PATIENCE_S


class Outcome(msgspec.Struct, kw_only=True):
    """How a child ended.

    Attributes:
        status: exit code, negative a signal. said: what the scenario returned or the error.
        calls: counted; last_call: the last of them. handed, written, durable: last seqs.
    """

    status: int
    said: str
    calls: int
    last_call: str
    handed: int
    written: int
    durable: int


class Zygote:
    """The parent's end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._pid = 0
        self._is_released = False

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_last()
        self._process.communicate(timeout=60)

    def run(self, experiment: Experiment) -> Outcome:
        """Run one experiment to its end."""
        self._end_last()
        self._send(msgspec.json.encode(experiment))
        return msgspec.json.decode(self._line(), type=Outcome)

    def start(self, experiment: Experiment) -> int:
        """Fork a child that waits for `release`; return its pid."""
        self._end_last()
        self._send(msgspec.json.encode(msgspec.structs.replace(experiment, paused=True)))
        self._pid = int(self._line())
        return self._pid

    def release(self) -> None:
        """Let the waiting child run."""
        self._is_released = True
        self._send(b"go")

    def outcome(self) -> Outcome:
        """Wait until the released child has ended; return how."""
        self._pid, self._is_released = 0, False
        return msgspec.json.decode(self._line(), type=Outcome)

    def _end_last(self) -> None:
        """End a child whose experiment was given up in the middle."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            if not self._is_released:
                self.release()
            self.outcome()

    def _send(self, line: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line + b"\n")
        stdin.flush()

    def _line(self) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise RuntimeError("the zygote died")
        return line


class Marks:
    """What outlives the child: numbers and the name of its last call, in shared memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8192)
        self.handed = self.written = self.durable = -1
        self.writer: Any = None
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._memory[:] = bytes(8192)
        _MARKS.pack_into(self._memory, 0, -1, -1, -1, 0)

    def publish(self) -> None:
        """Note what the writer says now."""
        if self.writer is not None:
            written, durable = self.writer.written_seq, self.writer.durable_seq
            _MARKS.pack_into(self._memory, 0, self.handed, written, durable, self._calls())

    def tell(self, calls: int, name: str) -> None:
        """Note a call, and what the writer says before it."""
        self.publish()
        struct.pack_into("<q", self._memory, 24, calls)
        text = name.encode()[:200]
        self._memory[32:256] = text.ljust(224, b"\0")

    def say(self, text: str) -> None:
        """Note the result."""
        data = text.encode()[-7000:]
        self._memory[256 : 256 + len(data)] = data

    def outcome(self, status: int) -> Outcome:
        """Return everything noted."""
        handed, written, durable, calls = _MARKS.unpack_from(self._memory, 0)
        return Outcome(
            status=status,
            said=self._memory[256:].rstrip(b"\0").decode("utf-8", "replace"),
            calls=calls,
            last_call=self._memory[32:256].rstrip(b"\0").decode("utf-8", "replace"),
            handed=handed,
            written=written,
            durable=durable,
        )

    def _calls(self) -> int:
        return int(struct.unpack_from("<q", self._memory, 24)[0])


def _child(experiment: Experiment, marks: Marks) -> None:
    from tests.torture import scenarios

    code = 0
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # sealers talk when their disk goes
    try:
        root = Path(experiment.root)
        if experiment.shim:
            Shim(root, experiment.fault, marks.tell).install()
        marks.say(str(getattr(scenarios, experiment.scenario)(root, marks, **experiment.arguments)))
    except BaseException as error:  # noqa: BLE001 - told to the parent, which judges
        code = 9
        marks.say(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
    finally:
        marks.publish()
        os._exit(code)


def _wait(pid: int, seconds: float) -> int:
    """Wait for a child; one that hangs is killed and told by the status 99."""
    end = time.monotonic() + seconds
    killer = threading.Timer(seconds, os.kill, (pid, 9))
    killer.start()
    _, status = os.waitpid(pid, 0)
    killer.cancel()
    return 99 if time.monotonic() >= end else os.waitstatus_to_exitcode(status)


def main() -> None:
    """Serve experiments until standard input ends."""
    from tests.torture import scenarios

    scenarios.warm_up()
    marks = Marks()
    for line in sys.stdin.buffer:
        experiment = msgspec.json.decode(line, type=Experiment)
        marks.clear()
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(writing)
            os.read(reading, 1)
            _child(experiment, marks)
        os.close(reading)
        if experiment.paused:
            sys.stdout.buffer.write(b"%d\n" % pid)
            sys.stdout.buffer.flush()
            sys.stdin.buffer.readline()
        os.write(writing, b"g")
        os.close(writing)
        status = _wait(pid, experiment.patience_s)
        sys.stdout.buffer.write(msgspec.json.encode(marks.outcome(status)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
