"""Strategies on the command line: found by name, and told apart from what is ours when they fail.

Responsible for importing them and for showing a fault of theirs. Refuses to run them.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import recorder
import replay
from recorder.errors import CheckFailed, RecorderError, SinkDown, SinkRefused
from recorder.strategy import load_strategy
from replay.player import NOTE

_OURS = tuple(str(Path(package.__file__ or "").parent) + os.sep for package in (recorder, replay))


def load(spec: str) -> object:
    """Import a strategy; modules of the current directory can be named."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return load_strategy(spec)
    except RecorderError:
        raise
    except Exception as error:
        error.add_note(f"{NOTE} {spec} while it was loaded")
        raise


@contextmanager
def blamed_on_strategy() -> Iterator[None]:
    """Show a fault of the strategy with its own part of the traceback, and end with exit code 1."""
    try:
        yield
    except (BrokenPipeError, SinkDown, SinkRefused):
        raise
    except Exception as error:
        notes = [note for note in getattr(error, "__notes__", ()) if note.startswith(NOTE)]
        if not notes:
            raise
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith((*_OURS, "<frozen"))
        ]
        lines = ["Traceback of the strategy (most recent call last):\n"] if frames else []
        lines += traceback.format_list(frames)
        lines += traceback.format_exception_only(error)[:1]
        sys.stderr.write("".join(lines))
        what = notes[0].removeprefix(NOTE).strip()
        raise CheckFailed(
            f"expected the strategy to handle {what}, but it raised {type(error).__name__}; "
            f"the replay stopped there"
        ) from error
