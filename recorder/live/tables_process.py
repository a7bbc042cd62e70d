"""The process that makes derived tables of a capture while it is recorded (`record --tables`).

Responsible for starting it, for saying once that it has failed, and for its end. Refuses to depend
on it: it reads what is sealed, from a process of its own with a low priority, and what it does not
get done the next `replay tables` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long the end of a recording waits for the tables of its last segments."""

_DEATH_S = 5.0
_LINE_MAX = 400


class TablesProcess:
    """`replay tables CAPTURE --follow`, which ends when the recorder has let go of the capture.

    Args:
        capture: its directory, which is there. is_wanted: False: there is no process.
    """

    def __init__(
        self, capture: str, *, is_wanted: bool = True, patience_s: float = PATIENCE_S
    ) -> None:
        self._capture = capture
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._said = ""
        self._trouble: str | None = None
        self._listener: threading.Thread | None = None
        if is_wanted:
            self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "replay", "tables", os.path.abspath(self._capture)]
        try:
            self._process = subprocess.Popen(
                [*command, "--follow", "--workers", "1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,  # Ctrl-C at the terminal is for the recorder
                env={k: v for k, v in os.environ.items() if not k.startswith("OKX_")},
            )
        except OSError as error:
            self._trouble = f"could not be started: {error.strerror or error}"
            return
        self._listener = threading.Thread(target=self._listen, name="recorder-tables", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Keep the last line of what it says: there is why it ended."""
        process = self._process
        if process is None or process.stderr is None:
            return
        with suppress(OSError, ValueError):
            for line in process.stderr:
                self._said = line.decode("utf-8", "replace").strip()[:_LINE_MAX] or self._said
        code = process.wait()
        if code and self._trouble is None:
            self._trouble = self._said or f"ended with status {code}"

    def tell(self, notify: Callable[[str], None]) -> None:
        """Say, once, that it has failed."""
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            notify(
                f"warning: the process that makes tables {trouble}; the recording goes on, and "
                f"`replay tables {self._capture}` makes what is missing"
            )

    def telling(
        self, notify: Callable[[str], None], also: Callable[[T], None]
    ) -> Callable[[T], None]:
        """Return what says so if it has failed, and then does something else as well."""

        def told(what: T) -> None:
            self.tell(notify)
            also(what)

        return told

    def finish(self) -> None:
        """Let it make the tables of the last segments; the capture's lock is free already."""
        process = self._process
        if process is None:
            return
        try:
            process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self._trouble = f"was not done after {self._patience_s:g} s"
            self._end(process)
        if self._listener is not None:
            self._listener.join(_DEATH_S)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for end in (process.terminate, process.kill):
            end()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_DEATH_S)
                return
