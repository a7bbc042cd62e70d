"""A local OKX made of a capture: `serve(...)`, an unmodified v5 client can connect to it.

`catalogue` finds what a capture can serve, `switchboard` decides who receives which frame, `shell`
owns the sockets and the clock, `rest` answers plain HTTP on the same port.
"""

from __future__ import annotations

from replay.server.serving import AT_END, serve
from replay.server.shell import Server, ServeReport

__all__ = ["AT_END", "ServeReport", "Server", "serve"]
