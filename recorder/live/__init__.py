"""The live side: the only sockets and the only real clock.

report = await record("captures/btc", ["books:BTC-USDT", "trades:BTC-USDT"], duration=60)
"""

from __future__ import annotations

from recorder.live.config import LinkOptions as LinkOptions
from recorder.live.recording import record as record
from recorder.live.report import Progress as Progress
from recorder.live.report import RecordReport as RecordReport

__all__ = ["LinkOptions", "Progress", "RecordReport", "record"]
