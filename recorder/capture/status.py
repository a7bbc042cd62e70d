"""`status.json`: what a live recorder is doing, rewritten each second.

Responsible for the file and the thread that keeps it fresh. Refuses to be trusted: it is a
courtesy for people and monitors; what is recorded stands in the journal alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from recorder.capture import layout

_EVERY_S = 1.0
_HANG_S = 5.0


class StatusFile:
    """Keeps `status.json` up to date until `close`."""

    def __init__(self, root: Path, current: Callable[[], Mapping[str, Any]]) -> None:
        self._path = root / layout.STATUS_FILE
        self._mode = layout.file_mode(root)
        self._current = current
        self._stop = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop and remove the file: no recorder, no status."""
        self._stop.set()
        self._thread.join(_HANG_S)
        if self._thread.is_alive():
            return  # its disk answers no more: removing the file would hang as well
        with suppress(OSError):  # a disk that refuses this has refused more, and told so
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            with suppress(Exception):  # one look that fails must not be the last one
                self._write()

    def _write(self) -> None:
        content = msgspec.json.encode(self._current()) + b"\n"
        try:
            layout.replace_file(self._path, content, mode=self._mode, durable=False)
        except OSError as error:  # the journal is who reports a bad disk
            if error.errno not in layout.NO_ROOM:
                return
            # The old one would say that all is well, and its room is what the new one needs.
            unfinished = self._path.with_name(self._path.name + layout.UNFINISHED)
            for path in (unfinished, self._path):
                path.unlink(missing_ok=True)
            with suppress(OSError):
                layout.replace_file(self._path, content, mode=self._mode, durable=False)
