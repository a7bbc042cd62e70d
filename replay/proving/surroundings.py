"""Surroundings: witnesses that are not in this process, and need not be on this machine.

Responsible for reading a capture in a process with another hash seed, time zone and locale, and for
digests that somebody kept. Refuses to read the environment: the caller hands it in.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from recorder.capture.digest import BLOCK_SHIFT
from recorder.errors import CheckFailed
from replay.proving.witness import Blocks

SURROUNDINGS: tuple[tuple[str, dict[str, str]], ...] = (
    ("hash seed 0, UTC, C", {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"}),
    (
        "hash seed 1, Kathmandu, German",
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8"},
    ),
    (
        "hash seed 4294967295, St. John's, Turkish",
        {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8"},
    ),
)
"""Other processes: hash seed, time zone and locale, none of which may matter."""


class Process:
    """Another process, in another surrounding.

    Args:
        arguments: of `replay prove`. environment: all of it.
    """

    def __init__(self, name: str, arguments: Iterable[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._environment = dict(environment)

    def _ask(self, *more: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "replay", "prove", *self._arguments, *more],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise CheckFailed(
                f"expected a process to give its digests ({self.name}), but it ended with "
                f"{done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}"
            )
        return done.stdout

    def blocks(self) -> Blocks:
        """Let it read all of it."""
        return msgspec.json.decode(self._ask("--digests"), type=Blocks)

    def frames(self, first_seq: int, last_seq: int) -> None:
        """The frames are those of every reader."""

    def events(self, first_seq: int, last_seq: int) -> Iterator[bytes]:
        """Let it print the events of one block."""
        return iter(self._ask("--events-of", str(first_seq >> BLOCK_SHIFT)).splitlines())


class Stored:
    """Digests that somebody kept, on another machine perhaps; it cannot show an event."""

    def __init__(self, name: str, blocks: Blocks) -> None:
        self.name = name
        self._blocks = blocks

    def blocks(self) -> Blocks:
        """Return them."""
        return self._blocks

    def frames(self, first_seq: int, last_seq: int) -> None:
        """Nobody knows."""

    def events(self, first_seq: int, last_seq: int) -> None:
        """Nobody knows."""
