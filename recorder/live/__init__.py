"""The live side: the only sockets and the only real clock.

    report = await record("captures/btc", ["books:BTC-USDT", "trades:BTC-USDT"], duration=60)

The public names below are loaded when first used: reading settings opens no network stack.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recorder.live.config import LinkOptions as LinkOptions
    from recorder.live.config_file import read_config as read_config
    from recorder.live.listening import Client as Client
    from recorder.live.recording import record as record
    from recorder.live.report import Progress as Progress
    from recorder.live.report import RecordReport as RecordReport
    from recorder.live.settings import record_arguments as record_arguments
    from recorder.live.watching import Watch as Watch
    from recorder.live.watching import watch as watch

_HOME = {
    "Client": "recorder.live.listening",
    "LinkOptions": "recorder.live.config",
    "Progress": "recorder.live.report",
    "RecordReport": "recorder.live.report",
    "Watch": "recorder.live.watching",
    "read_config": "recorder.live.config_file",
    "record": "recorder.live.recording",
    "record_arguments": "recorder.live.settings",
    "watch": "recorder.live.watching",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'recorder.live' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
