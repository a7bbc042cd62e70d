"""A local OKX made of a capture: `serve(...)`, an unmodified v5 client can connect to it.

`survey` finds what a capture can serve and `catalogue` keeps it, `switchboard` decides who receives
which frame, `playback` when; `shell` listens, `conversations` answer clients, `rest` plain HTTP on
the same port; `controls` is the handle of a running server.
"""

from __future__ import annotations

from replay.server.controls import ServedControls
from replay.server.serving import serve
from replay.server.settings import AT_END
from replay.server.shell import Server, ServeReport

__all__ = ["AT_END", "ServeReport", "ServedControls", "Server", "serve"]
