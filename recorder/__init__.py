"""Record OKX v5 WebSocket sessions byte for byte; read and interpret captures.

    from recorder import Capture
    for event in Capture("captures/btc").events():
        print(event)

The public names below are loaded when first used: importing this package opens nothing, starts
nothing and does not load the network stack or Arrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recorder.book import Book as Book
    from recorder.book import Books as Books
    from recorder.capture.reader import Capture as Capture
    from recorder.capture.reshape.importer import import_sessions as import_sessions
    from recorder.capture.verify import verify as verify
    from recorder.capture.writer import CaptureWriter as CaptureWriter
    from recorder.errors import RecorderError as RecorderError
    from recorder.frame import Frame as Frame
    from recorder.frame import Kind as Kind
    from recorder.live import Client as Client
    from recorder.live import record as record
    from recorder.live import watch as watch
    from recorder.okx.interpreter import Interpreter as Interpreter
    from recorder.okx.parser import Parser as Parser
    from recorder.okx.parser import parse as parse

__version__ = "0.1.0"

_HOME = {
    "Book": "recorder.book",
    "Books": "recorder.book",
    "Capture": "recorder.capture.reader",
    "CaptureWriter": "recorder.capture.writer",
    "Client": "recorder.live",
    "Frame": "recorder.frame",
    "Interpreter": "recorder.okx.interpreter",
    "Kind": "recorder.frame",
    "Parser": "recorder.okx.parser",
    "RecorderError": "recorder.errors",
    "import_sessions": "recorder.capture.reshape.importer",
    "parse": "recorder.okx.parser",
    "record": "recorder.live",
    "verify": "recorder.capture.verify",
    "watch": "recorder.live",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'recorder' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
